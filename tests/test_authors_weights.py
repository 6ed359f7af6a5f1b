"""The authors' weights as a mapping and back, beside their structure in PyTorch's own layers."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.cortex import HEMISPHERES, VERTICES, Voxels, load_surface
from factortopy.datasets import load_subject
from factortopy.errors import DataError, ShapeError
from factortopy.exchange import (
    AuthorsFile,
    export_weights,
    import_weights,
    score_weights,
    subject_at,
    voxels_from_labels,
)
from factortopy.fitting import fit_settings
from factortopy.images import Split, split_as_authors, split_images
from factortopy.mapping import Mapping, facts_line, load_model
from factortopy.networks import load_network
from factortopy.subjects import load_arrays
from factortopy.workflow import fit_model

sys.path.insert(0, str(Path(__file__).parent / "datasets"))
from algonauts_fixture import write_algonauts

IMAGES, VOXELS, LAYERS, CHANNELS, WIDTH = 32, 9, 6, 64, 4
NAME = "timm/test_vit"


class PositionCode(nn.Module):
    """`method.md`: shifted to 0, longest axis to 100, 1000^(-k/32), (axis, frequency, sine/cosine)."""

    def forward(self, places):
        scaled = places - places.min(dim=0).values
        scaled = 100 * scaled / scaled.max()
        angle = scaled[:, :, None] * 1000 ** (-torch.arange(32) / 32)
        return torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(len(places), 192)


class AuthorsModel(nn.Module):
    """The paper's model by its description, with modules named as in the released file."""

    def __init__(self, layers, channels, width, voxels):
        super().__init__()
        names = [str(number) for number in range(layers)] if isinstance(layers, int) else layers
        layers = len(names)
        self.local_token_bottleneck = nn.ModuleDict({n: nn.Conv2d(channels, width, 1, bias=False) for n in names})
        self.global_token_bottleneck = nn.ModuleDict({n: nn.Linear(channels, width, bias=False) for n in names})
        outputs = {"space": 2, "layer": layers, "scale": 1}
        for kind, count in outputs.items():
            hidden = [nn.Linear(192, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU()]
            setattr(
                self, f"{kind}_selector_mlp", nn.Sequential(PositionCode(), *hidden, nn.Linear(128, count, bias=False))
            )
        self.weight = nn.Parameter(torch.randn(voxels, width))
        self.bias = nn.Parameter(torch.randn(voxels))

    def select(self, places):
        space = self.space_selector_mlp(places).tanh()
        layer = self.layer_selector_mlp(places).softmax(dim=-1)
        return space, layer, self.scale_selector_mlp(places).sigmoid()

    def forward(self, tokens, places):
        space, layer, scale = self.select(places)
        grid = space[None, None].expand(len(tokens), -1, -1, -1)
        mixed = 0
        for number, name in enumerate(self.local_token_bottleneck):
            local = self.local_token_bottleneck[name](tokens.local[int(name)].float())
            read = nn.functional.grid_sample(local, grid, align_corners=False)[:, :, 0].mT
            whole = self.global_token_bottleneck[name](tokens.global_[int(name)].float())[:, None]
            mixed = mixed + layer[:, number, None] * ((1 - scale) * read + scale * whole)
        return (mixed * self.weight).mean(dim=-1) + self.bias


@pytest.fixture(scope="module")
def tokens(tokens_of_noise):
    return tokens_of_noise(IMAGES, (3, 3), network=NAME)


@pytest.fixture(scope="module")
def subject(tokens):
    rng = np.random.default_rng(1)
    return load_arrays(
        responses=rng.normal(size=(IMAGES, VOXELS)).astype(np.float32),
        image_ids=tokens.image_ids,
        coordinates=(20 * rng.normal(size=(VOXELS, 3))).astype(np.float32),
        rois={name: np.arange(VOXELS) % 4 == place for place, name in enumerate(("V1", "V2V3", "OPA", "EBA"))},
        name="arrays",
    )


def trained(layers):
    torch.manual_seed(0)
    model = AuthorsModel(layers, CHANNELS, WIDTH, VOXELS)
    with torch.no_grad():  # trained ones are no longer at their start
        for kind in ("space", "layer", "scale"):
            getattr(model, f"{kind}_selector_mlp")[5].weight.mul_(10)
    return model


@pytest.fixture(scope="module")
def authors():
    return trained(LAYERS)


@pytest.fixture(scope="module")
def network():
    return load_network(NAME, untrained=True)


def test_selectors_and_predictions_are_the_authors(authors, tokens, subject, network):
    mapping = import_weights(authors.state_dict(), subject, network)
    places, batch = torch.from_numpy(subject.voxels.coordinates).float(), tokens.read([0, 5, 7])
    with torch.no_grad():
        space, layer, scale = authors.select(places)
        expected, found = authors(batch, places), load_model(mapping)(batch)
    np.testing.assert_allclose(mapping.dataset["space"], space, atol=1e-5)
    np.testing.assert_allclose(mapping.dataset["layer"], layer, atol=1e-5)
    np.testing.assert_allclose(mapping.dataset["scale"], scale[:, 0], atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert layer.std() > 0.01
    assert np.isnan(mapping.dataset["r2"]).all()
    assert mapping.layers == network.layers


def test_layers_are_those_of_the_file_in_its_order(tokens, subject, network):
    """The layer selector's outputs go by the order in which the program was given its layers, not by sorted names."""
    names = ["5", "3", "4", "0", "2", "1"]
    model = trained(names)
    mapping = import_weights(model.state_dict(), subject, network)
    places, batch = torch.from_numpy(subject.voxels.coordinates).float(), tokens.read(range(4))
    with torch.no_grad():
        _, layer, _ = model.select(places)
        expected, found = model(batch, places), load_model(mapping)(batch)
    by_depth = layer[:, [names.index(str(depth)) for depth in range(LAYERS)]].numpy()
    np.testing.assert_allclose(mapping.dataset["layer"], by_depth, atol=1e-5)
    assert (mapping.dataset["layer"].values.argmax(1) == by_depth.argmax(1)).all()
    assert (layer.numpy().argmax(1) != by_depth.argmax(1)).mean() > 0.3
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_layers_that_contradict_are_refused(subject, network):
    with pytest.raises(DataError, match=r"read layers 0, 2, 4, 5, 6, 8, .* gives blocks.0, blocks.1"):
        import_weights(renamed(trained(LAYERS), ["0", "2", "4", "5", "6", "8"]), subject, network)
    state = trained(LAYERS).state_dict()
    other = {name: value for name, value in state.items() if not name.startswith("global_token")}
    for number in (1, 0, 2, 3, 4, 5):
        other[f"global_token_bottleneck.{number}.weight"] = state[f"global_token_bottleneck.{number}.weight"]
    with pytest.raises(DataError, match="in two orders"):
        import_weights(other, subject, network)
    # Counted from 1, as some do, they are the same layers.
    again = import_weights(renamed(trained(LAYERS), ["1", "2", "3", "4", "5", "6"]), subject, network)
    np.testing.assert_array_equal(again.dataset["layer"], import_weights(state, subject, network).dataset["layer"])


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (("features.3", "features.5", "features.12"), ["3", "5", "12"]),
        (("blocks.1", "blocks.2"), ["1", "2"]),
        (("layer1.1", "layer2.0"), ["0", "1"]),
        (("stem", "head"), ["0", "1"]),
    ],
)
def test_exported_layers_keep_their_numbers_and_come_back(subject, layers, names):
    chosen = SimpleNamespace(name="some", layers=layers, channels=(CHANNELS,) * len(layers), global_token="mean")
    mapping = import_weights(trained(names).state_dict(), subject, chosen)
    weights = export_weights(mapping)
    assert [name.split(".")[1] for name in weights if name.startswith("local")] == names
    # Files of safetensors hold them sorted.
    again = import_weights({name: weights[name] for name in sorted(weights)}, subject, chosen)
    np.testing.assert_array_equal(again.dataset["layer"], mapping.dataset["layer"])


