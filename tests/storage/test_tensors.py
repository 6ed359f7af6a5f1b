"""Tensors in files: as given, readable like other new files, and one line where the disk is full."""

import os

import pytest
import torch
from safetensors.torch import load_file

from factortopy.errors import DataError
from factortopy.storage import Checkpoint, Part, write_tensors


@pytest.fixture(params=[0o022, 0o027, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_whoever_may_read_other_new_files_may_read_tensors(tmp_path, umask):
    tied = torch.arange(6.0).reshape(2, 3)
    write_tensors(tmp_path / "a.safetensors", {"one": tied, "other": tied, "turned": tied.T})
    found = load_file(tmp_path / "a.safetensors")
    assert {name: value.tolist() for name, value in found.items()} == {
        "one": tied.tolist(),
        "other": tied.tolist(),
        "turned": tied.T.tolist(),
    }
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask
    Checkpoint(tmp_path, "it").save("fit", Part({"a": tied}, {}))
    assert (tmp_path / "fit.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, full_disk):
    large = {"a": torch.zeros(4096)}
    with full_disk(), pytest.raises(DataError, match=r"cannot write .*fit\.safetensors: .*; make room") as raised:
        Checkpoint(tmp_path, "it").save("fit", Part(large, {}))
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
