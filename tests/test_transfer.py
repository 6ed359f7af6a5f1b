"""Fits that start from other mappings: better with few images, no worse from a donor that knows nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from typer.testing import CliRunner

import factortopy as ft
from factortopy.analysis import r_squared
from factortopy.cli import app
from factortopy.errors import DataError
from factortopy.fitting import fit_settings, transfer
from factortopy.fitting.build import join_aligns
from factortopy.images import Split
from factortopy.mapping import Mapping, load_model
from factortopy.model import ChannelAlign, ChannelMap, Selection, gaussian_pool, reading_matrix
from factortopy.networks import Tokens
from factortopy.subjects import load_arrays
from factortopy.workflow import fit, fit_model
from factortopy.workflow.start import donor_at

SIDE, IMAGES, CHANNELS, NOISE = 12, 260, 4, 1.4
VOXELS = SIDE**2
SMALL = {"width": 8, "components": 24, "steps": 30, "hold_steps": 5, "warmup_steps": 5, "validate_every": 15}
SMALL |= {"patches": False}  # points and smooth selectors, for all that is compared
SPLIT = {"train": (0, 40), "validation": (40, 60), "test": (160, 260)}
MANY = {"train": (0, 130), "validation": (130, 160), "test": (160, 260)}


@pytest.fixture(scope="module", autouse=True)
def short_departures():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transfer, "STEPS", (10, 20))
        yield


@pytest.fixture(scope="module")
def tokens(tokens_of_noise):
    return tokens_of_noise(IMAGES, (4, 4))


def split_of(tokens, sides=SPLIT):
    return Split(**{side: tokens.image_ids[slice(*ends)] for side, ends in sides.items()})


def selection(tokens, seed):
    """Places, layers and scales that vary smoothly over a square of voxels; seeds differ by a little."""
    y, x = (part.ravel() / (SIDE - 1) for part in np.mgrid[:SIDE, :SIDE])
    away = 0.1 * np.sin(2 * np.pi * (x + 0.3 * seed)) * (seed > 0)
    space = np.stack([1.6 * x - 0.8 + away, 1.6 * y - 0.8 - away], axis=1)
    depth = (0.8 * y + 0.1 + away) * (len(tokens.layers) - 1)
    layer = np.exp(-2 * np.square(np.arange(len(tokens.layers)) - depth[:, None]))
    parts = space, layer / layer.sum(axis=1, keepdims=True), 0.2 + 0.3 * x
    return Selection(*(torch.from_numpy(np.asarray(part)).float() for part in parts))


def subject_of(tokens, seed, name, chosen=None, surface="fsaverage5"):
    """Responses that read a few channels, the same for all subjects, with weights of their own."""
    chosen = selection(tokens, seed) if chosen is None else chosen
    shared, random = np.random.default_rng(0), np.random.default_rng(10 + seed)
    seen, blocks = tokens.read(range(IMAGES)), []
    for local, whole in zip(seen.local, seen.global_, strict=True):
        layer = torch.cat([local.float().flatten(2), whole.float()[..., None]], dim=2)
        layer = (layer - layer.mean(dim=(0, 2), keepdim=True)) / layer.std(dim=(0, 2), keepdim=True)
        blocks.append(
            torch.einsum("ncp,ck->npk", layer, torch.from_numpy(shared.normal(size=(layer.shape[1], CHANNELS))).float())
        )
    y, x = (part.ravel() / SIDE for part in np.mgrid[:SIDE, :SIDE])
    phase = random.normal(size=(CHANNELS, 3))
    weights = np.sin(3 * (np.outer(x, phase[:, 0]) + np.outer(y, phase[:, 1])) + 6 * phase[:, 2])
    read = torch.einsum("vlp,lnpk->vnk", reading_matrix(chosen, *tokens.grid), torch.stack(blocks))
    signal = torch.einsum("vnk,vk->nv", read, torch.from_numpy(weights).float()).numpy()
    responses = signal / signal.std(axis=0) + NOISE * random.normal(size=signal.shape)
    rows, columns = np.divmod(np.arange(VOXELS), SIDE)
    return load_arrays(
        responses.astype(np.float32),
        tokens.image_ids,
        np.stack([3.0 * columns, 3.0 * rows, 0 * rows], axis=1),
        hemisphere=np.full(VOXELS, "left"),
        vertex=np.arange(VOXELS),
        surface=surface,
        name=name,
    )


def mapped(tokens, seed, name, chosen=None, told=True):
    """A donor's mapping, with the planted selection where it is told."""
    given = (selection(tokens, seed) if chosen is None else chosen) if told else None
    options = {"split": split_of(tokens, MANY), "bootstrap": 0, "yardstick": False, "progress": False}
    return fit_model(
        tokens, subject_of(tokens, seed, name, chosen), fit_settings(**SMALL), selection=given, **options
    ).mapping