def test_files_that_sort_their_names_are_read_by_number():
    """Of safetensors, which hold "10" before "2"; the order in which they were given is not in them."""
    state = AuthorsModel(12, 3, 2, 4).state_dict()
    assert AuthorsFile.read({name: state[name] for name in sorted(state)}).layers == tuple(map(str, range(12)))


def renamed(model, names):
    """The state dict with layers of other names."""
    state = {}
    for name, value in model.state_dict().items():
        head, _, rest = name.partition("token_bottleneck.")
        number, _, tail = rest.partition(".")
        state[f"{head}token_bottleneck.{names[int(number)]}.{tail}" if rest else name] = value
    return state


@pytest.mark.parametrize("prefix", ["model.", "module.", "model._orig_mod.", ""])
def test_a_checkpoint_of_lightning_says_where_its_voxels_lie(authors, subject, prefix, tmp_path):
    places = torch.from_numpy(subject.voxels.coordinates)
    state = {f"{prefix}{name}": value for name, value in authors.state_dict().items()}
    state |= {f"{prefix}coords": places, "backbone.blocks.0.weight": torch.randn(3, 3)}
    torch.save({"state_dict": state, "epoch": 3, "global_step": 9_000}, tmp_path / "last.ckpt")
    result = run("weights", "import", tmp_path / "last.ckpt", tmp_path / "mapping", "--network", NAME, "--no-figures")
    assert result.exit_code == 0, result.stderr
    mapping = Mapping.load(tmp_path / "mapping")
    with torch.no_grad():
        space, layer, _ = authors.select(places)
    np.testing.assert_allclose(mapping.dataset["coordinates"], places)
    np.testing.assert_allclose(mapping.dataset["space"], space, atol=1e-5)
    np.testing.assert_allclose(mapping.dataset["layer"], layer, atol=1e-5)


