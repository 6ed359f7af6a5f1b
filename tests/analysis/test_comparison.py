"""Comparisons find the winners and differences that were planted, and refuse what cannot be compared."""

import numpy as np
import pytest
from scipy.stats import linregress, pearsonr
from tiny_mappings import LEVELS, ROIS, VOXELS, tiny_mapping

from factortopy.analysis import (
    compare,
    difference,
    estimate,
    labels_of,
    line_table,
    paired_difference,
    region_table,
    similarity,
    voxel_values,
    winners,
)
from factortopy.analysis.comparing.tables import shares_by_depth
from factortopy.analysis.quantities import finite_mean, map_correlation
from factortopy.errors import DataError, UnknownNameError


def planted():
    """A wins V1 by 0.2 and V2V3 by 0.02, B wins OPA by 0.2; nobody predicts EBA."""
    one, other = np.full(VOXELS, 0.3), np.full(VOXELS, 0.3)
    one[ROIS["V1"]] += 0.2
    one[ROIS["V2V3"]] += 0.02
    other[ROIS["OPA"]] += 0.2
    one[ROIS["EBA"]], other[ROIS["EBA"]] = -0.1, -0.2
    return compare([tiny_mapping(one, network="A"), tiny_mapping(other, network="B")])


def test_winners_are_those_that_were_planted():
    comparison = planted()
    won = winners(comparison)
    assert (won.best[ROIS["V1"]] == 0).all()
    assert (won.best[ROIS["OPA"]] == 1).all()
    assert (won.best[ROIS["EBA"]] == -1).all()
    np.testing.assert_allclose(won.margin[ROIS["V1"]], 0.2)
    np.testing.assert_allclose(won.margin[ROIS["V2V3"]], 0.02)
    assert np.isnan(won.margin[ROIS["EBA"]]).all()
    # Limits of -+ 0.05 leave 0.2 - 0.1 of the margin in V1, and less than none of that in V2V3.
    np.testing.assert_allclose(won.low[ROIS["V1"]], 0.1)
    assert won.clear[ROIS["V1"]].all()
    assert not won.clear[ROIS["V2V3"]].any()
    assert not won.clear[ROIS["EBA"]].any()


def test_shares_of_voxels_won():
    comparison = planted()
    rows = {(row.mapping, row.roi): row for row in region_table(comparison, winners(comparison)).itertuples()}
    assert rows["A", "V2V3"].won == 1
    assert rows["A", "V2V3"].won_clearly == 0
    assert rows["B", "OPA"].won_clearly == 1
    assert rows["A", "EBA"].won == rows["B", "EBA"].won == 0
    assert rows["A", "all voxels"].won == pytest.approx(35 / 60)
    assert rows["B", "all voxels"].won == pytest.approx(10 / 60)


def test_rows_hold_means_ratios_and_paired_differences():
    comparison = planted()
    rows = {(row.mapping, row.roi): row for row in region_table(comparison, winners(comparison)).itertuples()}
    row = rows["B", "V1"]
    assert row.voxels == 20
    assert row.r2 == pytest.approx(0.3)
    assert row.ceiling == pytest.approx(0.8)
    assert row.normalised == pytest.approx(0.3 / 0.8)
    assert row.difference == pytest.approx(-0.2)
    # The draws of both share their noise, so the difference has none.
    assert row.difference_low == pytest.approx(-0.2)
    assert row.difference_high == pytest.approx(-0.2)
    drawn = comparison.mappings[1].dataset["drawn_r2"].values[:, 0]
    assert (row.r2_low, row.r2_high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))))
    assert row.normalised_low == pytest.approx(row.r2_low / 0.8)
    assert row.limits == "test images"
    assert np.isnan(rows["A", "V1"].difference)


