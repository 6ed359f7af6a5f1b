"""Limits with the training in them: a parametric bootstrap with errors that are known by construction."""

import numpy as np
import pytest

from factortopy.analysis import fit_slope, with_training
from factortopy.analysis.estimates.bootstrap import line_weights
from factortopy.analysis.estimates.with_training import PlantedErrors

VOXELS, DRAWS = 4_000, 4_000
INDEX = np.arange(VOXELS)
ROIS = {name: place == INDEX % 4 for place, name in enumerate(("V1", "V2V3", "OPA", "EBA"))}
HALF = INDEX % 8 >= 4
RNG = np.random.default_rng(0)
PLANTED = RNG.uniform(0, 1, VOXELS)


def values_of(found, own=None):
    """A fit without spread over test images, and a parametric bootstrap in which so much was found."""
    own = np.full(VOXELS, 0.5) if own is None else own
    values = {"region": np.array([*ROIS, "all voxels"])}
    for name, variable in (("depth", "depth"), ("scale", "scale_share")):
        values |= {variable: own, f"{variable}_low": own - 0.01, f"{variable}_high": own + 0.01}
        values |= {f"bootstrap_{name}": found, f"bootstrap_{name}_planted": PLANTED}
        values[f"drawn_{name}"] = np.zeros((DRAWS, 5))
    return values | {f"drawn_{name}": np.zeros(DRAWS) for name in ("slope", "b0", "b1")}


def test_limits_of_voxels_hold_as_many_as_they_say():
    error = RNG.laplace(0, 0.05, VOXELS)
    limits = with_training(values_of(PLANTED + error), ROIS, HALF, 0)
    # A new subject that is missed by as much.
    truth = 0.5 - np.random.default_rng(1).laplace(0, 0.05, VOXELS)
    for name in ("depth", "scale_share"):
        held = (limits[f"{name}_low"] <= truth) & (truth <= limits[f"{name}_high"])
        assert held.mean() == pytest.approx(0.95, abs=0.02)


def test_limits_lie_on_the_side_that_values_are_drawn_from():
    """Found lies .2 below what was planted, give or take .05: so must the truth lie above what is found."""
    error = np.random.default_rng(2).normal(-0.2, 0.05, VOXELS)
    limits = with_training(values_of(PLANTED + error), ROIS, HALF, 0)
    assert 0.5 - limits["depth_low"].mean() == pytest.approx(0.01, abs=1e-3)  # as without training
    assert limits["depth_high"].mean() - 0.5 == pytest.approx(0.2 + 1.96 * 0.05, abs=0.01)


def test_what_is_drawn_together_widens_the_line():
    """Found is half of what was planted: the true slope may be twice the one found, or none."""
    own = np.select(list(ROIS.values()), [0.2, 0.3, 0.4, 0.5])
    values = values_of(0.5 + 0.5 * (PLANTED - PLANTED.mean()), own)
    limits = with_training(values, ROIS, HALF, 0)
    found = fit_slope(own, ROIS)
    # Student's distribution with 8 degrees of freedom, one for each ROI in each half, within what voxels are missed by.
    reach = np.quantile(0.5 * np.abs(PLANTED - PLANTED.mean()), 0.98)
    errors = np.random.default_rng(3).standard_t(8, 100_000)[:, None] * (np.array([0.2, 0.3, 0.4, 0.5]) - 0.35)
    of_roi = [fit_slope(inside.astype(float), ROIS).slope for inside in ROIS.values()]
    assert limits["drawn_slope"].std() == pytest.approx((errors.clip(-reach, reach) @ of_roi).std(), rel=0.05)
    assert limits["drawn_slope"].std() > 0.8 * found.slope
    np.testing.assert_allclose(limits["drawn_b1"], limits["drawn_b0"] + limits["drawn_slope"])
    apart = with_training(values_of(PLANTED.copy(), own), ROIS, HALF, 0)
    assert apart["drawn_slope"].std() < 1e-6


