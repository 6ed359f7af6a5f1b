"""Where voxels lie and which regions they belong to: the one form of it for subjects, recordings and mappings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Self
from unicodedata import category

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from factortopy.cortex.labels import read_labels, roi_masks
from factortopy.cortex.mesh import HEMISPHERES, VERTICES, Surface, coordinate_bounds
from factortopy.cortex.sides import file_side
from factortopy.cortex.surfaces import NATIVE, sphere_coordinates, standard_name, surface_name
from factortopy.errors import DataError, ShapeError

ALL_VOXELS = "all voxels"
"""Name of the region that holds every voxel, which no ROI can have."""
BREAKING = ("Cc", "Cs", "Zl", "Zp")
"""Categories of characters that no name can have: control characters, halves of pairs, line breaks."""


@dataclass(frozen=True, eq=False)
class Voxels:
    """Where voxels (or vertices) lie; or units, such as neurons, of which that is not known.

    Attributes:
        coordinates: position of each voxel in mm; on a surface, on its sphere (``sphere_coordinates``); None
            where no positions are known.
        bounds: smallest and largest coordinate over the WHOLE surface or volume, so that a subset of voxels
            gets the same position code.
        hemisphere: ``"left"`` or ``"right"`` for each voxel; without coordinates ``""`` where not known.
        vertex: index within its hemisphere's mesh, or any index of the voxel.
        surface: name of the surface that ``vertex`` refers to, a standard one (``SURFACES``) or, as
            ``native-NAME``, a subject's own; None for voxels in a volume.
        rois: masks by name.
        groups: label of the area or array of each unit without coordinates; units of a group share a prior.

    Example:
        >>> voxels = subject.voxels.select(subject.voxels.rois["V1"])
        >>> voxels.rois["V1"].all()
        np.True_
    """

    coordinates: Float[np.ndarray, "voxel 3"] | None
    bounds: Float[np.ndarray, "2 3"] | None
    hemisphere: np.ndarray
    vertex: Int[np.ndarray, "voxel"]
    surface: str | None = None
    rois: dict[str, Bool[np.ndarray, "voxel"]] = field(default_factory=dict)
    groups: Shaped[np.ndarray, "voxel"] | None = None

    @classmethod
    def unplaced(
        cls,
        count: int,
        hemisphere: np.ndarray | None = None,
        vertex: Int[np.ndarray, "voxel"] | None = None,
        groups: np.ndarray | None = None,
    ) -> "Voxels":
        """Units whose positions are not known; without ``vertex`` they are numbered."""
        sides = np.full(count, "", "<U5") if hemisphere is None else hemisphere
        return Voxels(None, None, sides, np.arange(count) if vertex is None else vertex, groups=groups)

    @property
    def positions(self) -> tuple[Float[np.ndarray, "voxel 3"], Float[np.ndarray, "2 3"]]:
        """Coordinates and bounds, for what cannot do without.

        Raises:
            DataError: if there are none.
        """
        if self.coordinates is None or self.bounds is None:
            raise DataError(
                "there are no coordinates, which this needs; give coordinates.npy, (voxel, 3) in mm, or, for vertices, "
                "surface and coordinates = 'sphere' in subject.toml, and fit again"
            )
        return self.coordinates, self.bounds

    @property
    def assumption(self) -> str | None:
        """What a fit assumes in place of coordinates; None where there are some."""
        if self.coordinates is not None:
            return None
        units = "all units" if self.groups is None else f"the units of a group ({len(np.unique(self.groups))} groups)"
        return f"no coordinates: places, layers and scales are free by unit with a prior shared by {units}"

    @classmethod
    def at(
        cls,
        coordinates: Float[np.ndarray, "voxel 3"],
        hemisphere: np.ndarray | None = None,
        vertex: Int[np.ndarray, "voxel"] | None = None,
        surface: str | None = None,
    ) -> "Voxels":
        """Voxels that are the whole of what was measured, so that the bounds are theirs.

        Args:
            coordinates: of each voxel, mm.
            hemisphere: of each voxel; without it, x < 0 is left.
            vertex: of each voxel; without it, its number.
            surface: that ``vertex`` refers to.
        """
        sides = np.where(coordinates[:, 0] < 0, *HEMISPHERES) if hemisphere is None else hemisphere
        numbers = np.arange(len(coordinates)) if vertex is None else vertex
        return Voxels(coordinates, coordinate_bounds(coordinates), sides, numbers, surface)

    @classmethod
    def on_sphere(cls, surface: Surface | str, hemisphere: np.ndarray, vertex: Int[np.ndarray, "voxel"]) -> "Voxels":
        """Vertices of a surface on its two spheres.

        Args:
            surface: the surface, or the name of a standard one; see ``sphere_coordinates``.
            hemisphere: ``"left"`` or ``"right"`` of each voxel.
            vertex: index within its hemisphere.

        Raises:
            UnknownNameError: if there is no standard surface of that name.
            DataError: if the surface has no such vertex, or is a subject's own and given by name.
        """
        name = surface if isinstance(surface, str) else surface.name
        if isinstance(surface, str) and surface.startswith(NATIVE):
            raise DataError(f"{surface} is a subject's own surface, whose sphere is not known; give coordinates in mm")
        everywhere = sphere_coordinates(surface)
        left = VERTICES[standard_name(surface)] if isinstance(surface, str) else surface.left.vertices
        sizes = np.where(hemisphere == "right", len(everywhere) - left, left)
        if (vertex < 0).any() or (vertex >= sizes).any():
            raise DataError(
                f"vertex runs from {vertex.min()} to {vertex.max()}, but {name} has 0 to {left - 1}; "
                "name the surface that the vertices belong to"
            )
        rows = vertex + np.where(hemisphere == "right", left, 0)
        return Voxels(everywhere[rows], coordinate_bounds(everywhere), hemisphere, vertex, name)

    def __len__(self) -> int:
        return len(self.vertex)

    def select(self, chosen: Bool[np.ndarray, "voxel"] | Int[np.ndarray, "selected"]) -> Self:
        """Some of the voxels, by a mask or by indices; the bounds stay those of the whole."""
        arrays = {
            item.name: value[chosen]
            for item in fields(self)
            if item.name != "bounds" and isinstance(value := getattr(self, item.name), np.ndarray)
        }
        return replace(self, **arrays, rois={name: mask[chosen] for name, mask in self.rois.items()})

    def bounded_alone(self) -> Self:
        """The same voxels in bounds that are theirs alone, not those of the whole surface.

        Raises:
            DataError: if there are no coordinates.
        """
        return replace(self, bounds=coordinate_bounds(self.positions[0]))

    def check(self) -> None:
        """Refuse what no voxels can be.

        Raises:
            ShapeError: if an array has another shape than the others imply.
            UnknownNameError: if there is no such surface.
            DataError: if a value is impossible.
        """
        count = len(self)
        expected = {"coordinates": (count, 3), "bounds": (2, 3), "hemisphere": (count,), "vertex": (count,)}
        arrays = {part: getattr(self, part) for part in expected}
        arrays |= {f"ROI {roi!r}": mask for roi, mask in self.rois.items()} | {"groups": self.groups}
        for part, array in arrays.items():
            if array is None:
                continue
            shape = expected.get(part, (count,))
            if array.shape != shape:
                raise ShapeError(f"{part} has shape {array.shape}, expected {shape} for {count} voxels")
        if self.coordinates is not None:
            _check_positions(*self.positions)
        if self.coordinates is not None and self.groups is not None:
            raise DataError("groups are for units without coordinates; leave one of the two out")
        if self.surface is not None:
            _check_vertices(self.surface, self.hemisphere, self.vertex)
        unknown = set(np.unique(self.hemisphere)) - {*HEMISPHERES, *([""] if self.coordinates is None else [])}
        if unknown:
            raise DataError(f"hemisphere must be 'left' or 'right', got {sorted(map(str, unknown))}")
        for roi, mask in self.rois.items():
            if not roi.strip() or any(category(letter) in BREAKING for letter in roi):
                raise DataError(f"ROI name {roi!r} is empty or has line breaks or control characters; rename it")
            if roi.lower() == ALL_VOXELS:
                raise DataError(f"ROI name {roi!r} stands for every voxel in tables; rename the ROI")
            if mask.dtype != bool:
                raise DataError(f"ROI {roi!r} is {mask.dtype}; give a mask of booleans")

    def with_labels(
        self, files: Mapping[str, str | os.PathLike[str]], *, vertices: Mapping[str, int] | None = None
    ) -> Self:
        """The same voxels with the regions of label files as ROIs; a ROI of the same name is replaced.

        Args:
            files: label file of ``"left"``, ``"right"`` or both.
            vertices: number of vertices of each hemisphere; those of fsaverage surfaces are known.

        Raises:
            DataError: if a file cannot be read, is of the other hemisphere, or does not fit the vertices.
        """
        for side, path in files.items():
            if side in HEMISPHERES and (stated := file_side(path)) not in (None, side):
                raise DataError.of(path, f"is of the {stated} hemisphere, given for the {side} one; exchange them")
        sizes = dict.fromkeys(HEMISPHERES, VERTICES.get(self.surface or "")) | dict(vertices or {})
        labels = {side: read_labels(path, vertices=sizes.get(side)) for side, path in files.items()}
        return replace(self, rois=self.rois | roi_masks(labels, self.hemisphere, self.vertex))


def _check_vertices(surface: str, hemisphere: np.ndarray, vertex: Int[np.ndarray, "voxel"]) -> None:
    """Each voxel is a vertex that its surface has, and a vertex is one voxel."""
    most, low, high = VERTICES.get(surface_name(surface)), int(vertex.min()), int(vertex.max())
    if low < 0 or (most is not None and high >= most):
        has = "has no negative vertices" if most is None else f"has 0 to {most - 1}"
        raise DataError(
            f"vertex runs from {low} to {high}, but {surface} {has}; name the surface that the vertices belong to, "
            "and leave out what is no vertex"
        )
    numbers = vertex.astype(np.int64) + np.where(hemisphere == HEMISPHERES[1], high + 1, 0)
    if len(np.unique(numbers)) < len(numbers):
        values, counts = np.unique(numbers, return_counts=True)
        side, number = divmod(int(values[counts.argmax()]), high + 1)
        fault = f"vertex {number} of the {HEMISPHERES[side]} hemisphere stands {counts.max()} times among the voxels"
        raise DataError(f"{fault}; give each vertex once, and the hemisphere of each")


def _check_positions(coordinates: Float[np.ndarray, "voxel 3"], bounds: Float[np.ndarray, "2 3"]) -> None:
    for part, values in (("coordinates", coordinates), ("bounds", bounds)):
        if not np.isfinite(values).all():
            raise DataError(f"{part} hold NaN or infinity; leave out voxels without a position")
    low, high = bounds
    if (low > high).any() or (coordinates < low).any() or (coordinates > high).any():
        raise DataError("coordinates lie outside their bounds (coordinate_bounds); take the bounds over all voxels")
