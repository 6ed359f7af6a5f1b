"""Several fits: seeds of one subject and subjects, against numbers by hand and SciPy's interval."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from factortopy.analysis import estimate, over_fits, seed_average, summarise_fits
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