@pytest.fixture(scope="module")
def donor(tokens):
    return mapped(tokens, 0, "donor")


@pytest.fixture(scope="module")
def subject(tokens):
    return subject_of(tokens, 1, "new")


def fitted(tokens, subject, start=(), sides=SPLIT):
    options = {"split": split_of(tokens, sides), "bootstrap": 0, "yardstick": False, "progress": False}
    return fit_model(tokens, subject, fit_settings(**SMALL), start=start, **options).mapping


@pytest.fixture(scope="module")
def scratch(tokens, subject):
    return fitted(tokens, subject)


@pytest.fixture(scope="module")
def started(tokens, subject, donor):
    return fitted(tokens, subject, [donor])


def off(mapping, tokens):
    """Root mean square of the distance to the planted places."""
    return float(
        (torch.from_numpy(mapping.dataset["space"].values) - selection(tokens, 1).space).square().mean().sqrt()
    )


def test_few_images_are_worth_more_with_a_start(tokens, scratch, started):
    assert started.dataset["r2"].mean() > scratch.dataset["r2"].mean() + 0.02
    assert off(started, tokens) < 0.6 * off(scratch, tokens)
    assert (started.dataset["trust"] > 0).mean() > 0.5


def test_a_donor_that_knows_nothing_is_not_trusted(tokens, subject, scratch):
    """Places mirrored, layers reversed, scales turned: with more images the fit from scratch stands, to the digit."""
    usual = selection(tokens, 0)
    wrong = Selection(-usual.space.flip(1), usual.layer.flip(1), 1 - usual.scale)
    chance = mapped(tokens, 0, "chance", wrong)
    alone, found = (fitted(tokens, subject, start, MANY) for start in ((), [chance]))
    assert found.provenance["start"]["voxels"] == {"from scratch": VOXELS}
    assert not found.dataset["trust"].any()
    np.testing.assert_array_equal(found.dataset["r2"], alone.dataset["r2"])


def test_a_fit_that_reads_patches_stands_as_it_is_where_its_start_is_not_trusted(tokens):
    """Voxels that read wide patches, and a donor of noise: the fit from scratch is the one without a start."""
    random = np.random.default_rng(5)
    y, x = (part.ravel() / (SIDE - 1) for part in np.mgrid[:SIDE, :SIDE])
    space = torch.from_numpy(np.stack([1.2 * x - 0.6, 1.2 * y - 0.6], axis=1)).float()
    layer = tokens.read(range(IMAGES)).local[-1].float().flatten(2)
    axes = torch.linalg.svd((layer - layer.mean(dim=0)).movedim(1, 2).flatten(0, 1), full_matrices=False).Vh[:12]
    read = torch.einsum("ncp,kc,vp->nvk", layer, axes, gaussian_pool(space, torch.full((VOXELS,), 0.5), 4, 4))
    read = (read - read.mean(dim=0)) / read.std(dim=0)
    signal = (read * torch.from_numpy(random.normal(size=(VOXELS, 12))).float()).sum(dim=2).numpy()
    responses = signal / signal.std(axis=0) + 1.2 * random.normal(size=signal.shape)
    like = subject_of(tokens, 1, "patches")
    subject = replace(like, responses=responses.astype(np.float32))
    noise = replace(like, name="noise", responses=random.normal(size=responses.shape).astype(np.float32))
    settings = fit_settings(**SMALL | {"patches": True})
    options = {"split": split_of(tokens, MANY), "bootstrap": 0, "yardstick": False, "progress": False}
    alone = fit_model(tokens, subject, settings, **options).mapping
    assert "size" in alone.dataset
    began = fit_model(tokens, subject, settings, start=[fitted(tokens, noise, sides=MANY)], **options).mapping
    assert (began.dataset["trust"] == 0).all()
    np.testing.assert_array_equal(began.dataset["r2"], alone.dataset["r2"])


