"""Figures of comparisons show the winners, differences and counts that were planted, and name them."""

from itertools import combinations

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth, with_limits
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from factortopy.analysis import (
    Estimate,
    Partition,
    compare,
    difference,
    line_table,
    region_table,
    similarity,
    subject_average,
    table_of,
    winners,
)
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot import (
    alt_text,
    difference_map,
    lines,
    partition,
    ranking,
    rois,
    scalar_colours,
    similarity_matrices,
    subject_counts,
    unique_maps,
    winner_map,
)
from factortopy.plot.colours import class_colours, scalar_colormap

NAMES = ("one network", "other network")


def changed(name, r2, deeper=0.0):
    """The fake mapping with other R^2 and depth."""
    mapping, _ = fake_mapping_and_truth(network=name, split="ab" * 32)
    data = mapping.dataset
    share = np.array(data["layer_share"].values)
    share[:, -1] += deeper
    share[:, 0] -= deeper
    limits = {"r2_low": ("voxel", r2 - 0.01), "r2_high": ("voxel", r2 + 0.01)}
    return mapping.with_variables({"r2": ("voxel", r2), "layer_share": (("voxel", "layer"), share), **limits})


@pytest.fixture(scope="module")
def comparison():
    """One network wins the left hemisphere, the other the right one and is deeper everywhere."""
    left = fake_mapping_and_truth()[0].dataset["hemisphere"].values == "left"
    pair = [changed(NAMES[0], 0.2 + 0.2 * left), changed(NAMES[1], 0.4 - 0.2 * left, deeper=0.3)]
    return compare(pair)


def picture(figure, place=0):
    maps = [image for axes in figure.axes for image in axes.images if image.get_gid() == "cortex"]
    return np.asarray(maps[place].get_array())


def close_to(image, colour):
    """Pixels of about a colour, by column."""
    return (np.abs(image[..., :3] - np.asarray(colour)[:3]) < 0.02).all(axis=-1).sum(axis=0)


