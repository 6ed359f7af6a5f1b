"""Bootstrap over test images against explicit loops, SciPy's, and coverage of a known truth."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from factortopy.analysis import draw_roi_r2, estimate, fit_slope, paired_difference, percentiles, region_names
from factortopy.analysis.estimates.bootstrap import (
    PredictedParts,
    draw_images,
    draw_r2,
    draw_shares,
    error_limits,
    uncertainty,
)
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping, mapping_dataset

IMAGES, VOXELS = 60, 40
INDEX = np.arange(VOXELS)
ROIS = {name: place == INDEX // 10 for place, name in enumerate(("V1", "V2V3", "OPA", "EBA"))}


@pytest.fixture(scope="module")
def measured():
    rng = np.random.default_rng(0)
    early, late = rng.normal(size=(2, IMAGES, VOXELS))
    share = INDEX / VOXELS
    predictions = 4 + (1 - share) * early + share * late
    responses = predictions + rng.normal(size=predictions.shape)
    return PredictedParts(
        responses, predictions, share * late, 0.5 * early, [f"image-{i:02d}" for i in range(IMAGES)], ROIS
    )


def rows(draw):
    return np.repeat(np.arange(len(draw)), draw.astype(int))


def test_draws_are_those_of_images_with_replacement():
    draws = draw_images(IMAGES, 4_000)
    assert (draws.sum(axis=1) == IMAGES).all()
    np.testing.assert_allclose(draws.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(draws.var(axis=0), 1 - 1 / IMAGES, rtol=0.15)


def test_trials_of_one_image_are_drawn_together():
    names = ["b", "a", "b", *"cdefghijk"]
    draws = draw_images(names, 50)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    assert (draws[:, 1] != draws[:, 3]).any()
    np.testing.assert_array_equal(np.delete(draws, 2, axis=1), draw_images(len(set(names)), 50))


def test_too_few_distinct_images_have_no_limits():
    """Of two images all draws but one are of one score: limits of no width that never hold the truth."""
    rng = np.random.default_rng(5)
    for names, some in ((list("ab"), False), (list("abcdefghi") * 3, False), (list("abcdefghij"), True)):
        f = rng.normal(size=(len(names), 30))
        low, high = percentiles(draw_r2(f + rng.normal(size=f.shape), f, draw_images(names, 200)))
        assert np.isfinite(low).all() == np.isfinite(high).all() == some
        found = draw_roi_r2(f + 1, f, names, {"all": np.ones(30, bool)}, 20)
        assert np.isfinite(found).all() == some


def test_r2_of_every_draw_is_that_of_its_images(measured):
    draws = draw_images(IMAGES, 20)
    found = draw_r2(measured.responses, measured.predictions, draws)
    for draw, values in zip(draws, found, strict=True):
        some = rows(draw)
        error = np.square(measured.responses[some] - measured.predictions[some]).sum(axis=0)
        # The mean stays that of all test images.
        spread = np.square(measured.responses[some] - measured.responses.mean(axis=0)).sum(axis=0)
        np.testing.assert_allclose(values, 1 - error / spread, atol=1e-4)


def test_the_draw_of_every_image_once_gives_the_score_itself(measured):
    found = draw_r2(measured.responses, measured.predictions, np.ones((1, IMAGES), dtype=np.float32))
    expected = r2_score(measured.responses, measured.predictions, multioutput="raw_values")
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_share_of_every_draw_is_that_of_its_images(measured):
    draws = draw_images(IMAGES, 20)
    found = draw_shares([measured.depth], measured.predictions, draws)[0]
    for draw, values in zip(draws, found, strict=True):
        some = rows(draw)
        for i in (0, 13, 39):
            covariance = np.cov(measured.depth[some, i], measured.predictions[some, i])
            assert values[i] == pytest.approx(covariance[0, 1] / covariance[1, 1], abs=1e-4)


def test_interval_agrees_with_scipy(measured):
    y, f = measured.responses[:, 20], measured.predictions[:, 20]
    expected = stats.bootstrap(
        (y, f),
        lambda a, b: 1 - ((a - b) ** 2).sum() / ((a - y.mean()) ** 2).sum(),
        paired=True, vectorized=False, method="percentile", n_resamples=2_000, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    low, high = percentiles(draw_r2(y[:, None], f[:, None], draw_images(IMAGES, 2_000)))
    assert low[0] == pytest.approx(expected.low, abs=0.02)
    assert high[0] == pytest.approx(expected.high, abs=0.02)


def test_intervals_cover_the_truth():
    """A known prediction of known noise has R^2 0.5; about 95 % of 1,000 independent voxels cover it."""
    rng = np.random.default_rng(3)
    f = rng.normal(size=(300, 1_000))
    low, high = percentiles(draw_r2(f + rng.normal(size=f.shape), f, draw_images(300, 400)))
    covered = ((low <= 0.5) & (high >= 0.5)).mean()
    assert 0.92 <= covered <= 0.975


def test_limits_of_what_predicts_nothing_lie_about_zero():
    """The mean of a draw would put them below 0: the upper limit of a fifth of them is negative then."""
    rng = np.random.default_rng(4)
    f = 0.01 * rng.normal(size=(72, 500))
    low, high = percentiles(draw_r2(f + rng.normal(size=f.shape), f, draw_images(72, 200)))
    assert (high < 0).mean() < 0.05
    assert (low > 0.001).mean() < 0.05


def test_rois_of_two_methods_are_drawn_in_pairs(measured):
    ids = [*measured.images, *measured.images]
    one = draw_roi_r2(
        np.tile(measured.responses, (2, 1)), np.tile(measured.predictions, (2, 1)), ids, ROIS, resamples=15
    )
    r2 = draw_r2(measured.responses, measured.predictions, draw_images(measured.images, 15))
    for place, inside in enumerate(ROIS.values()):
        np.testing.assert_allclose(one[:, place], r2[:, inside].mean(axis=1), atol=1e-5)


def test_a_constant_voxel_has_no_interval(measured):
    responses = measured.responses.copy()
    responses[:, 5] = 0.1
    low, _ = percentiles(draw_r2(responses, measured.predictions, draw_images(IMAGES, 10)))
    assert np.isnan(low[5])
    assert np.isfinite(np.delete(low, 5)).all()


def test_lines_of_the_draws_are_fits_to_their_depth(measured):
    found = uncertainty(measured, resamples=15)
    depth = draw_shares([measured.depth], measured.predictions, draw_images(measured.images, 15))[0]
    for draw in range(15):
        expected = fit_slope(depth[draw], ROIS)
        assert found["drawn_slope"][draw] == pytest.approx(expected.slope, abs=1e-5)
        assert found["drawn_b0"][draw] == pytest.approx(expected.b0, abs=1e-5)
        assert found["drawn_b1"][draw] == pytest.approx(expected.b1, abs=1e-5)


def test_rois_of_the_draws_are_means(measured):
    found = uncertainty(measured, resamples=15)
    r2 = draw_r2(measured.responses, measured.predictions, draw_images(measured.images, 15))
    np.testing.assert_allclose(found["drawn_r2"][:, 1], r2[:, 10:20].mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found["drawn_r2"][:, 4], r2.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found["r2_low"], percentiles(r2)[0], atol=1e-5)
    depth = draw_shares([measured.depth], measured.predictions, draw_images(measured.images, 15))[0]
    np.testing.assert_allclose(found["drawn_depth"][:, 2], depth[:, 20:30].mean(axis=1), atol=1e-5)
    scale = draw_shares([measured.global_], measured.predictions, draw_images(measured.images, 15))[0]
    np.testing.assert_allclose(found["drawn_scale"][:, 4], scale.mean(axis=1), atol=1e-5)


def test_the_unit_of_responses_does_not_matter(measured):
    parts = [1e-3 * getattr(measured, name) for name in ("responses", "predictions", "depth", "global_")]
    small = uncertainty(PredictedParts(*parts, measured.images, measured.rois), resamples=15)
    for name, values in uncertainty(measured, resamples=15).items():
        np.testing.assert_allclose(small[name], values, rtol=1e-3, atol=1e-4)


def test_a_region_of_one_voxel_has_the_draws_of_it(measured):
    draws = draw_r2(measured.responses, measured.predictions, draw_images(measured.images, 15))
    found = draw_roi_r2(measured.responses, measured.predictions, measured.images, {"one": INDEX == 7}, 15)
    np.testing.assert_allclose(found[:, 0], draws[:, 7], atol=1e-5)


def mapping_of(measured, shift=0.0, **attributes):
    predictions = measured.predictions + shift
    changed = PredictedParts(
        measured.responses, predictions, measured.depth, measured.global_, measured.images, measured.rois
    )
    total = np.square(measured.responses - measured.responses.mean(axis=0)).sum(axis=0)
    r2 = 1 - np.square(measured.responses - predictions).sum(axis=0) / total
    depth = INDEX / VOXELS
    values = {
        "space": np.zeros((VOXELS, 2)),
        "layer": np.full((VOXELS, 2), 0.5),
        "scale": np.zeros(VOXELS),
        "r2": r2,
        "layer_share": np.stack([1 - depth, depth], axis=1),
        "hemisphere": np.full(VOXELS, "left"),
        "vertex": np.arange(VOXELS),
        "region": np.array(region_names(ROIS)),
        **uncertainty(changed, resamples=200),
    }
    return Mapping(mapping_dataset(values, ["a", "b"], ROIS, {"subject": "s", "split": "a", "seed": 0, **attributes}))


def test_estimate_and_paired_difference(measured):
    one, other = mapping_of(measured, shift=0.2), mapping_of(measured)
    found = estimate(one, "r2", "V1")
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(one.dataset["r2"][:10].mean())
    difference = paired_difference(other, one, "r2", "V1")
    assert difference.low < difference.value < difference.high
    # The same draws on both sides: what both share cancels.
    apart = estimate(one, "slope")
    together = paired_difference(one, other, "slope")
    assert abs(together.low) < 1e-6 < apart.high - apart.low
    with pytest.raises(DataError, match="one split"):
        paired_difference(one, mapping_of(measured, split="b"))
    with pytest.raises(UnknownNameError, match="unknown region 'V9'"):
        estimate(one, "r2", "V9")


def test_limits_are_over_the_training_where_both_sides_have_it_in_them(measured):
    plain, told = mapping_of(measured), mapping_of(measured, training_told=1)
    assert estimate(told, "depth").over == estimate(told, "slope").over == "test images and training"
    assert estimate(told, "r2").over == estimate(plain, "depth").over == "test images"
    for pair, over in (
        ((told, told), "test images and training"),
        ((told, plain), "test images"),
        ((plain, told), "test images"),
    ):
        assert paired_difference(*pair, "depth").over == over


def test_no_limits_of_a_difference_of_other_draws(measured):
    one, other = mapping_of(measured), mapping_of(measured)
    fewer = Mapping(other.dataset.isel(draw=slice(0, 50)))
    bare = Mapping(other.dataset.drop_vars("drawn_r2"))
    for pair in ((one, fewer), (one, bare), (bare, one)):
        found = paired_difference(*pair, "r2", "EBA")
        assert found.value == pytest.approx(0)
        assert not found.limited


def test_depth_is_not_told_where_nothing_is_predicted(measured):
    mapping = mapping_of(measured)
    for predicted, known in ((np.zeros(VOXELS), False), (np.arange(VOXELS) < 5, True)):
        held = mapping.with_variables({"predicted": ("voxel", np.asarray(predicted, dtype=np.int8))})
        assert estimate(held, "depth", "V1").known == known
        assert estimate(held, "r2", "V1").known


def test_a_ratio_needs_a_ceiling_above_0(measured):
    mapping = mapping_of(measured)
    assert not estimate(mapping, "normalised", "V1").known
    half = mapping.with_variables({"ceiling": ("voxel", np.where(INDEX < 10, 0.5, 0))})
    found, raw = estimate(half, "normalised", "V1"), estimate(half, "r2", "V1")
    assert (found.value, found.low, found.high) == pytest.approx((2 * raw.value, 2 * raw.low, 2 * raw.high))
    assert not estimate(half, "normalised", "EBA").known


def test_limits_from_standard_errors():
    low, high = error_limits(np.array([1.0]), np.array([0.5]))
    np.testing.assert_allclose([low[0], high[0]], [1 - 0.97998, 1 + 0.97998], atol=1e-4)