def test_what_a_start_brought_is_kept_and_makes_the_same_predictions(tokens, subject, donor, started, tmp_path):
    again = Mapping.load(started.save(tmp_path / "mapping"))
    facts = again.provenance["start"]
    assert [(one["subject"], one["network"], len(one["sha256"])) for one in facts["donors"]] == [
        ("donor", tokens.network, 64)
    ]
    assert sum(facts["voxels"].values()) == VOXELS
    assert set(facts["validation_r2"]) == {transfer.DONOR, "after 10 steps", "after 20 steps", transfer.SCRATCH}
    other = donor.with_variables({"space": (("voxel", "axis"), donor.dataset["space"].values + 0.01)})
    assert ft.workflow.start.donor_facts([other]) != ft.workflow.start.donor_facts([donor])
    rows = [subject.image_ids.index(image) for image in split_of(tokens).test]
    train = [subject.image_ids.index(image) for image in split_of(tokens).train]
    with torch.no_grad():
        predicted = load_model(again)(tokens.read(rows)).numpy()
    mean, spread = subject.responses[train].mean(axis=0), subject.responses[train].std(axis=0)
    observed = (subject.responses[rows] - mean) / spread
    np.testing.assert_allclose(r_squared(observed, predicted), again.dataset["r2"], atol=2e-3)
    np.testing.assert_allclose(again.dataset["layer_share"].sum("layer"), 1, atol=1e-3)


def test_places_alone_carry_over_from_another_network_and_from_averages(tokens, subject, donor, scratch):
    """A mapping without parameters, of layers that the tokens have not: align and layers are new."""
    data = donor.dataset.isel(layer=slice(0, 3))
    foreign = Mapping(data.assign(layer=data["layer"] / data["layer"].sum("layer")))
    brought = donor_at([foreign], tokens, subject, fit_settings())
    assert brought.layer is None
    assert brought.aligns == ()
    found = fitted(tokens, subject, [foreign])
    assert found.dataset["r2"].mean() > scratch.dataset["r2"].mean() - 0.002
    assert found.dataset.sizes["layer"] == len(tokens.layers)


def test_several_donors_bring_their_mean(tokens, subject, donor):
    second = mapped(tokens, 2, "second")
    brought = donor_at([donor, second], tokens, subject, fit_settings())
    expected = (selection(tokens, 0).space + selection(tokens, 2).space) / 2
    torch.testing.assert_close(brought.space, expected)
    assert len(brought.aligns) == 2


def test_smooth_selectors_are_asked_where_the_new_voxels_lie(tokens, subject):
    donor = mapped(tokens, 0, "smooth", told=False)
    brought = donor_at([donor], tokens, subject, fit_settings())
    with torch.no_grad():
        own = load_model(donor).select()
    torch.testing.assert_close(brought.space, own.space)
    beside = load_arrays(
        subject.responses,
        subject.image_ids,
        subject.voxels.coordinates + np.array([0.15, 0, 0]),
        hemisphere=np.full(VOXELS, "left"),
        vertex=VOXELS + np.arange(VOXELS),
        surface="fsaverage5",
        name="beside",
    )
    there = donor_at([donor], tokens, beside, fit_settings()).space.reshape(SIDE, SIDE, 2)
    here = own.space.reshape(SIDE, SIDE, 2)
    # A twentieth of the way to the next voxel, and not that voxel's own place.
    assert 0 < (there - here).abs().mean() < 0.2 * (here[:, 1:] - here[:, :-1]).abs().mean()