def words(figure):
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in (*axes.texts, axes.title, axes.xaxis.label)]
        found += [text.get_text() for text in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    return " ".join(found)


def test_the_winner_of_each_hemisphere_has_its_colour(comparison):
    figure = winner_map(comparison, winners(comparison))
    image = picture(figure)
    half = image.shape[1] // 2
    for place, side in enumerate((slice(0, half), slice(half, None))):
        found = close_to(image, class_colours(2)[place])
        assert found[side].sum() > 0.95 * found.sum() > 1_000
    said = words(figure)
    for name in (*NAMES, "SIMULATED", "in doubt", "share of voxels", "V1 ("):
        assert name in said
    assert "largest R²" in alt_text(figure)


def test_bars_hold_the_share_of_voxels(comparison):
    won = winners(comparison)
    axes = winner_map(comparison, won).axes[-1]
    last = len(comparison.regions) - 1
    left = (comparison.dataset["hemisphere"].values == "left").mean()
    own = {
        to_hex(bar.get_facecolor()): bar.get_width()
        for bar in axes.patches
        if round(bar.get_y() + bar.get_height() / 2) == last and bar.get_width() > 0
    }
    assert own[to_hex(class_colours(2)[0])] == pytest.approx(left)
    assert sum(own.values()) == pytest.approx(1)


def test_a_difference_is_red_where_it_is_more_and_white_at_none(comparison):
    found = difference(comparison, "depth", NAMES[1], NAMES[0])
    figure = difference_map(comparison, found)
    painted = picture(figure)
    saturated = painted[np.ptp(painted[..., :3], axis=-1) > 0.2]
    assert (saturated[:, 0] > saturated[:, 2]).all()
    assert "+0.300" in words(figure)
    np.testing.assert_allclose(
        scalar_colours(np.zeros(1), (-1.0, 1.0), scalar_colormap("difference"))[0, :3], 0.97, atol=0.01
    )
    assert scalar_colours(np.array([np.nan]), (-1.0, 1.0), scalar_colormap("difference", "colour-blind"))[0, 3] == 0


def test_where_nothing_was_found_a_difference_is_painted_without_means(comparison):
    nothing = np.zeros(comparison.mappings[0].dataset.sizes["voxel"])
    missed = compare([one.with_variables({"predicted": ("voxel", nothing)}) for one in comparison.mappings])
    figure = difference_map(missed, difference(missed, "depth", NAMES[1], NAMES[0]))
    assert (np.ptp(picture(figure)[..., :3], axis=-1) > 0.2).any()
    assert "+0.300" not in words(figure)


def clashes(figure):
    """Words of keys and head that lie on each other or leave the page."""
    FigureCanvasAgg(figure).draw()
    groups = [[text for text in axes.texts if text.get_text()] for axes in figure.axes if axes.get_gid() == "key"]
    groups.append([text for text in figure.texts if text.get_gid() in ("title", "simulated", "facts")])
    found = []
    for group in groups:
        boxes = [(text.get_text(), text.get_window_extent()) for text in group]
        found += [words for words, box in boxes if not within(box, figure.bbox)]
        found += [(one, other) for (one, a), (other, b) in combinations(boxes, 2) if a.overlaps(b)]
    return found


def within(box, page):
    return page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


def with_regions(mapping, names):
    """The mapping with other regions, of 40 vertices each."""
    data = mapping.dataset.drop_vars([f"roi_{name}" for name in mapping.rois])
    place = np.arange(data.sizes["voxel"]) // 40
    return Mapping(data.assign_coords({f"roi_{name}": ("voxel", place == k) for k, name in enumerate(names)}))


ALIKE = ("vit_base_patch14_reg4_dinov2.lvd142m", "vit_base_patch14_dinov2.lvd142m")


def test_long_names_numbers_and_limits_lie_side_by_side():
    pair = [with_limits(changed(name, np.full(2442, r2))) for name, r2 in zip(ALIKE, (0.2, 0.3), strict=True)]
    alike = compare(pair)
    found = difference(alike, "r2", *ALIKE)
    assert found.regions["V1"].limited
    for figure in (difference_map(alike, found), winner_map(alike, winners(alike))):
        assert clashes(figure) == []
    (key,) = [axes for axes in winner_map(alike, winners(alike)).axes if axes.get_gid() == "key"]
    listed = "".join(text.get_text() for text in key.texts)
    assert all(name in listed for name in ALIKE)  # not shortened to the same letters
    many = [with_regions(mapping, [f"region-of-a-long-name-{k}" for k in range(31)]) for mapping in pair]
    assert clashes(rois(many[0])) == []
    assert clashes(difference_map(compare(many), difference(compare(many), "r2", *ALIKE))) == []


def test_no_known_difference_is_refused(comparison):
    found = difference(comparison, "depth", *NAMES)
    empty = type(found)("depth", *NAMES, np.full_like(found.values, np.nan), found.regions)
    with pytest.raises(DataError, match="no voxel"):
        difference_map(comparison, empty)


def test_ranking_has_a_dot_at_each_mean(comparison):
    rows = region_table(comparison, winners(comparison))
    figure = ranking(comparison, rows)
    dots = [line.get_xdata()[0] for line in figure.axes[-1].lines if line.get_marker() == "o"]
    assert dots == pytest.approx(list(rows.loc[rows["roi"] == "all voxels", "r2"]))
    ceiling = next(line for line in figure.axes[-1].lines if line.get_gid() == "ceiling")
    assert ceiling.get_xdata()[0] == pytest.approx(rows["ceiling"].iloc[-1])
    ratio = ranking(comparison, rows, normalised=True)
    dots = [line.get_xdata()[0] for line in ratio.axes[-1].lines if line.get_marker() == "o"]
    assert dots == pytest.approx(list(rows.loc[rows["roi"] == "all voxels", "normalised"]))
    assert "SIMULATED" in words(figure)


def test_limits_of_any_network_are_named(comparison):
    """Not only where the first network has some."""
    pair = [fake_mapping_and_truth(split="ab" * 32)[0] for _ in range(2)]
    for order in ([pair[0], with_limits(pair[1])], [with_limits(pair[0]), pair[1]]):
        compared = compare(order, labels=["one", "other"])
        assert "95 % over test images" in words(ranking(compared, region_table(compared, winners(compared))))
    assert "no limits" in words(ranking(comparison, region_table(comparison, winners(comparison))))


def test_lines_have_slope_b0_and_b1(comparison):
    figure = lines(comparison, line_table(comparison))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["slope", "b0", "b1"]
    with pytest.raises(DataError, match="no hierarchy line"):
        lines(comparison, table_of([]))


def test_a_network_without_a_slope_leaves_the_other_ones_lines_as_they_are():
    """Nothing was found in the first network: it has no slope, and the second keeps its own line and colour."""
    mapping, _ = fake_mapping_and_truth(split="ab" * 32)
    nothing = np.full_like(mapping.dataset["layer_share"].values, np.nan)
    blank = mapping.with_variables({"layer_share": (("voxel", "layer"), nothing)})
    compared = compare([blank, mapping], labels=["blank", "found"])
    slope = lines(compared, line_table(compared)).axes[0]
    (dot,) = [line for line in slope.lines if line.get_marker() == "o"]
    assert slope.get_yticklabels()[round(float(dot.get_ydata()[0]))].get_text() == "found"
    assert to_hex(dot.get_color()) == to_hex(class_colours(2)[1])


def test_matrices_say_correlations_and_voxels(comparison):
    found = [similarity(comparison.mappings, name, NAMES) for name in ("depth", "r2")]
    figure = similarity_matrices(comparison, found)
    said = words(figure)
    assert f"{found[1].correlation[0, 1]:.2f}" in said
    assert f"{comparison.dataset.sizes['voxel']:,} voxels" in said
    assert found[1].correlation[0, 1] == pytest.approx(-1)


@pytest.fixture(scope="module")
def parts(comparison):
    """Known parts: the first network has 0.1 of its own, the second -0.05."""
    voxels = comparison.dataset.sizes["voxel"]
    values = np.array([0.1, -0.05, 0.2])
    names = ("unique to one network", "unique to other network", "shared by both", "all together")
    table = table_of(
        {
            "part": name,
            "roi": roi,
            "voxels": 1,
            "value": Estimate(value, value - 0.01, value + 0.01),
            "half_one": value - 0.02,
            "half_two": value + 0.02,
        }
        for roi in ("V1", "all voxels")
        for name, value in zip(names, [*values, values.sum()], strict=True)
    )
    shown = np.repeat(values[:, None], voxels, axis=1)
    return Partition(NAMES, ((0,), (1,), (0, 1)), shown, shown, (1.0,) * 3, (0.9,) * 3, table)


def test_parts_stand_at_their_values_negative_ones_too(comparison, parts):
    figure = partition(comparison, parts)
    dots = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots == pytest.approx([0.1, -0.05, 0.2, 0.25])
    halves = [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "|"]
    assert halves[1] == pytest.approx([-0.07, -0.03])
    assert "1: one network, 2: other network" in words(figure).replace("\n", " ")


def test_unique_maps_show_negative_values(comparison, parts):
    figure = unique_maps(comparison, parts)
    first, second = picture(figure, 0), picture(figure, 1)
    assert (first[..., 0] - first[..., 2]).max() > 0.2
    assert (second[..., 2] - second[..., 0]).max() > 0.2
    assert "mean -0.050" in words(figure)


def test_counts_of_subjects_have_a_key(comparison):
    first = comparison.mappings[0]
    voxels = first.dataset.sizes["voxel"]
    half = type(first)(first.dataset.isel(voxel=slice(0, voxels // 2)).assign_attrs(subject="second"))
    average = subject_average([first, half])
    said = words(subject_counts(average))
    assert f"1: {voxels - voxels // 2:,} vertices" in said
    assert f"2: {voxels // 2:,} vertices" in said
    with pytest.raises(DataError, match="no average"):
        subject_counts(first)
