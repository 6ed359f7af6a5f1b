"""Patches that voxels on the cortex read: found again where planted, and taken only where they predict better."""

import numpy as np
import pytest
import torch

from factortopy.fitting import Examples, fit_settings, train_model
from factortopy.fitting.recipes import PATCHES
from factortopy.fitting.solved.patches import FLAT, Seen, may_judge, select_patches, share_nearby, widened
from factortopy.model import Selection, gaussian_pool
from factortopy.networks import Tokens
from factortopy.storage import Checkpoint, Part

LAYERS, COMPONENTS, GRID, VOXELS = 3, 5, (6, 6), 40


def photographs(images, seed=2):
    """Tokens that are smooth over the grid, a little."""
    generator = torch.Generator().manual_seed(seed)
    near = torch.cdist(*[torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))] * 2).div(-0.4).exp()
    local = tuple(
        (torch.randn(images, COMPONENTS, 36, generator=generator) @ near).unflatten(2, GRID) for _ in range(LAYERS)
    )
    return Tokens(local, tuple(layer.mean(dim=(2, 3)) for layer in local))


def planted(images, size, noise):
    """Voxels along a line on the cortex read patches along a line in the image, of one layer."""
    tokens, generator = photographs(images), torch.Generator().manual_seed(3)
    coordinates = torch.stack([torch.linspace(0, 60, VOXELS), torch.zeros(VOXELS), torch.zeros(VOXELS)], dim=1)
    space = torch.stack([torch.linspace(-0.6, 0.6, VOXELS), torch.zeros(VOXELS)], dim=1)
    pool = gaussian_pool(space, torch.full((VOXELS,), size), *GRID)
    read = torch.einsum("nkp,ip->nik", tokens.local[1].flatten(2), pool)
    read = (read - read.mean(dim=0)) / read.std(dim=0)
    signal = torch.einsum("nik,ik->ni", read, torch.randn(VOXELS, COMPONENTS, generator=generator))
    signal = signal / signal.std(dim=0)
    return tokens, signal + noise * torch.randn(signal.shape, generator=generator), coordinates, space


def test_neighbours_and_trained_places_tell_where_a_noisy_voxel_reads():
    tokens, responses, coordinates, space = planted(160, 0.3, noise=3.0)
    seen = Seen(tokens, responses, torch.ones(160), 20)
    flat = torch.full((VOXELS, LAYERS), 1 / LAYERS)
    astray = Selection(torch.zeros(VOXELS, 2), flat, torch.full((VOXELS,), 0.5))
    alone = coordinates * 1e3  # so far apart that none tells for another
    together, penalties = select_patches(seen, coordinates, coordinates, astray, progress=False)
    apart, _ = select_patches(seen, alone, alone, astray, progress=False)
    trained, _ = select_patches(seen, alone, alone, astray._replace(space=space), progress=False)

    def error(selection):
        return float((selection.space - space).square().sum(dim=1).mean())

    assert error(together) < error(apart)
    assert error(trained) < error(apart)
    assert together.size.min() > 0.2
    assert float(penalties.sum()) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(together.layer.sum(dim=1), torch.ones(VOXELS))


def test_the_score_is_of_validation_images_that_channels_were_not_learnt_from():
    tokens, responses, _, space = planted(120, 0.3, noise=1.0)
    seen = Seen(tokens, responses, torch.ones(120), 30)
    flat = torch.full((VOXELS, LAYERS), 1 / LAYERS)
    selection = widened(Selection(space, flat, torch.full((VOXELS,), 0.3)), *GRID)
    torch.testing.assert_close(selection.size, torch.full((VOXELS,), 1 / 3))
    score = seen.solve(selection, FLAT, progress=False).score
    shuffled = responses.clone()
    shuffled[90:] = shuffled[90:][torch.randperm(30, generator=torch.Generator().manual_seed(0))]
    assert score.mean() > 0.3
    assert seen._replace(responses=shuffled).solve(selection, FLAT, progress=False).score.mean() < 0.1
    some = seen.of(torch.tensor([7, 3])).solve(selection.map(lambda part: part[[7, 3]]), FLAT, progress=False)
    torch.testing.assert_close(some.score, score[[7, 3]])


