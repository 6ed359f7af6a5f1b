"""Shared and unique variance: closed forms, scikit-learn's ridge, leave-one-out by hand, honest halves."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from tiny_mappings import tiny_mapping

from factortopy.analysis import HeldOut, compare, paired_winners, partition_variance
from factortopy.analysis.comparing.partition import half_rows, join, left_out_error, mixing_of, ridge
from factortopy.analysis.comparing.predictions import Predicted
from factortopy.errors import DataError

IMAGES, VOXELS = 3_000, 60
EVERYTHING = {"all voxels": np.ones(VOXELS, bool)}


def side(random, networks, images=IMAGES):
    """Responses ``s + u1 + u2 + noise`` of variances .2, .3, .1, .4; network k predicts s + u_k."""
    shared, *own = (np.sqrt(variance) * random.standard_normal((images, VOXELS)) for variance in (0.2, 0.3, 0.1))
    responses = shared + sum(own) + np.sqrt(0.4) * random.standard_normal((images, VOXELS))
    predictions = np.stack([shared + part for part in own] + [shared] * (networks - 2))
    return Predicted(
        responses.astype(np.float32),
        predictions.astype(np.float32),
        tuple(f"image {number}" for number in range(images)),
    )


def held_out(networks=2, images=IMAGES):
    random = np.random.default_rng(0)
    return HeldOut(side(random, networks, images), side(random, networks, images))


def closed_form(chosen):
    """R^2 of least squares from covariances: of predictors with the response, and among themselves."""
    among = np.array([[0.5, 0.2], [0.2, 0.3]])[np.ix_(chosen, chosen)]
    with_response = np.array([0.5, 0.3])[chosen]
    return with_response @ np.linalg.solve(among, with_response)


def test_two_networks_have_the_parts_of_the_closed_form():
    found = partition_variance(held_out(), "AB", EVERYTHING, resamples=50, progress=False)
    both, one, other = closed_form([0, 1]), closed_form([0]), closed_form([1])
    assert (one, other) == pytest.approx((0.5, 0.3))
    assert 0.5 < both < 0.6  # the shared part is predicted twice, so its weights must lie between
    np.testing.assert_allclose(found.r2.mean(axis=1), [one, other, both], atol=0.01)
    expected = {"unique to A": both - other, "unique to B": both - one, "shared by A, B": one + other - both}
    rows = {row.part: row for row in found.table.itertuples()}
    for part, value in expected.items():
        assert rows[part].value == pytest.approx(value, abs=0.01)
        assert rows[part].low < rows[part].value < rows[part].high
        assert rows[part].half_one == pytest.approx(rows[part].half_two, abs=0.03)
    assert rows["all together"].value == pytest.approx(both, abs=0.01)


def test_parts_sum_to_r2_of_every_set():
    found = partition_variance(held_out(3, 200), "ABC", EVERYTHING, resamples=20, progress=False)
    for subset, r2 in zip(found.subsets, found.r2, strict=True):
        meeting = [bool(set(part) & set(subset)) for part in found.subsets]
        np.testing.assert_allclose(found.parts[meeting].sum(axis=0), r2, atol=1e-6)
    assert len(found.table) == 8
    third = next(row for row in found.table.itertuples() if row.part == "unique to C")
    everything = next(row for row in found.table.itertuples() if row.part == "all together")
    # The third network predicts what the first two share: nothing is its own, beyond what it adds to weights.
    assert third.value < 0.1 * everything.value


def test_agreement_is_the_correlation_of_parts_between_halves_of_the_test_images():
    held = held_out(2, 200)
    found = partition_variance(held, "AB", EVERYTHING, resamples=5, seed=3, progress=False)
    test, parts = held.test, []
    for rows in half_rows(test.images, 3):
        r2 = []
        for subset in ((0,), (1,), (0, 1)):
            error = np.square(test.responses - join(held, subset)[0])[rows].sum(axis=0)
            r2.append(1 - error / np.square(test.responses - test.responses.mean(axis=0))[rows].sum(axis=0))
        one, other, both = r2
        parts.append([both - other, both - one, one + other - both])
    expected = [np.corrcoef(*pair)[0, 1] for pair in zip(*parts, strict=True)]
    assert found.agreement == pytest.approx(tuple(expected), abs=1e-4)


def test_mixing_is_the_textbook_commonality():
    subsets = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    values = dict(zip(subsets, np.random.default_rng(0).uniform(size=7), strict=True))
    parts = dict(zip(subsets, mixing_of(subsets) @ list(values.values()), strict=True))
    assert parts[(0,)] == pytest.approx(values[0, 1, 2] - values[1, 2])
    assert parts[0, 1] == pytest.approx(values[0, 2] + values[1, 2] - values[2,] - values[0, 1, 2])
    assert parts[0, 1, 2] == pytest.approx(
        values[0,] + values[1,] + values[2,] - values[0, 1] - values[0, 2] - values[1, 2] + values[0, 1, 2]
    )


def test_ridge_is_that_of_scikit_learn_about_the_mean():
    some = side(np.random.default_rng(3), 2, 40)
    weights, offset = ridge(some.predictions.astype(float), some.responses.astype(float), 0.5)
    for voxel in (0, 7):
        x, y = some.predictions[:, :, voxel].T.astype(float), some.responses[:, voxel].astype(float)
        penalty = 0.5 * x.var(axis=0).mean() * len(y)
        other = Ridge(alpha=penalty).fit(x, y - x.mean(axis=1))
        np.testing.assert_allclose(weights[:, voxel], other.coef_ + 0.5, rtol=1e-6)
        assert offset[voxel] == pytest.approx(other.intercept_, abs=1e-6)


def test_the_unit_of_responses_does_not_matter_to_weights():
    some = side(np.random.default_rng(3), 2, 40)
    x, y = some.predictions.astype(float), some.responses.astype(float)
    (weights, offset), (small, moved) = ridge(x, y, 0.5), ridge(1e-4 * x, 1e-4 * y, 0.5)
    np.testing.assert_allclose(small, weights, rtol=1e-6)
    np.testing.assert_allclose(moved, 1e-4 * offset, atol=1e-9)


def test_a_large_penalty_gives_the_plain_mean():
    some = side(np.random.default_rng(3), 3, 40)
    weights, _ = ridge(some.predictions, some.responses, 1e9)
    np.testing.assert_allclose(weights, 1 / 3, atol=1e-6)


def test_left_out_error_is_that_of_leaving_out():
    x = np.random.default_rng(5).standard_normal((2, 12, 1))
    y = x.sum(axis=0) + np.random.default_rng(6).standard_normal((12, 1))
    penalty = 0.3 * x.var(axis=1).mean() * 12
    total = 0.0
    for out in range(12):
        kept = np.arange(12) != out
        mean = x[:, :, 0].mean(axis=0)
        fitted = Ridge(alpha=penalty).fit(x[:, kept, 0].T, y[kept, 0] - mean[kept])
        total += (y[out, 0] - mean[out] - fitted.predict(x[:, out, 0][None])[0]) ** 2
    assert left_out_error(x, y, 0.3) == pytest.approx(total)


def test_test_images_decide_nothing():
    held = held_out(2, 200)
    other = HeldOut(held.validation, Predicted(-held.test.responses, held.test.predictions, held.test.images))
    assert np.array_equal(join(held, (0, 1))[0], join(other, (0, 1))[0])
    best = [
        LinearRegression()
        .fit(held.test.predictions[:, :, v].T, held.test.responses[:, v])
        .score(held.test.predictions[:, :, v].T, held.test.responses[:, v])
        for v in range(VOXELS)
    ]
    found = partition_variance(held, "AB", EVERYTHING, resamples=20, progress=False)
    assert (found.r2[-1] < best).mean() > 0.95


def test_a_useless_network_gets_a_negative_unique_part_that_is_not_clipped():
    random = np.random.default_rng(1)
    held = held_out(2, 60)
    for some in (held.validation, held.test):
        some.predictions[1] = random.standard_normal((60, VOXELS))
    found = partition_variance(held, "AB", EVERYTHING, resamples=200, progress=False)
    rows = {row.part: row for row in found.table.itertuples()}
    assert (found.parts[1] < 0).any()
    assert rows["unique to B"].value < 0.01
    assert rows["unique to B"].low < 0


def test_a_voxel_of_which_no_network_predicts_anything_gets_its_mean():
    held = held_out(2, 60)
    for some in (held.validation, held.test):
        some.predictions[:, :, 3] = 0
    joined, _ = join(held, (0, 1))
    np.testing.assert_allclose(joined[:, 3], held.validation.responses[:, 3].mean(), atol=1e-5)


def test_halves_keep_the_trials_of_an_image_together():
    images = ["a", "b", "a", "c", "d", "b"]
    one, other = half_rows(images, 0)
    assert (one ^ other).all()
    assert one[0] == one[2]
    assert one[1] == one[5]


def test_other_numbers_of_networks_are_refused():
    held = held_out(2, 40)
    four = Predicted(held.test.responses, np.repeat(held.test.predictions, 2, axis=0), held.test.images)
    with pytest.raises(DataError, match="two or three"):
        partition_variance(HeldOut(four, four), "ABCD", EVERYTHING)


def test_as_few_images_as_halves_and_weights_can_be_had_of_are_taken():
    held = held_out(2, 40)

    def first(some, images):
        return Predicted(some.responses[:images], some.predictions[:, :images], some.images[:images])

    def parts(validation, test):
        few = HeldOut(first(held.validation, validation), first(held.test, test))
        return partition_variance(few, "AB", EVERYTHING, resamples=5, progress=False)

    assert np.isfinite(parts(4, 4).r2).all()
    for too_few in ((3, 4), (4, 3)):
        with pytest.raises(DataError, match="too few"):
            parts(*too_few)


def test_the_penalty_is_small_where_weights_are_told_exactly_and_large_where_they_are_not():
    random = np.random.default_rng(0)
    predictions = random.standard_normal((2, 40, VOXELS)).astype(np.float32)
    images = tuple(f"image {number}" for number in range(40))

    def penalty(responses):
        some = Predicted(responses.astype(np.float32), predictions, images)
        return partition_variance(HeldOut(some, some), "AB", EVERYTHING, resamples=5, progress=False).penalties[-1]

    assert penalty(2 * predictions[0] - predictions[1]) == 1e-4
    noise = random.standard_normal((40, VOXELS))
    assert penalty(predictions.mean(axis=0) + 9 * noise) == 1e3


def test_paired_limits_are_narrower_than_separate_ones():
    held = held_out(2, 200)
    r2 = 1 - np.square(held.test.responses - held.test.predictions).mean(axis=1) / held.test.responses.var(axis=0)
    comparison = compare([tiny_mapping(values, network=str(place)) for place, values in enumerate(r2)])
    won = paired_winners(comparison, held, resamples=400)
    # R^2 of the networks is .5 and .3 with all images.
    assert (won.best == 0).mean() > 0.9
    assert won.clear[won.best == 0].mean() > 0.3
    random = np.random.default_rng(0)
    voxel = int(won.margin.argmax())
    drawn = []
    for _ in range(400):
        rows = random.integers(0, 200, 200)
        error = np.square(held.test.responses[rows, voxel] - held.test.predictions[:, rows, voxel]).mean(axis=1)
        drawn.append((error[1 - won.best[voxel]] - error[won.best[voxel]]) / held.test.responses[rows, voxel].var())
    assert won.low[voxel] == pytest.approx(np.percentile(drawn, 2.5), abs=0.03)
