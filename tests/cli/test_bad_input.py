"""What a user can mend ends in one line that names it, exit code 2, and nothing half-written."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from conftest import IMAGES, VOXELS, write_subject
from factortopy.cli.shared.failures import failure_line
from factortopy.errors import DataError
from factortopy.tokens import TokenStore

# A shell may have switched Ctrl-C off for what it runs in the background.
LISTENING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from factortopy.cli import main; main()"
)


def refused(result, *named):
    """One line on standard error with the names, exit code 2."""
    assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    for name in named:
        assert str(name) in lines[0]


def nan_responses():
    return np.full((IMAGES, VOXELS), np.nan, np.float32)


BAD_SUBJECTS = {
    "shape": (lambda: {"responses": np.zeros(7, np.float32)}, "(7,)"),
    "voxels": (lambda: {"coordinates": np.zeros((3, 3), np.float32)}, "(3, 3)"),
    "NaN": (lambda: {"responses": nan_responses()}, "NaN"),
    "counts": (lambda: {"responses": np.zeros((IMAGES - 1, VOXELS), np.float32)}, f"{IMAGES} image ids"),
    "objects": (lambda: {"responses": np.array(["a", "b"])}, "responses"),
}


@pytest.mark.parametrize("kind", BAD_SUBJECTS)
def test_bad_arrays(run, tokens, tmp_path, kind):
    changes, named = BAD_SUBJECTS[kind]
    subject = write_subject(tmp_path / "subject", **changes())
    refused(run("fit", tokens, subject, tmp_path / "out" / "mapping"), named)
    assert not (tmp_path / "out").exists()


def test_images_without_tokens(run, tokens, tmp_path):
    subject = write_subject(tmp_path / "subject")
    (subject / "image_ids.txt").write_text("".join(f"other-{index}\n" for index in range(IMAGES)))
    refused(run("fit", tokens, subject, tmp_path / "mapping", "-q"), f"{IMAGES} of {IMAGES}", "other-0")
    assert not (tmp_path / "mapping").exists()


@pytest.mark.parametrize("part", ["responses.npy", "coordinates.npy", "image_ids.txt"])
def test_missing_file_of_a_subject(run, tokens, tmp_path, part):
    subject = write_subject(tmp_path / "subject")
    (subject / part).unlink()
    refused(run("fit", tokens, subject, tmp_path / "mapping"), part)


def test_truncated_files(run, tokens, tmp_path):
    subject = write_subject(tmp_path / "subject")
    content = (subject / "responses.npy").read_bytes()
    (subject / "responses.npy").write_bytes(content[: len(content) // 2])
    refused(run("fit", tokens, subject, tmp_path / "mapping"), "responses.npy", "truncated")
    copy = shutil.copytree(tokens, tmp_path / "tokens")
    shard = max((file for file in copy.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:100])
    refused(run("fit", copy, subject, tmp_path / "mapping"), copy, "damaged")
    assert not (tmp_path / "mapping").exists()


def test_truncated_image(run, photographs, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    content = (photographs / "view-00.png").read_bytes()
    (folder / "half.png").write_bytes(content[: len(content) // 2])
    result = run("extract", "timm/test_vit", folder, tmp_path / "tokens", "--untrained", "-q")
    refused(result, "half.png")
    assert not (tmp_path / "tokens").exists()


def test_unknown_names_come_with_the_nearest(run, photographs, mapping, tokens, subject, tmp_path):
    output = tmp_path / "out"
    refused(run("extract", "clip-b16-opnai", photographs, output), "'clip-b16-openai'")
    refused(run("networks", "dinov2-b41"), "'dinov2-b14'")
    layers = ("--layers", "block.3", "--untrained")
    refused(run("extract", "timm/test_vit", photographs, output, *layers), "'blocks.3'")
    refused(run("plot", mapping, "-f", "layer", "-o", output), "'layers'")
    refused(run("fit", tokens, subject, output, "--set", "step=3"), "'steps'")
    refused(run("fit", tokens, subject, output, "--set", "steps=0"), "steps", "0")
    refused(run("fit", tokens, subject, output, "--set", "steps"), "NAME=VALUE")
    assert not output.exists()


def test_missing_folders(run, tokens, subject, tmp_path):
    nowhere = tmp_path / "nowhere"
    refused(run("extract", "timm/test_vit", nowhere, tmp_path / "out", "--untrained"), nowhere)
    refused(run("fit", nowhere, subject, tmp_path / "out"), nowhere)
    refused(run("fit", tokens, nowhere, tmp_path / "out"), nowhere)
    refused(run("plot", nowhere, "-o", tmp_path / "out"), nowhere)
    refused(run("report", nowhere, tmp_path / "page.html"), nowhere)
    refused(run("fit", tokens, subject, tmp_path / "out", "--split", nowhere), nowhere)
    assert not list(tmp_path.iterdir())


def test_unwritable_places_are_found_before_the_work(run, photographs, tokens, subject, mapping, tmp_path):
    # The tests may run as root, whom no permission stops; but nobody writes under a file.
    file = tmp_path / "file"
    file.write_text("kept")
    output = file / "under"
    for words in (
        ("demo", "-o", output),
        ("extract", "timm/test_vit", photographs, output, "--untrained"),
        ("fit", tokens, subject, output),
        ("plot", mapping, "-o", output),
        ("report", mapping, output / "page.html"),
    ):
        start = time.process_time()
        refused(run(*words), output, "choose another place")
        assert time.process_time() - start < 2
    assert file.read_text() == "kept"


def test_fit_replaces_no_folder_that_is_not_a_mapping(run, tokens, subject, mapping, tmp_path):
    (tmp_path / "thesis.txt").write_text("kept")
    refused(run("fit", tokens, subject, tmp_path, "--overwrite"), tmp_path, "no mapping")
    assert (tmp_path / "thesis.txt").read_text() == "kept"
    refused(run("fit", tokens, subject, mapping), mapping, "--overwrite")


@pytest.mark.parametrize("output", [".", "/dev"])
def test_a_place_that_cannot_be_replaced_is_found_before_the_work(
    run, photographs, tokens, subject, mapping, tmp_path, monkeypatch, output
):
    monkeypatch.chdir(tmp_path)
    for words in (
        ("fit", tokens, subject, output),
        ("finetune", "timm/test_vit", photographs, output),
        ("weights", "export", mapping, output, "--maps", "mgh", "--overwrite"),
    ):
        refused(run(*words), f"cannot write {output}:", "give a folder in it")
    there = ("score", mapping, "--tokens", tokens, "--on", subject, "--output", output)
    refused(run(*there), f"{output} exists", "choose another folder")
    refused(run("extract", "timm/test_vit", photographs, ".", "--untrained", "--quiet"), "give a folder in it")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["extract", "finetune"])
def test_random_weights_are_of_no_file(run, photographs, tmp_path, command):
    words = (command, "timm/test_vit", photographs, tmp_path / "out", "--untrained", "--weights", "nowhere.pth")
    refused(run(*words), "--untrained", "nowhere.pth")


def test_report_needs_a_page_last(run, mapping):
    refused(run("report", mapping, mapping), ".html")


def test_options_that_do_not_exist(run):
    assert run("demo", "--colour").exit_code == 2
    assert run("demo", "--palette", "pink").exit_code == 2


def test_a_fault_of_the_program_keeps_its_traceback():
    assert failure_line(ZeroDivisionError("a fault")) is None
    assert failure_line(DataError("two\nlines")) == "error: two lines"
    assert "memory" in str(failure_line(MemoryError()))
    assert "make room" in str(failure_line(OSError(28, "No space left on device", "/disk/file")))


def test_ctrl_c_while_extracting_keeps_what_is_complete(photographs, run, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    names = sorted(os.listdir(photographs))
    for index in range(400):
        os.link(photographs / names[index % len(names)], many / f"{index:03d}.png")
    words = ["extract", "timm/test_vit", many, tmp_path / "tokens", "--untrained", "--grid", "4", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENING, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    marker = tmp_path / "tokens" / "completed.json"
    end = time.monotonic() + 60
    while not marker.is_file() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert "stopped" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "tokens"]
    assert not list((tmp_path / "tokens").rglob("*.partial"))
    with pytest.raises(DataError, match="run the extraction again"):
        TokenStore.open(tmp_path / "tokens")
    assert run(*words).exit_code == 0
    assert len(TokenStore.open(tmp_path / "tokens")) == 400
