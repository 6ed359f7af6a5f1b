"""Mapping: what every voxel selects in a network, how well it is predicted, and how that came to be."""

import json
import os
import tomllib
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
import xarray as xr
import zarr
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from factortopy.cortex import VERTICES, Voxels
from factortopy.errors import DataError, NewerFormatError
from factortopy.images import ImageSet
from factortopy.mapping.schema import ROI, SHARES, check_dataset
from factortopy.model import confidence
from factortopy.storage import atomic_path, check_format, check_zarr, read_text, write_tensors

DATASET, PARAMETERS = "dataset.zarr", "parameters.safetensors"
FORMAT = "factortopy-mapping-1"
SETTINGS, PROVENANCE = "settings.toml", "provenance.json"
ROOT = "factortopy"
"""Looked up when it is called: what users do with a mapping stands in files after this one."""
MASKS = "rois"
"""Array of the masks of all ROIs on disk, and attribute of their names in its order."""


@dataclass(frozen=True)
class Mapping:
    """One network mapped onto one subject.

    Attributes:
        dataset: per-voxel results. Dimensions ``voxel``, ``layer``, ``axis`` and ``channel``; variables
            ``space`` (voxel, axis) in [-1, 1], x to the right and y down; ``layer`` (voxel, layer),
            summing to 1, ``scale`` (voxel), 0 local to 1 global, and ``channels`` (voxel, channel), the
            selectors in the canonical gauge (`docs/identifiability.md`), as trained with ``_raw`` for
            ``recipe="paper"``; ``layer_share`` (voxel, layer), summing to 1 and possibly negative;
            ``depth`` (voxel), its mean layer position in 0..1; ``scale_share`` (voxel); ``r2_drop``
            (voxel, layer), R^2 lost without a layer; ``r2``, ``r`` and, where known, ``ceiling`` (voxel),
            fractions of variance; ``size`` (voxel), where voxels read a Gaussian pool around their place: its
            standard deviation in the units of ``space``; ``coordinates`` (voxel, dimension), mm, which the
            selectors are made from; ``response_mean`` and ``response_spread`` (voxel), by which the responses to the
            training images were z-scored, in the units of the responses. ``region_error`` (region): root mean square
            error, on the test images and in standard deviations, of the mean of a region's voxels above chance.
            ``other_r2``, ``other_r``, ``other_ceiling`` (image_set, voxel) and ``other_drawn_r2`` (image_set, draw,
            region): scores on other sets of images, where they were kept.
            ``trust`` (voxel), where the fit started from other mappings: 1 where a voxel selects as they do, 0 where
            as in a fit from scratch.
            ``predicted`` (voxel), whether R^2 is above 0 and anything was found: else depth and shares say nothing.
            With ``_low`` and ``_high``: limits over test images, of depth and scale over the training too, with draws
            of ROI means and the hierarchy line in ``drawn_r2``, ``drawn_depth`` (draw, region) and ``drawn_slope``,
            ``drawn_b0``, ``drawn_b1`` (draw); what the training's part is made from in ``bootstrap_depth``,
            ``bootstrap_scale`` and with ``_planted`` (voxel) (`docs/uncertainty.md`). Held-out R^2 of a ridge
            regression on all layers, NaN where none was fitted, and of the training mean: ``ridge_r2``, ``mean_r2``
            (voxel); the fit less the ridge on the same voxels in ``drawn_margin``, beside ``drawn_ridge`` (draw,
            region).
            Coordinates ``hemisphere``, ``vertex`` and ``roi_<name>`` over voxels and ``network_layer`` over
            layers.
        parameters: the trained parameters by name.
        settings: the settings of the fit, TOML-ready.
        provenance: versions, hashes, seeds and times, JSON-ready.

    Example:
        >>> folder = mapping.save("mapping")
        >>> again = ft.Mapping.load(folder)
        >>> bool((again.dataset["layer"] == mapping.dataset["layer"]).all())
        True
    """

    dataset: xr.Dataset
    parameters: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_dataset(self.dataset)

    @property
    def simulated(self) -> bool:
        """Whether the responses behind this mapping were simulated."""
        return bool(self.dataset.attrs.get("simulated", False))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the network's layers, in depth order."""
        return tuple(str(name) for name in self.dataset["network_layer"].values)

    @property
    def rois(self) -> dict[str, Bool[np.ndarray, "voxel"]]:
        """Masks of the ROIs by name, in the subject's order."""
        names = [str(name).removeprefix(ROI) for name in self.dataset.coords if str(name).startswith(ROI)]
        # A Zarr group does not keep the order of its arrays; the attribute does.
        order = {name: index for index, name in enumerate(self.dataset.attrs.get("rois", []))}
        names.sort(key=lambda name: order.get(name, len(order)))
        # Asked for hundreds of times by one report: a variable is at hand, an array with its coordinates is made anew.
        return {name: np.asarray(self.dataset.variables[f"{ROI}{name}"].values, dtype=bool) for name in names}

    @property
    def voxels(self) -> Voxels:
        """Where the voxels lie and which ROIs they belong to.

        Raises:
            DataError: if the mapping is of an earlier version, which holds no coordinates, and its voxels do not
                lie on a standard surface.
        """
        data = self.dataset
        hemisphere, vertex, surface = data["hemisphere"].values, data["vertex"].values, data.attrs.get("surface")
        if "coordinates" in data:
            bounds = np.reshape(data.attrs["coordinate_bounds"], (2, 3))
            return Voxels(data["coordinates"].values, bounds, hemisphere, vertex, surface or None, self.rois)
        if "assumption" in data.attrs:
            groups = data["group"].values if "group" in data.coords else None
            return Voxels(None, None, hemisphere, vertex, rois=self.rois, groups=groups)
        if surface not in VERTICES:
            raise DataError("this mapping holds no coordinates; give the subject it was fitted to")
        return replace(Voxels.on_sphere(surface, hemisphere, vertex), rois=self.rois)

    @property
    def told_of(self) -> Bool[np.ndarray, "voxel"] | None:
        """Voxels that are predicted, whose depth and shares therefore say something; None where that is not known."""
        return np.asarray(self.dataset["predicted"].values == 1) if "predicted" in self.dataset else None

    def found(self, name: str) -> Float[np.ndarray, "voxel *rest"]:
        """A variable over voxels, NaN where a voxel has no R^2 though others have one.

        Responses that are the same to all test images say nothing of what a voxel reads, whatever its selectors are.
        Depth and shares are NaN, too, of voxels that are not predicted, as shares of what misses them are of no worth;
        where none is, shares stay, for maps that are drawn faded.

        Args:
            name: of a variable that the dataset has.
        """
        values, r2 = np.asarray(self.dataset[name].values), self.dataset["r2"].values
        nothing = ~np.isfinite(r2)
        nothing = nothing if not nothing.all() else np.zeros_like(nothing)
        if name in SHARES and self.told_of is not None and self.told_of.any():
            nothing = nothing | ~self.told_of
        if not nothing.any():
            return values
        return np.where(nothing.reshape(-1, *[1] * (values.ndim - 1)), np.nan, values)

    def with_variables(self, variables: MappingType[str, Any]) -> "Mapping":
        """A copy with variables added or replaced, each as xarray takes them: (dimensions, values)."""
        return replace(self, dataset=self.dataset.assign(variables))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the mapping to a folder, whole or not at all.

        The folder holds ``dataset.zarr``, ``parameters.safetensors``, ``settings.toml`` and
        ``provenance.json``.

        Raises:
            DataError: if the folder cannot be written or holds something else.
        """
        with atomic_path(path, sign=DATASET) as folder:
            folder.mkdir()
            _storable(self.dataset).assign_attrs(format=FORMAT).to_zarr(
                folder / DATASET, mode="w", consolidated=False, zarr_format=3, write_empty_chunks=True
            )
            write_tensors(folder / PARAMETERS, self.parameters)
            (folder / SETTINGS).write_text(tomli_w.dumps(self.settings), encoding="utf-8")
            (folder / PROVENANCE).write_text(json.dumps(self.provenance, indent=2, sort_keys=True), encoding="utf-8")
        return Path(path)

    def predict(self, images: ImageSet, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Responses of every voxel to photographs, as ``Predictions``: :func:`factortopy.predict`, which says more.

        Example:
            >>> mapping.predict(ft.open_images("photographs"), progress=False).read().shape[1] == len(subject.voxels)
            True
        """
        return import_module(ROOT).predict(self, images, None if path is None else Path(path), **options)

    def view(self, **options: Any) -> Any:
        """Show the mapping in a notebook: :func:`factortopy.view`, which says more."""
        return import_module(ROOT).view(self, **options)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Mapping":
        """Read a mapping written by :meth:`save`.

        Raises:
            DataError: if the folder is missing, is no mapping, a part of it cannot be read, or a newer version of this
                package wrote it.
        """
        folder = Path(path)
        for part in (DATASET, PARAMETERS, SETTINGS, PROVENANCE):
            if not (folder / part).exists():
                raise DataError(
                    f"{folder} is no mapping: {part} is missing; give the folder that `fit` wrote", path=folder
                )
        try:
            group = zarr.open_group(folder / DATASET, mode="r")
            check_format(folder, group.attrs.get("format"), FORMAT)
            for _, array in group.arrays():
                check_zarr(array, folder / DATASET / array.path)
            return cls(
                dataset=_as_saved(xr.open_zarr(folder / DATASET, consolidated=False).load()),
                parameters=load_file(folder / PARAMETERS),
                settings=tomllib.loads(read_text(folder / SETTINGS)),
                provenance=json.loads(read_text(folder / PROVENANCE)),
            )
        except NewerFormatError:
            raise
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            raise DataError(
                f"{folder} cannot be read ({error}); it was cut short or changed: fit again", path=folder
            ) from error


