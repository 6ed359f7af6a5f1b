"""Exported maps, each read back by the library of those who will open it: values at their vertices, and what fills."""

import gzip
import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from nibabel.freesurfer import read_annot
from typer.testing import CliRunner

from factortopy import Mapping, Voxels
from factortopy.cli import app
from factortopy.cortex import load_surface
from factortopy.errors import DataError, UnavailableError
from factortopy.exchange import export_maps

COUNT = 10_242
SIDES = {"left": "lh", "right": "rh"}
VIEWER = Path(__file__).parents[2] / "viewer"
NIIVUE = """
import { readFileSync } from "node:fs";
import { NVMeshLoaders } from "@niivue/niivue";
const folder = process.argv[1];
const bytes = (name) => Uint8Array.from(readFileSync(`${folder}/${name}`)).buffer;
const found = [];
for (const { url, layers } of JSON.parse(readFileSync(`${folder}/niivue.json`, "utf8"))) {
    const mesh = await NVMeshLoaders.readMZ3(bytes(url));
    const own = { pts: mesh.positions, tris: mesh.indices, vertexCount: mesh.positions.length, layers: [] };
    const read = {};
    for (const { url: name, cal_min, cal_max } of layers.filter(({ url }) => /\\.(r2|layer_share)\\./.test(url))) {
        const layer = await NVMeshLoaders.readLayer(name, bytes(name), own, 1, "viridis", "", false, cal_min, cal_max);
        read[name] = { values: [...layer.values], frames: layer.nFrame4D, low: layer.cal_min, high: layer.cal_max };
    }
    found.push({ points: [...mesh.positions], faces: [...mesh.indices], read });
}
console.log(JSON.stringify(found));
"""


def spread(mapping, values, side):
    """The rows of a hemisphere one by one, without the exporter's own indexing."""
    found = np.full((COUNT, *values.shape[1:]), np.nan)
    for row, (own, vertex) in enumerate(
        zip(mapping.dataset["hemisphere"].values, mapping.dataset["vertex"].values, strict=True)
    ):
        if own == side:
            found[vertex] = values[row]
    return found


def quantities(mapping):
    data = mapping.dataset
    plain = {name: data[name].values for name in ("r2", "depth", "scale", "layer", "layer_share")}
    return plain | {"space_x": data["space"].values[:, 0], "space_y": data["space"].values[:, 1]}


@pytest.mark.parametrize("side", SIDES)
def test_gifti_holds_every_map_at_its_vertices(mapping, tmp_path, side):
    folder = export_maps(mapping, tmp_path / "maps", "gifti")
    for name, values in quantities(mapping).items():
        image = nibabel.load(folder / f"{SIDES[side]}.{name}.func.gii")
        assert image.meta["AnatomicalStructurePrimary"] == f"Cortex{side.title()}"
        assert image.meta["Unmeasured"].startswith("NaN")
        assert json.loads(image.meta["simulated"]) is True
        read = np.stack([array.data for array in image.darrays], axis=-1)
        expected = spread(mapping, values.reshape(len(values), -1), side)
        np.testing.assert_array_equal(read, expected.astype(np.float32))
    assert [array.meta["Name"] for array in image.darrays] == ["space_y"]
    shares = nibabel.load(folder / f"{SIDES[side]}.layer_share.func.gii")
    assert [array.meta["Name"] for array in shares.darrays] == list(mapping.layers)


def test_mgh_holds_layers_as_frames(mapping, tmp_path):
    folder = export_maps(mapping, tmp_path / "maps", "mgh")
    for side, prefix in SIDES.items():
        for name, values in quantities(mapping).items():
            read = nibabel.load(folder / f"{prefix}.{name}.mgh").get_fdata()
            assert read.shape == (COUNT, 1, 1, *values.shape[1:])
            expected = spread(mapping, values, side).astype(np.float32)
            np.testing.assert_array_equal(read[:, 0, 0], expected)


