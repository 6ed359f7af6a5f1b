"""Inflated views: what is seen from a side, against ray casting, and pages that show it beside flat maps."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from factortopy import plot
from factortopy.cortex import hemisphere_rois
from factortopy.errors import ShapeError, UnknownNameError
from factortopy.plot.pages import best_columns
from factortopy.plot.painting.inflated import GAP

VIEWS = ["lateral", "medial", "ventral", "posterior"]
RED, CLEAR = (0.9, 0.1, 0.1, 1.0), (0.0, 0.0, 0.0, 0.0)
# Where the viewer stands, of the left and the right hemisphere: x right, y anterior, z superior.
STANDS = {
    "lateral": ((-1, 0, 0), (1, 0, 0)),
    "medial": ((1, 0, 0), (-1, 0, 0)),
    "ventral": ((0, 0, -1), (0, 0, -1)),
    "posterior": ((0, -1, 0), (0, -1, 0)),
}


@pytest.fixture(scope="module")
def rois(surface):
    return {half.name: hemisphere_rois(half) for half in surface.hemispheres}


@pytest.fixture(scope="module")
def numbered(surface):
    """Every vertex in a colour of its own: its place on the inflated surface."""
    colours = {}
    for half in surface.hemispheres:
        place = half.inflated.coordinates
        place = (place - place.min(axis=0)) / np.ptp(place, axis=0)
        colours[half.name] = np.concatenate([place, np.ones((len(place), 1))], axis=1)
    return colours


@pytest.fixture(scope="module")
def painted(surface, numbered):
    return {view: plot.paint_inflated(surface, numbered, view, width=500) for view in VIEWS}


def hits(half, vertex, toward):
    """How many triangles a ray from a vertex to the viewer crosses (Moeller and Trumbore 1997)."""
    points = half.inflated.coordinates.astype(float)
    origin, toward = points[vertex], np.asarray(toward, dtype=float)
    one, two, three = points[half.inflated.faces].transpose(1, 0, 2)
    first, second = two - one, three - one
    across = np.cross(toward, second)
    determinant = (first * across).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        from_one = origin - one
        u = (from_one * across).sum(axis=1) / determinant
        v = (np.cross(from_one, first) @ toward) / determinant
        distance = (second * np.cross(from_one, first)).sum(axis=1) / determinant
        return ((u > 0) & (v > 0) & (u + v < 1) & (distance > 2.5)).sum()


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_seen_is_what_no_triangle_hides(surface, painted, numbered, view):
    generator, agreed, kinds, apart = np.random.default_rng(0), [], set(), []
    for half, toward in zip(surface.hemispheres, STANDS[view], strict=True):
        sheet = painted[view].sheets[half.name]
        for vertex in generator.choice(half.vertices, 60, replace=False):
            seen = bool(np.isfinite(sheet.points[vertex]).all())
            agreed.append(seen == (hits(half, vertex, toward) == 0))
            kinds.add(seen)
            if seen and agreed[-1]:
                colour = painted[view].image[painted[view].pixel(half.name, vertex)]
                apart.append(np.abs(colour - numbered[half.name][vertex]).max())
    # At the rim, where triangles turn away, a pixel holds much.
    assert np.mean(agreed) > 0.93
    assert np.mean(np.array(apart) < 0.05) > 0.9
    assert kinds == {True, False}


def test_views_stand_as_the_brain_is_seen(surface, painted):
    """Anterior and superior are where an atlas has them; from below, the left hemisphere is on the right."""

    def direction(view, side, axis):
        """In which direction of the picture (right, up) an axis of the brain grows, of what is seen."""
        half, sheet = surface.hemisphere(side), painted[view].sheets[side]
        seen = np.isfinite(sheet.points).all(axis=1)
        place = half.inflated.coordinates[seen, axis]
        return [np.corrcoef(place, sheet.points[seen, of])[0, 1] for of in (0, 1)]

    for side, outward in (("left", -1), ("right", 1)):
        assert direction("lateral", side, 1)[0] * outward > 0.99
        assert direction("medial", side, 1)[0] * outward < -0.99
        for view in ("lateral", "medial", "posterior"):
            assert direction(view, side, 2)[1] > 0.99
        assert direction("ventral", side, 1)[1] > 0.99
        assert direction("posterior", side, 0)[0] > 0.99
        assert direction("ventral", side, 0)[0] < -0.99
    for view in VIEWS:
        middle = {side: np.nanmean(sheet.points[:, 0]) for side, sheet in painted[view].sheets.items()}
        assert (middle["left"] < middle["right"]) == (view != "ventral")


def test_regions_are_seen_from_their_side(surface, rois):
    colours = {side: np.tile(CLEAR, (half.vertices, 1)) for side, half in zip(rois, surface.hemispheres, strict=True)}
    for side, regions in rois.items():
        colours[side][regions["PPA"]] = RED
    red = {}
    for view in VIEWS:
        image = plot.paint_inflated(surface, colours, view, width=400).image
        assert np.ptp(image[(image[..., 0] < 0.87) & (image[..., 3] > 0)][:, :3], axis=1).max() < 1e-5  # others grey
        red[view] = (np.abs(image - RED).max(axis=-1) < 1e-5).sum()  # the exact colour, not shaded
    assert red["lateral"] == 0
    assert min(red["ventral"], red["medial"]) > 20


def test_hemispheres_do_not_touch(painted):
    for picture in painted.values():
        spans = sorted((np.nanmin(s.points[:, 0]), np.nanmax(s.points[:, 0])) for s in picture.sheets.values())
        assert GAP - 1 < spans[1][0] - spans[0][1] < GAP + 8


def test_bad_input_is_one_clear_line(surface, numbered):
    with pytest.raises(UnknownNameError, match="unknown view 'dorsal'"):
        plot.paint_inflated(surface, numbered, "dorsal")
    with pytest.raises(ShapeError, match=r"\(10242, 4\)"):
        plot.paint_inflated(surface, numbered | {"left": np.zeros((5, 4))}, "lateral")


def shown(figure):
    """Axes that hold a picture of the cortex."""
    return [axes for axes in figure.axes if any(image.get_gid() == "cortex" for image in axes.images)]


def boxes(figure, artists):
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [artist.get_window_extent(renderer) for artist in artists]


def test_a_page_has_every_view_without_overlap(mapping):
    figure = plot.layers(mapping, views=plot.ALL_VIEWS)
    pictures = shown(figure)
    assert len(pictures) == 5
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert [word for word in words if "·" in word] == [
        "L · lateral · R", "L · posterior · R", "L · medial · R", "R · ventral · L"
    ]  # fmt: skip
    places = boxes(figure, pictures)
    for number, box in enumerate(places):
        assert min(box.x0, box.y0) >= 0
        assert max(box.x1 - figure.bbox.width, box.y1 - figure.bbox.height) <= 0
        assert not any(box.overlaps(other) for other in places[:number])
    scales = [box.width / np.ptp(axes.get_xlim()) for box, axes in zip(places[1:], pictures[1:], strict=True)]
    assert np.ptp(scales) < 1e-3 * scales[0]  # a millimetre is a millimetre in all inflated views
    assert "posterior" in plot.alt_text(figure)


def test_without_a_flat_map_each_region_is_named_once(mapping):
    figure = plot.rois(mapping, views=("lateral", "medial", "ventral", "posterior"))
    names = [text.get_text() for axes in shown(figure) for text in axes.texts if text.get_gid() == "roi-name"]
    assert sorted(names) == sorted([*mapping.rois] * 2)


@pytest.mark.parametrize(
    ("panels", "columns"), [(2, 2), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (8, 3), (9, 3), (12, 4)]
)
def test_maps_of_many_networks_fill_the_page(panels, columns):
    """As many columns as leave no cell white: one free cell holds the key."""
    assert best_columns(panels, 1) == columns
    assert -panels % columns <= 1


def test_the_key_stands_in_the_cell_that_is_free(mapping):
    panels = [plot.CortexPanel(mapping, plot.LayerKey().colours(mapping.dataset["layer"].values), "one")] * 3
    figure = plot.map_page(mapping, "Three", panels, [plot.LayerKey()], alt="three")
    (key,) = [axes for axes in figure.axes if any(image.get_gid() == "key" for image in axes.images)]
    first, second, third = boxes(figure, shown(figure))
    (place,) = boxes(figure, [key])
    assert second.x0 < place.x0
    assert place.x1 < second.x1
    assert third.y0 < place.y0
    assert place.y1 < third.y1
    painted = sum(box.width * box.height for box in (first, second, third, place))
    assert painted / (figure.bbox.width * figure.bbox.height) > 0.55


def test_axes_of_a_users_own_figure_are_drawn_into(mapping):
    figure = Figure(figsize=(6, 3))
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    rgba = plot.LayerKey().colours(mapping.dataset["layer"].values)
    assert plot.cortex_map(mapping, rgba, ax=left) is left
    assert plot.cortex_map(mapping, rgba, view="ventral", ax=right, names=False) is right
    assert figure.canvas is canvas
    assert not [text for text in right.texts if text.get_gid() == "roi-name"]
    new = plot.cortex_map(mapping, rgba, view="lateral")
    assert shown(new.figure) == [new]
    # What is painted is what was given.
    image, wanted = np.asarray(left.images[0].get_array()), {tuple(np.round(row, 4)) for row in rgba}
    assert tuple(np.round(rgba[0], 4)) in wanted
    assert (image[..., 3] > 0).any()