def _storable(dataset: xr.Dataset) -> xr.Dataset:
    """Masks as one array, as not every ROI's name can be that of a file; texts as strings of any length.

    Zarr v3 has no settled form of NumPy's strings of fixed width.
    """
    rois = [str(name) for name in dataset.coords if str(name).startswith(ROI)]
    dataset, masks = dataset.drop_vars(rois), [dataset[name].values.astype(bool) for name in rois]
    if rois:
        dataset = dataset.assign({MASKS: (("roi", "voxel"), np.stack(masks))})
        dataset = dataset.assign_attrs({MASKS: [name.removeprefix(ROI) for name in rois]})
    return _cast_texts(dataset, "U", object)


def _as_saved(dataset: xr.Dataset) -> xr.Dataset:
    """What :func:`_storable` was given."""
    dataset.attrs.pop("format", None)
    if MASKS in dataset:
        masks = zip(dataset.attrs[MASKS], dataset[MASKS].values, strict=True)
        dataset = dataset.drop_vars(MASKS).assign_coords({f"{ROI}{name}": (("voxel",), mask) for name, mask in masks})
    return _cast_texts(dataset, "OT", str)


def _cast_texts(dataset: xr.Dataset, kinds: str, target: type) -> xr.Dataset:
    texts = {
        # Through objects, as NumPy cannot cast its two kinds of strings into each other.
        name: (values.dims, values.values.astype(object).astype(target))
        for name, values in dataset.coords.items()
        if values.dtype.kind in kinds
    }
    return dataset.assign_coords(texts)


def best_layer(weights: Float[np.ndarray, "voxel layer"]) -> Float[np.ndarray, "voxel"]:
    """Position in 0..1 of the layer of largest weight; NaN where the weights are.

    Args:
        weights: selectors or shares of each layer.
    """
    finite = np.isfinite(weights).all(axis=1)
    best = np.where(finite[:, None], weights, 0.0).argmax(axis=1) / max(weights.shape[1] - 1, 1)
    return np.where(finite, best, np.nan)


def layer_confidence(weights: Float[np.ndarray, "voxel layer"]) -> Float[np.ndarray, "voxel"]:
    """Confidence of layer weights, ``s_i = 1 - H(w_i) / log L`` (eq. 2): 1 one-hot, 0 uniform.

    Shares may be negative: those are set to 0 and the rest scaled to sum 1 before the entropy is taken.

    Args:
        weights: selectors or shares of each layer.

    Returns:
        Values in 0..1; NaN where the weights are; 1 for a network of one layer.
    """
    weights = np.clip(np.asarray(weights, dtype=float), 0.0, None)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.full_like(weights, np.nan), where=total > 0)
    return confidence(torch.from_numpy(weights)).numpy()
