"""The schema of a mapping's dataset: its variables and coordinates with their dimensions, in one place."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool

from factortopy.cortex import Voxels
from factortopy.errors import DataError

REQUIRED = ("space", "layer", "scale", "r2")
"""What every mapping has."""
OTHER = "other_"
"""Begins the names of scores on other sets of images than the held-out one."""
SIMULATED = ("bootstrap_depth", "bootstrap_depth_planted", "bootstrap_scale", "bootstrap_scale_planted")
"""Depth and scale by share of the voxels that a parametric bootstrap simulated: found, and planted."""
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "space": ("voxel", "axis"),
    **dict.fromkeys(("layer", "layer_share", "r2_drop"), ("voxel", "layer")),
    "channels": ("voxel", "channel"),
    **dict.fromkeys(
        ("size", "scale", "scale_share", "depth", "r2", "r", "ceiling", "subjects", "ridge_r2", "mean_r2", "trust"),
        ("voxel",),
    ),
    **dict.fromkeys(("predicted", *SIMULATED), ("voxel",)),
    **dict.fromkeys(("response_mean", "response_spread"), ("voxel",)),
    "coordinates": ("voxel", "dimension"),
    "region_error": ("region",),
    **dict.fromkeys((f"{OTHER}r2", f"{OTHER}r", f"{OTHER}ceiling"), ("image_set", "voxel")),
    f"{OTHER}drawn_r2": ("image_set", "draw", "region"),
    **dict.fromkeys(("drawn_r2", "drawn_depth", "drawn_scale", "drawn_ridge", "drawn_margin"), ("draw", "region")),
    **dict.fromkeys(("drawn_slope", "drawn_b0", "drawn_b1"), ("draw",)),
    **dict.fromkeys(("persons_r2", "persons_ceiling", "persons_depth", "persons_scale"), ("person", "region")),
    **dict.fromkeys(("persons_slope", "persons_b0", "persons_b1"), ("person",)),
}
"""Dimensions of the variables, which are numbers; ``Mapping`` says what they mean."""
SHARES = ("layer_share", "scale_share", "depth")
"""What predictions are made of, which is known only where they predict."""
YARDSTICK = ("ridge_r2", "mean_r2", "drawn_ridge", "drawn_margin")
"""What a ridge regression and the training mean predict of the test images of a fit."""
COORDINATES: dict[str, tuple[str, ...]] = {
    "hemisphere": ("voxel",),
    "vertex": ("voxel",),
    "group": ("voxel",),
    "network_layer": ("layer",),
    **{name: (name,) for name in ("axis", "region", "person", "image_set")},
}
"""Dimensions of the coordinates; beside them there are ``roi_<name>`` over voxels."""
SUFFIXES = ("_low", "_high", "_sd", "_raw")
"""Of limits, standard deviations and selectors as trained, whose dimensions are those of what they are of."""
ROI = "roi_"


def mapping_dataset(
    values: Mapping[str, np.ndarray],
    layers: Sequence[str],
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """The dataset of a mapping from arrays by the schema's names.

    Args:
        values: variables, ``hemisphere`` and ``vertex`` among them.
        layers: names of the network's layers.
        rois: membership of ROIs by name.
        attributes: facts of the whole.
    """
    names = {"network_layer": np.array(layers), "axis": np.array(["x", "y"])}
    masks = {f"{ROI}{name}": mask for name, mask in rois.items()}
    hemisphere = {"hemisphere": values["hemisphere"].astype("<U5")}
    empty = xr.Dataset(attrs={**attributes, "rois": list(rois)})
    return with_values(empty, {**values, **hemisphere, **names, **masks})


def voxel_variables(voxels: Voxels) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Variables and attributes that say where voxels lie; ``Mapping.voxels`` reads them back."""
    values = {"hemisphere": voxels.hemisphere, "vertex": voxels.vertex}
    if voxels.assumption is not None:
        groups = {} if voxels.groups is None else {"group": voxels.groups.astype(str)}
        return values | groups, {"surface": "", "assumption": voxels.assumption}
    coordinates, bounds = voxels.positions
    facts = {"surface": voxels.surface or "", "coordinate_bounds": bounds.ravel().tolist()}
    return {"coordinates": coordinates, **values}, facts


def with_values(dataset: xr.Dataset, values: Mapping[str, np.ndarray]) -> xr.Dataset:
    """A copy with arrays added or replaced, each under the dimensions that the schema gives to its name."""
    added = dataset.assign({name: (_dimensions(name), array) for name, array in values.items()})
    return added.set_coords([name for name in values if name in COORDINATES or name.startswith(ROI)])


def tells_limits(name: str) -> bool:
    """Whether a variable holds limits, or draws that limits are made from."""
    return name.startswith("drawn_") or name.endswith(("_low", "_high"))


def check_dataset(dataset: xr.Dataset) -> None:
    """Refuse a dataset that is none of a mapping.

    Raises:
        DataError: names the variable that is missing, or of other dimensions or values than the schema's.
    """
    missing = [name for name in REQUIRED if name not in dataset]
    if missing:
        raise DataError(f"a mapping needs the variables {', '.join(REQUIRED)}; missing: {', '.join(missing)}")
    for name, array in dataset.variables.items():
        expected = _dimensions(str(name))
        if expected and array.dims != expected:
            raise DataError(f"{name!r} of a mapping is over {_over(array.dims)}, expected {_over(expected)}")
        if expected and str(name) not in COORDINATES and array.dtype.kind not in "fiub":
            raise DataError(f"{name!r} of a mapping is {array.dtype}, expected numbers")
    if dataset.sizes["axis"] != 2:
        raise DataError(f"'space' of a mapping has {dataset.sizes['axis']} numbers a voxel, expected x and y")


def _dimensions(name: str) -> tuple[str, ...]:
    """Those of a name; none if the schema does not know it."""
    if name.startswith(ROI):
        return ("voxel",)
    known = DIMENSIONS | COORDINATES
    return known.get(name) or next(
        (known[name.removesuffix(end)] for end in SUFFIXES if name.endswith(end) and name.removesuffix(end) in known),
        (),
    )


def _over(dimensions: Sequence[Any]) -> str:
    return f"({', '.join(map(str, dimensions))})"