def test_errors_that_rois_share_do_not_average_out():
    shared = 0.1 * np.select([*(inside & HALF for inside in ROIS.values()), ~HALF], [1, -1, 1, -1, 0])
    limits = with_training(values_of(PLANTED + shared + RNG.normal(0, 0.3, VOXELS)), ROIS, HALF, 0)
    expected = np.sqrt(np.mean(np.square([0.1, 0.1, 0.1, 0.1, 0, 0, 0, 0])) * 8 / 6)  # variance of Student's with 8
    assert limits["drawn_depth"][:, :4].std() == pytest.approx(expected, rel=0.15)
    assert limits["drawn_depth"][:, 4].std() < expected


def test_means_are_not_missed_by_more_than_their_voxels():
    """All voxels of a ROI err alike, two ROIs up and two down, so that Student's tails reach beyond all of them."""
    shared = 0.1 * np.select([*ROIS.values()], [1, -1, 1, -1])
    limits = with_training(values_of(PLANTED + shared), ROIS, HALF, 0)
    for drawn in limits["drawn_depth"][:, :4].T:
        assert drawn.min() == pytest.approx(-0.1, abs=1e-3)
        assert drawn.max() == pytest.approx(0.1, abs=1e-3)


def test_the_line_is_that_of_the_drawn_depths():
    values = values_of(PLANTED + RNG.normal(0, 0.2, VOXELS))
    values["depth"][::7] = np.nan
    limits = with_training(values, ROIS, HALF, 0)
    told = np.isfinite(values["depth"])
    weights = line_weights(ROIS, told)
    by_roi = np.stack([weights[inside].sum(axis=0) for inside in ROIS.values()])
    np.testing.assert_allclose(limits["drawn_slope"], limits["drawn_depth"][:, :4] @ by_roi[:, 0], atol=1e-9)
    np.testing.assert_allclose(limits["drawn_b0"], limits["drawn_depth"][:, :4] @ by_roi[:, 1], atol=1e-9)
    assert np.isnan(limits["depth_low"][::7]).all()


def test_a_bootstrap_that_tells_nothing_changes_nothing():
    assert with_training(values_of(np.full(VOXELS, np.nan)), ROIS, HALF, 0) == {}


def test_without_rois_there_are_limits_over_all_voxels():
    values = values_of(PLANTED + RNG.normal(0, 0.2, VOXELS))
    values = {name: array for name, array in values.items() if name not in ("drawn_slope", "drawn_b0", "drawn_b1")}
    values |= {f"drawn_{name}": np.zeros((DRAWS, 1)) for name in ("depth", "scale")}
    limits = with_training(values, {}, HALF, 0)
    assert 0 < limits["drawn_depth"].std() < 0.05
    assert "drawn_slope" not in limits


def test_the_half_that_is_missed_by_more_counts():
    """Errors of one half are four times those of the other, and only there are values drawn together."""
    apart = np.where(HALF, 0.08, 0.02) * RNG.normal(0, 1, VOXELS)
    limits = with_training(values_of(PLANTED + apart), ROIS, HALF, 0)
    half_width = (limits["depth_high"] - limits["depth_low"]).mean() / 2
    assert half_width == pytest.approx(np.hypot(1.96 * 0.08, 0.01), rel=0.1)
    own = np.select(list(ROIS.values()), [0.2, 0.3, 0.4, 0.5])
    drawn = np.where(HALF, 0.5 + 0.5 * (PLANTED - PLANTED[HALF].mean()), PLANTED)
    limits = with_training(values_of(drawn, own), ROIS, HALF, 0)
    # In that half the slope is 1/2, so that the line's may be twice as steep; over both it would be a third steeper.
    assert limits["drawn_slope"].std() > 0.7 * fit_slope(own, ROIS).slope


