"""The flat map: every vertex in its place and colour, against the mesh and matplotlib's triangulation."""

import numpy as np
import pytest
from matplotlib.tri import LinearTriInterpolator, Triangulation

from factortopy.cortex import hemisphere_rois
from factortopy.errors import DataError, ShapeError
from factortopy.plot import paint
from factortopy.plot.painting.flat import flat_sheet
from factortopy.plot.painting.outlines import label_anchor, outline, spread
from factortopy.plot.painting.raster import rasterise, shared_raster

RED, BLUE = (0.9, 0.1, 0.1, 1.0), (0.1, 0.2, 0.9, 1.0)


@pytest.fixture(scope="module")
def rois(surface):
    return {half.name: hemisphere_rois(half) for half in surface.hemispheres}


def blank(surface):
    return {half.name: np.zeros((half.vertices, 4)) for half in surface.hemispheres}


def interior(sheet, inside):
    """Vertices all of whose neighbours on the sheet are inside too."""
    touched = np.unique(sheet.faces[~inside[sheet.faces].all(axis=1)])
    keep = inside & np.isfinite(sheet.points).all(axis=1)
    keep[touched] = False
    return np.flatnonzero(keep)


@pytest.mark.parametrize("zoom", [True, False])
def test_measured_vertices_have_their_colour_and_others_are_grey(surface, rois, zoom):
    colours = blank(surface)
    colours["left"][rois["left"]["EBA"]] = RED
    colours["right"][rois["right"]["PPA"]] = BLUE
    flat = paint(surface, colours, zoom=zoom)
    for side, name, expected in (("left", "EBA", RED), ("right", "PPA", BLUE)):
        vertices = interior(flat.sheets[side], rois[side][name])
        assert len(vertices) > 5
        for vertex in vertices:
            np.testing.assert_allclose(flat.image[flat.pixel(side, vertex)], expected, atol=1e-5)
    if zoom:
        return
    bare = interior(flat.sheets["left"], rois["left"]["FFA"])
    pixels = np.array([flat.image[flat.pixel("left", vertex)] for vertex in bare])
    np.testing.assert_allclose(pixels[:, 0], pixels[:, 1])
    np.testing.assert_allclose(pixels[:, 0], pixels[:, 2])
    assert pixels[:, 0].min() > 0.7


def test_sulci_are_darker_than_gyri(surface):
    flat = paint(surface, blank(surface), zoom=False)
    depth = surface.left.sulcal_depth
    deep, high = (
        np.mean([flat.image[flat.pixel("left", vertex)][0] for vertex in np.flatnonzero(chosen)[::20]])
        for chosen in (
            (depth > 0.7) & np.isfinite(flat.sheets["left"].points[:, 0]),
            (depth < -0.7) & np.isfinite(flat.sheets["left"].points[:, 0]),
        )
    )
    assert deep < high - 0.04


def test_hemispheres_stand_as_in_print(surface, rois):
    """Left on the left; occipital poles toward the middle; dorsal (OPA) above ventral (FFA)."""
    sheets = paint(surface, blank(surface), zoom=False).sheets
    centre = {
        (side, name): np.nanmean(sheets[side].points[inside], axis=0)
        for side, regions in rois.items()
        for name, inside in regions.items()
    }
    order = [("left", "EBA"), ("left", "V1"), ("right", "V1"), ("right", "EBA")]
    assert np.all(np.diff([centre[place][0] for place in order]) > 0)
    for side in ("left", "right"):
        assert centre[side, "OPA"][1] > centre[side, "EBA"][1] > centre[side, "FFA"][1]


def test_medial_wall_and_far_cortex_are_off_the_picture(surface, rois):
    colours = blank(surface)
    colours["left"][rois["left"]["EBA"]] = RED
    zoomed = paint(surface, colours)
    assert not np.isfinite(zoomed.sheets["right"].points).any()  # nothing was measured there
    wall = np.flatnonzero(~surface.left.cortex)[0]
    for vertex in (wall, surface.left.nearest_vertex((-5.0, 60.0, 0.0))):
        with pytest.raises(DataError, match="not in this picture"):
            zoomed.pixel("left", int(vertex))


def test_no_triangle_spans_a_cut(surface):
    for half in surface.hemispheres:
        sheet = flat_sheet(half)
        edges = sheet.points[sheet.faces] - np.roll(sheet.points[sheet.faces], 1, axis=1)
        assert np.linalg.norm(edges, axis=2).max() < 16
        assert len(sheet.faces) > 0.995 * len(half.flat.faces)


