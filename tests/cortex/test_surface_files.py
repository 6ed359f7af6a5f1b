"""fsaverage 6 and 7: files as nibabel writes them, spheres against FreeSurfer's, sources of surfaces."""

import os
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.freesurfer import read_geometry, write_geometry, write_morph_data

from factortopy.cortex import Mesh, coordinate_bounds, load_surface, read_mesh, sphere_coordinates
from factortopy.cortex.mesh_files import flat_mesh, read_morph, read_patch
from factortopy.cortex.surfaces import refine_sphere, standard_spheres
from factortopy.errors import DataError, UnavailableError, UnknownNameError

SUBJECTS = os.environ.get("SUBJECTS_DIR", "")
REAL = Path(SUBJECTS) / "fsaverage" / "surf"
needs_real = pytest.mark.skipif(not (SUBJECTS and REAL.is_dir()), reason="SUBJECTS_DIR has no fsaverage of FreeSurfer")
TETRAHEDRON = (
    np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, -1, -1]], float),
    np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]]),
)


def patch_bytes(vertex, places, border):
    """A patch as FreeSurfer writes it."""
    content = struct.pack(">2i", -1, len(vertex))
    for number, place, on_border in zip(vertex, places, border, strict=True):
        content += struct.pack(">i3f", -(number + 1) if on_border else number + 1, *place)
    return content