@pytest.fixture(scope="module")
def overlapping(mapping):
    """A mapping with a region over two others, which one set of labels cannot hold."""
    rois = mapping.rois
    both = rois["V1"] | rois["V4"]
    data = mapping.dataset.assign_coords({"roi_early visual": ("voxel", both)})
    return replace(mapping, dataset=data.assign_attrs(rois=[*rois, "early visual"]))


def labelled(mapping, found):
    """Masks by name from each hemisphere's numbers and names."""
    data, masks = mapping.dataset, {}
    for side, sets in found.items():
        own = np.flatnonzero(data["hemisphere"].values == side)
        for values, names in sets:
            assert (np.delete(values, data["vertex"].values[own]) == 0).all()
            for number, name in enumerate(names):
                mask = masks.setdefault(name, np.zeros(data.sizes["voxel"], dtype=bool))
                mask[own] = values[data["vertex"].values[own]] == number
    return masks


def test_annot_holds_every_region_also_those_that_overlap(overlapping, tmp_path):
    folder = export_maps(overlapping, tmp_path / "labels", "annot")
    found = {}
    for side, prefix in SIDES.items():
        sets = [read_annot(folder / f"{prefix}.{name}.annot") for name in ("rois", "rois-2")]
        found[side] = [(values, [text.decode() for text in names]) for values, _, names in sets]
        for _, colours, _ in sets:
            assert len(np.unique(colours[:, 4])) == len(colours)
    masks = labelled(overlapping, found)
    for name, inside in overlapping.rois.items():
        np.testing.assert_array_equal(masks[name], inside)


def test_annot_gives_a_subject_its_regions_again(overlapping, tmp_path):
    folder = export_maps(overlapping, tmp_path / "labels", "annot")
    data = overlapping.dataset
    voxels = Voxels.on_sphere("fsaverage5", data["hemisphere"].values, data["vertex"].values)
    for name in ("rois", "rois-2"):
        files = {side: folder / f"{prefix}.{name}.annot" for side, prefix in SIDES.items()}
        voxels = voxels.with_labels(files)
    assert set(voxels.rois) == set(overlapping.rois)
    for name, inside in overlapping.rois.items():
        np.testing.assert_array_equal(voxels.rois[name], inside)


def test_gifti_labels_are_the_regions(overlapping, tmp_path):
    folder = export_maps(overlapping, tmp_path / "labels", "gifti")
    found = {}
    for side, prefix in SIDES.items():
        images = [nibabel.load(folder / f"{prefix}.{name}.label.gii") for name in ("rois", "rois-2")]
        tables = [image.labeltable.get_labels_as_dict() for image in images]
        found[side] = [
            (image.darrays[0].data, [table[key] for key in sorted(table)])
            for image, table in zip(images, tables, strict=True)
        ]
    masks = labelled(overlapping, found)
    for name, inside in overlapping.rois.items():
        np.testing.assert_array_equal(masks[name], inside)


def test_cifti_holds_the_measured_vertices_alone(overlapping, tmp_path):
    folder = export_maps(overlapping, tmp_path / "maps", "cifti")
    image = nibabel.load(folder / "maps.dscalar.nii")
    scalars, brain = (image.header.get_axis(axis) for axis in (0, 1))
    assert len(brain) == overlapping.dataset.sizes["voxel"]
    values = image.get_fdata(dtype=np.float32)
    own = quantities(overlapping)
    rows = {"r2": own["r2"], "layer_share: blocks.3": own["layer_share"][:, 3], "space_y": own["space_y"]}
    for structure, part, model in brain.iter_structures():
        side = structure.rpartition("_")[2].lower()
        assert model.nvertices[structure] == COUNT
        for name, expected in rows.items():
            row = values[list(scalars.name).index(name)][part]
            np.testing.assert_array_equal(
                row, spread(overlapping, expected, side)[model.vertex].astype(np.float32), err_msg=name
            )
    labels = nibabel.load(folder / "rois.dlabel.nii")
    names = {name: key for key, (name, _) in labels.header.get_axis(0).label[1].items()}
    inside = labels.get_fdata()[1] == names["early visual"]
    for structure, part, model in labels.header.get_axis(1).iter_structures():
        side = structure.rpartition("_")[2].lower()
        expected = spread(overlapping, overlapping.rois["early visual"].astype(np.float32), side)[model.vertex]
        np.testing.assert_array_equal(inside[part], expected == 1)


