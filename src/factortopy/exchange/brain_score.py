"""A mapping as a model of Brain-Score: the predicted voxels of a region are what is recorded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from factortopy.analysis import above_chance, finite_mean
from factortopy.errors import DataError
from factortopy.exchange.sharing import load_mapping, plain_text, share
from factortopy.images import ImageSet, read_image
from factortopy.mapping import Mapping, Predictor, predict
from factortopy.storage import write_text

EARLY = {"V1": ("V1",), "V2": ("V2", "V2V3"), "V4": ("V4", "hV4")}
"""ROIs by Brain-Score's regions; all others are IT."""
DEGREES = 8
INIT = '''"""{network} mapped onto {subject} by factortopy."""

from brainscore_vision import model_registry

from .model import get_model

model_registry[{identifier!r}] = lambda: get_model()
'''
MODEL = '''"""Predicted voxels as neuroids; needs factortopy and Brain-Score."""

from pathlib import Path

from brainscore_vision.model_interface import BrainModel
from factortopy.exchange import BrainScoreVoxels

try:
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
except ImportError:
    from brainio.assemblies import NeuroidAssembly


class Voxels(BrainScoreVoxels, BrainModel):
    """A mapping as a subject."""

    def look_at(self, stimuli, number_of_trials=1):
        """Predicted responses of the region that is recorded."""
        return NeuroidAssembly(super().look_at(stimuli, number_of_trials))


def get_model():
    """The model as the registry asks for it."""
    return Voxels({identifier!r}, Path(__file__).resolve().parent)
'''
TEST = '''"""That the plugin loads and records."""

from brainscore_vision import load_model


def test_it_says_its_name():
    assert load_model({identifier!r}).identifier == {identifier!r}
'''


class BrainScoreVoxels:
    """What Brain-Score asks of a model, answered by a mapping; the plugin makes a class of it and Brain-Score's.

    Args:
        identifier: name in the registry.
        folder: of the plugin, with ``mapping`` and ``regions.json``, the ROIs of each of Brain-Score's regions.
    """

    def __init__(self, identifier: str, folder: Path) -> None:
        self._identifier, self._folder = identifier, Path(folder)
        self._regions: dict[str, list[str]] = json.loads((self._folder / "regions.json").read_text(encoding="utf-8"))
        self._target: str | None = None
        self._time_bins: list[tuple[int, int]] = []
        self._predictor: Predictor | None = None

    @property
    def identifier(self) -> str:
        """Its name."""
        return self._identifier

    def visual_degrees(self) -> int:
        """How much of the visual field its photographs cover, degrees: as wide as the subject saw them (8.4 in NSD)."""
        return DEGREES

    def start_task(self, task: Any, fitting_stimuli: Any = None) -> None:  # noqa: ARG002 (Brain-Score's interface)
        """Passive viewing is all a mapping can do."""
        name = str(getattr(task, "name", task))
        if name != "passive":
            raise DataError(f"{self._identifier} predicts voxels and does no task {name!r}; record a region instead")

    def start_recording(self, recording_target: Any, time_bins: Sequence[tuple[int, int]] = ()) -> None:
        """Choose the region whose voxels above chance are recorded.

        Raises:
            DataError: if the mapping has no such region, or none of its voxels is above chance.
        """
        name = str(getattr(recording_target, "name", recording_target))
        if not self._regions.get(name):
            known = ", ".join(region for region, rois in self._regions.items() if rois)
            raise DataError(f"{self._identifier} has no voxels for {name!r}; it has {known}")
        # The bin of an assembly squeezed to one is an array without dimensions.
        bins = [np.asarray(one).tolist() for one in time_bins]
        self._target, self._time_bins = name, [(int(start), int(end)) for start, end in bins]
        self._voxels(self._load().mapping)

    def look_at(self, stimuli: Any, number_of_trials: int = 1) -> xr.DataArray:  # noqa: ARG002 (the same)
        """Predicted responses (presentation, neuroid[, time_bin]); every trial would be the same, so there is one.

        Presentations have every column of the stimuli and ``stimulus_path``, as benchmarks stratify and sort by them.

        Args:
            stimuli: Brain-Score's table of stimuli, with a column ``stimulus_id`` and ``get_stimulus(id)``, a file.
            number_of_trials: not used.
        """
        if self._target is None:
            raise DataError("nothing is recorded; call start_recording first")
        predictor = self._load()
        names = tuple(str(one) for one in stimuli["stimulus_id"])
        paths = [str(stimuli.get_stimulus(one)) for one in stimuli["stimulus_id"]]
        images = ImageSet(str(getattr(stimuli, "identifier", "stimuli")), names, _opener(names, paths))
        chosen = self._voxels(predictor.mapping)
        z_scored = "response_mean" in predictor.mapping.dataset
        found = predict(predictor.mapping, images, network=predictor.network, z_scored=z_scored, progress=False)
        neuroids = [f"{self._identifier}.{self._target}.{voxel}" for voxel in chosen]
        coordinates = {column: ("presentation", stimuli[column].to_numpy()) for column in stimuli.columns} | {
            "stimulus_path": ("presentation", paths),
            "neuroid_id": ("neuroid", neuroids),
            "region": ("neuroid", [self._target] * len(chosen)),
        }
        array = xr.DataArray(found.read()[:, chosen], dims=("presentation", "neuroid"), coords=coordinates)
        if not self._time_bins:
            return array
        array = array.expand_dims(time_bin=len(self._time_bins)).transpose("presentation", "neuroid", "time_bin")
        starts, ends = (list(values) for values in zip(*self._time_bins, strict=True))
        return array.assign_coords(time_bin_start=("time_bin", starts), time_bin_end=("time_bin", ends))

    def _load(self) -> Predictor:
        if self._predictor is None:
            self._predictor = Predictor.of(load_mapping(self._folder / "mapping"), progress=False)
        return self._predictor

    def _voxels(self, mapping: Mapping) -> np.ndarray:
        inside = np.any([mapping.rois[roi] for roi in self._regions[str(self._target)]], axis=0)
        chosen = np.flatnonzero(inside & above_chance(mapping))
        if not len(chosen):
            raise DataError(f"none of the {inside.sum()} voxels of {self._target} is predicted above chance")
        return chosen