def sides(tokens, responses, count):
    def side(rows):
        def read(chosen):
            return Tokens(*(tuple(layer[rows[chosen]] for layer in kind) for kind in (tokens.local, tokens.global_)))

        return Examples(read, responses[rows])

    return side(torch.arange(count)), side(torch.arange(count, len(responses)))


@pytest.mark.parametrize("topology", [True, False])
def test_few_images_are_read_by_patches_with_sizes_on_the_cortex(topology):
    tokens, responses, coordinates, space = planted(140, 0.5, noise=1.0)
    training, validation = sides(tokens, responses, 110)
    bounds = torch.stack([coordinates.amin(dim=0), coordinates.amax(dim=0)])
    settings = fit_settings(steps=5, topology=topology)
    model, history, *_ = train_model(settings, training, validation, coordinates, bounds, progress=False)
    selection = model.cpu().select()
    if not topology:  # no voxel may learn from its neighbours
        assert selection.size is None
        return
    assert selection.size.min() >= 0.2
    with torch.no_grad():
        fresh = photographs(300, seed=9)
        pool = gaussian_pool(space, torch.full((VOXELS,), 0.5), *GRID)
        predicted, read = model(fresh), torch.einsum("nkp,ip->nik", fresh.local[1].flatten(2), pool)
    assert predicted.shape == read.shape[:2]
    assert np.corrcoef(selection.space[:, 0], space[:, 0])[0, 1] > 0.9
    assert history.solved_r2 > 0.3


def test_patches_are_asked_for_where_images_are_few_and_enough_of_them_judge():
    assert may_judge(images=700, judged=70, voxels=20_000, components=3_000, positions=64)
    assert not may_judge(images=32, judged=3, voxels=20, components=100, positions=9)
    assert not may_judge(images=9_000, judged=900, voxels=20, components=100, positions=9)
    assert not may_judge(images=1_400, judged=140, voxels=40_000, components=6_144, positions=256)


def test_many_voxels_share_what_those_around_them_select():
    coordinates = torch.rand(500, 3, generator=torch.Generator().manual_seed(4)) * 50
    own = Selection(coordinates[:, :2] / 50, torch.full((500, 2), 0.5), coordinates[:, 2] / 50, torch.ones(500))
    assert share_nearby(own, coordinates, images=100) is own
    shared = share_nearby(own, coordinates, images=1_000)
    table = torch.cat([shared.space, shared.scale[:, None]], dim=1)
    assert len(table.unique(dim=0)) <= 100
    assert (50 * table - coordinates).norm(dim=1).max() < 25
    torch.testing.assert_close(shared.space.mean(dim=0), own.space.mean(dim=0))
    fewer = share_nearby(own, coordinates, images=800, parts=2).scale
    assert len(fewer.unique()) < len(share_nearby(own, coordinates, images=800).scale.unique())


def test_whether_voxels_read_patches_is_decided_once(tmp_path):
    """Responses that are simulated by a fit are read as it read: by points, however well patches predict them."""
    tokens, responses, coordinates, _ = planted(140, 0.5, noise=1.0)
    bounds = torch.stack([coordinates.amin(dim=0), coordinates.amax(dim=0)])

    def sizes(checkpoint):
        trained = train_model(
            fit_settings(steps=5), *sides(tokens, responses, 110), coordinates, bounds, progress=False,
            checkpoint=checkpoint,
        )  # fmt: skip
        return trained.model.select().size

    first = Checkpoint(tmp_path / "first", "fit")
    assert sizes(first) is not None
    assert first.load(PATCHES).facts == {"read": True}
    second = Checkpoint(tmp_path / "second", "fit")
    second.save(PATCHES, Part({}, {"read": False}))
    assert sizes(second) is None