def test_npz_holds_voxels_as_they_are(mapping, tmp_path):
    native = replace(mapping, dataset=mapping.dataset.assign_attrs(surface="native-subj01"))
    with np.load(export_maps(native, tmp_path / "maps", "npz") / "maps.npz", allow_pickle=False) as found:
        for name, values in quantities(mapping).items():
            np.testing.assert_array_equal(found[name], values.astype(np.float32))
        np.testing.assert_array_equal(found["vertex"], mapping.dataset["vertex"].values)
        assert found["hemisphere"].tolist() == mapping.dataset["hemisphere"].values.tolist()
        assert found["layers"].tolist() == list(mapping.layers)
        for number, name in enumerate(found["regions"].tolist()):
            np.testing.assert_array_equal(found["in_region"][:, number], mapping.rois[name])


def test_pycortex_finds_views_numbers_and_meshes(mapping, tmp_path):
    """By the layout that pycortex's ``Dataset.from_file`` reads."""
    path = export_maps(mapping, tmp_path / "maps", "pycortex") / "maps.hdf"
    both = np.concatenate([spread(mapping, mapping.dataset["r2"].values, side) for side in SIDES])
    with h5py.File(path) as file:
        view = [text.decode() for text in file["views/r2"][:]]
        [name], [low], [high] = (json.loads(view[part]) for part in (0, 3, 4))
        assert (view[5], view[7]) == ("null", "null")
        node = file[f"data/{name}"]
        np.testing.assert_array_equal(node[:], both.astype(np.float32))
        assert (low, high) == (np.nanmin(node[:]), np.nanmax(node[:]))
        meshes = file[f"subjects/{node.attrs['subject']}/surfaces"]
        own = load_surface("fsaverage5").right
        np.testing.assert_array_equal(meshes["wm/rh/pts"][:], own.white.coordinates)
        np.testing.assert_array_equal(meshes["flat/rh/polys"][:], own.flat.faces)
        assert f"views/layer_share_{len(mapping.layers):02d}" in file


def test_pycortex_itself_opens_the_file(mapping, tmp_path):
    # By a module that tests/cortex, a folder on the path, has not.
    dataset = pytest.importorskip("cortex.dataset", reason="pycortex is not installed")
    path = export_maps(mapping, tmp_path / "maps", "pycortex") / "maps.hdf"
    vertex = dataset.Dataset.from_file(str(path))["r2"]
    assert (vertex.llen, vertex.rlen) == (COUNT, COUNT)
    both = np.concatenate([spread(mapping, mapping.dataset["r2"].values, side) for side in SIDES])
    np.testing.assert_array_equal(vertex.data, both.astype(np.float32))


def check_niivue(mapping, found):
    """Meshes and layers of both hemispheres, as read; what was not measured lies below what is drawn."""
    surface = load_surface("fsaverage5")
    for half, found_here in zip(surface.hemispheres, found, strict=True):
        np.testing.assert_array_equal(found_here["faces"], half.inflated.faces.ravel())
        np.testing.assert_allclose(found_here["points"], half.inflated.coordinates.ravel(), rtol=1e-6)
        for name in ("r2", "layer_share"):
            layer = found_here["read"][f"{SIDES[half.name]}.{name}.mz3"]
            values = mapping.dataset[name].values.reshape(mapping.dataset.sizes["voxel"], -1)
            expected = spread(mapping, values, half.name).astype(np.float32)
            assert layer["frames"] == values.shape[1]
            read = np.reshape(layer["values"], (-1, COUNT)).T
            known = np.isfinite(expected)
            np.testing.assert_allclose(read[known], expected[known], rtol=1e-6)
            assert (read[~known] < layer["low"]).all()
            assert layer["low"] == pytest.approx(values.min())