@settings(max_examples=40, deadline=None)
@given(
    points=st.dictionaries(
        st.integers(0, 200_000),
        st.tuples(st.floats(-300, 300, width=32), st.floats(-300, 300, width=32), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_patch_gives_what_was_written(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("patch") / "lh.cortex.patch.flat"
    places = [(x, y, 0.0) for x, y, _ in points.values()]
    border = [on_border for _, _, on_border in points.values()]
    path.write_bytes(patch_bytes(list(points), places, border))
    vertex, found, on_border = read_patch(path)
    assert vertex.tolist() == list(points)
    np.testing.assert_array_equal(found, np.array(places, np.float32))
    assert on_border.tolist() == border


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected 8"),
        (patch_bytes([1, 2], [(0, 0, 0)] * 2, [False] * 2)[:-3], "truncated"),
        (struct.pack(">2i", -1, 2**31 - 1), "truncated"),
        (struct.pack(">2i", 7, 1) + b"0" * 16, "another kind"),
        (patch_bytes([4, 4], [(0, 0, 0)] * 2, [False] * 2), "twice"),
        (patch_bytes([4, 5], [(0, 0, np.nan)] * 2, [False] * 2), "NaN"),
    ],
)
def test_broken_patch_is_one_line(tmp_path, content, message):
    path = tmp_path / "lh.cortex.patch.flat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_patch(path)


def test_flat_mesh_has_the_faces_inside_the_patch(tmp_path):
    path = tmp_path / "lh.flat"
    closed = Mesh(TETRAHEDRON[0].astype(np.float32), TETRAHEDRON[1].astype(np.int32))
    # Vertex 9 is none of this mesh: a patch of a finer surface.
    path.write_bytes(
        patch_bytes([0, 2, 9, 1], [(1, 2, 0), (3, 4, 0), (9, 9, 0), (5, 6, 0)], [True, False, False, False])
    )
    mesh = flat_mesh(path, closed)
    assert mesh.faces.tolist() == [[0, 1, 2]]
    assert mesh.coordinates[[0, 1, 2, 3]].tolist() == [[1, 2, 0], [5, 6, 0], [3, 4, 0], [0, 0, 0]]


def test_freesurfer_mesh_and_values_equal_what_nibabel_wrote(tmp_path):
    write_geometry(tmp_path / "lh.white", *TETRAHEDRON)
    mesh = read_mesh(tmp_path / "lh.white")
    np.testing.assert_array_equal(mesh.coordinates, TETRAHEDRON[0])
    np.testing.assert_array_equal(mesh.faces, TETRAHEDRON[1])
    write_morph_data(tmp_path / "lh.sulc", np.array([0.5, -1, 2, 3]))
    assert read_morph(tmp_path / "lh.sulc", 4).tolist() == [0.5, -1, 2, 3]
    for wrong in (3, 5):
        with pytest.raises(DataError, match=f"expected {wrong}"):
            read_morph(tmp_path / "lh.sulc", wrong)


def test_broken_meshes_are_one_line(tmp_path):
    path = tmp_path / "lh.white"
    write_geometry(path, *TETRAHEDRON)
    content = path.read_bytes()
    start = content.index(b"\n\n") + 2
    giant = content[:start] + struct.pack(">2i", 2**31 - 1, 5) + content[start + 8 :]
    for broken in (b"", content[:2], content[:-5], giant, b"abc" + content[3:]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"lh.white has .* truncated"):
            read_mesh(path)
    write_geometry(path, TETRAHEDRON[0], TETRAHEDRON[1] + 1)
    with pytest.raises(DataError, match="4 vertices but triangles of 1 to 4"):
        read_mesh(path)
    with pytest.raises(DataError, match="is missing"):
        read_mesh(tmp_path / "rh.white")
    path.write_bytes(b"\xff\xff\xff" + struct.pack(">3i", 4, 4, 1))
    with pytest.raises(DataError, match="truncated"):
        read_morph(path, 4)


def test_refining_the_parents_of_fsaverage5_gives_fsaverage5():
    real = load_surface("fsaverage5").left.sphere
    first, rest = real.faces[:5120], real.faces[5120:].reshape(5120, 3, 3)
    # fsaverage4: its 2,562 vertices come first in fsaverage5, its triangles are those around the children.
    parents = np.stack([first[:, 0], rest[:, 2, 1], rest[:, 0, 2]], axis=1)
    assert parents.max() == 2561
    made = refine_sphere(Mesh(real.coordinates[:2562], parents))
    np.testing.assert_allclose(made.coordinates, real.coordinates, atol=0.012)
    same = {tuple(sorted(face)) for face in made.faces.tolist()}
    assert same == {tuple(sorted(face)) for face in real.faces.tolist()}


@pytest.mark.parametrize(("name", "count"), [("fsaverage6", 40_962), ("fsaverage", 163_842)])
def test_spheres_are_had_without_any_file_but_nilearns(name, count, monkeypatch):
    monkeypatch.delenv("SUBJECTS_DIR", raising=False)
    coarse = load_surface("fsaverage5").left.sphere.coordinates
    left, right = standard_spheres(name)
    assert left.coordinates.shape == right.coordinates.shape == (count, 3)
    np.testing.assert_array_equal(left.coordinates[: len(coarse)], coarse)
    np.testing.assert_allclose(np.linalg.norm(left.coordinates, axis=1), 100, atol=0.01)
    assert len(np.unique(left.coordinates.round(3), axis=0)) == count
    assert len(left.faces) == 2 * count - 4  # Euler's formula of a closed triangle mesh
    everywhere = sphere_coordinates(name)
    assert everywhere.shape == (2 * count, 3)
    np.testing.assert_allclose(coordinate_bounds(everywhere), [[-100, -100, -100], [400, 100, 100]], atol=0.02)


def test_fsaverage7_is_fsaverage():
    np.testing.assert_array_equal(sphere_coordinates("fsaverage7"), sphere_coordinates("fsaverage"))
    np.testing.assert_array_equal(sphere_coordinates("fsaverage5"), sphere_coordinates(load_surface("fsaverage5")))
    with pytest.raises(UnknownNameError, match="fsaverage"):
        sphere_coordinates("fsavrage")


@needs_real
def test_computed_spheres_are_freesurfers():
    for short, mesh in zip(("lh", "rh"), standard_spheres("fsaverage"), strict=True):
        coordinates, faces = read_geometry(REAL / f"{short}.sphere")
        np.testing.assert_allclose(mesh.coordinates, coordinates, atol=0.011)
        assert {tuple(sorted(face)) for face in mesh.faces.tolist()} == {tuple(sorted(face)) for face in faces.tolist()}


@needs_real
def test_real_fsaverage_is_read_and_lies_upright():
    surface, coarse = load_surface("fsaverage"), load_surface("fsaverage5")
    for half, points in zip(surface.hemispheres, (149_297, 149_765), strict=True):
        short = "lh" if half.name == "left" else "rh"
        vertex, _, _ = read_patch(REAL / f"{short}.cortex.patch.flat")
        assert len(vertex) == points
        assert half.vertices == 163_842
        assert 12_000 < (~half.cortex).sum() < 16_000
        # The occipital pole and the front point the same ways as on fsaverage5's flat map.
        back = [
            one.flat.coordinates[one.nearest_vertex(((-13, 13)[short == "rh"], -101, -6))]
            for one in (half, coarse.hemisphere(half.name))
        ]
        assert back[0][0] * back[1][0] > 0


def write_fsaverage6(subjects, angle=1.2):
    """A FreeSurfer folder with the sphere of fsaverage6, and fsaverage5's flat map turned by an angle."""
    coarse = load_surface("fsaverage5")
    for short, half, sphere in zip(("lh", "rh"), coarse.hemispheres, standard_spheres("fsaverage6"), strict=True):
        surf = subjects / "fsaverage6" / "surf"
        surf.mkdir(parents=True, exist_ok=True)
        for kind in ("white", "pial", "inflated", "sphere"):
            write_geometry(surf / f"{short}.{kind}", sphere.coordinates, sphere.faces)
        for kind in ("sulc", "curv"):
            write_morph_data(surf / f"{short}.{kind}", sphere.coordinates[:, 0])
        (subjects / "fsaverage" / "surf").mkdir(parents=True, exist_ok=True)
        inside = np.unique(half.flat.faces)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        places = np.c_[half.flat.coordinates[inside, :2] @ turn, np.zeros(len(inside))]
        # The patch needs whole triangles: new vertices beside the old ones lie at 0 and are not compared.
        middle = sphere.faces[np.isin(sphere.faces, np.arange(10_242)).any(axis=1)]
        extra = np.setdiff1d(middle, inside)
        extra = extra[extra >= 10_242]
        places = np.concatenate([places, np.zeros((len(extra), 3))])
        vertex = np.concatenate([inside, extra])
        (subjects / "fsaverage" / "surf" / f"{short}.cortex.patch.flat").write_bytes(
            patch_bytes(vertex.tolist(), places.tolist(), [False] * len(vertex))
        )


def test_freesurfers_folder_is_used_and_its_flat_map_turned_upright(tmp_path, monkeypatch):
    write_fsaverage6(tmp_path)
    monkeypatch.setenv("SUBJECTS_DIR", str(tmp_path))
    surface, coarse = load_surface("fsaverage6"), load_surface("fsaverage5")
    assert surface.name == "fsaverage6"
    for fine, model in zip(surface.hemispheres, coarse.hemispheres, strict=True):
        inside = np.unique(model.flat.faces)
        np.testing.assert_allclose(fine.flat.coordinates[inside, :2], model.flat.coordinates[inside, :2], atol=1e-2)
        assert fine.vertices == 40_962
    (tmp_path / "fsaverage6" / "surf" / "rh.sulc").unlink()
    with pytest.raises(DataError, match=r"rh.sulc is missing"):
        load_surface("fsaverage6")
    (tmp_path / "fsaverage" / "surf" / "lh.cortex.patch.flat").unlink()
    with pytest.raises(DataError, match=r"lh.cortex.patch.flat is missing"):
        load_surface("fsaverage6")


def write_nilearn_folder(folder):
    """fsaverage6 as nilearn keeps it after a download."""
    folder.mkdir(parents=True)
    for half, sphere in zip(("left", "right"), standard_spheres("fsaverage6"), strict=True):
        flat = sphere.coordinates * np.array([1, 1, 0], np.float32)
        for stem in ("white", "pial", "infl", "sphere", "flat"):
            points = flat if stem == "flat" else sphere.coordinates
            image = nib.GiftiImage()
            for array, intent in ((points, "POINTSET"), (sphere.faces, "TRIANGLE")):
                image.add_gifti_data_array(nib.gifti.GiftiDataArray(array, intent=f"NIFTI_INTENT_{intent}"))
            nib.save(image, folder / f"{stem}_{half}.gii.gz")
        for stem in ("sulc", "curv"):
            array = nib.gifti.GiftiDataArray(sphere.coordinates[:, 1], intent="NIFTI_INTENT_SHAPE")
            nib.save(nib.GiftiImage(darrays=[array]), folder / f"{stem}_{half}.gii.gz")


def test_nilearns_folder_then_the_three_ways_and_a_download_only_if_asked(tmp_path, monkeypatch):
    import nilearn.datasets

    for variable in ("SUBJECTS_DIR", "NILEARN_DATA", "NILEARN_SHARED_DATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = []

    def offline(mesh):
        asked.append(mesh)
        raise OSError("no\nnetwork")

    monkeypatch.setattr(nilearn.datasets, "fetch_surf_fsaverage", offline)
    with pytest.raises(UnavailableError, match=r"SUBJECTS_DIR .* ~/nilearn_data, .* fetch=True"):
        load_surface("fsaverage7")
    assert not asked
    with pytest.raises(UnavailableError, match="cannot download the surface fsaverage6: no network"):
        load_surface("fsaverage6", fetch=True)
    assert asked == ["fsaverage6"]
    write_nilearn_folder(tmp_path / "other" / "fsaverage6")
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path / "other"))
    surface = load_surface("fsaverage6")
    np.testing.assert_array_equal(surface.left.sphere.coordinates, standard_spheres("fsaverage6")[0].coordinates)
    np.testing.assert_array_equal(surface.right.sulcal_depth, surface.right.white.coordinates[:, 1])
