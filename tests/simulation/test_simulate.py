"""The simulated subject against formulas written here, from what its truth says was planted."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from factortopy.cortex import load_surface
from factortopy.errors import DataError, ShapeError
from factortopy.simulation import simulate_subject
from factortopy.subjects import load_subject_folder

GRID = 6


@dataclass
class FakeTokens:
    local: tuple
    global_: tuple


class FakeStore:
    """Random tokens of a network with layers of unequal width, scale and offset."""

    network = "fake"
    layers = ("first", "second", "third")
    channels = (5, 9, 4)
    grid = (GRID, GRID)

    def __init__(self, images, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.image_ids = tuple(f"image{number}" for number in range(images))
        self.parts = FakeTokens(
            tuple((torch.randn(images, c, GRID, GRID, generator=generator) * 3 + 40).half() for c in self.channels),
            tuple((torch.randn(images, c, generator=generator) * 0.2 - 7).half() for c in self.channels),
        )

    def read(self, indices=None):
        rows = slice(None) if indices is None else list(indices)
        return FakeTokens(tuple(p[rows] for p in self.parts.local), tuple(p[rows] for p in self.parts.global_))


@pytest.fixture(scope="module")
def store():
    return FakeStore(200)


@pytest.fixture(scope="module")
def subject(store):
    return simulate_subject(store, seed=3, progress=False)


def test_signal_equals_the_formula_in_loops(store, subject):
    truth = subject.truth
    for voxel in (0, 700, 1500, len(subject.voxels) - 1):
        x, y = truth.space[voxel]
        for image in (0, 199):
            total = truth.offset[voxel]
            for layer in range(3):
                near = truth.local_projections[layer]
                far = truth.global_projections[layer]
                place = torch.tensor([[[[x, y]]]])
                token = torch.nn.functional.grid_sample(
                    store.parts.local[layer][image : image + 1].float(), place, align_corners=False
                ).flatten()
                local = near.weight @ token.numpy() + near.bias
                whole = far.weight @ store.parts.global_[layer][image].float().numpy() + far.bias
                mixed = (1 - truth.scale[voxel]) * local + truth.scale[voxel] * whole
                total += truth.layer[voxel, layer] * mixed @ truth.channel_weights[voxel]
            assert truth.signal[image, voxel] == pytest.approx(total, abs=2e-4)


def test_planted_channels_have_mean_zero_and_variance_one(store, subject):
    for layer in range(3):
        near, far = subject.truth.local_projections[layer], subject.truth.global_projections[layer]
        local = np.einsum("kc,bchw->bkhw", near.weight, store.parts.local[layer].double().numpy())
        local += near.bias[:, None, None]
        whole = store.parts.global_[layer].double().numpy() @ far.weight.T + far.bias
        np.testing.assert_allclose(local.mean((0, 2, 3)), 0, atol=1e-3)
        np.testing.assert_allclose(local.var((0, 2, 3)), 1, atol=1e-3)
        np.testing.assert_allclose(whole.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(whole.var(0), 1, atol=1e-3)


def test_noise_ceiling_is_the_share_of_variance_that_is_signal():
    subject = simulate_subject(FakeStore(1_200), progress=False)
    signal = subject.truth.signal
    np.testing.assert_allclose(signal.var(axis=0), subject.noise_ceiling, rtol=1e-3)
    np.testing.assert_allclose(subject.responses.var(axis=0), 1, atol=0.2)
    explained = 1 - ((subject.responses - signal) ** 2).sum(0) / subject.responses.var(0) / len(signal)
    np.testing.assert_allclose(explained, subject.noise_ceiling, atol=0.12)
    assert np.mean(explained - subject.noise_ceiling) == pytest.approx(0, abs=4e-3)
    noise = subject.responses - signal
    assert abs(np.mean(noise[:, :-1] * noise[:, 1:])) < 2e-3  # independent between neighbours


def test_selectors_and_shares_are_weights(subject):
    truth = subject.truth
    np.testing.assert_allclose(truth.layer.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(truth.layer_share.sum(axis=1), 1, atol=1e-4)
    assert truth.layer.min() >= 0
    for chosen in (truth.scale, truth.depth):
        assert 0 <= chosen.min() < 0.15
        assert 0.75 < chosen.max() <= 1
    # Independent random channels: the share follows the squared weight, up to chance correlations between
    # the few channels of these layers (the exact shares are tested below).
    layers = np.arange(3)
    assert np.corrcoef(truth.layer_share @ layers, truth.layer @ layers)[0, 1] > 0.8
    assert np.corrcoef(truth.scale_share, truth.scale)[0, 1] > 0.9


def test_shares_equal_a_direct_computation(store, subject):
    truth, voxel = subject.truth, 1200
    x, y = truth.space[voxel]
    parts = np.zeros((2, 3, len(store.image_ids)))
    for layer in range(3):
        near, far = truth.local_projections[layer], truth.global_projections[layer]
        place = torch.tensor([[[[x, y]]]]).expand(len(store.image_ids), -1, -1, -1)
        token = torch.nn.functional.grid_sample(store.parts.local[layer].float(), place, align_corners=False)
        local = token[..., 0, 0].numpy() @ near.weight.T + near.bias
        whole = store.parts.global_[layer].float().numpy() @ far.weight.T + far.bias
        weights = truth.channel_weights[voxel] * truth.layer[voxel, layer]
        parts[0, layer] = (1 - truth.scale[voxel]) * local @ weights
        parts[1, layer] = truth.scale[voxel] * whole @ weights
    signal = parts.sum((0, 1))
    share = np.array([[np.cov(part, signal)[0, 1] for part in kind] for kind in parts]) / signal.var(ddof=1)
    np.testing.assert_allclose(truth.layer_share[voxel], share.sum(0), atol=1e-3)
    assert truth.scale_share[voxel] == pytest.approx(share[1].sum(), abs=1e-3)


def test_space_is_contralateral_and_covers_the_image(subject):
    x, y = subject.truth.space.T
    left = subject.voxels.hemisphere == "left"
    assert np.all(x[left] >= 0)
    assert np.all(x[~left] <= 0)
    for axis in (x, y):
        assert axis.min() < -0.6
        assert axis.max() > 0.6
        assert np.abs(axis).max() <= 0.8
    surface = load_surface()
    for name in ("left", "right"):
        half, here = surface.hemisphere(name), subject.voxels.hemisphere == name
        points = half.midthickness[subject.voxels.vertex[here]]
        height = points[:, 2]
        assert np.median(y[here][height > 20]) > 0.2  # dorsal: lower field, y down
        assert np.median(y[here][height < -10]) < -0.2  # ventral: upper field
        eccentricity = np.hypot(x, y)[here]
        straight = np.linalg.norm(points - points[eccentricity.argmin()], axis=1)
        assert np.corrcoef(eccentricity, straight)[0, 1] > 0.8


def test_depth_follows_the_hierarchy_of_the_paper(subject):
    depth = {name: subject.truth.depth[mask].mean() for name, mask in subject.voxels.rois.items()}
    assert depth["V1"] < depth["V2V3"] < depth["V4"] < depth["OPA"] < min(depth["EBA"], depth["FFA"], depth["PPA"])
    ideal = {"V1": 0, "V2V3": 0.33, "OPA": 0.66, "EBA": 1}
    level = np.concatenate([np.full(subject.voxels.rois[name].sum(), value) for name, value in ideal.items()])
    found = np.concatenate([subject.truth.depth[subject.voxels.rois[name]] for name in ideal])
    assert 0.8 < np.polyfit(level, found, 1)[0] < 1.0
    scale = {name: subject.truth.scale[mask].mean() for name, mask in subject.voxels.rois.items()}
    assert scale["V1"] < 0.15
    assert max(scale["FFA"], scale["PPA"]) > 0.65


def test_hemispheres_mirror_each_other(subject):
    left = subject.voxels.hemisphere == "left"
    for name, mask in subject.voxels.rois.items():
        for planted in (subject.truth.depth, subject.truth.scale, subject.noise_ceiling):
            assert planted[mask & left].mean() == pytest.approx(planted[mask & ~left].mean(), abs=0.1), name
        ours, theirs = (subject.truth.space[mask & side].mean(0) for side in (left, ~left))
        np.testing.assert_allclose(ours * [-1, 1], theirs, atol=0.25)


def test_maps_are_smooth_along_the_cortex(subject):
    truth, half = subject.truth, load_surface().left
    here = np.flatnonzero(subject.voxels.hemisphere == "left")
    voxel = np.full(half.vertices, -1)
    voxel[subject.voxels.vertex[here]] = here
    edges = voxel[half.edges]
    edges = edges[(edges >= 0).all(axis=1)]
    shuffled = np.random.default_rng(0).permutation(here)[:, None]
    pairs = np.concatenate([shuffled, np.roll(shuffled, 1)], axis=1)
    maps = [truth.space, truth.depth[:, None], truth.scale[:, None], truth.noise_ceiling[:, None]]
    maps.append(truth.channel_weights / np.linalg.norm(truth.channel_weights, axis=1, keepdims=True))
    for number, planted in enumerate(maps):
        along, random = (np.linalg.norm(planted[p[:, 0]] - planted[p[:, 1]], axis=1).mean() for p in (edges, pairs))
        assert along < 0.45 * random, number


def test_seed_decides_and_nothing_given_is_changed(store, subject):
    before = [part.clone() for part in (*store.parts.local, *store.parts.global_)]
    again = simulate_subject(store, seed=3, progress=False)
    other = simulate_subject(store, seed=4, progress=False)
    np.testing.assert_array_equal(again.responses, subject.responses)
    assert not np.allclose(other.truth.signal, subject.truth.signal, atol=0.1)
    for was, part in zip(before, (*store.parts.local, *store.parts.global_), strict=True):
        assert torch.equal(was, part)


def test_given_ceiling_and_errors(store):
    voxels = len(simulate_subject(FakeStore(20), progress=False).voxels)
    subject = simulate_subject(store, noise_ceiling=np.full(voxels, 0.25), progress=False)
    np.testing.assert_allclose(subject.truth.signal.var(axis=0), 0.25, rtol=1e-3)
    with pytest.raises(ShapeError, match="one R\\^2 a voxel"):
        simulate_subject(store, noise_ceiling=np.full(7, 0.25), progress=False)
    with pytest.raises(DataError, match="divide percentages"):
        simulate_subject(store, noise_ceiling=np.full(voxels, 25.0), progress=False)
    with pytest.raises(DataError, match="increasing"):
        simulate_subject(store, ceiling_range=(0.9, 0.1), progress=False)
    with pytest.raises(DataError, match="layer_width"):
        simulate_subject(store, layer_width=0, progress=False)
    with pytest.raises(DataError, match="at least two"):
        simulate_subject(FakeStore(1), progress=False)
    same = FakeStore(20)
    same.parts = FakeTokens(
        *(tuple(torch.ones_like(p) for p in kind) for kind in (same.parts.local, same.parts.global_))
    )
    with pytest.raises(DataError, match="do not differ"):
        simulate_subject(same, progress=False)


def test_survives_the_disk_and_says_it_is_simulated(subject, tmp_path):
    loaded = load_subject_folder(subject.save(tmp_path / "subject"))
    assert loaded.simulated
    assert loaded.provenance["kind"] == "simulated"
    assert loaded.image_ids == subject.image_ids
    assert list(loaded.voxels.rois) == list(subject.voxels.rois)
    np.testing.assert_array_equal(loaded.responses, subject.responses)
    np.testing.assert_array_equal(loaded.voxels.hemisphere, subject.voxels.hemisphere)
    np.testing.assert_array_equal(loaded.truth.layer_share, subject.truth.layer_share)
    np.testing.assert_array_equal(loaded.truth.global_projections[2].weight, subject.truth.global_projections[2].weight)
    some = loaded.select(loaded.voxels.rois["FFA"])
    np.testing.assert_array_equal(some.truth.signal, subject.truth.signal[:, subject.voxels.rois["FFA"]])
    np.testing.assert_array_equal(some.voxels.bounds, subject.voxels.bounds)
