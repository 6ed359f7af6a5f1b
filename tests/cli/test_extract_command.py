"""``factortopy extract`` and ``check --norms``: every source of images, what is announced, what is left out."""

import json
import re

import h5py
import numpy as np
import pytest
from PIL import Image

from conftest import IMAGES, NETWORK
from factortopy.tokens import TokenStore

WORDS = ("--untrained", "--grid", 4, "--layers", "blocks.1,blocks.4")


@pytest.fixture
def partly_broken(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for index in range(6):
        noise = np.random.default_rng(index).integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index}.png")
    (folder / "2.png").write_bytes(b"no image")
    (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:2000])
    return folder


def test_costs_are_printed_before_the_work(run, photographs, tmp_path):
    result = run("extract", NETWORK, photographs, tmp_path / "tokens", *WORDS)
    assert result.exit_code == 0, result.stderr
    for word in ("images", "disk", "memory", "time", "measured on"):
        assert word in result.stdout
    assert result.stdout.index("memory") < result.stdout.index(f"{IMAGES} images, 2 layers")
    again = run("extract", NETWORK, photographs, tmp_path / "tokens", *WORDS)
    assert "holds all 40 images already" in again.stdout


def test_list_of_images(run, photographs, tmp_path):
    names = sorted(path.name for path in photographs.iterdir())[:3][::-1]
    (tmp_path / "list.txt").write_text("".join(f"{photographs / name}\n" for name in names))
    result = run("extract", NETWORK, tmp_path / "list.txt", tmp_path / "tokens", *WORDS, "-q")
    assert result.exit_code == 0, result.stderr
    assert TokenStore.open(tmp_path / "tokens").image_ids == tuple(str(photographs / name) for name in names)


def test_hdf5_brick(run, tmp_path):
    bricks = np.random.default_rng(0).integers(0, 255, (5, 30, 30, 3), dtype=np.uint8)
    with h5py.File(tmp_path / "stimuli.hdf5", "w") as file:
        file["pictures"] = bricks
    words = ("extract", NETWORK, tmp_path / "stimuli.hdf5", tmp_path / "tokens", *WORDS, "-q")
    assert "imgBrick" in run(*words).stderr
    assert run(*words, "--dataset", "pictures").exit_code == 0
    assert TokenStore.open(tmp_path / "tokens").image_ids[-1] == "nsd-00004"


def test_broken_images_stop_the_run_or_are_left_out(run, partly_broken, tmp_path):
    words = ("extract", NETWORK, partly_broken, tmp_path / "tokens", *WORDS, "-q")
    refused = run(*words)
    assert refused.exit_code == 2
    assert "2.png" in refused.stderr
    left = run(*words, "--skip-broken")
    assert left.exit_code == 0, left.stderr
    assert re.findall(r"left out: (\S+):", left.stderr) == ["2.png", "5.png"]
    store = TokenStore.open(tmp_path / "tokens")
    assert store.image_ids == ("0.png", "1.png", "3.png", "4.png")
    assert list(store.provenance["images_left_out"]) == ["2.png", "5.png"]


def test_the_bar_of_a_check_is_shown_unless_quiet(run, tokens):
    assert "Checksums" in run("check", tokens).stderr
    assert run("check", tokens, "-q").stderr == ""


def test_norms_of_tokens_and_their_figure(run, tokens, tmp_path):
    result = run("check", tokens, "--norms", "--draw", tmp_path / "norms.png", "--json", "-q")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)["norms"]
    store = TokenStore.open(tokens)
    assert [layer["layer"] for layer in facts["layers"]] == list(store.layers)
    norms = np.linalg.norm(store.read().local[0].float().numpy(), axis=1)
    assert facts["layers"][0]["largest_norm"] == pytest.approx(float(norms.max()), rel=1e-5)
    assert {path.name for path in tmp_path.iterdir()} == {"norms.png", "norms.svg"}
    assert "median norm" in run("check", tokens, "--norms", "-q").stdout
    refused = run("check", tokens, "--draw", tmp_path / "norms.png")
    assert refused.exit_code == 2
    assert "give --norms" in refused.stderr


def test_nothing_at_the_place_of_the_images(run, tmp_path):
    result = run("extract", NETWORK, tmp_path / "nowhere", tmp_path / "tokens", *WORDS)
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_components_of_every_layer(run, photographs, tmp_path):
    words = ("extract", NETWORK, photographs)
    said = [run(*words, tmp_path / "tokens", *WORDS, *own, "--dry-run").stdout for own in ((), ("--components", 6))]
    disk = [next(line for line in text.splitlines() if "disk" in line) for text in said]
    assert disk[0] != disk[1]
    assert not (tmp_path / "tokens").exists()
    result = run(*words, tmp_path / "tokens", *WORDS, "--components", 6, "-q")
    assert result.exit_code == 0, result.stderr
    store = TokenStore.open(tmp_path / "tokens")
    assert [axes.axes.shape for axes in store.basis.local] == [(6, channels) for channels in store.channels]
    again = run(*words, tmp_path / "again", *WORDS, "--basis", tmp_path / "tokens", "-q")
    assert again.exit_code == 0, again.stderr
    assert TokenStore.open(tmp_path / "again").basis.digest == store.basis.digest
    assert "expected at least 1" in run(*words, tmp_path / "none", *WORDS, "--components", 0).stderr