def test_what_departures_ascend_is_scikit_learns_cross_validated_ridge():
    random = np.random.default_rng(0)
    positions, images, width = 3 * 5, 23, 4
    read = random.normal(size=(positions, images, width))
    responses = random.normal(size=(images, 2)) + read[[1, 7]].sum(axis=2).T
    responses -= responses.mean(axis=0)
    chosen = Selection(
        torch.tensor([[-0.5, -0.5], [0.2, 0.4]]), torch.tensor([[0.2, 0.5, 0.3]] * 2), torch.tensor([0.3, 0.6])
    )
    tensors = (torch.from_numpy(part).float() for part in (read, responses))
    room = transfer._Room(None, None, next(tensors), (2, 2), next(tensors), ridge=0.7)
    found = room.predict(chosen, torch.arange(2))
    weights = reading_matrix(chosen, 2, 2).flatten(1).numpy()
    for voxel in range(2):
        x = np.einsum("p,pnd->nd", weights[voxel], read)
        x -= x.mean(axis=0)
        penalty = 0.7 * np.trace(x.T @ x) / width
        folds = PredefinedSplit(np.arange(images) % 5)
        predicted = cross_val_predict(Ridge(penalty, fit_intercept=False), x, responses[:, voxel], cv=folds)
        expected = 1 - np.square(responses[:, voxel] - predicted).sum() / np.square(responses[:, voxel]).sum()
        assert float(found[voxel]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "paper"}, 'a start needs recipe="default"'),
        ({"fixed_scale": 0.5}, "no selector fixed"),
        ({"parcels": 0}, "with topology, parcels"),
    ],
)
def test_fits_that_cannot_start_from_others_say_so(tokens, subject, donor, change, words):
    with pytest.raises(DataError, match=words):
        fit(tokens, subject, start=donor, split=split_of(tokens), progress=False, **change)


def test_donors_elsewhere_are_refused(tokens, subject, donor):
    with pytest.raises(DataError, match="lies on fsaverage5, subject 'far' on fsaverage6"):
        donor_at([donor], tokens, subject_of(tokens, 1, "far", surface="fsaverage6"), fit_settings())
    moved = Mapping(donor.dataset.assign(coordinates=donor.dataset["coordinates"] + 2.0), provenance={})
    with pytest.raises(DataError, match="lie elsewhere"):
        donor_at([moved], tokens, subject, fit_settings())
    unplaced = load_arrays(subject.responses, subject.image_ids, name="unplaced")
    with pytest.raises(DataError, match="no coordinates"):
        donor_at([donor], tokens, unplaced, fit_settings())


def test_the_command_starts_from_folders_and_says_what_voxels_took(tokens, subject, donor, tmp_path):
    sides = tmp_path / "split.json"
    sides.write_text(json.dumps(split_of(tokens).to_dict()))
    given = [str(donor.save(tmp_path / "donor")), str(tmp_path / "none")]
    words = [
        "fit",
        str(tokens.path),
        str(subject.save(tmp_path / "subject")),
        str(tmp_path / "map"),
        "--split",
        str(sides),
    ]
    words += [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")] + ["--bootstrap", "0"]
    said = CliRunner().invoke(app, [*words, "--start", given[0]])
    assert said.exit_code == 0, said.output
    assert "Voxels by how they select: " in said.output
    assert Mapping.load(tmp_path / "map").provenance["start"]["donors"][0]["subject"] == "donor"
    said = CliRunner().invoke(app, [*words, "--overwrite", "--start", given[1]])
    assert said.exit_code == 2
    assert "none is no mapping" in said.output.replace("\n", "")


def test_joined_aligns_give_the_channels_of_each_side_by_side():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        maps = [[ChannelMap(5, width, offset=width == 3) for _ in range(2)] for width in (3, 2) for _ in range(2)]
        for one in (layer for kind in maps for layer in kind if layer.offset is not None):
            torch.nn.init.normal_(one.offset)
        tokens = Tokens(tuple(torch.randn(4, 5, 2, 2) for _ in range(2)), tuple(torch.randn(4, 5) for _ in range(2)))
    aligns = ChannelAlign(*maps[:2]), ChannelAlign(*maps[2:])
    with torch.no_grad():
        joined, (first, second) = join_aligns(aligns)(tokens), (align(tokens) for align in aligns)
    torch.testing.assert_close(joined.local, torch.cat([first.local, second.local], dim=2))
    torch.testing.assert_close(joined.global_, torch.cat([first.global_, second.global_], dim=2))
