"""``factortopy finetune`` and ``change``: from labelled images and a subject to what changed, and again."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_network import coloured_images
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.cortex import ROI_NAMES
from factortopy.images import sample_views
from factortopy.mapping import Mapping
from factortopy.tokens import TokenStore

IMAGES, VOXELS = 36, 24
NETWORK = ("timm/test_vit", "--untrained")
BRIEF = ("--per-class", "4", "--steps", "3", "--set", "validation_per_class=2", "--precision", "fp32")
FIT = ("--fit-set", "steps=4", "--fit-set", "components=8")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Labelled images, photographs and a subject by hand that saw them."""
    place = tmp_path_factory.mktemp("place")
    labelled = coloured_images(8)
    for image_id, label in zip(labelled.images.ids, labelled.labels, strict=True):
        folder = place / "colours" / labelled.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        labelled.images.loader(image_id).save(folder / f"{image_id}.png")
    views = sample_views(IMAGES)
    (place / "photographs").mkdir()
    for number in range(IMAGES):
        views.image(number).resize((48, 48), Image.Resampling.BILINEAR).save(place / f"photographs/{number:02d}.png")
    write_subject(place / "subject")
    return place


def write_subject(folder):
    """Voxels on a line, on no surface, so that no maps are painted here."""
    random = np.random.default_rng(0)
    (folder / "rois").mkdir(parents=True)
    np.save(folder / "responses.npy", random.standard_normal((IMAGES, VOXELS), dtype=np.float32))
    np.save(folder / "coordinates.npy", np.linspace((0, 0, 0), (60, 30, 10), VOXELS))
    for index, name in enumerate(ROI_NAMES):
        np.save(folder / "rois" / f"{name}.npy", np.arange(VOXELS) * len(ROI_NAMES) // VOXELS == index)
    (folder / "image_ids.txt").write_text("\n".join(f"{number:02d}.png" for number in range(IMAGES)) + "\n")
    (folder / "subject.toml").write_text('name = "by hand"\n')


@pytest.fixture(scope="module")
def command(place):
    """The whole way in one command: labelled images and a subject to what changed."""
    mapped = ("--map", place / "subject", "--photographs", place / "photographs", *FIT)
    words = (NETWORK[0], place / "colours", place / "out", NETWORK[1], *BRIEF, *mapped)
    return ("finetune", *words, "--original", place / "colours", "--set", "validate_every=2", "--json", "-q")


@pytest.fixture(scope="module")
def result(command):
    done = run(*command)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_one_command_goes_from_labelled_images_to_what_changed(result, place):
    out = place / "out"
    assert result["network"] == "timm/test_vit-untrained-0-finetuned-colours"
    assert 0 <= result["accuracy"] <= 1
    assert result["chance"] == pytest.approx(1 / 3)
    before, after = (Mapping.load(out / side / "mapping") for side in ("before", "after"))
    assert after.dataset.attrs["network"] == result["network"]
    assert before.dataset.attrs["split"] == after.dataset.attrs["split"]
    row = result["change"]["rois"][-1]
    r2 = [float(np.nanmean(held.dataset["r2"].values)) for held in (before, after)]
    assert (row["r2_before"], row["r2_after"]) == pytest.approx(r2)
    written = {file.name for file in (out / "change").iterdir()}
    assert written == {"change.csv", "change.json", "voxels.csv", "change_bars.png", "change_bars.svg"}
    task = json.loads((out / "original_task.json").read_text())
    assert task["drop"] == pytest.approx(task["before"] - task["after"])
    assert [line["step"] for line in csv.DictReader((out / "history.csv").open())] == ["0", "2", "3"]


def test_given_again_nothing_is_made_again(result, command, place):
    files = [file for file in place.joinpath("out").rglob("*") if file.suffix in (".safetensors", ".zarr")]
    before = {file: file.stat().st_mtime_ns for file in files}
    again = run(*command)
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout) == result
    assert {file: file.stat().st_mtime_ns for file in files} == before


def test_another_fit_in_its_place_is_refused(result, command):
    other = run(*command, "--fit-set", "steps=5")
    assert other.exit_code == 2
    assert "before/mapping is a mapping of something else" in other.stderr
    assert "Traceback" not in other.stderr


def test_each_part_alone_gives_the_same(result, place, tmp_path):
    """``extract`` of the fine-tuned folder has its tokens; ``change`` of the two mappings its table."""
    out = place / "out"
    done = run("extract", out, place / "photographs", tmp_path / "tokens", "--precision", "fp32", "-q")
    assert done.exit_code == 0, done.output
    one, other = TokenStore.open(tmp_path / "tokens"), TokenStore.open(out / "after" / "tokens")
    assert one.weights_hash == other.weights_hash
    assert np.array_equal(one.read([0, 5]).global_[-1], other.read([0, 5]).global_[-1])
    done = run("compare", "--change", out / "before/mapping", out / "after/mapping", tmp_path / "change", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == result["change"]
    assert (tmp_path / "change/change.csv").read_text() == (out / "change/change.csv").read_text()


def test_a_dry_run_says_what_it_takes_and_writes_nothing(place, tmp_path):
    mapped = ("--map", place / "subject", "--photographs", place / "photographs")
    done = run("finetune", NETWORK[0], place / "colours", tmp_path / "out", *BRIEF, *mapped, "--dry-run", "-q")
    assert done.exit_code == 0, done.output
    assert not list(tmp_path.iterdir())
    for words in ("12 training, 6 validation; 3 classes", "371,240", "time", "memory", "until it is done", "36 images"):
        assert words in " ".join(done.stdout.split()), words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{colours}", "{out}", "--per-class", "40"), "too few images of 3 of 3 classes"),
        (("{nothing}", "{out}"), "is not a folder"),
        (("torchvision/EuroSAT", "{out}"), "--root FOLDER"),
        (("{colours}", "{out}", "--photographs", "{colours}"), "give --map SUBJECT"),
        (("{colours}", "{out}", "--map", "{subject}"), "does not hold the photographs"),
        (("{colours}", "{out}", "--set", "stepps=3"), "did you mean 'steps'"),
        (("{colours}", "{photographs}"), "no fine-tuned network"),
    ],
)
def test_bad_input_is_one_line(place, tmp_path, words, message):
    known = {name: place / name for name in ("colours", "subject", "photographs")}
    filled = [word.format(**known, nothing=place / "nothing", out=tmp_path / "out") for word in words]
    done = run("finetune", NETWORK[0], *filled[:2], NETWORK[1], "-q", "--per-class", "4", *filled[2:])
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not Path(tmp_path / "out").exists()
