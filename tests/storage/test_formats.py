"""Files of a newer version are told as such in one line, wherever a format is opened; those of this one open."""

import json
import re

import numpy as np
import pytest
import torch
import zarr

import factortopy as ft
from factortopy.errors import DataError, NewerFormatError
from factortopy.storage import Checkpoint, Part, ShardedStore, check_format


@pytest.mark.parametrize("said", [None, 3, "", "factortopy-mapping-1", "factortopy-mapping-2", "factortopy-tokens-9"])
def test_formats_of_this_version_and_other_kinds_are_not_newer(said):
    assert check_format("folder", said, "factortopy-mapping-2") is None


@pytest.mark.parametrize("said", ["factortopy-mapping-3", "factortopy-mapping-10"])
def test_newer_formats_are_one_line_with_the_remedy(said):
    with pytest.raises(NewerFormatError, match=f"^folder was written by a newer .*{said}.* pip install") as caught:
        check_format("folder", said, "factortopy-mapping-2")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, DataError)


def test_a_newer_store_of_tokens(tmp_path):
    class Store(ShardedStore):
        noun, unit, action, format = "token store", "images", "extraction", "factortopy-tokens-2"

    zarr.open_group(tmp_path / "store", mode="w", zarr_format=3).attrs["format"] = "factortopy-tokens-3"
    with pytest.raises(NewerFormatError, match="tokens-3"):
        Store(tmp_path / "store").open()


def test_a_newer_checkpoint(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path, "same")
    checkpoint.save("state", Part({"x": torch.zeros(2)}, {"step": 1}))
    assert checkpoint.load("state").facts == {"step": 1}
    monkeypatch.setattr("factortopy.storage.checkpoint.FORMAT", "factortopy-checkpoint-2")
    checkpoint.save("state", Part({}, {}))
    monkeypatch.undo()
    with pytest.raises(NewerFormatError, match="checkpoint-2"):
        checkpoint.load("state")


def test_a_newer_subject(tmp_path):
    responses = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    voxels = ft.Voxels.at(np.arange(9.0).reshape(3, 3))
    subject = ft.Subject(name="one", responses=responses, image_ids=("a", "b", "c", "d"), voxels=voxels)
    file = subject.save(tmp_path / "one") / "subject.toml"
    assert ft.load_subject(tmp_path / "one").name == "one"
    file.write_text(re.sub(r"subject-\d+", "subject-2", file.read_text()))
    with pytest.raises(NewerFormatError, match="subject-2"):
        ft.load_subject(tmp_path / "one")


def test_a_newer_sweep_is_not_written_to(tmp_path):
    record = ft.sweep.Record(tmp_path)
    record.describe([])
    assert record.tasks() == []
    plan = tmp_path / "sweep" / "plan.json"
    plan.write_text(newer := json.dumps({"format": "factortopy-sweep-2", "jobs": {}}))
    for use in (record.tasks, lambda: record.describe([])):
        with pytest.raises(NewerFormatError, match="sweep-2"):
            use()
    assert plan.read_text() == newer