def test_coords_of_the_file_and_voxels_given_must_agree(authors, subject, network):
    places = torch.from_numpy(subject.voxels.coordinates)
    state = {**authors.state_dict(), "coords": 100 * (places - places.min(0).values)}  # in another scale
    mapping = import_weights(state, subject, network)
    np.testing.assert_array_equal(mapping.dataset["coordinates"], subject.voxels.coordinates)
    with pytest.raises(DataError, match="9 voxels lie elsewhere than the weights' own coords say"):
        import_weights({**state, "coords": places.flip(0)}, subject, network)
    with pytest.raises(ShapeError, match="coords are of 8 voxels, 9 were given"):
        import_weights({**state, "coords": places[:8]}, subject.voxels, network)
    with pytest.raises(DataError, match="do not say where their voxels lie"):
        import_weights(authors.state_dict(), None, network)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("weight", lambda value: value.flatten(), "the weight weight has shape"),
        ("weight", lambda value: value.to("meta"), "device meta"),
        ("bias", lambda value: value[:, None], "the weight bias has shape"),
        ("bias", lambda value: value.to(torch.int8), "the weight bias is torch.int8"),
        ("bias", lambda value: value.to_sparse(), "torch.sparse_coo"),
        ("layer_selector_mlp.5.weight", lambda value: value[:4], "has 4 outputs and there are 6 layers"),
        ("global_token_bottleneck.2.weight", lambda value: value[0], "has shape (64,)"),
        ("local_token_bottleneck.2.weight", lambda value: value[:, :, 0, 0], "has shape (4, 64)"),
        ("space_selector_mlp.3.bias", lambda value: value[:5], "do not fit together"),
    ],
)
def test_weights_of_odd_shapes_end_in_one_line(authors, subject, tmp_path, name, change, told):
    torch.save({**authors.state_dict(), name: change(authors.state_dict()[name])}, tmp_path / "odd.pth")
    np.save(tmp_path / "places.npy", subject.voxels.coordinates)
    words = ("weights", "import", tmp_path / "odd.pth", tmp_path / "m", "--network", NAME)
    result = run(*words, "--coordinates", tmp_path / "places.npy")
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_the_authors_becomes_a_mapping_and_back(authors, subject, suffix, tmp_path, full_disk):
    file, again = tmp_path / f"weights{suffix}", tmp_path / f"again{suffix}"
    state = {name: value.clone() for name, value in authors.state_dict().items()}
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    np.save(tmp_path / "coordinates.npy", subject.voxels.coordinates)
    words = ("weights", "import", file, tmp_path / "mapping", "--network", NAME)
    result = run(*words, "--coordinates", tmp_path / "coordinates.npy")
    assert result.exit_code == 0, result.stderr
    assert Mapping.load(tmp_path / "mapping").dataset.attrs["network"] == NAME
    with full_disk():
        result = run("weights", "export", tmp_path / "mapping", again)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.exception
    assert f"cannot write {again}: " in result.stderr
    assert run("weights", "export", tmp_path / "mapping", again).exit_code == 0
    if suffix == ".pth":
        written = torch.load(again, weights_only=True)
        assert set(written) == set(state)
        for name, value in state.items():
            torch.testing.assert_close(written[name], value)
        fresh = AuthorsModel(LAYERS, CHANNELS, WIDTH, VOXELS)
        fresh.load_state_dict(written)


