"""Kinds of simulated subjects against formulas written here."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, eye_array
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve

from factortopy.cortex import load_surface
from factortopy.errors import DataError, ShapeError, UnknownNameError
from factortopy.images import split_images
from factortopy.simulation import Planted, simulate_subject
from factortopy.subjects import load_subject_folder, repeat_variance

GRID, LAYERS, IMAGES = 3, 6, 40


class Parts:
    def __init__(self, local, global_):
        self.local, self.global_ = local, global_


class SmallStore:
    """Random tokens of a network of six narrow layers."""

    network, grid = "fake", (GRID, GRID)
    layers, channels = tuple(f"layer{number}" for number in range(LAYERS)), (4,) * LAYERS

    def __init__(self, images=IMAGES, layers=LAYERS):
        draw = torch.Generator().manual_seed(0)
        self.layers, self.channels = self.layers[:layers], self.channels[:layers]
        self.image_ids = tuple(f"image{number}" for number in range(images))
        self.local = [torch.randn(images, 4, GRID, GRID, generator=draw) for _ in self.layers]
        self.global_ = [torch.randn(images, 4, generator=draw) for _ in self.layers]

    def read(self, rows):
        rows = list(rows)
        return Parts(tuple(p[rows] for p in self.local), tuple(p[rows] for p in self.global_))


@pytest.fixture(scope="module")
def store():
    return SmallStore()


def simulate(store, **changes):
    return simulate_subject(store, progress=False, planted_channels=3, **changes)


def linear_parts(store, truth):
    """Parts of the linear signal by kind, layer, image and voxel, from the tokens themselves."""
    place = torch.from_numpy(truth.space)[None, None].expand(len(store.image_ids), -1, -1, -1)
    parts = []
    for layer in range(len(store.layers)):
        near, far = truth.local_projections[layer], truth.global_projections[layer]
        # Outside the grid there is nothing: the channels are 0 there, not the tokens.
        channels = torch.einsum("kc,nchw->nkhw", torch.from_numpy(near.weight), store.local[layer])
        channels += torch.from_numpy(near.bias)[:, None, None]
        local = torch.nn.functional.grid_sample(channels, place, align_corners=False)[:, :, 0].numpy()
        whole = store.global_[layer].numpy() @ far.weight.T + far.bias
        local, whole = (np.einsum("nkv,vk->nv", local, truth.channel_weights), whole @ truth.channel_weights.T)
        parts.append([(1 - truth.scale) * truth.layer[:, layer] * local, truth.scale * truth.layer[:, layer] * whole])
    return np.array(parts).transpose(1, 0, 2, 3)


def shares(parts, signal):
    """Share of every layer and of global tokens, by their definition."""
    centred = signal - signal.mean(0)
    share = np.einsum("klnv,nv->klv", parts, centred) / np.square(centred).sum(0)
    return share.sum(0).T, share[1].sum(0)


def edges_of(subject):
    """Pairs of neighbouring voxels of the left hemisphere."""
    half, here = load_surface().left, np.flatnonzero(subject.voxels.hemisphere == "left")
    voxel = np.full(half.vertices, -1)
    voxel[subject.voxels.vertex[here]] = here
    edges = voxel[half.edges]
    return edges[(edges >= 0).all(axis=1)]


@pytest.mark.parametrize("changes", [{"mixture": "two"}, {"mixture": "one"}, {"areas": "sharp"}])
def test_signal_and_shares_of_every_linear_kind_equal_the_formula(store, changes):
    truth = simulate(store, **changes).truth
    parts = linear_parts(store, truth)
    np.testing.assert_allclose(truth.signal, parts.sum((0, 1)) + truth.offset, atol=2e-4)
    layer, scale = shares(parts, truth.signal)
    np.testing.assert_allclose(truth.layer_share, layer, atol=2e-3)
    np.testing.assert_allclose(truth.scale_share, scale, atol=2e-3)


def test_one_layer_has_all_of_the_signal(store):
    truth = simulate(store, mixture="one").truth
    assert set(np.unique(truth.layer)) == {0, 1}
    np.testing.assert_allclose(truth.layer_share, truth.layer, atol=1e-5)
    assert np.abs(truth.depth - simulate(store).truth.depth).max() <= 0.5 / (LAYERS - 1) + 1e-6


def test_two_layers_lie_half_the_network_apart(store):
    truth = simulate(store, mixture="two").truth
    places = [np.flatnonzero(row) for row in truth.layer]
    assert {int(b - a) for a, b in places} == {LAYERS // 2}
    np.testing.assert_allclose(np.sort(truth.layer, axis=1)[:, -2:], [[1 / 3, 2 / 3]] * len(places), rtol=1e-6)
    single = simulate(store, mixture="one").truth
    assert (truth.layer.argmax(1) == single.layer.argmax(1)).all()
    np.testing.assert_allclose(truth.depth, truth.layer @ np.arange(LAYERS) / (LAYERS - 1), atol=1e-6)


def test_sharp_areas_have_the_level_of_the_nearest_region_and_jump_at_borders(store):
    smooth, sharp = simulate(store), simulate(store, areas="sharp")
    levels = {"V1": 0.0, "V2V3": 0.33, "V4": 0.5, "OPA": 0.66, "EBA": 1.0, "FFA": 1.0, "PPA": 1.0}
    for name, level in levels.items():
        np.testing.assert_allclose(sharp.truth.depth[sharp.voxels.rois[name]], level, atol=1e-6)
    half = load_surface().left
    here = np.flatnonzero(sharp.voxels.hemisphere == "left")
    distance = [
        dijkstra(
            half.distance_graph,
            directed=False,
            indices=sharp.voxels.vertex[here][sharp.voxels.rois[name][here]],
            min_only=True,
        )
        for name in levels
    ]
    nearest = np.argmin(np.array(distance)[:, sharp.voxels.vertex[here]], axis=0)
    np.testing.assert_allclose(sharp.truth.depth[here], np.array(list(levels.values()))[nearest], atol=1e-6)
    edges = edges_of(sharp)
    border = sharp.truth.depth[edges[:, 0]] != sharp.truth.depth[edges[:, 1]]
    step = [np.abs(np.diff(s.truth.depth[edges], axis=1)).max() for s in (smooth, sharp)]
    assert step[1] > 0.3 > step[0]
    unit = sharp.truth.channel_weights / np.linalg.norm(sharp.truth.channel_weights, axis=1, keepdims=True)
    alike = (unit[edges[:, 0]] * unit[edges[:, 1]]).sum(1)
    assert alike[~border].mean() > 0.75
    assert alike[border].mean() < 0.5
    np.testing.assert_array_equal(smooth.truth.space, sharp.truth.space)


def test_divisive_normalisation_equals_the_formula_and_leaves_the_model_class(store):
    subject = simulate(store, normalisation=0.5)
    truth = subject.truth
    parts = linear_parts(store, truth)
    parts -= parts.mean(axis=2, keepdims=True)
    drive = parts.sum((0, 1))
    pooled = np.empty_like(drive)
    for side in ("left", "right"):
        here = np.flatnonzero(subject.voxels.hemisphere == side)
        half = load_surface().hemisphere(side)
        voxel = np.full(half.vertices, -1)
        voxel[subject.voxels.vertex[here]] = np.arange(len(here))
        pairs = voxel[half.edges]
        pairs = pairs[(pairs >= 0).all(1)]
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        linked = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(here),) * 2).tocsc()
        degree = linked.sum(axis=0)
        operator = eye_array(len(here), format="csc") * (1 + 8 * degree) - 8 * linked
        energy = np.square(drive[:, here] / drive[:, here].std(0))
        pooled[:, here] = spsolve(operator.tocsc(), energy.T).T
    divided = parts / np.sqrt(0.25 + pooled)
    divided -= divided.mean(axis=2, keepdims=True)
    np.testing.assert_allclose(truth.signal, divided.sum((0, 1)), atol=2e-3)
    np.testing.assert_allclose(truth.signal.var(0), truth.noise_ceiling, rtol=1e-3)
    layer, scale = shares(divided, truth.signal)
    np.testing.assert_allclose(truth.layer_share, layer, atol=5e-3)
    np.testing.assert_allclose(truth.scale_share, scale, atol=5e-3)
    np.testing.assert_allclose(truth.layer_share.sum(1), 1, atol=1e-4)
    linear = [np.corrcoef(drive[:, v], truth.signal[:, v])[0, 1] ** 2 for v in range(len(subject.voxels))]
    assert 0.6 < np.mean(linear) < 0.97


def test_averaged_rows_are_the_means_of_the_single_trials(store):
    trials = simulate(store, repeats=3, single_trials=True, noise_ceiling=0.2)
    averaged = simulate(store, repeats=3, noise_ceiling=0.2)
    assert trials.image_ids == store.image_ids * 3
    np.testing.assert_allclose(trials.responses.reshape(3, IMAGES, -1).mean(0), averaged.responses, atol=1e-5)
    np.testing.assert_array_equal(averaged.repeats, np.full(IMAGES, 3))
    np.testing.assert_allclose(trials.noise_ceiling, 0.2, rtol=1e-6)
    # S / (S + N / 3) for S / (S + N) = 0.2
    np.testing.assert_allclose(averaged.noise_ceiling, 0.2 / (0.2 + 0.8 / 3), rtol=1e-6)
    np.testing.assert_array_equal(trials.truth.signal[IMAGES : 2 * IMAGES], averaged.truth.signal)
    estimated = repeat_variance(trials.responses, trials.image_ids)
    assert np.mean(estimated.ceiling((1,))) == pytest.approx(0.2, abs=0.02)
    assert np.mean(estimated.ceiling((0, 0, 1))) == pytest.approx(0.43, abs=0.03)
    split = split_images(trials.distinct_image_ids, seed=0)
    assert sum(len(side) for side in split.to_dict().values()) == IMAGES


def test_measured_ceilings_are_dealt_out_by_rank(store):
    sample = np.random.default_rng(0).beta(1, 4, 5_000).clip(1e-3)
    subject = simulate(store, ceiling_sample=sample)
    found = np.sort(subject.noise_ceiling)
    np.testing.assert_allclose([found.mean(), np.median(found)], [sample.mean(), np.median(sample)], rtol=0.01)
    usual = simulate(store)
    order = np.argsort(usual.noise_ceiling)  # falls with the distance from the occipital pole
    assert (np.diff(subject.noise_ceiling[order]) >= 0).mean() > 0.999


def test_profile_of_measured_scores_is_planted(store):
    profile = {"V1": [3, 1, 0, 0, 0, 0], "EBA": [0, 0, 0, 0, 1, 1], "FFA": [0, 0, 2]}
    sharp = simulate(store, profile=profile, areas="sharp").truth
    rois = simulate(store).voxels.rois
    np.testing.assert_allclose(sharp.layer[rois["V1"]], [[0.75, 0.25, 0, 0, 0, 0]] * rois["V1"].sum())
    # Three layers read at six depths: 0, 0, 0, 0.4, 1.2, 2, which sum to 3.6.
    np.testing.assert_allclose(sharp.layer[rois["FFA"]][0] * 3.6, [0, 0, 0, 0.4, 1.2, 2], atol=1e-6)
    smooth = simulate(store, profile=profile).truth
    np.testing.assert_allclose(smooth.layer.sum(1), 1, rtol=1e-6)
    assert np.abs(smooth.layer[rois["V1"]].mean(0) - [0.75, 0.25, 0, 0, 0, 0]).max() < 0.1
    np.testing.assert_allclose(smooth.depth, smooth.layer @ np.linspace(0, 1, LAYERS), atol=1e-6)


def test_another_network_gives_its_own_layers_for_the_same_images(store):
    other = simulate(SmallStore(layers=2))
    assert other.image_ids == simulate(store).image_ids
    assert other.truth.layer.shape == (len(other.voxels), 2)
    np.testing.assert_array_equal(other.truth.depth, simulate(store).truth.depth)


def test_settings_are_kept_and_say_what_was_planted(store, tmp_path):
    settings = Planted(mixture="two", areas="sharp", repeats=2, single_trials=True, noise_ceiling=0.4)
    subject = simulate_subject(store, settings, seed=5, planted_channels=3, progress=False)
    facts = json.loads(json.dumps(subject.provenance))
    expected = {
        "mixture": "two", "areas": "sharp", "repeats": 2, "single_trials": True, "noise_ceiling": 0.4,
        "planted_channels": 3, "normalisation": None, "seed": 5, "layers": list(store.layers),
    }  # fmt: skip
    assert {name: facts[name] for name in expected} == expected
    loaded = load_subject_folder(subject.save(tmp_path / "subject"))
    assert loaded.single_trials
    assert loaded.provenance["areas"] == "sharp"
    np.testing.assert_array_equal(loaded.truth.signal, subject.truth.signal)
    profile = simulate(store, profile={"V1": np.array([1, 2])}, ceiling_sample=np.array([0.2, 0.3]))
    facts = json.loads(json.dumps(profile.provenance))
    assert facts["profile"] == {"V1": [1, 2]}
    assert "2 measured" in facts["ceiling_sample"]


def test_numbers_of_numpy_are_planted_and_saved_as_pythons_own(store, tmp_path):
    own = {"planted_channels": 3, "repeats": 2, "seed": 4, "layer_width": 1.5, "normalisation": 0.5}
    own |= {"ceiling_range": [0.25, 0.5], "single_trials": True}
    kinds = {int: np.int64, float: np.float32, list: np.float32, bool: np.bool_}
    given = {name: kinds[type(value)](value) for name, value in own.items()}
    subject = simulate_subject(store, **given, progress=False)
    plain = simulate_subject(store, **own, progress=False)
    np.testing.assert_array_equal(subject.responses, plain.responses)
    loaded = load_subject_folder(subject.save(tmp_path / "subject"))
    assert {name: loaded.provenance[name] for name in own} == own
    assert loaded.truth.seed == 4


def test_ceilings_may_be_lists(store):
    voxels = len(simulate(store).voxels)
    each = [0.25, *[0.5] * (voxels - 1)]
    np.testing.assert_array_equal(simulate(store, noise_ceiling=each).noise_ceiling, np.float32(each))
    sampled = simulate(store, ceiling_sample=[0.25, 0.5])
    ranks = (np.arange(voxels) + 0.5) / voxels
    np.testing.assert_allclose(np.sort(sampled.noise_ceiling), 0.25 + 0.25 * ranks, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mixture": "three"}, "bump, one, two"),
        ({"areas": "smoth"}, "did you mean 'smooth'"),
        ({"mixtur": "two"}, "did you mean 'mixture'"),
        ({"profile": {"V9": [1]}}, "unknown region 'V9'"),
        ({"profile": {"V1": [0, 0]}}, "profile of V1"),
        ({"profile": {}}, "names no region"),
        ({"profile": {"V1": [1]}, "mixture": "two"}, "not both"),
        ({"normalisation": 0}, "normalisation must be positive"),
        ({"repeats": 0}, "repeats must be positive"),
        ({"repeats": 2.5}, "repeats must be a whole number, got 2.5"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"ceiling_sample": np.array([0.2, np.nan])}, "leave out 0 and NaN"),
        ({"ceiling_sample": np.array([0.2]), "noise_ceiling": 0.2}, "not both"),
    ],
)
def test_what_cannot_be_planted_is_refused_in_one_line(store, changes, words):
    with pytest.raises((DataError, UnknownNameError), match=words) as error:
        simulate(store, **changes)
    assert "\n" not in str(error.value)


def test_ceiling_of_another_number_of_voxels_is_refused(store):
    with pytest.raises(ShapeError, match="one R\\^2 a voxel"):
        simulate(store, noise_ceiling=np.full(3, 0.2))


def test_the_page_names_every_setting():
    page = Path(__file__).parents[2] / "docs" / "simulation.md"
    if not page.is_file():
        pytest.skip("the pages do not lie beside the tests (an sdist)")
    text = page.read_text(encoding="utf-8")
    for item in fields(Planted):
        assert f"`{item.name}" in text or f" {item.name}=" in text, item.name