def test_raster_interpolates_like_matplotlib():
    generator = np.random.default_rng(1)
    points = generator.uniform(0, 10, (40, 2))
    mesh, values = Triangulation(*points.T), generator.normal(size=40)
    raster = rasterise(points, mesh.triangles, (0.0, 10.0, 0.0, 10.0), (200, 150))
    ours = (raster.weights * values[raster.vertices]).sum(axis=1)
    x, y = (raster.column + 0.5) / 15, 10 - (raster.row + 0.5) / 20
    theirs = LinearTriInterpolator(mesh, values)(x, y)
    np.testing.assert_allclose(ours, theirs.filled(np.nan), atol=1e-4)
    grid = np.meshgrid((np.arange(150) + 0.5) / 15, 10 - (np.arange(200) + 0.5) / 20)
    covered = np.zeros((200, 150), dtype=bool)
    covered[raster.row, raster.column] = True
    # Pixel centres on the very border may fall either way.
    assert np.mean(covered != ~np.ma.getmaskarray(LinearTriInterpolator(mesh, values)(*grid))) < 1e-3


def test_raster_skips_triangles_without_area():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert len(rasterise(points, np.array([[0, 1, 2]]), (0.0, 2.0, 0.0, 2.0), (20, 20)).row) == 0


def test_outline_separates_inside_from_outside(surface, rois):
    """By the even-odd rule, members are inside the outline and others are not."""
    from matplotlib.path import Path

    sheet, inside = flat_sheet(surface.left), rois["left"]["EBA"]
    lines = outline(sheet, inside)
    assert len(lines) == 1
    np.testing.assert_allclose(lines[0][0], lines[0][-1])
    drawn = np.flatnonzero(np.isfinite(sheet.points).all(axis=1))
    within = Path(lines[0]).contains_points(sheet.points[drawn])
    assert (within == inside[drawn]).mean() > 0.999
    assert Path(lines[0]).contains_point(label_anchor(sheet, inside))


def test_outline_closes_along_a_cut(surface, rois):
    lines = outline(flat_sheet(surface.left), rois["left"]["V1"])
    assert lines
    for line in lines:
        np.testing.assert_allclose(line[0], line[-1])


def test_nothing_to_outline(surface):
    nowhere = np.zeros(surface.left.vertices, dtype=bool)
    assert outline(flat_sheet(surface.left), nowhere) == []
    assert label_anchor(flat_sheet(surface.left), nowhere) is None


@pytest.mark.parametrize("padding", [2.0, 5.0])
def test_spread_moves_boxes_apart_and_leaves_free_ones(padding):
    generator = np.random.default_rng(0)
    boxes = np.concatenate([generator.uniform(0, 60, (12, 2)), np.full((12, 2), (30.0, 12.0))], axis=1)
    boxes = np.concatenate([boxes, [[900.0, 900.0, 30.0, 12.0]]])
    shifts = spread(boxes, padding)
    low = boxes[:, :2] + shifts
    for first in range(len(boxes)):
        for second in range(first):
            gap = np.abs(low[first] - low[second])
            assert gap[0] > 30 + padding - 1e-5 or gap[1] > 12 + padding - 1e-5
    assert not shifts[-1].any()
    np.testing.assert_array_equal(spread(boxes + np.array([400, -90, 0, 0]), padding), shifts)


def test_bad_colours_are_refused(surface):
    colours = blank(surface)
    with pytest.raises(DataError, match="right hemisphere are missing"):
        paint(surface, {"left": colours["left"]})
    with pytest.raises(ShapeError, match=r"\(10242, 4\)"):
        paint(surface, colours | {"left": np.zeros((100, 4))})
    with pytest.raises(DataError, match="NaN"):
        paint(surface, colours | {"left": np.full((10242, 4), np.nan)})
    with pytest.raises(DataError, match="no vertex has a colour"):
        paint(surface, colours)


def test_maps_share_pixels_of_the_same_mesh_alone():
    """Two triangles over each other: who is nearer to the viewer is seen, whatever was asked before."""
    corners = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    points, faces = np.concatenate([corners, corners]), np.array([[0, 1, 2], [3, 4, 5]])
    extent, size = (0.0, 10.0, 0.0, 10.0), (20, 20)
    for near in (0, 1, 0):
        nearness = np.repeat([near == 0, near == 1], 3).astype(float)
        raster = shared_raster(points, faces, extent, size, nearness)
        assert set(raster.face.tolist()) == {near}
    moved = shared_raster(points + 1, faces, extent, size, nearness)
    assert moved.column.min() > raster.column.min()
    np.testing.assert_array_equal(moved.weights, rasterise(points + 1, faces, extent, size, nearness).weights)
