"""A mapping on disk: the same after a round trip, whole or not at all, never a pickle."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import zarr

from factortopy.errors import DataError, NewerFormatError
from factortopy.mapping import Mapping
from factortopy.mapping.mapping import _storable

ROIS = ["V1", "V2V3", "OPA", "EBA", "A1", "LO1 (prf)", "V1/V2", "../x", "v1", '<b>&"', "区", "x" * 300]


@pytest.fixture
def mapping():
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            "space": (("voxel", "axis"), rng.random((4, 2), dtype=np.float32)),
            "layer": (("voxel", "layer"), rng.random((4, 3), dtype=np.float32)),
            "scale": (("voxel",), rng.random(4, dtype=np.float32)),
            "r2": (("voxel",), np.array([0.1, np.nan, -0.2, 0.4])),
        },
        coords={
            "hemisphere": (("voxel",), np.array(["left", "left", "right", "right"])),
            "vertex": (("voxel",), np.array([3, 9, 1, 5])),
            **{f"roi_{name}": (("voxel",), np.array([True, False, False, True])) for name in ROIS},
            "network_layer": (("layer",), np.array(["blocks.0", "blocks.1", "a longer name"])),
        },
        attrs={"network": "net", "simulated": 1, "rois": ROIS},
    )
    return Mapping(
        dataset, {"channels": torch.randn(4, 2)}, {"recipe": "default", "steps": 3}, {"seed": 0, "hash": "ab"}
    )


def test_round_trip(mapping, tmp_path):
    loaded = Mapping.load(mapping.save(tmp_path / "mapping"))
    xr.testing.assert_identical(loaded.dataset, mapping.dataset)
    assert torch.equal(loaded.parameters["channels"], mapping.parameters["channels"])
    assert (loaded.settings, loaded.provenance) == (mapping.settings, mapping.provenance)
    assert loaded.layers == ("blocks.0", "blocks.1", "a longer name")
    assert list(loaded.rois) == ROIS
    assert loaded.rois["V1"].tolist() == [True, False, False, True]
    assert loaded.simulated


def test_a_mapping_of_a_newer_version_is_told_as_such(mapping, tmp_path):
    folder = mapping.save(tmp_path / "mapping")
    group = zarr.open_group(folder / "dataset.zarr", mode="r+")
    assert group.attrs["format"] == "factortopy-mapping-1"
    group.attrs["format"] = "factortopy-mapping-2"
    with pytest.raises(NewerFormatError, match="mapping-2"):
        Mapping.load(folder)


def test_saving_again_replaces_the_whole(mapping, tmp_path):
    mapping.save(tmp_path / "mapping")
    changed = mapping.with_variables({"r2": (("voxel",), np.ones(4))})
    changed.save(tmp_path / "mapping")
    assert Mapping.load(tmp_path / "mapping").dataset["r2"].values.tolist() == [1, 1, 1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["mapping"]
    assert np.isnan(mapping.dataset["r2"].values[1]), "with_variables must not change the original"


def test_a_failed_save_leaves_what_was_there(mapping, tmp_path):
    mapping.save(tmp_path / "mapping")
    broken = Mapping(mapping.dataset, mapping.parameters, {"recipe": None}, {})
    with pytest.raises(TypeError):
        broken.save(tmp_path / "mapping")
    assert Mapping.load(tmp_path / "mapping").settings["recipe"] == "default"
    assert [path.name for path in tmp_path.iterdir()] == ["mapping"]


def test_damage_is_named(mapping, tmp_path):
    folder = mapping.save(tmp_path / "mapping")
    weights = folder / "parameters.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    with pytest.raises(DataError, match="cut short or changed"):
        Mapping.load(folder)
    weights.unlink()
    with pytest.raises(DataError, match=r"parameters\.safetensors is missing"):
        Mapping.load(folder)


def test_missing_variables_are_named(mapping):
    with pytest.raises(DataError, match="missing: scale"):
        Mapping(mapping.dataset.drop_vars("scale"))


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("layer", (("voxel",), np.zeros(4)), r"'layer' of a mapping is over \(voxel\), expected \(voxel, layer\)"),
        ("r2_low", (("layer",), np.zeros(3)), r"'r2_low' of a mapping is over \(layer\), expected \(voxel\)"),
        ("scale", (("voxel",), np.array(["a"] * 4)), "'scale' of a mapping is <U1, expected numbers"),
        ("space", (("voxel", "three"), np.zeros((4, 3))), r"over \(voxel, three\), expected \(voxel, axis\)"),
        ("roi_V1", (("layer",), np.zeros(3, bool)), r"'roi_V1' of a mapping is over \(layer\)"),
    ],
)
def test_a_foreign_dataset_is_refused_by_the_name_of_its_variable(mapping, tmp_path, name, changed, message):
    dataset = mapping.dataset.drop_vars(name, errors="ignore").assign({name: changed})
    with pytest.raises(DataError, match=message):
        Mapping(dataset)
    if name.startswith("roi_"):
        return  # on disk all masks are one array
    folder = mapping.save(tmp_path / "mapping")
    _storable(dataset).to_zarr(
        folder / "dataset.zarr", mode="w", consolidated=False, zarr_format=3, write_empty_chunks=True
    )
    with pytest.raises(DataError, match=message) as error:
        Mapping.load(folder)
    assert "\n" not in str(error.value)


def test_an_unwritable_place_is_one_clear_error(mapping, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write"):
        mapping.save(tmp_path / "file" / "mapping")


def test_provenance_is_plain_json(mapping, tmp_path):
    folder: Path = mapping.save(tmp_path / "mapping")
    assert json.loads((folder / "provenance.json").read_text()) == mapping.provenance


def test_a_lost_chunk_of_a_mapping_does_not_read_as_zeros(mapping, tmp_path):
    zeros = mapping.with_variables({"scale": (("voxel",), np.zeros(4))})
    folder = zeros.save(tmp_path / "mapping")
    assert not Mapping.load(folder).dataset["scale"].any()
    next(file for file in (folder / "dataset.zarr" / "scale").rglob("*") if file.name == "0").unlink()
    with pytest.raises(
        DataError, match=r"dataset\.zarr/scale is not whole: 1 of 1 files of chunks are missing or empty"
    ):
        Mapping.load(folder)
