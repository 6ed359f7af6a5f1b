"""Labels of vertices against nibabel's own reading of the same files, and the masks they make."""

import re
import struct
import warnings

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.freesurfer import read_annot, read_label, write_annot

from factortopy.cortex import Labels, Voxels, read_labels, roi_masks
from factortopy.errors import DataError

VERTICES = 40
NAMES = {0: "Unknown", 1: "V1v", 2: "V1d", 7: "hV4"}
VALUES = np.array([0, 1, 2, 7] * 10)


def write_mgz(path, values=VALUES, table=NAMES, dtype=np.float32):
    nib.save(nib.MGHImage(values.astype(dtype).reshape(-1, 1, 1), np.eye(4)), path)
    if table:
        lines = [f"{number} {name}" for number, name in table.items()]
        path.with_name(path.name + ".ctab").write_text("\n".join(lines) + "\n")
    return path


def write_gifti(path, values=VALUES, table=NAMES):
    image = nib.GiftiImage()
    for number, name in table.items():
        label = nib.gifti.GiftiLabel(key=number)
        label.label = name
        image.labeltable.labels.append(label)
    intent = "NIFTI_INTENT_LABEL"
    image.add_gifti_data_array(nib.gifti.GiftiDataArray(values.astype(np.int32), intent=intent))
    nib.save(image, path)
    return path


