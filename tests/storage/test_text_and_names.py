"""Text as Windows writes it, and names in capitals as disks that know no case give them."""

import gzip
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from nibabel import cifti2
from nibabel.gifti import GiftiDataArray, GiftiImage
from PIL import Image

from factortopy.cortex import read_colour_table, read_labels
from factortopy.datasets import check_path, load_subject
from factortopy.errors import DataError
from factortopy.images import read_split
from factortopy.storage import read_array, read_volume

MARK = b"\xef\xbb\xbf"
VALUES = np.random.default_rng(0).normal(size=(5, 40)).astype("f4")


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "responses.npy", VALUES[:4, :3])
    np.save(tmp_path / "coordinates.npy", np.eye(3, dtype="f4"))
    (tmp_path / "image_ids.txt").write_bytes(MARK + b"a\r\nb\r\nc\r\nd\r\n")
    return tmp_path


def test_a_byte_order_mark_is_no_part_of_a_text(folder):
    (folder / "rois.json").write_bytes(MARK + b'{"V1": [0, 2]}')
    (folder / "subject.toml").write_bytes(MARK + 'name = "ü"\r\n'.encode())
    subject = load_subject(folder)
    assert (subject.name, subject.image_ids) == ("ü", ("a", "b", "c", "d"))
    assert subject.voxels.rois["V1"].tolist() == [True, False, True]
    sides = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    (folder / "split.json").write_bytes(MARK + json.dumps(sides).encode())
    assert read_split(folder / "split.json").to_dict() == sides
    (folder / "lh.a.mgz.ctab").write_bytes(MARK + b"0 Unknown\n1 V1\n")
    assert read_colour_table(folder / "lh.a.mgz") == {0: "Unknown", 1: "V1"}


@pytest.mark.parametrize("name", ["subject.toml", "rois.json", "image_ids.txt"])
def test_utf_16_is_refused_in_one_line(folder, name):
    (folder / name).write_bytes('name = "x"'.encode("utf-16"))
    with pytest.raises(DataError, match=name.replace(".", r"\.")) as caught:
        load_subject(folder)
    assert "\n" not in str(caught.value)


def write_all(folder):
    """One file of every format, all of the same values."""
    maps = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES") for row in VALUES]
    nib.save(GiftiImage(darrays=maps), folder / "a.func.gii")
    nib.save(GiftiImage(darrays=maps), folder / "b.func.gii.gz")
    for name in ("c.mgh", "d.mgz"):
        nib.save(nib.MGHImage(VALUES.T[:, None, None, :].copy(), np.eye(4)), folder / name)
    axes = (cifti2.SeriesAxis(0, 1, 5), cifti2.BrainModelAxis.from_surface(np.arange(40), 64, "CortexLeft"))
    nib.save(nib.Cifti2Image(VALUES, header=cifti2.Cifti2Header.from_axes(axes)), folder / "e.dtseries.nii")
    (folder / "f.dtseries.nii.gz").write_bytes(gzip.compress((folder / "e.dtseries.nii").read_bytes()))
    np.save(folder / "g.npy", VALUES)
    np.savez(folder / "h.npz", VALUES)
    for name in ("v.nii", "w.nii.gz"):
        nib.save(nib.Nifti1Image(VALUES, np.eye(4)), folder / name)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("change", [str.upper, str.title, str.lower])
def test_names_in_any_case(tmp_path, change):
    for file in write_all(tmp_path):
        named = file.rename(tmp_path / f"x{change(file.name)}")
        read = read_volume if named.name[1] in "vVwW" else read_array
        np.testing.assert_allclose(read(named), VALUES, err_msg=named.name)


def test_labels_in_capitals(tmp_path):
    nib.save(nib.MGHImage(np.arange(40, dtype="f4")[:, None, None], np.eye(4)), tmp_path / "m.mgz")
    shutil.move(tmp_path / "m.mgz", tmp_path / "LH.M.MGZ")
    (tmp_path / "LH.M.ctab").write_text("1 V1\n")
    labels = read_labels(tmp_path / "LH.M.MGZ")
    assert labels.values.tolist() == list(range(40))
    assert labels.names == {1: "V1"}


def test_numbered_names_do_not_decide_the_order_of_rows(folder):
    (folder / "photographs").mkdir()
    (folder / "image_ids.txt").unlink()
    for number in (1, 2, 9, 10):
        Image.new("RGB", (8, 8), (number,) * 3).save(folder / "photographs" / f"img{number}.png")
    (folder / "subject.toml").write_text('images = "photographs"\n')
    with pytest.raises(
        DataError, match=r"'img10\.png' comes before 'img2\.png' by name, not by number; give image_ids"
    ):
        load_subject(folder)
    assert check_path(folder).problems
    (folder / "image_ids.txt").write_text("img1.png\nimg2.png\nimg9.png\nimg10.png\n")
    assert load_subject(folder).image_ids[1] == "img2.png"
    (folder / "image_ids.txt").unlink()
    for number in (1, 2, 9):
        (folder / "photographs" / f"img{number}.png").rename(folder / "photographs" / f"img{number:02}.png")
    assert load_subject(folder).image_ids[3] == "img10.png"