def test_the_line_is_that_of_scipy():
    depth = np.linspace(0.2, 0.7, VOXELS) ** 2
    comparison = compare([tiny_mapping(0.3, network="A"), tiny_mapping(0.3, network="B", depth=depth)])
    level = np.concatenate([np.full(some.stop - some.start, LEVELS[name]) for name, some in ROIS.items()])
    expected = linregress(level, depth)
    first = linregress(level, np.linspace(0.1, 0.9, VOXELS))
    rows = {(row.mapping, row.quantity): row for row in line_table(comparison).itertuples()}
    assert rows["B", "slope"].value == pytest.approx(expected.slope)
    assert rows["B", "b0"].value == pytest.approx(expected.intercept)
    assert rows["B", "b1"].value == pytest.approx(expected.slope + expected.intercept)
    assert rows["B", "slope"].difference == pytest.approx(expected.slope - first.slope)
    assert np.isnan(rows["B", "slope"].low)


def test_difference_of_any_quantity():
    deeper = np.linspace(0.1, 0.9, VOXELS) + 0.05
    comparison = compare([tiny_mapping(0.3, network="A"), tiny_mapping(0.4, network="B", depth=deeper)])
    found = difference(comparison, "depth", "B", "A")
    np.testing.assert_allclose(found.values, 0.05)
    assert found.regions["EBA"].value == pytest.approx(0.05)
    np.testing.assert_allclose(difference(comparison, "x", "A", "B").values, -0.05)
    np.testing.assert_allclose(difference(comparison, "r2_low", "A", "B").values, -0.1)
    with pytest.raises(UnknownNameError, match="depth"):
        difference(comparison, "dept", "A", "B")
    with pytest.raises(UnknownNameError, match="mapping"):
        difference(comparison, "depth", "A", "C")


def test_a_voxel_that_one_network_does_not_know_is_left_out_of_the_difference():
    some = np.linspace(0.1, 0.9, VOXELS)
    some[3] = np.nan
    comparison = compare([tiny_mapping(0.3, network="A"), tiny_mapping(0.3, network="B", depth=some)])
    found = difference(comparison, "depth", "B", "A")
    assert np.isnan(found.values[3])
    assert found.regions["V1"].value == pytest.approx(0)


def test_limits_of_a_difference_are_of_its_own_voxels_or_there_are_none():
    """Depth is the same in both, but each network predicts other voxels: draws are of means over its own."""
    rng, inside = np.random.default_rng(0), np.arange(VOXELS) % 20

    def with_draws(network, told, shift=0.0):
        mapping = tiny_mapping(0.3, network=network, depth=np.linspace(0.1, 0.9, VOXELS) + shift)
        depth = np.where(told, voxel_values(mapping, "depth"), np.nan)
        means = [finite_mean(depth[mask]) for mask in (*mapping.rois.values(), np.ones(VOXELS, bool))]
        drawn = np.array(means) + rng.normal(0, 0.01, (400, 5))
        return mapping.with_variables({"predicted": ("voxel", told * 1.0), "drawn_depth": (("draw", "region"), drawn)})

    mappings = with_draws("A", inside < 15), with_draws("B", inside >= 5), with_draws("C", inside < 15, 0.05)
    comparison = compare(mappings)
    found = difference(comparison, "depth", "A", "B").regions["V1"]
    assert found.value == pytest.approx(0)
    assert not found.limited
    same = difference(comparison, "depth", "C", "A").regions["V1"]
    assert same.value == pytest.approx(0.05)
    draws = [mapping.dataset["drawn_depth"].values[:, 0] for mapping in mappings]
    assert (same.low, same.high) == pytest.approx(tuple(np.quantile(draws[2] - draws[0], (0.025, 0.975))))


def test_limits_without_draws_are_not_made_up():
    bare = tiny_mapping(0.3, drawn=False)
    found = estimate(bare, "r2", "V1")
    assert found.value == pytest.approx(0.3)
    assert (found.limited, found.over, found.text()) == (False, "", "0.300")
    with pytest.raises(UnknownNameError, match="unknown region 'no such region'"):
        estimate(bare, "r2", "no such region")
    with pytest.raises(UnknownNameError, match="unknown quantity 'r3'"):
        estimate(bare, "r3")
    assert not paired_difference(bare, tiny_mapping(0.2), "r2").limited


