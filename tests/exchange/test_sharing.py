"""Shared mappings are read from a folder, a zip or a hub, and nothing else is let in."""

import stat
import zipfile

import numpy as np
import pytest

from factortopy.errors import DataError, UnavailableError
from factortopy.exchange import load_mapping, share, zip_folder
from factortopy.mapping import Mapping, mapping_dataset

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def mapping():
    values = {"space": np.zeros((3, 2)), "layer": np.full((3, 2), 0.5), "scale": np.zeros(3), "r2": np.arange(3.0)}
    values |= {"hemisphere": np.repeat("left", 3), "vertex": np.arange(3)}
    return Mapping(mapping_dataset(values, ["a", "b"], {}, {"network": "none"}))


def same(one, other):
    return bool((one.dataset["r2"] == other.dataset["r2"]).all())


def test_folder_shared_folder_and_zip_hold_the_same(mapping, tmp_path):
    mapping.save(tmp_path / "plain")
    share(mapping, tmp_path / "shared")
    zip_folder(tmp_path / "shared", tmp_path / "shared.zip")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for file in (tmp_path / "plain").rglob("*"):
            archive.write(file, file.relative_to(tmp_path / "plain"))
    for name in ("plain", "shared", "shared/mapping", "shared.zip", "flat.zip"):
        assert same(load_mapping(tmp_path / name), mapping), name


@pytest.mark.parametrize("fault", ["changed", "missing", "more"])
def test_what_the_digests_do_not_say_is_refused(mapping, tmp_path, fault):
    own = share(mapping, tmp_path / "shared")
    if fault == "changed":
        (own / "settings.toml").write_text("seed = 1\n")
    elif fault == "missing":
        (own / "settings.toml").unlink()
    else:
        (own / "dataset.zarr" / "other").write_text("x")
    with pytest.raises(DataError) as refused:
        load_mapping(tmp_path / "shared")
    assert refused.value.path.name == ("other" if fault == "more" else "settings.toml")


def test_what_macos_adds_to_folders_and_zips_is_not_looked_at(mapping, tmp_path):
    own = share(mapping, tmp_path / "shared")
    for added in (tmp_path / "shared", own, own / "dataset.zarr"):
        (added / ".DS_Store").write_bytes(b"Bud1")
        (added / "._settings.toml").write_bytes(b"x")
    assert same(load_mapping(tmp_path / "shared"), mapping)
    # As the Finder compresses: the second folder at the top holds what its file system keeps beside files.
    with zipfile.ZipFile(tmp_path / "finder.zip", "w") as archive:
        for file in (tmp_path / "shared").rglob("*"):
            name = file.relative_to(tmp_path)
            archive.write(file, name)
            archive.writestr(f"__MACOSX/{name.parent.as_posix()}/._{name.name}", "x")
    assert same(load_mapping(tmp_path / "finder.zip"), mapping)


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize("name", ["../away", "a/../../away", "/away", "C:/away", "..\\away", link("mapping/link")])
def test_no_path_of_a_zip_leaves_its_folder(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(DataError, match="leaves its folder"):
        load_mapping(tmp_path / "bad.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_a_zip_that_is_more_than_it_can_hold_or_none_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"0" * 70_000_000)
    # A header that announces a thousand times what deflate can hold.
    content = (tmp_path / "bomb.zip").read_bytes()
    announced = (70_000_000).to_bytes(4, "little")
    (tmp_path / "bomb.zip").write_bytes(content.replace(announced, (4_000_000_000).to_bytes(4, "little")))
    for name, text in (("bomb.zip", "announces"), ("text.zip", "zip file")):
        if name == "text.zip":
            (tmp_path / name).write_text("no zip")
        with pytest.raises(DataError, match=text):
            load_mapping(tmp_path / name)


def test_a_repository_is_read_at_a_commit_and_checked(mapping, tmp_path, monkeypatch):
    share(mapping, tmp_path / "shared")
    asked = []

    def snapshot(name, revision, **_):
        asked.append((name, revision))
        if name == "nobody/none":
            raise OSError("404 Client Error\nand more")
        return str(tmp_path / ("shared" if name == "lab/brain" else "plain"))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert same(load_mapping(f"hf://lab/brain@{COMMIT}"), mapping)
    assert asked == [("lab/brain", COMMIT)]
    for text in ("hf://lab/brain", "hf://lab/brain@main", f"hf://brain@{COMMIT}"):
        with pytest.raises(DataError, match="COMMIT"):
            load_mapping(text)
    with pytest.raises(UnavailableError, match="404 Client Error"):
        load_mapping(f"hf://nobody/none@{COMMIT}")
    mapping.save(tmp_path / "plain")
    with pytest.raises(DataError, match="SHA256SUMS"):
        load_mapping(f"hf://lab/unchecked@{COMMIT}")
    assert len(asked) == 3
