"""Several fits: seeds of one subject and subjects, against numbers by hand and SciPy's interval."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from factortopy.analysis import (
    Estimate,
    compare,
    estimate,
    over_fits,
    paired_difference,
    percentiles,
    record_of,
    seed_average,
    summarise_fits,
    table_of,
    text_in_row,
)
from factortopy.analysis.estimates.estimate_tables import student_limits
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping

VOXELS = 40
ROIS = {name: np.arange(VOXELS) // 10 == place for place, name in enumerate(("V1", "V2V3", "OPA", "EBA"))}
LEVEL = np.array([0.0, 0.33, 0.66, 1.0])[np.arange(VOXELS) // 10]


def fitted(r2, slope=0.5, **attributes):
    """A mapping whose R^2 is ``r2`` everywhere and whose depth lies on a line of this slope."""
    depth = 0.2 + slope * LEVEL
    draws = np.random.default_rng(0).normal(0, 0.01, (50, 5)) + r2
    dataset = xr.Dataset(
        {
            "space": (("voxel", "axis"), np.zeros((VOXELS, 2))),
            "layer": (("voxel", "layer"), np.full((VOXELS, 2), 0.5)),
            "scale": (("voxel",), np.zeros(VOXELS)),
            "channels": (("voxel", "channel"), np.ones((VOXELS, 3))),
            "r2": (("voxel",), np.full(VOXELS, r2)),
            "depth": (("voxel",), depth),
            "layer_share": (("voxel", "layer"), np.stack([1 - depth, depth], axis=1)),
            "drawn_r2": (("draw", "region"), draws),
        },
        coords={
            "vertex": (("voxel",), np.arange(VOXELS)),
            "region": [*ROIS, "all voxels"],
            **{f"roi_{name}": (("voxel",), inside) for name, inside in ROIS.items()},
        },
        attrs={"network": "n", "subject": "one", "recipe": "default", "split": "a", "seed": 0, "rois": list(ROIS)}
        | attributes,
    )
    return Mapping(dataset)


def of(found, quantity, region="all voxels"):
    return next(row for row in found.itertuples() if (row.quantity, row.region) == (quantity, region))


def test_seeds_of_one_subject_have_limits_over_seeds():
    scores, slopes = (0.1, 0.2, 0.18), (0.5, 0.6, 0.58)
    found = summarise_fits(
        [fitted(r2, slope, seed=seed) for seed, (r2, slope) in enumerate(zip(scores, slopes, strict=True))]
    )
    assert (found["limits"] == "seeds").all()
    for quantity, values in (("r2", scores), ("slope", slopes), ("b1", [0.2 + slope for slope in slopes])):
        row, expected = of(found, quantity), stats.ttest_1samp(values, 0).confidence_interval()
        assert row.mean == pytest.approx(np.mean(values))
        assert (row.mean_low, row.mean_high) == pytest.approx((expected.low, expected.high))
        assert row.fits == 3
    assert of(found, "depth", "EBA").mean == pytest.approx(0.2 + np.mean(slopes))
    assert "normalised" not in set(found["quantity"])  # there is no ceiling


def test_a_subject_counts_once_however_many_seeds_it_has():
    fits = [fitted(r2, subject="one", seed=seed) for seed, r2 in enumerate((0.1, 0.3))]
    fits += [fitted(0.4, subject="two"), fitted(0.6, subject="three")]
    found = summarise_fits(fits)
    row = of(found, "r2")
    assert (row.limits, row.fits) == ("subjects", 3)
    assert row.mean == pytest.approx((0.2 + 0.4 + 0.6) / 3)
    assert row.sd == pytest.approx(np.std([0.2, 0.4, 0.6], ddof=1))


def test_the_average_over_seeds_is_a_mapping_with_limits(tmp_path):
    fits = [fitted(r2, seed=seed) for seed, r2 in enumerate((0.1, 0.2, 0.3))]
    average = seed_average(fits)
    average.save(tmp_path / "average")
    data = Mapping.load(tmp_path / "average").dataset
    np.testing.assert_allclose(data["r2"], 0.2)
    np.testing.assert_allclose(data["r2_sd"], 0.1)
    reach = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    np.testing.assert_allclose(data["r2_high"], 0.2 + reach)
    assert data.attrs["seed"] == "0, 1, 2"
    assert "channels" not in data
    np.testing.assert_array_equal(data["roi_V1"], ROIS["V1"])
    # The same test images: limits of the mean over test images come from the mean of the draws.
    draws = np.mean([held.dataset["drawn_r2"].values[:, 0] for held in fits], axis=0)
    found = estimate(average, "r2", "V1")
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, (0.025, 0.975))))
    other = seed_average([fits[0], fitted(0.2, seed=1, split="b")])
    assert other.dataset.attrs["split"] == "differs"
    assert "drawn_r2" not in other.dataset


def test_averages_over_seeds_are_compared_by_all_their_splits_and_by_their_responses():
    def average(network, seeds=(0, 1), responses="aa"):
        provenance = {"responses_hash": responses * 32, "subject": {"noise_ceiling": "a formula"}, "seed": "own"}
        fits = [fitted(0.2, seed=seed, split=f"{seed}" * 64, network=network) for seed in seeds]
        return seed_average([Mapping(fit.dataset, provenance=provenance) for fit in fits])

    one = average("A")
    assert one.provenance["subject"] == {"noise_ceiling": "a formula"}
    assert one.provenance["seeds"] == "0, 1"
    compare([one, average("B", seeds=(1, 0))])
    assert paired_difference(one, average("B"), "r2").value == pytest.approx(0)
    for other, named in ((average("B", seeds=(0, 2)), "split"), (average("B", responses="bb"), "responses")):
        with pytest.raises(DataError, match=rf"differ in {named} \(") as raised:
            compare([one, other])
        assert str(raised.value).count("(") == 1
    with pytest.raises(DataError, match="needs one split"):
        paired_difference(one, average("B", seeds=(0, 2)), "r2")
    mixed = [Mapping(fitted(0.2, seed=seed).dataset, provenance={"responses_hash": str(seed)}) for seed in (0, 1)]
    assert "responses_hash" not in seed_average(mixed).provenance


def test_ridges_of_other_voxels_are_not_averaged():
    def with_ridge(seed, voxels):
        mapping = fitted(0.2, seed=seed)
        ridge = np.where(np.isin(np.arange(VOXELS), voxels), 0.1 * (seed + 1), np.nan)
        return Mapping(mapping.dataset.assign(ridge_r2=("voxel", ridge), mean_r2=("voxel", np.full(VOXELS, -0.01))))

    same = seed_average([with_ridge(0, range(30)), with_ridge(1, range(30))]).dataset
    np.testing.assert_allclose(same["ridge_r2"][:30], 0.15)
    assert np.isnan(same["ridge_r2"][30:]).all()
    other = seed_average([with_ridge(0, range(30)), with_ridge(1, range(10, 40))]).dataset
    assert "ridge_r2" not in other


def test_fits_that_are_no_repeats_are_refused():
    with pytest.raises(DataError, match="two mappings or more"):
        summarise_fits([fitted(0.1)])
    with pytest.raises(DataError, match="twice with seed 0"):
        summarise_fits([fitted(0.1), fitted(0.2)])
    with pytest.raises(DataError, match="differ in network"):
        summarise_fits([fitted(0.1), fitted(0.2, network="other", seed=1)])
    with pytest.raises(DataError, match="one subject"):
        seed_average([fitted(0.1), fitted(0.2, subject="two")])
    with pytest.raises(ShapeError, match="same voxels"):
        seed_average([fitted(0.1), Mapping(fitted(0.2, seed=1).dataset.isel(voxel=slice(5)))])
    with pytest.raises(DataError, match="two or more"):
        over_fits([0.1])


def test_folds_of_one_subject_have_limits_over_folds():
    found = summarise_fits([fitted(r2, split=split) for r2, split in ((0.1, "a"), (0.2, "b"))])
    assert set(found["limits"]) == {"folds"}
    assert of(found, "r2").mean == pytest.approx(0.15)
    assert of(found, "r2").sd == pytest.approx(np.std([0.1, 0.2], ddof=1))


def test_regions_that_one_fit_lacks_are_left_out():
    one, other = fitted(0.1), fitted(0.2, seed=1)
    fewer = Mapping(other.dataset.drop_vars("roi_OPA").assign_attrs(rois=["V1", "V2V3", "EBA"]))
    assert set(summarise_fits([one, fewer])["region"]) == {"V1", "V2V3", "EBA", "all voxels"}


def test_fits_of_which_one_alone_has_vertices_or_other_ones_have_no_average():
    one, other = fitted(0.1), fitted(0.2, seed=1)
    for changed in (
        other.dataset.drop_vars("vertex"),
        other.dataset.assign_coords(vertex=("voxel", np.arange(VOXELS) + 1)),
    ):
        for pair in ([one, Mapping(changed)], [Mapping(changed), one]):
            with pytest.raises(ShapeError, match="same voxels"):
                seed_average(pair)
    bare = [Mapping(held.dataset.drop_vars("vertex")) for held in (one, other)]
    np.testing.assert_allclose(seed_average(bare).dataset["r2"], 0.15)


def test_a_variable_that_one_fit_lacks_is_not_averaged():
    one = fitted(0.1).with_variables({"ceiling": ("voxel", np.full(VOXELS, 0.5))})
    other = fitted(0.2, seed=1)
    assert "ceiling" not in seed_average([one, other]).dataset
    both = other.with_variables({"ceiling": ("voxel", np.full(VOXELS, 0.7))})
    average = seed_average([one, both]).dataset
    np.testing.assert_allclose(average["ceiling"], 0.6)
    assert "ceiling_low" not in average
    assert "depth_low" in average


def test_student_limits_leave_out_what_is_not_known():
    values = np.random.default_rng(0).normal(size=(5, 3))
    values[1, 1], values[:4, 2] = np.nan, np.nan
    low, high = student_limits(values, 0.9)
    for place, known in ((0, values[:, 0]), (1, np.delete(values[:, 1], 1))):
        expected = stats.t.interval(0.9, len(known) - 1, known.mean(), stats.sem(known))
        assert (low[place], high[place]) == pytest.approx(expected)
    assert np.isnan([low[2], high[2]]).all()


def test_percentiles_lie_about_the_middle_part():
    draws = np.random.default_rng(0).permutation(np.arange(101.0))
    np.testing.assert_allclose(percentiles(draws, 0.9), [5, 95])
    np.testing.assert_allclose(percentiles(draws), [2.5, 97.5])
    for wrong in (0, 1, 95):
        with pytest.raises(DataError, match="between 0 and 1"):
            percentiles(draws, wrong)


def test_a_number_with_its_limits_in_every_form():
    known, bare = Estimate(0.25, 0.125, 0.5, "subjects"), Estimate(0.25)
    assert known.text() == "0.250 [0.125, 0.500]"
    assert known.text(1, sign=True) == "+0.2 [+0.1, +0.5]"
    assert (bare.text(), Estimate().text()) == ("0.250", "–")
    assert -known == Estimate(-0.25, -0.5, -0.125, "subjects")
    assert not Estimate(0.25, low=0.1).limited
    # No limits of a number that is not known, nor a limit without the other one.
    draws = np.array([0.1, 0.2, np.nan])
    assert not Estimate.of_draws(np.nan, draws[:2]).limited
    assert not Estimate.of_draws(0.1, draws).limited
    table = table_of([{"roi": "V1", "r2": known, "value": bare, "limits": "subjects"}])
    assert list(table) == ["roi", "r2", "r2_low", "r2_high", "value", "low", "high", "limits"]
    row = table.to_dict("records")[0]
    assert Estimate.in_row(row, "r2") == known
    assert not Estimate.in_row(row, "value").limited
    assert not Estimate.in_row(record_of(row), "value").limited  # as JSON holds it
    assert not Estimate.in_row({}, "r2").known
    assert text_in_row(row, "r2") == "0.250 [0.125, 0.500]"
    assert text_in_row(row, "r2", "+.2f") == "+0.25 [+0.12, +0.50]"
    assert text_in_row(row, "r2", ".0%") == "25%"
    assert text_in_row({"share": np.nan, "voxels": 12_345}, "share", ".0%") == "–"
    assert text_in_row({"voxels": 12_345}, "voxels") == "12,345"
    assert text_in_row(row, "roi") == "V1"
    assert text_in_row(row, "depth") == "–"
    assert record_of({"a": np.float32(0.5), "b": [np.nan, 1, "x"], "c": known, "d": {"e": np.inf}}) == {
        "a": 0.5, "b": [None, 1, "x"], "c": 0.25, "c_low": 0.125, "c_high": 0.5, "d": {"e": None},
    }  # fmt: skip