@pytest.mark.parametrize(("follows", "held"), [(0.0, 1.0), (0.5, 0.31)])
def test_where_what_is_found_follows_nothing_limits_reach_as_far_to_both_sides(follows, held):
    """Found high in the bootstrap and low in the fit, whatever is planted: it has a side only where it follows."""
    own, planted = np.full(VOXELS, 0.3), PLANTED[HALF].mean()
    found = 0.8 + follows * (PLANTED - planted)
    limits = with_training(values_of(found, own), ROIS, HALF, 0)
    below, above = 0.3 - limits["depth_low"].mean(), limits["depth_high"].mean() - 0.3
    assert (above == pytest.approx(below)) == (follows == 0)
    if follows == 0:  # Means over ROIs may be missed as any voxel is.
        expected = np.sqrt(np.mean(np.square(found - PLANTED)) * 8 / 6)
        assert limits["drawn_depth"][:, :4].std() == pytest.approx(expected, rel=0.15)
    truth = np.random.default_rng(4).uniform(0, 1, VOXELS)
    assert ((limits["depth_low"] <= truth) & (truth <= limits["depth_high"])).mean() == pytest.approx(held, abs=0.05)


@pytest.mark.parametrize("follows", [False, True])
def test_where_what_is_found_follows_nothing_the_line_may_have_any_slope(follows):
    """All that was planted lies near .5, so that errors of ROIs alone would leave a steep line out."""
    planted = 0.5 + 0.1 * (PLANTED - 0.5)
    values = values_of(planted.copy() if follows else np.full(VOXELS, 0.5), np.full(VOXELS, 0.3))
    values |= {f"bootstrap_{name}_planted": planted for name in ("depth", "scale")}
    limits = with_training(values, ROIS, HALF, 0)
    low, high = np.quantile(limits["drawn_slope"], (0.025, 0.975))
    assert (low < -0.9 and high > 0.9) != follows
    np.testing.assert_allclose(limits["drawn_b1"], limits["drawn_b0"] + limits["drawn_slope"])


@pytest.mark.parametrize(
    ("slope", "together"), [(0.5, 1.0), (0.8, 0.25), (0.26, 1 / 0.26 - 1), (0.1, 3.0), (1.0, 0.0), (1.5, 0.0)]
)
def test_errors_by_hand(slope, together):
    """Found is a line of planted; slopes below 0.25 count as that, above 1 nothing is drawn together."""
    planted, half = np.linspace(0, 1, 32), np.arange(32) % 2 == 0
    errors = PlantedErrors.of(0.1 + slope * planted, planted, np.ones(32, bool), half)
    assert errors.drawn_together == pytest.approx(together)
    whole = 0.1 + (slope - 1) * planted
    np.testing.assert_allclose(errors.whole, whole, atol=1e-12)
    expected = np.full(32, whole.mean()) if 0.25 < slope < 1 else whole
    np.testing.assert_allclose(errors.rest, expected, atol=1e-12)
    # A slope that says nothing leaves errors without a side.
    above, below = (np.abs(whole), np.abs(whole)) if slope < 0.25 else (whole, -whole)
    sides = [side[part] for side in (above, below) for part in (half, ~half)]
    reaches = [max(0, *(np.quantile(side, 0.975) for side in pair)) for pair in (sides[:2], sides[2:])]
    assert (errors.reach(half), errors.reach(half, below=True)) == pytest.approx(tuple(reaches))
    assert errors.reach(half, share=0.5) == pytest.approx(max(0, *(np.median(side) for side in sides[:2])))


@pytest.mark.parametrize(("known", "some"), [(7, False), (8, True)])
def test_eight_voxels_tell(known, some):
    planted, half = np.linspace(0, 1, 20), np.arange(20) >= 10
    found = np.where(np.arange(20) < known, 0.5 * planted, np.nan)
    errors = PlantedErrors.of(found, planted, np.ones(20, bool), half)
    assert (errors is not None) == some
    if some:
        assert errors.drawn_together == pytest.approx(1)
        assert np.isfinite(errors.whole).sum() == known
        assert PlantedErrors.of(found, planted, np.arange(20) > 0, half) is None
        # Of planted values that are all alike no slope is known.
        assert PlantedErrors.of(found, np.full(20, 0.5), np.ones(20, bool), half).drawn_together == 0
