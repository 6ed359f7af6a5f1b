"""Predicted responses: held in memory or on disk, averaged over ROIs, written as users' other programs read them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from factortopy.cortex import ALL_VOXELS, HEMISPHERES, VERTICES
from factortopy.errors import DataError
from factortopy.mapping.mapping import Mapping
from factortopy.storage import (
    SHARD_IMAGES,
    RowArray,
    ShardedStore,
    atomic_path,
    read_rows,
    row_numbers,
    shard_bytes,
    shard_path,
    write_shard,
    write_surface_maps,
    write_text,
)
from factortopy.tokens import DIGEST_BYTES, DIGESTS

if TYPE_CHECKING:
    import pandas

Units = Literal["training responses", "z-scored"]
"""Of predictions: those of the responses that were fitted to, or standard deviations of these, voxel by voxel."""
RESPONSES = "responses"
SIDES = dict(zip(HEMISPHERES, ("lh", "rh"), strict=True))
SURFACE_MAPS = (".gii", ".gii.gz", ".mgh", ".mgz")
FORMATS = (".zarr", ".npy", *SURFACE_MAPS)
"""Ends of the names that predictions can be written to."""


class PredictionFolder(ShardedStore):
    """The Zarr group of predicted responses, complete or not."""

    noun = "Zarr of predictions"
    unit = "images"
    action = "prediction"
    format = "factortopy-predictions-1"
    listed = ("image_ids",)


class PredictionWriter:
    """Predictions that are written shard by shard: to a new group, or to one that an earlier run left.

    Args:
        folder: whose lock is held.
        identity: what decides the responses, ``image_ids`` among it.
        record: provenance of a new group.
        voxels: how many.
    """

    def __init__(self, folder: PredictionFolder, identity: dict[str, Any], record: dict[str, Any], voxels: int) -> None:
        self._folder, self._total = folder, len(identity["image_ids"])
        self._items = {RESPONSES: ((voxels,), "<f4", "voxel"), DIGESTS: ((DIGEST_BYTES,), "uint8", "byte")}
        left = self._total - folder.done
        folder.check_space(shard_bytes(left, 4 * voxels + DIGEST_BYTES), "predict fewer images, or on another disk")
        arrays = {
            name: {
                "shape": (self._total, *item),
                "dtype": dtype,
                "chunks": (1, *item),
                "shards": (SHARD_IMAGES, *item),
                "dimension_names": ("image", axis),
            }
            for name, (item, dtype, axis) in self._items.items()
        }
        folder.begin(identity, {"provenance": record}, arrays, self._total)
        self.done = folder.done
        if self.done == self._total:
            folder.mark(self.done, self._total, self._items)
        self._waiting: tuple[list[np.ndarray], list[bytes]] = ([], [])

    def add(self, responses: Float[np.ndarray, "image voxel"], digests: Sequence[bytes]) -> None:
        """Take the next images, all of one shard, with the SHA-256 of their pixels; a full shard is written."""
        self._waiting[0].append(responses)
        self._waiting[1].extend(digests)
        filled = len(self._waiting[1])
        if filled < SHARD_IMAGES and self.done + filled < self._total:
            return
        pixels = np.frombuffer(b"".join(self._waiting[1]), np.uint8).reshape(-1, DIGEST_BYTES)
        parts = {RESPONSES: np.concatenate(self._waiting[0]).astype("<f4"), DIGESTS: pixels}
        with self._folder.writing(self._total):
            for name, values in parts.items():
                file = shard_path(self._folder.path / name, self.done // SHARD_IMAGES, 0)
                write_shard(file, values, (1, values.shape[1]), (SHARD_IMAGES, values.shape[1]))
        self.done += filled
        self._waiting = ([], [])
        self._folder.mark(self.done, self._total, self._items)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Responses of every voxel of a mapping to images, as :func:`predict` gives them.

    Attributes:
        mapping: whose voxels these are, in its order.
        image_ids: the images, in order.
        units: ``"training responses"``: those of the responses that were fitted to; ``"z-scored"``: standard
            deviations of these about their mean, voxel by voxel.
        values: the responses (image, voxel), or the Zarr group that holds them.
    """

    mapping: Mapping
    image_ids: tuple[str, ...]
    units: Units
    values: Float[np.ndarray, "image voxel"] | Path

    def __len__(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    def read(self, rows: Sequence[int] | np.ndarray | None = None) -> Float[np.ndarray, "image voxel"]:
        """Responses to some images, by number from 0 in the order given or by a mask over all; to all if None.

        Raises:
            DataError: if an index is no whole number or out of range, or the group was changed on disk.
        """
        wanted = row_numbers(rows, len(self), self.values if isinstance(self.values, Path) else None)
        if isinstance(self.values, Path):
            array = RowArray(self.values / RESPONSES, (self.mapping.dataset.sizes["voxel"],), "<f4")
            return read_rows([array], wanted)[0]
        return self.values if rows is None else self.values[wanted]

    def blocks(self) -> Iterator[Float[np.ndarray, "image voxel"]]:
        """All responses in order, some images at a time."""
        for start in range(0, len(self), SHARD_IMAGES):
            yield self.read(range(start, min(start + SHARD_IMAGES, len(self))))

    def roi_means(self) -> "pandas.DataFrame":
        """Mean response of each ROI to every image: columns ``image``, the ROIs and ``all voxels``."""
        import pandas

        regions = self.mapping.rois | {ALL_VOXELS: np.ones(self.mapping.dataset.sizes["voxel"], dtype=bool)}
        parts = [
            [
                block[:, inside].mean(axis=1) if inside.any() else np.full(len(block), np.nan)
                for inside in regions.values()
            ]
            for block in self.blocks()
        ]
        columns = dict(zip(regions, np.concatenate(parts, axis=1), strict=True))
        return pandas.DataFrame({"image": self.image_ids, **columns})

    def save(self, path: str | Path) -> list[Path]:
        """Write the responses in the form that the ending of the name says.

        ``.npy``: an array (image, voxel), voxels in the mapping's order. ``.gii``, ``.mgh`` or ``.mgz``: a file a
        hemisphere, ``lh.NAME`` and ``rh.NAME``, of every vertex of its surface, NaN where none was measured, a map
        (frame) an image. Beside them ``NAME.json`` names the images, the units and the mapping.
        A group of Zarr is what :func:`predict` itself writes.

        Returns:
            The files.

        Raises:
            DataError: if the ending is another, the voxels lie on no surface, or a file cannot be written.
        """
        path = Path(path)
        ending = prediction_format(path)
        if ending == ".zarr":
            raise DataError(f"{path}: a group of Zarr is written while predicting; give its path to predict")
        if ending == ".npy":
            files = [self._save_array(path)]
        else:
            files = write_vertices(self.mapping, self.read(), self.image_ids, path)
        facts = self.mapping.dataset.attrs
        record = {name: facts.get(name) for name in ("network", "subject", "surface", "simulated")}
        record |= {"units": self.units, "image_ids": self.image_ids}
        return [*files, write_text(path.with_name(f"{path.name}.json"), json.dumps(record, indent=1))]

    def _save_array(self, path: Path) -> Path:
        """Block by block: all responses may be more than the memory holds."""
        layout = {"descr": "<f4", "fortran_order": False, "shape": (len(self), self.mapping.dataset.sizes["voxel"])}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, layout)
            for block in self.blocks():
                file.write(np.ascontiguousarray(block, "<f4").data)
        return path


