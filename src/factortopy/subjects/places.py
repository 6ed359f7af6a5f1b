"""Hemisphere and vertex of each column of responses: what is given, what the files say, what a surface implies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from factortopy.cortex import HEMISPHERES, VERTICES, Grayordinates, file_sides, grayordinates
from factortopy.errors import DataError
from factortopy.storage import ArraySource, paths_of


@dataclass(frozen=True, eq=False)
class StatedPlaces:
    """What the files of responses say of their columns.

    Attributes:
        hemisphere: ``"left"`` or ``"right"`` of each column, ``""`` where it is not said; None if nothing is.
        vertex: index within its hemisphere; None if the files do not say it.
        vertices: of each whole hemisphere, where the files say it.
        by_order: two files say nothing, so that their order alone decides.
    """

    hemisphere: np.ndarray | None = None
    vertex: Int[np.ndarray, "voxel"] | None = None
    vertices: tuple[int, ...] = ()
    by_order: bool = False

    @classmethod
    def of(cls, responses: ArraySource, widths: Sequence[int], surface: str | None = None) -> "StatedPlaces":
        """What files say of columns, so many of each; two files that say nothing are the left and the right one.

        Columns of one file a hemisphere are its vertices in their order; those of part of a standard surface are not.

        Raises:
            DataError: if a file contradicts itself.
        """
        files = paths_of(responses)
        if len(files) == 1 and (columns := grayordinates(files[0])) is not None:
            return cls._of_grayordinates(columns)
        sides = file_sides(files)
        by_order = sides == [None, None]
        if by_order:
            sides = list(HEMISPHERES)
        if not sides or None in sides:
            return cls()
        # Of several files of a hemisphere, or a part of its vertices, nobody knows which column is which vertex.
        half = VERTICES.get(surface or "")
        counted = len(sides) == len(set(sides)) == 2 and (half is None or {*widths} == {half})
        vertex = np.concatenate([np.arange(width) for width in widths]) if counted else None
        return cls(np.repeat(np.array(sides, dtype="<U5"), widths), vertex, by_order=by_order)

    @classmethod
    def _of_grayordinates(cls, columns: Grayordinates) -> "StatedPlaces":
        if not (columns.hemisphere != "").all():
            return cls()
        on_cortex = bool((columns.vertex >= 0).all())
        return cls(columns.hemisphere, columns.vertex if on_cortex else None, tuple(columns.vertices.values()))

    def agreed(self, given: np.ndarray | None) -> np.ndarray | None:
        """The hemisphere of each column: as given, else as stated.

        Raises:
            DataError: if the two contradict each other.
        """
        if given is None or self.hemisphere is None or self.by_order:
            return self.hemisphere if given is None else given
        differing = int((given != self.hemisphere).sum())
        if differing:
            fault = f"hemisphere contradicts what the files of responses say of themselves in {differing} voxels"
            raise DataError(f"{fault}; mend one of the two")
        return given


def in_order(source: ArraySource | None, hemisphere: np.ndarray | None) -> ArraySource | None:
    """Files of values of voxels in the order of the voxels' hemispheres, whichever order they were given in.

    Args:
        source: an array, a file or several; what does not say its hemisphere stays as it is.
        hemisphere: of each voxel; None where it is not known.

    Raises:
        DataError: if several files are of other hemispheres than the voxels, or voxels of both are mixed.
    """
    files = [] if source is None else paths_of(source)
    if hemisphere is None or len(files) < 2:
        return source
    sides = file_sides(files)
    if None in sides:
        return source
    changes = np.flatnonzero(hemisphere[1:] != hemisphere[:-1]) + 1
    blocks = [str(hemisphere[start]) for start in (0, *changes)]
    if sorted(blocks) != sorted(map(str, sides)):
        fault = f"of the {' and the '.join(map(str, sides))} hemisphere, but the voxels are {' then '.join(blocks[:4])}"
        raise DataError(f"{' + '.join(map(str, files))}: {fault}; give files of the same voxels", path=files[0])
    return [files[sides.index(side)] for side in blocks]


def on_surface(
    name: str, hemisphere: np.ndarray | None, vertex: np.ndarray | None, voxels: int, stated: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Hemisphere and vertex of each voxel on a surface: as given, or of whole hemispheres one after the other.

    Args:
        name: of the surface; see ``surface_name``.
        hemisphere, vertex: of each voxel, where known.
        voxels: how many there are.
        stated: vertices of a hemisphere by the files of responses.

    Raises:
        DataError: if they are neither, or the files are of another surface.
    """
    half = VERTICES.get(name)
    if half is not None and {*stated} - {half}:
        raise DataError(f"the responses are of a surface of {max(stated)} vertices a hemisphere, {name} has {half}")
    if hemisphere is None and vertex is None and half is not None and voxels == 2 * half:
        hemisphere = np.repeat(HEMISPHERES, half)
    if hemisphere is not None and vertex is None:
        counts = {side: int((hemisphere == side).sum()) for side in HEMISPHERES}
        if set(counts.values()) <= {0, half}:
            vertex = np.concatenate([np.arange(count) for count in counts.values()])
            vertex = vertex[np.argsort(np.argsort(hemisphere, kind="stable"), kind="stable")]
    if hemisphere is None or vertex is None:
        parts = {"hemisphere": hemisphere, "vertex": vertex}
        missing = " and ".join(part for part, array in parts.items() if array is None)
        whole = "" if half is None else f", which has 2 x {half}"
        raise DataError(f"{voxels} voxels on {name}{whole}: give {missing} of each, or no surface")
    return hemisphere, vertex