def write_annotation(path, values, names):
    colours = np.array([[17 * n % 251 + 1, 29 * n % 253, 5 * n % 255, 0, 0] for n in range(1, len(names) + 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_annot(path, values, colours, names, fill_ctab=True)
    return path


def write_label(path, vertices):
    lines = [f"{vertex} 0.0 0.0 0.0 0.5" for vertex in vertices]
    path.write_text("\n".join(["#!ascii label", str(len(lines)), *lines]) + "\n")
    return path


def old_annotation(path, colours, table):
    """The old layout of FreeSurfer, byte by byte; nibabel cannot write it."""
    content = struct.pack(">i", len(colours))
    content += b"".join(struct.pack(">2i", vertex, colour) for vertex, colour in enumerate(colours))
    content += struct.pack(">2i", 1, len(table)) + struct.pack(">i", 5) + b"ctab\0"
    for name, (red, green, blue) in table.items():
        content += struct.pack(">i", len(name) + 1) + name.encode() + b"\0"
        content += struct.pack(">4i", red, green, blue, 0)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", ["mgz", "mgh"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_mgh_with_the_table_beside_it(tmp_path, ending, dtype):
    found = read_labels(write_mgz(tmp_path / f"lh.prf-visualrois.{ending}", dtype=dtype))
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.names == NAMES
    assert list(found.regions) == ["V1v", "V1d", "hV4"]
    np.testing.assert_array_equal(found.regions["hV4"], VALUES == 7)


def test_table_named_without_the_ending_with_colours_and_comments(tmp_path):
    path = write_mgz(tmp_path / "rh.streams.mgz", table=None)
    (tmp_path / "rh.streams.ctab").write_text("# names\n\n0 Unknown 0 0 0 0\n1 early 255 0 0 0\n")
    assert read_labels(path).names == {0: "Unknown", 1: "early"}


def test_names_in_a_table_may_have_spaces(tmp_path):
    names = {0: "Unknown", 1: "early V1", 2: "early V2", 7: "area 45"}
    for colour in ("", " 10 20 30", " 10 20 30 0", " 10 20 30 0 25"):  # with opacity and type of tissue
        table = {number: name + colour for number, name in names.items()}
        found = read_labels(write_mgz(tmp_path / "lh.x.mgz", table=table))
        assert found.names == names
        for number in (1, 2, 7):
            np.testing.assert_array_equal(found.regions[names[number]], number == VALUES)
    write_mgz(tmp_path / "lh.x.mgz", table={7: "1 2 3 4"})
    assert read_labels(tmp_path / "lh.x.mgz").names == {7: "1 2 3 4"}, "four numbers and nothing before are the name"


def test_without_a_table_numbers_are_names(tmp_path):
    found = read_labels(write_mgz(tmp_path / "lh.x.mgz", table=None))
    assert list(found.regions) == ["1", "2", "7"]


def test_gifti(tmp_path):
    path = write_gifti(tmp_path / "lh.label.gii")
    found = read_labels(path)
    np.testing.assert_array_equal(found.values, nib.load(path).agg_data())
    assert found.names == NAMES


def test_npy_and_nifti(tmp_path):
    np.save(tmp_path / "lh.npy", VALUES)
    nib.save(nib.Nifti1Image(VALUES.reshape(4, 5, 2).astype(np.int16), np.eye(4)), tmp_path / "roi.nii.gz")
    np.testing.assert_array_equal(read_labels(tmp_path / "lh.npy").values, VALUES)
    np.testing.assert_array_equal(read_labels(tmp_path / "roi.nii.gz").values, VALUES)


def test_label_lists_vertices(tmp_path):
    path = write_label(tmp_path / "lh.V1_exvivo.label", [3, 5, 8])
    found = read_labels(path, vertices=VERTICES)
    np.testing.assert_array_equal(np.flatnonzero(found.values), np.sort(read_label(path)))
    assert found.names == {1: "V1_exvivo"}
    with pytest.raises(DataError, match="how many there are"):
        read_labels(path)
    with pytest.raises(DataError, match="another surface"):
        read_labels(path, vertices=8)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), names=st.lists(st.text("abcXYZ-_.19", min_size=1, max_size=9), min_size=1, max_size=6))
def test_annotation_equals_nibabel(tmp_path_factory, data, names):
    values = data.draw(st.lists(st.integers(-1, len(names) - 1), min_size=2, max_size=30))
    path = write_annotation(tmp_path_factory.mktemp("annot") / "lh.aparc.annot", np.array(values), names)
    expected, _, texts = read_annot(path)
    found = read_labels(path)
    np.testing.assert_array_equal(found.values, expected)
    assert list(found.names.values()) == [text.decode() for text in texts] == names


def test_annotation_of_the_old_layout(tmp_path):
    table = {"unknown": (25, 5, 25), "V1": (200, 10, 0), "V2": (0, 100, 30)}
    colour = {name: red + 256 * green + 65536 * blue for name, (red, green, blue) in table.items()}
    path = tmp_path / "lh.old.annot"
    old_annotation(path, [colour["V2"], colour["V1"], colour["unknown"], 0, 99], table)
    found = read_labels(path)
    # Colour 0, and a colour that the table does not have, are no label; nibabel gives the second a wrong one.
    assert found.values.tolist() == [2, 1, 0, -1, -1]
    np.testing.assert_array_equal(found.values[:4], read_annot(path)[0][:4])
    assert list(found.regions) == ["V1", "V2"]


def test_annotation_of_shuffled_vertices(tmp_path):
    path = write_annotation(tmp_path / "lh.x.annot", np.array([0, 1, 1, 0]), ["a", "b"])
    content = bytearray(path.read_bytes())
    content[4:12], content[12:20] = content[12:20], content[4:12]
    path.write_bytes(content)
    assert read_labels(path).values.tolist() == [0, 1, 1, 0]


def voxels_at(hemisphere, vertex, surface=None):
    count = len(vertex)
    return Voxels(
        coordinates=np.zeros((count, 3), np.float32),
        bounds=np.zeros((2, 3), np.float32),
        hemisphere=np.array(hemisphere),
        vertex=np.array(vertex),
        surface=surface,
        rois={"V1v": np.ones(count, bool), "kept": np.ones(count, bool)},
    )


def test_rois_follow_the_voxels_own_vertices(tmp_path):
    left = write_mgz(tmp_path / "lh.r.mgz")
    right = write_mgz(tmp_path / "rh.r.mgz", values=VALUES[::-1])
    voxels = voxels_at(["left", "right", "left", "right"], [9, 9, 2, 39])
    found = voxels.with_labels({"left": left, "right": right}).rois
    # Left vertex 9 is 1, 2 is 2; right vertex 9 is VALUES[30] = 2, 39 is VALUES[0] = 0.
    assert found["V1v"].tolist() == [True, False, False, False]
    assert found["V1d"].tolist() == [False, True, True, False]
    assert found["hV4"].tolist() == [False] * 4
    assert found["kept"].all()


def test_labels_of_another_surface_are_refused(tmp_path):
    path = write_mgz(tmp_path / "lh.r.mgz")
    with pytest.raises(DataError, match="40 vertices, expected 10242"):
        voxels_at(["left"], [3], "fsaverage5").with_labels({"left": path})
    with pytest.raises(DataError, match="left vertices are 3 to 3"):
        roi_masks({"left": Labels(np.array([1, 1]), {})}, np.array(["left"]), np.array([3]))
    with pytest.raises(DataError, match="'lh'"):
        voxels_at(["left"], [3]).with_labels({"lh": path})
    label = write_label(tmp_path / "lh.V2.label", [3])
    assert voxels_at(["left"], [3], "fsaverage").with_labels({"left": label}).rois["V2"].all()


def test_two_numbers_of_one_name_are_one_region_and_background_is_none():
    labels = Labels(np.array([0, 1, 2, 3, 4]), {0: "V1", 1: "V1", 2: "???", 3: "Medial_wall", 4: "x"})
    assert {name: mask.tolist() for name, mask in labels.regions.items()} == {
        "V1": [True, True, False, False, False],
        "x": [False] * 4 + [True],
    }


def damaged_files(folder):
    mgz, annot = write_mgz(folder / "lh.r.mgz"), folder / "lh.a.annot"
    write_annotation(annot, np.array([0, 1, 1, 0]), ["a", "b"])
    gifti = write_gifti(folder / "lh.label.gii")
    label = write_label(folder / "lh.V1.label", [1, 2])
    np.save(folder / "lh.npy", VALUES)
    return [mgz, annot, gifti, label, folder / "lh.npy"]


def test_missing_empty_and_truncated_files_are_one_line(tmp_path):
    for path in damaged_files(tmp_path):
        content = path.read_bytes()
        for kept in (0, 1, 3, 7, len(content) // 2):
            path.write_bytes(content[:kept])
            with pytest.raises(DataError, match=re.escape(path.name)) as caught:
                read_labels(path, vertices=VERTICES)
            assert "\n" not in str(caught.value)
        path.unlink()
        with pytest.raises(DataError, match="is missing"):
            read_labels(path, vertices=VERTICES)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("lh.x.mgz", lambda path: write_mgz(path, VALUES + 0.5), "labels are whole numbers"),
        ("lh.x.mgz", lambda path: write_mgz(path, np.full(40, np.nan)), "no NaN"),
        ("lh.x.txt", lambda path: path.write_text("1"), "holds no labels"),
        ("lh.npy", lambda path: np.save(path, np.array(["a"])), "whole numbers"),
        ("lh.annot", lambda path: path.write_bytes(struct.pack(">3i", 1, 5, 0)), "label each"),
        ("lh.annot", lambda path: path.write_bytes(struct.pack(">3i", 1, 0, 0)), "no colour table"),
        ("lh.annot", lambda path: path.write_bytes(struct.pack(">5i", 1, 0, 0, 1, -7)), "version 7"),
        ("lh.annot", lambda path: path.write_bytes(struct.pack(">i", 2**31 - 1)), "truncated"),
        ("lh.annot", lambda path: path.write_bytes(struct.pack(">6i", 1, 0, 0, 1, -2, 2**31 - 1)), "truncated"),
    ],
)
def test_wrong_content_is_one_line(tmp_path, name, write, message):
    path = tmp_path / name
    write(path)
    with pytest.raises(DataError, match=message) as caught:
        read_labels(path)
    assert name in str(caught.value)


def test_broken_table(tmp_path):
    path = write_mgz(tmp_path / "lh.r.mgz")
    (tmp_path / "lh.r.mgz.ctab").write_text("one V1\n")
    with pytest.raises(DataError, match=r"lh.r.mgz.ctab .*number and a name"):
        read_labels(path)