def test_similarity_is_pearson_over_known_voxels():
    random = np.random.default_rng(1)
    depths = random.uniform(0, 1, (2, VOXELS))
    depths[0, 5] = np.nan
    pair = [tiny_mapping(0.3, network=name, depth=depth) for name, depth in zip("AB", depths, strict=True)]
    found = similarity(pair, "depth")
    known = np.isfinite(depths).all(axis=0)
    assert found.correlation[0, 1] == pytest.approx(pearsonr(*depths[:, known]).statistic)
    assert found.voxels[0, 1] == VOXELS - 1
    np.testing.assert_allclose(np.diag(found.correlation), 1)
    # Opposite orders of layers: shares are opposite too.
    opposite = [tiny_mapping(0.3, depth=depth, network=str(depth[0])) for depth in (depths[1], 1 - depths[1])]
    assert similarity(opposite, "layer").correlation[0, 1] == pytest.approx(-1)


def test_similarity_takes_vertices_in_common_of_other_subjects():
    one = tiny_mapping(np.linspace(0, 1, VOXELS))
    other = tiny_mapping(np.linspace(0, 1, VOXELS) + 0.2, vertex=np.arange(VOXELS) + 20, subject="s2", split="cd" * 32)
    found = similarity([one, other], "r2")
    assert found.voxels[0, 1] == VOXELS - 20
    assert found.correlation[0, 1] == pytest.approx(1)
    with pytest.raises(DataError, match="fsaverage6"):
        similarity([one, tiny_mapping(0.3, surface="fsaverage6")], "r2")


def test_voxels_without_vertices_are_matched_in_one_subject_of_as_many_alone():
    bare = tiny_mapping(0.1)
    bare = type(bare)(bare.dataset.drop_vars(["vertex", "hemisphere"]))
    fewer = type(bare)(bare.dataset.isel(voxel=slice(0, 50)))
    another = type(bare)(bare.dataset.assign_attrs(subject="s2"))
    similarity([bare, bare], "depth")
    for other in (fewer, another):
        with pytest.raises(DataError, match="only as vertices of one surface"):
            similarity([bare, other], "depth")


