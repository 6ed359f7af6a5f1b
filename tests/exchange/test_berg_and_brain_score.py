"""Exported folders, read by the written-out interfaces of BERG and Brain-Score, which stand here as stubs.

Of BERG: a registry that a module enters at import, and a model with ``load_model``, ``generate_response``,
``get_metadata`` and ``get_model_id``. Of Brain-Score: a registry found by a search for its text, and a ``BrainModel``.
"""

import importlib.util
import sys
import tracemalloc
from abc import ABC, abstractmethod
from dataclasses import replace
from enum import Enum
from types import ModuleType

import numpy as np
import pandas
import pytest
import yaml
from PIL import Image

from factortopy.cortex import Voxels
from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.mapping import predict
from factortopy.networks import load_network
from factortopy.reporting import write_card
from factortopy.subjects import Subject
from factortopy.tokens import extract
from factortopy.workflow import fit

IMAGES, VOXELS, VERTICES = 40, 12, 163_842
LEFT = np.arange(VOXELS) < 7


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 255, (IMAGES, 3, 24, 24), dtype=np.uint8)


@pytest.fixture(scope="module")
def mapping(pictures, tmp_path_factory):
    ids = tuple(f"image-{row:02d}" for row in range(IMAGES))
    images = ImageSet("noise", ids, lambda name: Image.fromarray(pictures[ids.index(name)].transpose(1, 2, 0)))
    network = load_network("timm/test_vit", ["blocks.1", "blocks.3"], untrained=True)
    tokens = extract(network, images, tmp_path_factory.mktemp("tokens") / "t", (3, 3), precision="fp32", progress=False)
    voxels = Voxels.on_sphere("fsaverage5", np.where(LEFT, "left", "right"), np.arange(500, 500 + VOXELS))
    rois = {"V1": np.arange(VOXELS) < 4, "FFA": np.arange(VOXELS) > 5}
    responses = 5 + np.random.default_rng(1).normal(size=(IMAGES, VOXELS)).astype(np.float32)
    subject = Subject("subj03", responses, ids, replace(voxels, rois=rois), provenance={"kind": "NSD", "subject": 3})
    fitted = fit(tokens, subject, steps=3, components=8, bootstrap=0, progress=False, device="cpu", precision="fp32")
    # All but the last voxel are above chance.
    return fitted.with_variables({"r2": (("voxel",), np.where(np.arange(VOXELS) < VOXELS - 1, 0.2, -0.1))})


@pytest.fixture(scope="module")
def shared(mapping, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_card(mapping, folder, berg=True, brain_score=True)
    return folder


@pytest.fixture(scope="module")
def expected(mapping, pictures):
    ids = tuple(f"image-{row:02d}" for row in range(5))
    images = ImageSet("noise", ids, lambda name: Image.fromarray(pictures[ids.index(name)].transpose(1, 2, 0)))
    return predict(mapping, images, z_scored=True, device="cpu", progress=False).read()


def module(name, **contents):
    made = ModuleType(name)
    vars(made).update(contents)
    return made


def load(path, name, monkeypatch, **options):
    spec = importlib.util.spec_from_file_location(name, path, **options)
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, made)
    spec.loader.exec_module(made)
    return made


class BaseModelInterface(ABC):
    """What BERG asks of a model."""

    @abstractmethod
    def load_model(self): ...
    @abstractmethod
    def generate_response(self, stimulus, show_progress=True): ...
    @classmethod
    @abstractmethod
    def get_metadata(cls, berg_dir=None, subject=None, model_instance=None, **kwargs): ...
    @classmethod
    @abstractmethod
    def get_model_id(cls): ...
    @abstractmethod
    def cleanup(self): ...


@pytest.fixture
def berg(shared, monkeypatch):
    """The class that the module registers, and what it registered."""
    registered = {}

    def register_model(model_id, module_path, class_name=None, modality=None, training_dataset=None, yaml_path=None):
        registered.update(locals())

    stubs = {"berg": {}, "berg.core": {}, "berg.interfaces": {}}
    stubs["berg.core.model_registry"] = {"register_model": register_model}
    stubs["berg.interfaces.base_model"] = {"BaseModelInterface": BaseModelInterface}
    for name, contents in stubs.items():
        monkeypatch.setitem(sys.modules, name, module(name, **contents))
    (path,) = (shared / "berg" / "berg" / "models" / "fmri").glob("*.py")
    loaded = load(path, "exported_berg_model", monkeypatch)
    assert registered["module_path"] == f"berg.models.fmri.{path.stem}"
    return getattr(loaded, registered["class_name"]), registered