def write_vertices(
    mapping: Mapping, maps: Float[np.ndarray, "map voxel"], names: Sequence[str], path: Path
) -> list[Path]:
    """Write maps of a mapping's voxels as those of all vertices, NaN where none was measured.

    Args:
        mapping: where the voxels lie.
        maps: values of each.
        names: of the maps.
        path: ``NAME.gii``, ``.mgh`` or ``.mgz``; the files are ``lh.NAME`` and ``rh.NAME`` beside it.

    Returns:
        The files, of hemispheres that have voxels.

    Raises:
        DataError: if the voxels lie on no standard surface, or a file cannot be written.
    """
    data = mapping.dataset
    count = VERTICES.get(str(data.attrs.get("surface")))
    if count is None:
        fault = f"the voxels lie on no standard surface ({data.attrs.get('surface') or 'a volume'})"
        raise DataError(f"{path} needs vertices, but {fault}; write .npy or .zarr", path=path)
    hemisphere, vertex, files = data["hemisphere"].values, data["vertex"].values, []
    for side in HEMISPHERES:
        here = hemisphere == side
        if here.any():
            values = np.full((len(maps), count), np.nan, np.float32)
            values[:, vertex[here]] = maps[:, here]
            files.append(write_surface_maps(path.with_name(f"{SIDES[side]}.{path.name}"), values, names))
    return files


def prediction_format(path: Path) -> str:
    """The ending of a name that predictions can be written to.

    Raises:
        DataError: if it is another.
    """
    name = path.name.lower()
    ending = next((end for end in FORMATS if name.endswith(end)), None)
    if ending is None:
        raise DataError(f"{path} does not end in {', '.join(FORMATS)}, which say in what form to write", path=path)
    return ending