def export_brain_score(mapping: Mapping, folder: Path, identifier: str) -> list[Path]:
    """Write a mapping as a plugin of Brain-Score, ``folder/models/IDENTIFIER``.

    Args:
        mapping: with ROIs.
        folder: where ``models`` goes.
        identifier: letters, digits, points, dashes and underscores.

    Returns:
        The files of the plugin and the folder of the mapping.

    Raises:
        DataError: if the mapping has no ROIs, or it cannot be written.
    """
    regions = _regions(mapping)
    if not any(regions.values()):
        raise DataError(
            "this mapping has no ROIs, and Brain-Score records regions; give the subject's ROIs and fit again"
        )
    plugin = folder / "models" / identifier
    facts = {name: plain_text(mapping.dataset.attrs.get(name)) for name in ("network", "subject")}
    texts = {
        "__init__.py": INIT.format(identifier=identifier, **facts),
        "model.py": MODEL.format(identifier=identifier),
        "test.py": TEST.format(identifier=identifier),
        "regions.json": json.dumps(regions, indent=1),
        f"region_layer_map/{identifier}.json": json.dumps(_layers(mapping, regions), indent=1),
    }
    files = [write_text(plugin / name, text) for name, text in texts.items()]
    return [*files, share(mapping, plugin)]


def _regions(mapping: Mapping) -> dict[str, list[str]]:
    early = {region: [roi for roi in mapping.rois if roi in rois] for region, rois in EARLY.items()}
    taken = {roi for rois in early.values() for roi in rois}
    return early | {"IT": [roi for roi in mapping.rois if roi not in taken]}


def _layers(mapping: Mapping, regions: dict[str, list[str]]) -> dict[str, str]:
    """The layer of largest mean share in each region."""
    name = "layer_share" if "layer_share" in mapping.dataset else "layer"
    shares, layers = mapping.found(name), {}
    for region, rois in regions.items():
        if rois:
            inside = np.any([mapping.rois[roi] for roi in rois], axis=0)
            mean = finite_mean(shares[inside], axis=0)
            layers[region] = mapping.layers[int(np.nanargmax(mean))] if np.isfinite(mean).any() else mapping.layers[0]
    return layers


def _opener(names: Sequence[str], paths: Sequence[str]) -> Any:
    path_of = dict(zip(names, paths, strict=True))
    return lambda name: read_image(Path(path_of[name]))