def test_berg_registers_it_with_a_card_of_its_fields(berg):
    model, registered = berg
    assert model.get_model_id() == registered["model_id"] == "fmri-nsd_fsaverage-factortopy_timm_test_vit_untrained_0"
    assert (registered["modality"], registered["training_dataset"]) == ("fmri", "nsd_fsaverage")
    with open(registered["yaml_path"], encoding="utf-8") as file:
        card = yaml.safe_load(file)
    fields = "model_id modality training_dataset species stimuli model_type creator description input output parameters"
    assert set(card) == {*fields.split(), "performance", "references"}
    assert card["parameters"]["subject"]["valid_values"] == [3]
    assert set(card["parameters"]["selection"]["properties"]) == {"roi", "lh_vertices", "rh_vertices"}


def test_berg_gets_z_scored_responses_of_the_vertices_selected(berg, shared, pictures, expected):
    model, _ = berg
    berg_dir = str(shared / "berg")
    whole = model(subject=3, selection=None, device="cpu", berg_dir=berg_dir)
    whole.load_model()
    left, right = whole.generate_response(pictures[:5], show_progress=False)
    assert left.shape == right.shape == (5, VERTICES)
    assert left.dtype == np.float32
    np.testing.assert_allclose(left[:, 500:507], expected[:, LEFT], atol=1e-5)
    np.testing.assert_allclose(right[:, 507:512], expected[:, ~LEFT], atol=1e-5)
    assert np.isfinite(left).sum() + np.isfinite(right).sum() == expected.size
    roi = model(3, {"roi": "FFA"}, "cpu", berg_dir)
    roi.load_model()
    left, right = roi.generate_response(pictures[:5], show_progress=False)
    np.testing.assert_allclose(np.hstack([left, right]), expected[:, 6:], atol=1e-5)
    flags = np.zeros(VERTICES, int)
    flags[[501, 503]] = 1
    some = model(3, {"lh_vertices": flags, "rh_vertices": np.zeros(VERTICES)}, "cpu", berg_dir)
    some.load_model()
    left, right = some.generate_response(pictures[:5], show_progress=False)
    np.testing.assert_allclose(left, expected[:, [1, 3]], atol=1e-5)
    assert right.shape == (5, 0)
    some.cleanup()


def test_berg_takes_no_surface_for_each_image(berg, shared, pictures):
    model = berg[0](3, {"roi": "V1"}, "cpu", str(shared / "berg"))
    model.load_model()
    tracemalloc.start()
    model.generate_response(pictures, show_progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    both_surfaces = IMAGES * 2 * VERTICES * 4  # bytes of float32
    assert peak < 0.3 * both_surfaces


def test_berg_gets_metadata_under_its_names(berg, shared, mapping):
    model, _ = berg
    found = model.get_metadata(berg_dir=str(shared / "berg"), subject=3)
    np.testing.assert_array_equal(found["fmri"]["lh_fsaverage_rois"]["V1"], [500, 501, 502, 503])
    np.testing.assert_array_equal(found["fmri"]["rh_fsaverage_rois"]["FFA"], np.arange(507, 512))
    scores = found["encoding_models"]["lh_r2_nsdcore"]
    assert scores.shape == (VERTICES,)
    np.testing.assert_allclose(scores[500:507], mapping.dataset["r2"].values[LEFT], rtol=1e-6)


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 3, 8, 9), np.uint8), np.zeros((2, 3, 8, 8)), np.full((1, 3, 8, 8), 300)]
)
def test_berg_is_told_what_is_wrong_with_a_stimulus(berg, shared, wrong):
    model = berg[0](3, None, "cpu", str(shared / "berg"))
    with pytest.raises(DataError, match="stimulus is"):
        model.generate_response(wrong)


class BrainModel:
    """What Brain-Score asks of a model."""

    RecordingTarget = Enum("RecordingTarget", "V1 V2 V4 IT")
    Task = Enum("Task", "passive label")

    identifier = property(lambda self: NotImplemented)

    def visual_degrees(self):
        raise NotImplementedError

    def start_task(self, task, fitting_stimuli):
        raise NotImplementedError

    def start_recording(self, recording_target, time_bins):
        raise NotImplementedError

    def look_at(self, stimuli, number_of_trials=1):
        raise NotImplementedError


class Stimuli(pandas.DataFrame):
    """Brain-Score's set of stimuli: rows with ids, files by id."""

    def get_stimulus(self, stimulus_id):
        return self.attrs["paths"][stimulus_id]