def test_niivue_reads_meshes_and_layers(mapping, tmp_path):
    """By niivue's own loaders."""
    if not (VIEWER / "node_modules" / "@niivue").is_dir() or shutil.which("node") is None:
        pytest.skip("niivue is not installed; run npm ci in viewer/")
    folder = export_maps(mapping, tmp_path / "maps", "niivue")
    command = ["node", "--input-type=module", "--eval", NIIVUE, "--", str(folder)]
    done = subprocess.run(command, cwd=VIEWER, capture_output=True, text=True, check=True, timeout=120)
    check_niivue(mapping, json.loads(done.stdout.splitlines()[-1]))


def read_mz3(path):
    """As MZ3's specification has it: magic, attributes, faces, vertices, skip; faces, places, colours, scalars."""
    content = gzip.decompress(path.read_bytes())
    magic, attributes, faces, vertices, skip = struct.unpack_from("<HHIII", content)
    assert magic == 23117
    assert attributes in (0b0011, 0b1000)
    start, triangles, places = 16 + skip, 3 * faces * (attributes & 1), 3 * vertices * (attributes >> 1 & 1)
    numbers = np.frombuffer(content, "<f4", offset=start + 4 * triangles)
    found = {"faces": np.frombuffer(content, "<u4", triangles, start), "points": numbers[:places]}
    return found | {"values": numbers[places:], "frames": len(numbers[places:]) // vertices}


def test_niivue_s_files_are_as_their_specification_has_them(mapping, tmp_path):
    folder, found = export_maps(mapping, tmp_path / "maps", "niivue"), []
    for mesh in json.loads((folder / "niivue.json").read_text()):
        read = {
            layer["url"]: read_mz3(folder / layer["url"]) | {"low": layer["cal_min"]}
            for layer in mesh["layers"]
            if layer["url"].split(".")[1] in ("r2", "layer_share")
        }
        found.append(read_mz3(folder / mesh["url"]) | {"read": read})
        assert [layer["url"].split(".")[1] for layer in mesh["layers"] if layer["opacity"]] == ["r2"]
        assert all(layer["cal_min"] < layer["cal_max"] for layer in mesh["layers"])
        assert (folder / mesh["url"].replace("inflated", "pial")).is_file()
    check_niivue(mapping, found)


@pytest.fixture(scope="module")
def volume(mapping):
    """Voxels in a volume, with the image on whose grid they lie."""
    generator = np.random.default_rng(0)
    affine = np.array([[-2.0, 0, 0, 30], [0, 0, 2.5, -40], [0, 2, 0, 5], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image(np.zeros((12, 14, 13), np.float32), affine)
    flat = generator.permutation(12 * 14 * 13)[: mapping.dataset.sizes["voxel"]]
    index = np.stack(np.unravel_index(flat, image.shape), axis=1)
    coordinates = nibabel.affines.apply_affine(affine, index)
    kept = mapping.dataset.isel(voxel=slice(0, len(flat))).assign_attrs(
        surface="", coordinate_bounds=[*coordinates.min(axis=0), *coordinates.max(axis=0)]
    )
    placed = kept.assign({"coordinates": (("voxel", "dimension"), coordinates)})
    return Mapping(placed), image, index


def test_nifti_puts_voxels_where_they_were_measured(volume, tmp_path):
    mapping, image, index = volume
    nibabel.save(image, tmp_path / "mask.nii.gz")
    folder = export_maps(mapping, tmp_path / "maps", "nifti", like=tmp_path / "mask.nii.gz")
    data = mapping.dataset
    for name in ("r2", "layer_share"):
        read = nibabel.load(folder / f"{name}.nii.gz")
        np.testing.assert_array_equal(read.affine, image.affine)
        found = read.get_fdata(dtype=np.float32)
        for row in (0, 5, len(index) - 1):
            np.testing.assert_array_equal(found[tuple(index[row])], data[name].values[row].astype(np.float32))
        measured = np.zeros(image.shape, dtype=bool)
        measured[tuple(index.T)] = True
        assert np.isnan(found[~measured]).all()
    labels = nibabel.load(folder / "rois.nii.gz").get_fdata()
    names = (folder / "rois.nii.gz.ctab").read_text().splitlines()
    number = next(int(line.split()[0]) for line in names if line.split()[1] == "V1")
    np.testing.assert_array_equal(labels[tuple(index.T)] == number, mapping.rois["V1"])
    shifted = nibabel.Nifti1Image(np.zeros(image.shape, np.float32), image.affine + np.eye(4)[:, [3, 0, 1, 2]] * 0.9)
    nibabel.save(shifted, tmp_path / "other.nii.gz")
    with pytest.raises(DataError, match=r"other\.nii\.gz has another grid"):
        export_maps(mapping, tmp_path / "none", "nifti", like=tmp_path / "other.nii.gz")
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_exported_is_refused_in_one_line(mapping, volume, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="lie on no surface; export them as npz, or as nifti"):
        export_maps(volume[0], tmp_path / "maps", "gifti")
    native = replace(mapping, dataset=mapping.dataset.assign_attrs(surface="native-subj01"))
    with pytest.raises(DataError, match="native-subj01, of which a mapping keeps no mesh"):
        export_maps(native, tmp_path / "maps", "mgh")
    with pytest.raises(DataError, match="no exports of kind 'vtk'"):
        export_maps(mapping, tmp_path / "maps", "vtk")
    with pytest.raises(DataError, match="needed for nifti"):
        export_maps(mapping, tmp_path / "maps", "nifti")
    bare = mapping.dataset.drop_vars([f"roi_{name}" for name in mapping.rois]).assign_attrs(rois=[])
    with pytest.raises(DataError, match="no regions"):
        export_maps(replace(mapping, dataset=bare), tmp_path / "maps", "annot")
    for name in ("SUBJECTS_DIR", "NILEARN_DATA", "NILEARN_SHARED_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    finer = replace(mapping, dataset=mapping.dataset.assign_attrs(surface="fsaverage6"))
    with pytest.raises(UnavailableError, match="fsaverage6"):
        export_maps(finer, tmp_path / "maps", "niivue")
    assert not list(tmp_path.iterdir())
    assert export_maps(finer, tmp_path / "maps", "pycortex").is_dir()


def test_the_command_writes_a_folder_that_says_what_it_is(mapping, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, ["weights", "export", str(tmp_path / "mapping"), *map(str, words)])

    mapping.save(tmp_path / "mapping")
    done = run(tmp_path / "maps", "--maps", "mgh")
    assert done.exit_code == 0, done.output
    about = json.loads((tmp_path / "maps" / "maps.json").read_text(encoding="utf-8"))
    assert (about["network"], about["surface"], about["simulated"]) == ("timm/vit_test", "fsaverage5", True)
    assert about["unmeasured"] == "NaN"
    assert set(about["files"]) == {path.name for path in (tmp_path / "maps").iterdir()} - {"maps.json"}
    again = run(tmp_path / "maps", "--maps", "annot")
    assert again.exit_code == 2
    assert "exists" in again.output
    assert run(tmp_path / "maps", "--maps", "annot", "--overwrite").exit_code == 0
    assert not list((tmp_path / "maps").glob("*.mgh"))
    assert run(tmp_path / "maps.xyz").exit_code == 2