def test_an_own_fit_goes_out_and_comes_back(tokens, subject, network, tmp_path):
    settings = fit_settings("paper", steps=4, validate_every=2, width=4, batch_size=16)
    split = split_images(tokens.image_ids, fractions=(0.5, 0.15, 0.35))
    fitted = fit_model(tokens, subject, settings, split=split, bootstrap=0, progress=False)
    weights = export_weights(Mapping.load(fitted.mapping.save(tmp_path / "mapping")))
    again = import_weights(weights, subject, network, bounds="surface")
    batch = tokens.read([1, 2, 3])
    with torch.no_grad():
        np.testing.assert_allclose(load_model(again)(batch), fitted.model(batch), atol=1e-5)
    for name in ("layer", "scale", "channels"):
        np.testing.assert_allclose(again.dataset[name], fitted.mapping.dataset[f"{name}_raw"], atol=1e-6)
    np.testing.assert_allclose(again.dataset["space"], fitted.mapping.dataset["space"], atol=1e-6)
    scored = score_weights(again, tokens, subject, fitted.split, responses="z-scored", bootstrap=20)
    for name in ("r2", "layer_share", "depth", "scale_share", "layer", "layer_raw"):
        np.testing.assert_allclose(scored.dataset[name], fitted.mapping.dataset[name], atol=2e-4, err_msg=name)
    assert scored.dataset["drawn_slope"].shape == (20,)
    assert scored.dataset.attrs["gauge"] == "canonical"


def test_a_fit_in_bounds_of_its_voxels_runs_in_the_authors_program(tokens, subject):
    """Their program knows the voxels alone; a fit in bounds of the whole surface reads other places there."""
    part = replace(subject, voxels=replace(subject.voxels, bounds=subject.voxels.bounds * 3))
    batch, places = tokens.read(range(8)), torch.from_numpy(subject.voxels.coordinates).float()
    off = {}
    for bounds in ("voxels", "surface"):
        settings = fit_settings("paper", steps=60, validate_every=30, width=4, batch_size=16, bounds=bounds)
        fitted = fit_model(tokens, part, settings, bootstrap=0, progress=False)
        theirs = AuthorsModel(LAYERS, CHANNELS, WIDTH, VOXELS)
        theirs.load_state_dict(export_weights(fitted.mapping))
        with torch.no_grad():
            off[bounds] = float((theirs(batch, places) - fitted.model.cpu()(batch)).abs().max())
            again = load_model(fitted.mapping, part)
            torch.testing.assert_close(again(batch), fitted.model(batch), atol=1e-6, rtol=0)
    assert off["voxels"] < 1e-5
    assert off["surface"] > 1e-4


def test_the_authors_split_is_said_of_its_scores(tokens, subject):
    split = split_as_authors(tokens.image_ids, seed=0)
    settings = fit_settings("paper", steps=2, validate_every=2, width=2)
    mapping = fit_model(tokens, subject, settings, split=split, bootstrap=0, progress=False).mapping
    assert (len(split.train), len(split.test)) == (29, 3)
    assert "29 training, 3 validation, 3 test images (the test images are the validation images)" in facts_line(
        mapping.dataset
    )