def neuroid_assembly(array):
    """The coordinates of each dimension become its index, as in Brain-Score; one alone would lose its name."""
    names = {
        dim: [name for name, values in array.coords.items() if dim in values.dims and name not in array.indexes]
        for dim in array.dims
    }
    return array.set_index(append=True, **{dim: found for dim, found in names.items() if found})


def test_brain_score_records_predicted_voxels(shared, pictures, expected, tmp_path, monkeypatch):
    (plugin,) = (shared / "brain_score" / "models").iterdir()
    # The registry is found by a search for this text.
    assert f"model_registry['{plugin.name}'] = lambda: " in (plugin / "__init__.py").read_text()
    compile((plugin / "test.py").read_text(), "test.py", "exec")
    registry = {}
    stubs = {"brainscore_vision": {"model_registry": registry}}
    stubs["brainscore_vision.model_interface"] = {"BrainModel": BrainModel}
    stubs |= {"brainio": {}, "brainscore_core": {}}
    stubs["brainio.assemblies"] = {"NeuroidAssembly": neuroid_assembly}
    for name, contents in stubs.items():
        monkeypatch.setitem(sys.modules, name, module(name, **contents))
    load(plugin / "__init__.py", "exported_plugin", monkeypatch, submodule_search_locations=[str(plugin)])
    model = registry[plugin.name]()
    assert isinstance(model, BrainModel)
    assert (model.identifier, model.visual_degrees()) == (plugin.name, 8)
    # Ids are numbers, and out of order.
    paths = {stimulus_id: tmp_path / f"{stimulus_id}.png" for stimulus_id in (20, 0, 30, 10, 40)}
    for path, pixels in zip(paths.values(), pictures, strict=False):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    stimuli = Stimuli({"stimulus_id": list(paths), "object_name": list("cabac")})
    stimuli.attrs["paths"] = paths
    model.start_recording(BrainModel.RecordingTarget.IT, time_bins=[(70, 170)])
    found = model.look_at(stimuli)
    assert found.dims == ("presentation", "neuroid", "time_bin")
    assert list(found["stimulus_id"].values) == list(paths)
    assert list(found["object_name"].values) == list("cabac")
    assert len(set(found["neuroid_id"].values)) == 5
    # FFA less its last voxel, which is not above chance.
    np.testing.assert_allclose(found.values[:, :, 0], expected[:, 6:11], atol=1e-5)
    # As metrics do, and benchmarks before them: bins are taken from an assembly squeezed to one.
    squeezed = found.squeeze("time_bin")
    np.testing.assert_array_equal(squeezed.sortby("stimulus_id").values, found.values[[1, 3, 0, 2, 4], :, 0])
    model.start_recording("IT", time_bins=[squeezed["time_bin"].values])
    assert model.look_at(stimuli)["time_bin"].values.tolist() == [(70, 170)]
    model.start_recording("V1")
    np.testing.assert_allclose(model.look_at(stimuli).values, expected[:, :4], atol=1e-5)
    model.start_task(BrainModel.Task.passive)
    with pytest.raises(DataError, match="label"):
        model.start_task(BrainModel.Task.label, None)
    with pytest.raises(DataError, match="V4"):
        model.start_recording(BrainModel.RecordingTarget.V4)


def test_the_card_says_what_the_mapping_holds(shared, mapping):
    card = yaml.safe_load((shared / "card.yaml").read_text(encoding="utf-8"))
    v1 = next(row for row in card["scores"] if row["roi"] == "V1")
    assert (v1["voxels"], v1["above_chance"]) == (4, 4)
    assert v1["r2"] == pytest.approx(0.2)
    assert card["network"]["weights_sha256"] == mapping.provenance["tokens"]["weights_hash"]
    for file in ("README.md", "card.html"):
        text = (shared / file).read_text(encoding="utf-8")
        for part in ("V1", "FFA", "Licence", "How to use", card["network"]["weights_sha256"]):
            assert part in text, (file, part)


def test_names_of_users_are_text_on_the_card(mapping, tmp_path):
    hostile = 'x</script><script>alert(1)</script>"""|\''
    named = replace(mapping, dataset=mapping.dataset.assign_attrs(subject=hostile, network=hostile))
    write_card(named, tmp_path, berg=True, brain_score=True)
    assert "<script>alert" not in (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "<script>" not in (tmp_path / "README.md").read_text(encoding="utf-8").replace("\\<script\\>", "")
    for file in tmp_path.rglob("*.py"):
        compile(file.read_text(encoding="utf-8"), str(file), "exec")
