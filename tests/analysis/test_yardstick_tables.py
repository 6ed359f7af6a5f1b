"""A fit beside a ridge and the training mean, on made-up numbers: every column by hand, every line where it is due."""

import numpy as np
import pytest
from tiny_mappings import DRAWS, ROIS, VOXELS, tiny_mapping

from factortopy.analysis import above_chance, findings, nothing_found, predicted_at_all, yardstick_table
from factortopy.mapping import Mapping

FITTED = np.arange(VOXELS) % 3 != 0
"""Voxels that the ridge was fitted to."""


def beside(r2=0.3, ridge=0.2, spread=0.01):
    """A mapping beside a ridge of this R^2, with draws of either; the training mean has -0.02."""
    made = tiny_mapping(r2)
    ridge = np.where(FITTED, ridge, np.nan)
    margin = made.dataset["r2"].values - ridge
    inside = [*made.rois.values(), np.ones(VOXELS, bool)]
    noise = np.random.default_rng(3).normal(0, spread, (2, DRAWS, 1))
    means = [np.array([np.nanmean(values[some]) for some in inside]) for values in (ridge, margin)]
    drawn = {
        f"drawn_{name}": (("draw", "region"), mean + own)
        for name, mean, own in zip(("ridge", "margin"), means, noise, strict=True)
    }
    values = {"ridge_r2": ("voxel", ridge), "mean_r2": ("voxel", np.linspace(-0.04, 0, VOXELS))}
    return made.with_variables(values | drawn)


def test_every_column_is_of_the_voxels_that_the_ridge_was_fitted_to():
    r2, ridge = np.linspace(0, 0.6, VOXELS), np.linspace(0.5, 0.2, VOXELS)
    mapping = beside(r2, ridge)
    rows = {row.roi: row for row in yardstick_table(mapping).itertuples()}
    assert list(rows) == [*ROIS, "all voxels"]
    for place, (roi, some) in enumerate((ROIS | {"all voxels": slice(0, VOXELS)}).items()):
        row, inside = rows[roi], np.isin(np.arange(VOXELS), np.arange(VOXELS)[some])
        kept = inside & FITTED
        assert row.voxels == kept.sum()
        assert row.r2 == pytest.approx(r2[kept].mean())
        assert row.ridge == pytest.approx(ridge[kept].mean())
        assert row.margin == pytest.approx((r2 - ridge)[kept].mean())
        assert row.training_mean == pytest.approx(np.linspace(-0.04, 0, VOXELS)[inside].mean())
        draws = {name: mapping.dataset[f"drawn_{name}"].values[:, place] for name in ("ridge", "margin")}
        for name, own in (draws | {"r2": draws["ridge"] + draws["margin"]}).items():
            limits = getattr(row, f"{name}_low"), getattr(row, f"{name}_high")
            assert limits == pytest.approx(tuple(np.percentile(own, (2.5, 97.5))))


def test_a_fit_without_a_ridge_has_its_table_all_the_same():
    row = yardstick_table(tiny_mapping(0.3)).iloc[-1]
    assert row["voxels"] == 0
    assert np.isnan([row["r2"], row["ridge"], row["margin"], row["training_mean"]]).all()
    assert findings(tiny_mapping(0.3)) == []


@pytest.mark.parametrize(("r2", "drawn", "nothing"), [(0.015, True, True), (0.03, True, False), (0.015, False, False)])
def test_nothing_is_found_where_the_lower_limit_is_not_above_0(r2, drawn, nothing):
    """Draws have a deviation of 0.01, of which 1.96 lie below."""
    assert nothing_found(tiny_mapping(r2, drawn=drawn)) == nothing
    assert nothing_found(tiny_mapping(0.0, drawn=False))
    assert not nothing_found(tiny_mapping(np.nan, drawn=False))


def test_voxels_are_predicted_where_r2_and_its_lower_limit_are_above_0():
    r2, low = np.array([0.2, 0.2, 0.0, -0.1, 0.2]), np.array([0.1, 0.0, 0.1, 0.1, -0.1])
    np.testing.assert_array_equal(predicted_at_all(r2, low), [True, False, False, False, False])
    np.testing.assert_array_equal(predicted_at_all(r2, None), [True, True, False, False, True])
    whole = np.linspace(-0.1, 0.2, VOXELS)
    mapping = tiny_mapping(whole)
    np.testing.assert_array_equal(above_chance(mapping), whole > 0.05)  # limits lie 0.05 below
    np.testing.assert_array_equal(above_chance(Mapping(mapping.dataset.drop_vars("r2_low"))), whole > 0)


def test_lines_say_that_nothing_was_found_and_where_a_ridge_is_better():
    assert findings(beside()) == []
    (nothing,) = findings(beside(0.0, -0.1))
    assert nothing.startswith("Nothing was found: held-out R² 0.000 [-0.0")
    assert nothing.endswith("is not above 0; the training mean has -0.020. Maps are drawn faded.")
    (better,) = findings(beside(0.1, 0.3))
    for words in (
        "than this fit: R² 0.300 to 0.100 on the same 40 voxels, -0.200 [-0.2",
        "; by ROI: V1 (-0.200 [",
        "EBA",
    ):
        assert words in better
    # In one region alone.
    ridge = np.where(np.arange(VOXELS) < 20, 0.4, 0.1)
    (some,) = findings(beside(0.3, ridge))
    assert some.startswith("A ridge regression on all layers predicts better than this fit in V1 (-0.100 [")
    assert "V2V3" not in some
    # By less than its limits it is not said.
    assert findings(beside(0.3, 0.31)) == []
    mapping = beside()
    unfitted = Mapping(mapping.dataset.assign_attrs(ridge="too large"))
    assert findings(unfitted) == ["The ridge was not fitted: too large"]
