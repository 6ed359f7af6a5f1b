"""Maps of a mapping as other programs take them: numbers of voxels spread over vertices, regions as labels."""

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.cortex import HEMISPHERES, VERTICES
from factortopy.errors import DataError
from factortopy.mapping import Mapping

PREFIXES = {"left": "lh", "right": "rh"}
"""FreeSurfer's, with which names of files begin."""


@dataclass(frozen=True, eq=False)
class VoxelMap:
    """One quantity of all voxels.

    Attributes:
        name: the variable's in the mapping; ``space_x`` and ``space_y`` for places.
        columns: one name, or that of every layer.
        values: a column each.
    """

    name: str
    columns: tuple[str, ...]
    values: Float[np.ndarray, "voxel column"]


@dataclass(frozen=True, eq=False)
class Labels:
    """Regions of which no two share a voxel.

    Attributes:
        name: ``rois``, ``rois-2`` ...
        regions: their names.
        values: the region's place among the names, counted from 1; 0 in none.
    """

    name: str
    regions: tuple[str, ...]
    values: Int[np.ndarray, "voxel"]

    def colours(self) -> Int[np.ndarray, "label 4"]:
        """Red, green, blue and alpha in 0..255 of no region and of each: hues spread evenly, no two the same."""
        count = len(self.regions)
        hues = [colorsys.hls_to_rgb(k / count, 0.4 + 0.2 * (k % 2), 0.75) for k in range(count)]
        coloured = [[*(round(255 * part) for part in hue), 255] for hue in hues]
        return np.array([[0, 0, 0, 0], *coloured], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class MapSet:
    """Everything that is exported of a mapping.

    Attributes:
        mapping: whose maps and regions these are.
        like: an image on whose grid the voxels lie, for those of a volume.
    """

    mapping: Mapping
    like: Path | None = None

    @cached_property
    def maps(self) -> list[VoxelMap]:
        """Every quantity of a voxel, by name."""
        return sorted(_maps(self.mapping), key=lambda one: one.name)

    @cached_property
    def labels(self) -> list[Labels]:
        """Regions, spread over as many sets as overlaps need; each goes to the first in which it has room."""
        sets: list[dict[str, np.ndarray]] = []
        for name, inside in self.mapping.rois.items():
            free = (one for one in sets if not any((inside & other).any() for other in one.values()))
            chosen = next(free, None)
            if chosen is None:
                sets.append(chosen := {})
            chosen[name] = inside
        return [
            Labels("rois" if k == 0 else f"rois-{k + 1}", tuple(one), _numbered(list(one.values())))
            for k, one in enumerate(sets)
        ]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the maps are of, which goes with every file that has room for it."""
        attributes = self.mapping.dataset.attrs
        names = ("network", "subject", "surface", "recipe", "global_token")
        known = {name: str(attributes[name]) for name in names if attributes.get(name)}
        return known | {"simulated": self.mapping.simulated, "layers": list(self.mapping.layers)}

    @property
    def surface(self) -> str:
        """The standard surface on which the voxels lie.

        Raises:
            DataError: if they lie on none.
        """
        surface = str(self.mapping.dataset.attrs.get("surface") or "")
        if surface in VERTICES:
            return surface
        if surface:
            fault = f"the voxels lie on {surface}, of which a mapping keeps no mesh; export them as npz"
        else:
            fault = "the voxels lie on no surface; export them as npz, or as nifti with an image on their grid"
        raise DataError(fault)

    @property
    def vertices(self) -> int:
        """Vertices of a hemisphere; errors as those of :attr:`surface`."""
        return VERTICES[self.surface]

    def rows(self, side: str) -> tuple[Int[np.ndarray, "chosen"], Int[np.ndarray, "chosen"]]:
        """Voxels of a hemisphere in the order of their vertices, and these vertices."""
        data = self.mapping.dataset
        chosen = np.flatnonzero(data["hemisphere"].values == side)
        chosen = chosen[np.argsort(data["vertex"].values[chosen], kind="stable")]
        return chosen, data["vertex"].values[chosen]

    def spread(self, values: np.ndarray, side: str, fill: float = np.nan) -> np.ndarray:
        """Values of voxels at every vertex of a hemisphere, ``fill`` where nothing was measured."""
        spread = np.full((self.vertices, *values.shape[1:]), fill, dtype=values.dtype)
        rows, vertices = self.rows(side)
        spread[vertices] = values[rows]
        return spread

    def sides(self) -> Iterator[tuple[str, str]]:
        """Each hemisphere and how its files' names begin; also those in which nothing was measured."""
        for side in HEMISPHERES:
            yield side, PREFIXES[side]


def _maps(mapping: Mapping) -> Iterator[VoxelMap]:
    # Not data_vars: xarray counts ``layer``, which has the name of one of its own dimensions, among the coordinates.
    for key, array in mapping.dataset.variables.items():
        name, values = str(key), np.asarray(array.values)
        if values.dtype.kind not in "fiu" or name == "vertex":
            continue
        if array.dims == ("voxel",):
            yield VoxelMap(name, (name,), values[:, None].astype(np.float32))
        elif array.dims == ("voxel", "axis"):
            for k, axis in enumerate("xy"):
                yield VoxelMap(f"{name}_{axis}", (f"{name}_{axis}",), values[:, k : k + 1].astype(np.float32))
        elif array.dims == ("voxel", "layer"):
            yield VoxelMap(name, mapping.layers, values.astype(np.float32))


def _numbered(masks: list[Bool[np.ndarray, "voxel"]]) -> Int[np.ndarray, "voxel"]:
    return np.asarray(np.stack(masks, axis=1) @ np.arange(1, len(masks) + 1), dtype=np.int32)