def test_layer_shares_of_other_depths_are_summed_into_equal_parts():
    shares = np.array([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(shares_by_depth(shares, 2), [[0.3, 0.7]])
    np.testing.assert_allclose(shares_by_depth(shares, 4), shares)
    # A layer that lies across an edge is dealt out to both sides.
    np.testing.assert_allclose(shares_by_depth(shares, 3), [[0.1 + 0.2 / 3, 0.2 * 2 / 3 + 0.1 + 0.1, 0.5 + 0]])


REFUSED = {
    "split": ({"split": "cd" * 32}, "split"),
    "subject": ({"subject": "s2"}, "subject"),
    "images": ({"images_test": 31}, "test images"),
    "surface": ({"surface": "fsaverage6"}, "surface"),
    "voxels": ({"vertex": np.arange(VOXELS) + 1}, "other places"),
    "ceiling": ({"provenance": {"subject": {"noise_ceiling": "GSN"}}}, "noise ceiling"),
    "responses": ({"provenance": {"responses_hash": "ef" * 32}}, "responses"),
    "repeats": ({"repeats_test": [0, 0, 30]}, "trials"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_differs_is_refused_and_said(kind):
    changes, named = REFUSED[kind]
    first = tiny_mapping(0.3, network="A", provenance={"responses_hash": "aa" * 32})
    changes = {"provenance": {"responses_hash": "aa" * 32}} | changes
    with pytest.raises(DataError, match=named) as raised:
        compare([first, tiny_mapping(0.3, network="B", **changes)])
    text = str(raised.value)
    assert "'A' and 'B' cannot be compared" in text
    assert text.count("(") == 1  # nothing else differs
    compare([first, tiny_mapping(0.3, network="B", provenance={"responses_hash": "aa" * 32})])


def test_other_ceilings_rois_and_counts_are_refused():
    first = tiny_mapping(0.3)
    other = tiny_mapping(0.3)
    with pytest.raises(DataError, match=r"noise ceiling \(mean 0\.8000 and 0\.7000\)"):
        compare([first, other.with_variables({"ceiling": ("voxel", np.full(VOXELS, 0.7))})])
    without = other.dataset.drop_vars("ceiling")
    with pytest.raises(DataError, match=r"noise ceiling \(known and none\)"):
        compare([first, type(first)(without)])
    with pytest.raises(DataError, match=r"noise ceiling \(none and known\)"):
        compare([type(first)(without), first])
    with pytest.raises(DataError, match="ROIs"):
        compare([first, type(first)(other.dataset.drop_vars("roi_OPA"))])
    moved = other.dataset.assign_coords(roi_V1=("voxel", np.arange(VOXELS) < 5))
    with pytest.raises(DataError, match="voxels of ROI V1"):
        compare([first, type(first)(moved)])
    with pytest.raises(DataError, match="60 and 50"):
        compare([first, type(first)(other.dataset.isel(voxel=slice(0, 50)))])
    with pytest.raises(DataError, match="two mappings"):
        compare([first])
    with pytest.raises(DataError, match="labels"):
        compare([first, other], ["same", "same"])


def test_responses_of_which_no_digest_is_known_are_taken_as_the_same():
    known, unknown = tiny_mapping(0.3, network="A", provenance={"responses_hash": "aa" * 32}), tiny_mapping(0.3)
    compare([known, unknown])
    compare([unknown, known])
    other = tiny_mapping(0.3, network="B", subject="s2", provenance={"responses_hash": "bb" * 32})
    with pytest.raises(DataError) as raised:
        compare([known, other])
    assert "responses (" not in str(raised.value)  # of another subject they are others in any case


def test_labels_say_what_tells_mappings_apart():
    assert labels_of([tiny_mapping(0.1, network="A"), tiny_mapping(0.1, network="B")]) == ("A", "B")
    seeds = [tiny_mapping(0.1, seed=seed) for seed in (0, 1)]
    assert labels_of(seeds) == ("net, seed 0", "net, seed 1")
    assert labels_of([seeds[0], seeds[0]]) == ("net (1)", "net (2)")


def test_depth_is_read_from_shares():
    np.testing.assert_allclose(voxel_values(tiny_mapping(0.1), "depth"), np.linspace(0.1, 0.9, VOXELS))


def test_one_side_of_the_brain_is_not_the_other():
    one = tiny_mapping(np.linspace(0, 1, VOXELS))
    sides = np.where(one.dataset["hemisphere"].values == "left", "right", "left")
    turned = type(one)(one.dataset.assign_coords(hemisphere=("voxel", sides)))
    assert similarity([one, turned], "r2").voxels[0, 1] == 0
    assert similarity([one, one], "r2").voxels[0, 1] == VOXELS


def test_correlations_are_of_three_voxels_or_more_that_vary():
    left, right = np.array([1.0, 2, 4, np.nan, 0]), np.array([2.0, 1, 5, 1, np.nan])
    assert map_correlation(left, right) == (pytest.approx(pearsonr([1, 2, 4], [2, 1, 5]).statistic), 3)
    for some, count in ((slice(0, 2), 2), (slice(0, 0), 0)):
        found = map_correlation(left[some], right[some])
        assert np.isnan(found[0])
        assert found[1] == count
    for constant in (1.0, 0.1, 0.7):  # the mean of equal numbers need not be that number
        assert np.isnan(map_correlation(np.full(7, constant), np.arange(7.0))[0])
    assert map_correlation(1e-5 * left, 1e-5 * right)[0] == pytest.approx(map_correlation(left, right)[0])
    # Components are taken together, each about its own mean.
    pair = np.random.default_rng(0).normal(size=(2, 6, 2)) + np.array([5, -3])
    joined = (pair - pair.mean(axis=1, keepdims=True)).reshape(2, -1)
    assert map_correlation(*pair)[0] == pytest.approx(np.corrcoef(joined)[0, 1])


def test_a_margin_that_reaches_zero_is_not_clear_and_an_r2_of_zero_wins_nothing():
    one, other = np.full(VOXELS, 0.5), np.full(VOXELS, 0.25)
    one[:2], other[:2] = (0.0, 0.001), -0.1
    limits = {"r2_low": ("voxel", np.full(VOXELS, 0.25)), "r2_high": ("voxel", np.full(VOXELS, 0.75))}
    first = tiny_mapping(one, network="A").with_variables(limits)
    won = winners(compare([first, tiny_mapping(other, network="B").with_variables({"r2_high": ("voxel", other)})]))
    assert list(won.best[:3]) == [-1, 0, 0]
    np.testing.assert_allclose(won.low[2:], 0)
    assert not won.clear[2:].any()
    inside = np.arange(VOXELS) < 4
    assert won.share(inside, -1) == 1 / 4
    assert won.share(inside, 0) == 3 / 4
    assert np.isnan(won.share(~inside & inside, 0))
    bare = winners(compare([tiny_mapping(one, network="A"), type(first)(first.dataset.drop_vars("r2_low"))], "ab"))
    assert bare.low is None
    assert bare.share(inside, 0) == 3 / 4
    assert np.isnan(bare.share(inside, 0, clear=True))


def test_a_comparison_says_what_it_is_of():
    three = compare([tiny_mapping(0.1, network=name, seed=seed) for seed, name in enumerate("ABC")])
    assert three.dataset.attrs["network"] == "A / B / C"
    assert three.dataset.attrs["seed"] == "0 / 1 / 2"
    assert three.dataset.attrs["recipe"] == "default"
    assert {"vertex", "hemisphere", "roi_V1"} <= set(three.dataset.coords)
    assert compare([tiny_mapping(0.1, network=name) for name in "ABCD"]).dataset.attrs["network"] == "4 mappings"
    people = [tiny_mapping(0.1, subject=name, recipe=recipe) for name in "ab" for recipe in ("default", "paper")]
    assert labels_of(people) == ("net, a, default", "net, a, paper", "net, b, default", "net, b, paper")


def test_any_mapping_that_differs_is_named_with_its_digest_in_short():
    same = [tiny_mapping(0.1, network=name) for name in "AB"]
    with pytest.raises(DataError, match=r"'A' and 'C' .* split \(ababababab… and cdcdcdcdcd…\)"):
        compare([*same, tiny_mapping(0.1, network="C", split="cd" * 32)])
    with pytest.raises(DataError, match=r"surface \(fsaverage5 and no surface\)"):
        compare([same[0], tiny_mapping(0.1, network="B", surface="")])
    with pytest.raises(DataError, match="only one has its vertex"):
        compare([same[0], type(same[1])(same[1].dataset.drop_vars("vertex"))])
    # Ceilings that are unknown of the same voxels are the same.
    unknown = {"ceiling": ("voxel", np.where(np.arange(VOXELS) < 3, np.nan, 0.8))}
    compare([one.with_variables(unknown) for one in same])


def test_means_are_of_what_is_finite():
    values = np.array([[1.0, np.nan, np.inf], [3.0, 5.0, np.nan]])
    assert finite_mean(values) == 3
    np.testing.assert_array_equal(finite_mean(values, axis=0), [2, 5, np.nan])
    assert finite_mean(np.array([np.nan, 7])) == 7
    assert np.isnan(finite_mean(np.array([])))
