"""Where the voxels of a recording lie and which ROIs they belong to."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.errors import DataError, UnknownNameError


@dataclass(frozen=True, eq=False)
class Voxels:
    """Where the voxels of a recording lie, part after part, ascending within each.

    Attributes:
        part: ``"left"``, ``"right"`` or ``"volume"``: the file, or array, that holds each voxel.
        column: its place in there.
        coordinates, coordinate_bounds, hemisphere, vertex, surface, rois: as in ``Subject``.
        kinds: names of the ROIs by the kind (file) of labels they come from.
        ncsnr: signal to noise ratio of each voxel; NaN where it has none.
    """

    part: np.ndarray
    column: Int[np.ndarray, "voxel"]
    coordinates: Float[np.ndarray, "voxel 3"]
    coordinate_bounds: Float[np.ndarray, "2 3"]
    hemisphere: np.ndarray
    vertex: Int[np.ndarray, "voxel"]
    surface: str | None
    rois: dict[str, Bool[np.ndarray, "voxel"]]
    kinds: dict[str, tuple[str, ...]]
    ncsnr: Float[np.ndarray, "voxel"] | None

    def __len__(self) -> int:
        return len(self.column)

    def select(self, chosen: Bool[np.ndarray, "voxel"] | Int[np.ndarray, "selected"]) -> "Voxels":
        """Some of the voxels; the bounds stay those of the whole."""
        names = ("part", "column", "coordinates", "hemisphere", "vertex", "ncsnr")
        found = {item.name: getattr(self, item.name) for item in fields(self) if item.name in names}
        arrays = {name: array[chosen] for name, array in found.items() if array is not None}
        return replace(self, **arrays, rois={name: mask[chosen] for name, mask in self.rois.items()})

    def choose(self, name: str) -> "Voxels":
        """The voxels of a ROI, of any ROI of a kind, or ``"all"``.

        Raises:
            UnknownNameError: if there is no such ROI or kind.
            DataError: if it has no voxel.
        """
        if name == "all":
            return self
        names = self.kinds.get(name, (name,))
        for roi in names:
            if roi not in self.rois:
                raise UnknownNameError("ROI", roi, ["all", *self.kinds, *self.rois])
        inside = np.any([self.rois[roi] for roi in names], axis=0)
        if not inside.any():
            raise DataError(f"ROI {name!r} has no voxel here; choose another or 'all'")
        return self.select(inside)
