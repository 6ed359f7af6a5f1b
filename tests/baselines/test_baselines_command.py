"""``factortopy baselines`` from folders to table and figure, and its one line on bad input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from factortopy.baselines import extract_untrained, methods
from factortopy.cli import app
from factortopy.images import ImageSet
from factortopy.networks import load_network
from factortopy.subjects import load_arrays
from factortopy.tokens import TokenStore, extract

IMAGES, VOXELS = 40, 6
FEW = ("--which", "ridge-all-layers,factortopy", "--features", 4, "--set", "steps=2", "--set", "components=4")


def run(*words):
    return CliRunner().invoke(app, ["baselines", *map(str, words)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tokens of noise in a tiny network, and a subject whose responses are noise."""
    folder, random = tmp_path_factory.mktemp("command"), np.random.default_rng(0)
    pictures = {f"image-{i:02d}": random.integers(0, 255, (32, 32, 3), dtype=np.uint8) for i in range(IMAGES)}
    images = ImageSet("noise", tuple(pictures), lambda name: Image.fromarray(pictures[name]), None)
    network = load_network("timm/test_vit", untrained=True)
    extract(network, images, folder / "tokens", grid=(2, 2), progress=False)
    load_arrays(
        responses=random.normal(size=(IMAGES, VOXELS)).astype(np.float32),
        image_ids=tuple(pictures),
        coordinates=random.uniform(0, 50, size=(VOXELS, 3)),
        rois={"half": np.arange(VOXELS) < 3},
        name="noise",
    ).save(folder / "subject")
    return folder


def test_table_json_and_figure_are_written(folders):
    result = run(folders / "tokens", folders / "subject", folders / "out", *FEW, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert said == json.loads((folders / "out" / "baselines.json").read_text())
    assert [(row["method"], row["roi"]) for row in said["rows"]] == [
        ("ridge-all-layers", "half"), ("factortopy", "half"),
        ("ridge-all-layers", "all voxels"), ("factortopy", "all voxels"),
    ]  # fmt: skip
    with Image.open(folders / "out" / "baselines.png") as picture:
        assert picture.width > 1000
    assert "SIMULATED" not in (folders / "out" / "baselines.svg").read_text()


def test_means_over_places_are_those_of_the_tokens_of_a_reduced_store(folders, tmp_path):
    """All components of so few images stand for the tokens: means of either are alike."""
    whole = TokenStore.open(folders / "tokens")
    rng, ids = np.random.default_rng(0), whole.image_ids
    pictures = {name: rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for name in ids}
    images = ImageSet("noise", ids, lambda name: Image.fromarray(pictures[name]), None)
    network = load_network("timm/test_vit", untrained=True)
    reduced = extract(
        network, images, tmp_path / "reduced", grid=(2, 2), components=min(whole.channels), progress=False
    )
    found, expected = (methods._MeanTokens(store).read([3, 1]).local for store in (reduced, whole))
    for one, other in zip(found, expected, strict=True):
        assert one.shape[2:] == (1, 1)
        torch.testing.assert_close(one.float(), other.float(), atol=2e-2, rtol=2e-2)
    few = ("--which", "without-space", "--set", "steps=2", "--set", "components=4", "--set", "patches=false")
    done = run(reduced.path, folders / "subject", tmp_path / "results", *few)
    assert done.exit_code == 0, done.output


def test_a_dry_run_writes_nothing(folders):
    result = run(folders / "tokens", folders / "subject", folders / "dry", *FEW, "--dry-run", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "nothing was written" in result.stdout
    assert not (folders / "dry").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--which", "ridge"), "error: unknown method 'ridge'; did you mean"),
        (("--which", "untrained-network"), "error: the untrained network needs tokens"),
        (("--untrained-tokens", "nowhere"), "error: there is no token store at nowhere"),
        (("--set", "stepps=3"), "error: unknown setting 'stepps'"),
    ],
)
def test_bad_input_is_one_line(folders, words, line):
    result = run(folders / "tokens", folders / "subject", folders / "bad", *words, "--quiet")
    assert result.exit_code == 2
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1
    assert not (folders / "bad").exists()


def test_tokens_of_the_untrained_network_are_made_as_the_trained_ones(folders, tmp_path):
    trained = TokenStore.open(folders / "tokens")
    ids, random = trained.image_ids[:3], np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8))
    images = ImageSet("noise", ids, lambda name: picture, None)
    assert extract_untrained(trained, images, tmp_path / "none") is None  # its weights are random already
    trained.provenance, trained.network = {}, "timm/test_vit"
    assert extract_untrained(trained, None, tmp_path / "none") is None
    made = extract_untrained(trained, images, tmp_path / "made", progress=False)
    assert (made.layers, made.grid, made.image_ids) == (trained.layers, trained.grid, ids)
    assert made.precision == trained.precision
    assert made.provenance["pretrained"] is False
