"""Writes are whole or not at all; hashes tell apart what differs."""

import hashlib

import numpy as np
import pytest

from factortopy.errors import DataError
from factortopy.storage import atomic_path, check_writable, sha256_array, sha256_file, sha256_text, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), atomic_path(tmp_path / "a.txt") as temporary:  # noqa: PT012
            temporary.write_text("half")
            raise error
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name in ("first", "second"):
        with atomic_path(tmp_path / "run") as folder:
            folder.mkdir()
            (folder / name).touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_file_never_replaces_a_folder_nor_a_folder_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    with pytest.raises(DataError, match="is a folder already"):
        write_text(tmp_path / "folder", "text")
    assert (tmp_path / "folder" / "kept").exists()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file already"), atomic_path(tmp_path / "file") as temporary:
        temporary.mkdir()


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    with pytest.raises(DataError, match="holds something else"), atomic_path(tmp_path / "thesis", sign="it"):
        pass
    assert (tmp_path / "thesis" / "chapter").exists()


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    for folder in ("small", "big", "big/run"):
        (tmp_path / folder).mkdir()
    (tmp_path / "big" / "a.txt").write_text("old")
    for name in ("a.txt", "run", "new"):
        (tmp_path / "small" / name).symlink_to(tmp_path / "big" / name)
    write_text(tmp_path / "small" / "a.txt", "new")
    for name in ("run", "new"):
        with atomic_path(tmp_path / "small" / name) as folder:
            assert folder.parent == tmp_path / "big", "it must be written on the disk where it will lie"
            folder.mkdir()
            (folder / "written").touch()
    assert all(path.is_symlink() for path in (tmp_path / "small").iterdir())
    assert (tmp_path / "big" / "a.txt").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "big").rglob("*")) == ["a.txt", "new", "run", "written", "written"]


def test_what_cannot_be_moved_aside_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("/dev")
    for path in (".", "/dev", tmp_path / "link"):
        with pytest.raises(DataError, match="give a folder in it"), atomic_path(path) as folder:
            folder.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write"):
        check_writable(tmp_path / "file" / "run")
    assert check_writable(tmp_path / "new" / "run") == tmp_path / "new" / "run"
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "nothing may be left behind"


def test_a_full_disk_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="No space left"), atomic_path(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    array = np.arange(6)
    assert sha256_array(array) == sha256_array(array.copy())
    assert sha256_array(array) != sha256_array(array.reshape(2, 3))
    assert sha256_array(array) != sha256_array(array.astype(np.int32))
    assert sha256_array(array[::2]) == sha256_array(array[::2].copy())
    assert sha256_text("ab", "c") != sha256_text("a", "bc")


def test_a_large_array_is_told_by_digests_of_its_parts(monkeypatch):
    monkeypatch.setattr("factortopy.storage.files.DIGESTED", 16)
    array = np.arange(5, dtype=np.int64)
    parts = [hashlib.sha256(array.tobytes()[start : start + 16]).digest() for start in (0, 16, 32)]
    assert sha256_array(array) == hashlib.sha256(b"<i8(5,)" + b"".join(parts)).hexdigest()
    for place in range(5):
        other = array.copy()
        other[place] += 1
        assert sha256_array(other) != sha256_array(array)