def test_scores_by_the_command(authors, tokens, subject, tmp_path):
    torch.save(authors.state_dict(), tmp_path / "weights.pt")
    split = split_images(tokens.image_ids, seed=1)
    (tmp_path / "split.json").write_text(json.dumps(split.to_dict()))
    subject.save(tmp_path / "subject")
    words = ("weights", "import", tmp_path / "weights.pt", tmp_path / "mapping", "--network", NAME, "--data")
    data = ("--tokens", tokens.path, "--split", tmp_path / "split.json", "--no-figures", "--responses", "z-scored")
    result = run(*words, tmp_path / "subject", *data)
    assert result.exit_code == 0, result.stderr
    mapping = Mapping.load(tmp_path / "mapping")
    places = torch.from_numpy(subject.voxels.coordinates).float()
    order = {name: row for row, name in enumerate(subject.image_ids)}
    rows = {side: [order[name] for name in ids] for side, ids in split.to_dict().items()}
    y = (subject.responses - subject.responses[rows["train"]].mean(0)) / subject.responses[rows["train"]].std(0)
    with torch.no_grad():
        predicted = authors(tokens.read(rows["test"]), places).numpy()
    observed = y[rows["test"]]
    expected = 1 - ((observed - predicted) ** 2).sum(0) / ((observed - observed.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(mapping.dataset["r2"], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(mapping.dataset["layer_share"].sum("layer"), 1, atol=1e-4)


def test_responses_as_shipped_on_the_vertices_that_were_trained_on(authors, tokens, subject, tmp_path):
    """The weights predict what they were trained on: a z-score more, or other vertices, is another score."""
    rng = np.random.default_rng(4)
    more = rng.permutation(VOXELS + 4)  # the weights' voxels among others, in another order
    places = np.concatenate([subject.voxels.coordinates, 200 + rng.normal(size=(4, 3))]).astype("f4")
    split = split_images(tokens.image_ids, seed=1)
    with torch.no_grad():
        predicted = authors(tokens.read(), torch.from_numpy(subject.voxels.coordinates).float()).numpy()
    noise = rng.normal(size=predicted.shape) * predicted.std(axis=0)
    every = np.concatenate([0.65 * (predicted + noise) + 0.3, rng.normal(size=(IMAGES, 4))], axis=1).astype("f4")
    shipped = load_arrays(
        responses=every[:, more], image_ids=tokens.image_ids, coordinates=places[more], name="shipped",
        rois={"V1": (np.arange(VOXELS + 4) < 5)[more]},
    )  # fmt: skip
    shipped.save(tmp_path / "shipped")
    torch.save({**authors.state_dict(), "coords": torch.from_numpy(places[:VOXELS])}, tmp_path / "weights.pt")
    (tmp_path / "split.json").write_text(json.dumps(split.to_dict()))
    words = ("weights", "import", tmp_path / "weights.pt", tmp_path / "mapping", "--network", NAME, "--no-figures")
    data = ("--data", tmp_path / "shipped", "--tokens", tokens.path, "--split", tmp_path / "split.json")
    result = run(*words, *data)
    assert result.exit_code == 0, result.stderr
    assert "extract --preprocessing authors" in " ".join(result.stdout.split())
    mapping = Mapping.load(tmp_path / "mapping")
    rows = [tokens.image_ids.index(name) for name in split.test]
    observed = every[rows, :VOXELS]
    expected = 1 - ((observed - predicted[rows]) ** 2).sum(0) / ((observed - observed.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(mapping.dataset["r2"], expected, rtol=1e-3, atol=1e-3)
    assert mapping.dataset.attrs["responses"] == "as shipped"
    assert mapping.rois["V1"].tolist() == [True] * 5 + [False] * 4
    with pytest.raises(DataError, match="3 of the weights' 3 voxels lie elsewhere"):
        subject_at(subject, Voxels.at(places[:3] + 500))


def test_of_algonauts_vertices_those_of_nsdgeneral_are_taken(tmp_path):
    """The data set ships more vertices than the weights were trained on; the labels say which these are."""
    write_algonauts(tmp_path / "subj01", left=60, right=55)
    every = load_subject(tmp_path / "subj01", progress=False).voxels
    rng, labels = np.random.default_rng(0), {}
    for side, name in zip(HEMISPHERES, ("lh", "rh"), strict=True):
        values, vertices = np.zeros(VERTICES["fsaverage"], np.int32), every.vertex[every.hemisphere == side]
        values[np.sort(rng.choice(vertices, 40, replace=False))] = 1
        labels[name] = tmp_path / f"{name}.nsdgeneral.npy"
        np.save(labels[name], values)
    torch.save(AuthorsModel(LAYERS, CHANNELS, WIDTH, 80).state_dict(), tmp_path / "weights.pt")
    words = ("weights", "import", tmp_path / "weights.pt", tmp_path / "mapping", "--network", NAME, "--no-figures")
    result = run(*words, "--data", tmp_path / "subj01", "--labels", f"{labels['lh']},{labels['rh']}")
    assert result.exit_code == 0, result.stderr
    voxels = Mapping.load(tmp_path / "mapping").voxels
    np.testing.assert_array_equal(voxels.vertex[:40], np.flatnonzero(np.load(labels["lh"])))
    np.testing.assert_array_equal(voxels.vertex[40:], np.flatnonzero(np.load(labels["rh"])))
    assert set(voxels.rois) == set(every.rois)
    alone = run(*words[:3], tmp_path / "other", *words[4:], "--data", tmp_path / "subj01")
    assert (alone.exit_code, "80 voxels, the coordinates of 115" in alone.stderr) == (2, True)


def test_labels_of_fsaverage_say_where_the_voxels_lie(tmp_path):
    """The paper's vertices from label files of both hemispheres, as NSD ships them."""
    count, chosen = VERTICES["fsaverage"], {"lh": [5, 17, 90_000], "rh": [2, 17]}
    for side, vertices in chosen.items():
        labels = np.zeros(count, np.int32)
        labels[vertices] = 1
        np.save(tmp_path / f"{side}.nsdgeneral.npy", labels)
        labels[vertices[:1]] = 2
        np.save(tmp_path / f"{side}.areas.npy", labels)
    pair = {kind: tuple(tmp_path / f"{side}.{kind}.npy" for side in chosen) for kind in ("nsdgeneral", "areas")}
    voxels = voxels_from_labels(pair["nsdgeneral"], [pair["areas"]])
    assert voxels.vertex.tolist() == [5, 17, 90_000, 2, 17]
    assert voxels.hemisphere.tolist() == ["left"] * 3 + ["right"] * 2
    # The first vertices of fsaverage are those of fsaverage5; the right sphere lies beside the left one.
    sphere = load_surface("fsaverage5").right.sphere.coordinates
    np.testing.assert_allclose(voxels.coordinates[3:, 1:], sphere[[2, 17], 1:], atol=0.02)
    assert voxels.coordinates[3:, 0].min() > voxels.coordinates[:3, 0].max() - 100
    assert voxels.rois["2"].tolist() == [True, False, False, True, False]
    assert np.ptp(voxels.bounds[:, 1]) > np.ptp(voxels.coordinates[:, 1])


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_files_that_are_no_weights_end_in_one_line(tmp_path):
    np.save(tmp_path / "coordinates.npy", np.zeros((3, 3)))
    (tmp_path / "broken.pth").write_bytes(b"not a zip")
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save({"a": Split}, tmp_path / "code.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    for name, told in {
        "broken.pth": "weights file",
        "other.pth": "not the authors' weights",
        "code.pth": "holds more than tensors",
        "cut.safetensors": "or is damaged",
        "none.pth": "does not exist",
    }.items():
        words = ("weights", "import", tmp_path / name, tmp_path / "m", "--network", NAME)
        result = run(*words, "--coordinates", tmp_path / "coordinates.npy")
        assert result.exit_code == 2
        assert told in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "m").exists()


def test_what_does_not_belong_together_is_refused(authors, tokens, subject, network):
    state = authors.state_dict()
    with pytest.raises(ShapeError, match="9 voxels, the coordinates of 5"):
        import_weights(state, subject.voxels.select(np.arange(5)), network)
    with pytest.raises(DataError, match="name the network"):
        import_weights(state, subject, load_network(NAME, ["blocks.0", "blocks.1"], untrained=True))
    with pytest.raises(DataError, match="bias holds NaN"):
        import_weights({**state, "bias": state["bias"] * torch.nan}, subject, network)
    mapping = import_weights(state, subject, network, name="another")
    with pytest.raises(DataError, match="give that network's tokens"):
        score_weights(mapping, tokens, subject, split_images(tokens.image_ids))
    with pytest.raises(DataError, match="recipe 'default'"):
        export_weights(Mapping(mapping.dataset, settings={"recipe": "default"}))
