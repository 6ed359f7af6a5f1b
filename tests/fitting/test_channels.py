"""Channels in closed form: against scikit-learn, against fits without each image, and on planted channels."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from factortopy.fitting import Examples
from factortopy.fitting.solved.channels import Known, solve_channels
from factortopy.fitting.solved.closed_form import PENALTIES
from factortopy.fitting.solved.parcels import find_parcels, parcel_responses
from factortopy.fitting.solved.regressions import Sums, by_axes, by_roots
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection, gaussian_pool
from factortopy.networks import Tokens

IMAGES, WIDTH, VOXELS, TARGETS = 30, 5, 3, 2
CPU = torch.device("cpu")
HALVES = slice(0, IMAGES // 2), slice(IMAGES // 2, IMAGES)


@pytest.fixture
def regression():
    """What three voxels read, two targets each, and trials of every image."""
    generator = torch.Generator().manual_seed(0)
    read = 1 + torch.randn(VOXELS, IMAGES, WIDTH, generator=generator)
    weights = torch.randn(VOXELS, WIDTH, TARGETS, generator=generator)
    targets = 2 + read @ weights + torch.randn(VOXELS, IMAGES, TARGETS, generator=generator)
    return read, targets, torch.randint(1, 4, (IMAGES,), generator=generator).float()


def sums_of(read, targets, repeats):
    """Of images that come seven at a time."""
    everything, images = slice(0, VOXELS), len(repeats)
    sums = Sums.empty(VOXELS, WIDTH, targets.shape[-1], float(repeats.sum()), CPU)
    for batch in torch.arange(images).split(7):
        sums.add(everything, read[:, batch], targets[:, batch], repeats[batch])
    return sums


def penalty_of(index, read, repeats):
    """In units of the mean square over trials of what a voxel reads."""
    mean = (repeats @ read) / repeats.sum()
    return float(PENALTIES[index] * (repeats @ (read - mean).square().sum(dim=1)) / repeats.sum())


def test_channels_are_scikit_learns_ridge_averaged_over_penalties_and_targets(regression):
    read, targets, repeats = regression
    fitted = sums_of(*regression).normal()
    weights = torch.zeros(len(PENALTIES), TARGETS, VOXELS)
    weights[3, 0], weights[6, 1] = 0.25, 0.75
    channels, bias = fitted.solve(weights)
    for voxel in range(VOXELS):
        expected, offset = 0, 0
        for share, index, target in ((0.25, 3, 0), (0.75, 6, 1)):
            model = Ridge(penalty_of(index, read[voxel], repeats))
            model.fit(read[voxel].numpy(), targets[voxel, :, target].numpy(), sample_weight=repeats.numpy())
            expected, offset = expected + share * model.coef_, offset + share * model.intercept_
        np.testing.assert_allclose(channels[voxel], expected, rtol=1e-4, atol=1e-5)
        assert float(bias[voxel]) == pytest.approx(float(offset), rel=1e-4)


def test_sums_of_two_parts_are_those_of_all_images(regression):
    first, second = (sums_of(*(part[..., rows, :] for part in regression[:2]), regression[2][rows]) for rows in HALVES)
    for found, expected in zip(first.joined(second), sums_of(*regression), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-5)


def test_roots_solve_what_eigenvectors_do(regression):
    fitted = sums_of(*regression).normal()
    penalties = torch.logspace(-2, 5, 4, dtype=torch.float64)[:, None, None].expand(-1, VOXELS, 1)
    wanted = torch.stack([fitted.moved * factor for factor in (1, 2, 3, 4)])
    for own, penalty, root, axes in zip(
        wanted,
        penalties,
        by_roots(fitted.gram, penalties, wanted),
        by_axes(fitted.gram, penalties, wanted),
        strict=True,
    ):
        expected = torch.linalg.solve(fitted.gram + torch.diag_embed(penalty.expand(-1, WIDTH)), own)
        torch.testing.assert_close(root, expected, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(axes, expected, rtol=1e-5, atol=1e-8)  # sums of single precision


def test_roots_stand_rounding():
    """Sums of single precision of fewer images than channels: eigenvalues that should be 0 are less."""
    read = torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(2))
    gram = (read.mT @ read).double()
    assert torch.linalg.eigvalsh(gram).min() < 0
    small = gram.new_full((1, 1, 1), 1e-12)
    [found] = by_roots(gram, small, gram[None, :, :, :1])
    assert found.isfinite().all()


def test_images_that_are_only_judged_are_predicted_and_not_learnt_from(regression):
    """Each part of them by itself, as often as each was shown, about the mean of those that are learnt from."""
    read, targets, repeats = regression
    generator = torch.Generator().manual_seed(8)
    new, wanted = 2 + torch.randn(2, VOXELS, 9, WIDTH, generator=generator), torch.randn(2, VOXELS, 9, 2)
    often = torch.randint(1, 4, (2, 9), generator=generator).float()
    parts = [sums_of(*part) for part in zip(new, wanted, often, strict=True)]
    found = sums_of(*regression).normal().errors(parts)
    for (errors, totals), x, y, shown in zip(found, new, wanted[..., 0].numpy(), often.numpy(), strict=True):
        for index, target, voxel in ((2, 0, 0), (5, 1, 1), (12, 1, 2)):
            model = Ridge(penalty_of(index, read[voxel], repeats))
            model.fit(read[voxel].numpy(), targets[voxel, :, target].numpy(), sample_weight=repeats.numpy())
            error = (shown * np.square(y[voxel] - model.predict(x[voxel].numpy()))).sum()
            mean = np.average(targets[voxel, :, 0].numpy(), weights=repeats.numpy())
            assert float(errors[index, target, voxel]) == pytest.approx(error, rel=1e-4)
            assert float(totals[voxel]) == pytest.approx((shown * np.square(y[voxel] - mean)).sum(), rel=1e-4)


def test_validation_images_that_are_the_test_images_are_not_learnt_from():
    found = []
    for shift in (0.0, 50.0):
        model, tokens, responses, *_ = planted(1)
        responses[150:] += shift * torch.randn(50 + 60, 1, generator=torch.Generator().manual_seed(1))
        images = known(tokens, responses)
        solve_channels(model, Known(images.images, images.repeats, 50, refit=False), progress=False)
        found.append(model.channels.detach() / model.channels.detach().norm(dim=1, keepdim=True))
    # Only the penalty may change, and with it little of the direction.
    assert (found[0] * found[1]).sum(dim=1).min() > 0.8


def test_validation_images_are_learnt_from_after_they_have_judged():
    found = []
    for refit in (False, True):
        model, tokens, responses, signal, *_ = planted(1, images=130)
        images = known(tokens, responses, count=70, judged=40)
        solve_channels(model, Known(images.images, images.repeats, 40, refit), progress=False)
        with torch.no_grad():
            found.append(float((model(tokens[70:]) - signal[70:]).square().mean()))
    assert found[1] < 0.8 * found[0]


def test_constant_responses_score_nothing_and_get_no_channels(regression):
    read, targets, repeats = regression
    constant = torch.full_like(targets, 2.0)
    fitted = sums_of(read, constant, repeats).normal()
    [(errors, totals)] = fitted.errors([sums_of(read[:, :5], constant[:, :5], repeats[:5])])
    assert max(errors.max(), totals.max()) < 1e-9
    channels, bias = fitted.solve(torch.full_like(errors, 1 / errors[..., 0].numel()))
    assert channels.abs().max() < 1e-5
    torch.testing.assert_close(bias, torch.full_like(bias, 2.0))


def planted(noise, images=260, voxels=200, sized=False):
    """Voxels on a line: smooth places, layers and channels, in a model whose align is known."""
    generator = torch.Generator().manual_seed(3)
    tokens = Tokens(
        tuple(torch.randn(images, 6, 4, 4, generator=generator) for _ in range(2)),
        tuple(torch.randn(images, 6, generator=generator) for _ in range(2)),
    )
    along = torch.linspace(0, 1, voxels)
    space = torch.stack([1.6 * along - 0.8, 0.3 * torch.ones(voxels)], dim=1)
    selection = Selection(space, torch.stack([along, 1 - along], dim=1), 0.2 + 0.5 * along)
    if sized:
        selection = selection._replace(size=0.3 + 0.4 * along)
    phase = torch.rand(8, generator=generator) * 6
    channels = torch.sin(3 * along[:, None] * torch.linspace(0.5, 2, 8) + phase)
    torch.manual_seed(5)
    align = ChannelAlign([ChannelMap(6, 8) for _ in range(2)], [ChannelMap(6, 8) for _ in range(2)])
    model = FactorTopy(align, FixedSelectors(selection), channels.clone(), 0.5)
    with torch.no_grad():
        signal = model(tokens)
    model.channels.data.zero_()
    responses = signal / signal.std(dim=0)
    responses = responses + noise * torch.randn(responses.shape, generator=generator) + 1
    coordinates = torch.stack([100 * along, 0 * along, 0 * along], dim=1)
    return model, tokens, responses, signal / signal.std(dim=0) + 1, channels / signal.std(dim=0)[:, None], coordinates


def known(tokens, responses, count=200, judged=50):
    examples = Examples(lambda rows: tokens[rows], responses[:count])
    return Known(examples, torch.ones(count), judged)


@pytest.mark.parametrize("sized", [False, True])
def test_without_noise_the_planted_channels_are_found(sized):
    model, tokens, responses, _, channels, _ = planted(0, sized=sized)
    scores = solve_channels(model, known(tokens, responses), progress=False)
    assert scores.min() > 0.999
    assert (model.channels - channels).norm() < 0.02 * channels.norm()
    with torch.no_grad():
        torch.testing.assert_close(model(tokens[200:]), responses[200:], rtol=0, atol=0.05)


def test_noisy_channels_are_shrunk_towards_their_neighbours_as_far_as_that_predicts():
    model, tokens, responses, signal, _, coordinates = planted(3)
    error = []
    for parcels in (None, find_parcels(coordinates, 50)):
        solve_channels(model, known(tokens, responses), coordinates, parcels, progress=False)
        with torch.no_grad():
            error.append(float((model(tokens[200:]) - signal[200:]).square().mean()))
    ridge = [
        Ridge(200.0).fit(tokens.global_[0][:200].numpy(), responses[:200].numpy()).predict(tokens.global_[0][200:])
    ]
    assert error[1] < 0.6 * error[0]
    assert error[0] < float((torch.from_numpy(ridge[0]) - signal[200:]).square().mean())


def test_where_there_is_nothing_to_predict_the_mean_is_predicted():
    model, tokens, responses, _, _, coordinates = planted(0)
    noise = torch.randn(responses.shape, generator=torch.Generator().manual_seed(9))
    scores = solve_channels(model, known(tokens, noise), coordinates, find_parcels(coordinates, 50), progress=False)
    assert abs(float(scores.mean())) < 0.02
    with torch.no_grad():
        residual = (noise[200:] - model(tokens[200:])).square().sum(dim=0)
    assert float((1 - residual / (noise[200:] - noise[:200].mean(dim=0)).square().sum(dim=0)).mean()) > -0.01


def test_views_of_one_scene_do_not_tell_for_each_other():
    """Every validation image stands twice, with one response of pure noise: what is learnt from one says nothing."""
    model, tokens, responses, *_ = planted(0)
    noise = torch.randn(responses.shape, generator=torch.Generator().manual_seed(9))
    rows = torch.cat([torch.arange(150), torch.arange(150, 175).repeat(2)])
    scores = solve_channels(model, known(tokens[rows], noise[rows]), progress=False)
    assert abs(float(scores.mean())) < 0.03
    with torch.no_grad():
        residual = (noise[200:] - model(tokens[200:])).square().sum(dim=0)
    assert float((1 - residual / (noise[200:] - noise[:200].mean(dim=0)).square().sum(dim=0)).mean()) > -0.02


@pytest.mark.parametrize("neighbours", [False, True])
def test_memory_is_bounded_without_a_change_of_the_result(monkeypatch, neighbours):
    found = []
    for block, chunk in ((2**27, 2**22), (3 * 64 * 200, 8 * 64 * 3)):
        monkeypatch.setattr("factortopy.fitting.solved.channels.BLOCK_NUMBERS", block)
        monkeypatch.setattr("factortopy.fitting.solved.channels.CHUNK_NUMBERS", chunk)
        model, tokens, responses, *_, coordinates = planted(1)
        around = (coordinates, find_parcels(coordinates, 50)) if neighbours else ()
        solve_channels(model, known(tokens, responses), *around, progress=False)
        found.append(model.channels.detach().clone())
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def half_noise(block, monkeypatch, on_gpu=1):
    """Channels of voxels of which those that read the left half respond by chance, in blocks of so many."""
    monkeypatch.setattr("factortopy.fitting.solved.channels.BLOCK_NUMBERS", block * 3 * 8**2)
    monkeypatch.setattr("factortopy.fitting.solved.channels._most", lambda numbers, device: on_gpu * numbers)
    model, tokens, responses, *_ = planted(1)
    noise = torch.randn(responses.shape, generator=torch.Generator().manual_seed(4))
    solve_channels(model, known(tokens, torch.where(torch.arange(200) < 100, noise, responses)), progress=False)
    return model.channels.detach().clone()


def test_a_gpu_whose_blocks_are_larger_finds_the_same_channels(monkeypatch):
    expected, found = (half_noise(40, monkeypatch, on_gpu) for on_gpu in (1, 4))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_voxels_of_a_block_share_the_prior_of_all(monkeypatch):
    """Not that of those that read the same, of which whole blocks respond by chance."""
    expected, found = (half_noise(block, monkeypatch) for block in (200, 40))
    assert (found - expected).norm() < 0.1 * expected.norm()


def test_voxels_in_another_order_get_the_same_channels():
    """They are solved in the order of what they read, which along the planted line is their own."""
    model, tokens, responses, *_, coordinates = planted(1)
    parcels = find_parcels(coordinates, 50)
    solve_channels(model, known(tokens, responses), coordinates, parcels, progress=False)
    mixed = torch.randperm(len(coordinates), generator=torch.Generator().manual_seed(6))
    other = planted(1)[0]
    other.selectors = FixedSelectors(other.select().map(lambda part: part[mixed]))
    parcels = parcels._replace(label=parcels.label[mixed])
    solve_channels(other, known(tokens, responses[:, mixed]), coordinates[mixed], parcels, progress=False)
    torch.testing.assert_close(other.channels, model.channels[mixed], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.bias, model.bias[mixed], rtol=1e-4, atol=1e-5)


def test_one_validation_image_is_enough():
    model, tokens, responses, _, channels, _ = planted(0)
    scores = solve_channels(model, known(tokens, responses, count=151, judged=1), progress=False)
    assert scores.isfinite().all()
    assert (model.channels - channels).norm() < 0.1 * channels.norm()


def test_an_image_shown_three_times_counts_as_three_images():
    found = []
    for again in (False, True):
        model, tokens, responses, *_ = planted(1)
        often = torch.arange(200) % 4 == 1
        often[150:] = False  # those that judge are shown once
        repeats = torch.where(often, 3, 1)
        rows = torch.arange(200).repeat_interleave(repeats) if again else torch.arange(200)
        examples = Examples(lambda chosen, tokens=tokens, rows=rows: tokens[rows[chosen]], responses[rows])
        trials = torch.ones(len(rows)) if again else repeats.float()
        solve_channels(model, Known(examples, trials, 50), progress=False)
        found.append(model.channels.detach())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_parcels_hold_voxels_that_lie_together(monkeypatch):
    monkeypatch.setattr("factortopy.fitting.solved.parcels.FEWEST", 10)
    coordinates = torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) * 50
    parcels = find_parcels(coordinates, 40)
    assert parcels.voxels.sum() == 400
    assert len(parcels.voxels) == 40
    nearest = torch.cdist(coordinates, parcels.centre).argmin(dim=1)
    assert float((nearest == parcels.label).float().mean()) > 0.95
    torch.testing.assert_close(parcels.mean(coordinates), parcels.centre)
    weights = parcels.around(coordinates[:5], 4.0)
    squared = torch.cdist(coordinates[:5], parcels.centre).square()
    expected = parcels.voxels * torch.exp(-squared / 32)
    torch.testing.assert_close(weights, expected / expected.sum(dim=1, keepdim=True))
    # Numbers that are not normal slow down products.
    assert weights[weights > 0].min() > 1e-13


def test_parcels_need_more_distinct_places_than_they_are():
    assert find_parcels(torch.zeros(300, 3), 128).label.tolist() == list(range(300))
    assert len(find_parcels(torch.rand(100, 3), 1_000).voxels) == 100


def test_responses_of_parcels_are_means_z_scored_by_training_images():
    coordinates = torch.arange(600.0)[:, None] * torch.tensor([1.0, 0, 0])
    parcels = find_parcels(coordinates, 1_000)
    responses = torch.randn(90, 600, generator=torch.Generator().manual_seed(0))
    training, validation = parcel_responses(parcels, responses[:70], responses[70:])
    expected = np.stack([responses[:, parcels.label == n].mean(dim=1).numpy() for n in range(150)], axis=1)
    mean, spread = expected[:70].mean(axis=0), expected[:70].std(axis=0)
    np.testing.assert_allclose(training, (expected[:70] - mean) / spread, atol=1e-4)
    np.testing.assert_allclose(validation, (expected[70:] - mean) / spread, atol=1e-4)


def test_a_size_pools_what_is_read():
    """The regression reads what the model predicts from, sizes included."""
    model, tokens, responses, *_ = planted(0, sized=True)
    solve_channels(model, known(tokens, responses), progress=False)
    selection = model.select()
    pool = gaussian_pool(selection.space, selection.size, 4, 4)
    with torch.no_grad():
        local = [layer.flatten(2) @ pool.T for layer in tokens.local]
        read = sum(
            selection.layer[:, n, None]
            * (
                (1 - selection.scale)[:, None] * (local[n].permute(0, 2, 1) @ model.align.local[n].weight.T)
                + selection.scale[:, None] * (tokens.global_[n] @ model.align.global_[n].weight.T)[:, None]
            )
            for n in range(2)
        )
        predicted = model.factor * (read * model.channels).sum(dim=2) + model.bias
        torch.testing.assert_close(model(tokens), predicted, rtol=1e-3, atol=1e-3)
