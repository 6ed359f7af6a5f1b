"""Where NSD's voxels lie, which ROIs they belong to, and their signal to noise ratio."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex import (
    Labels,
    Voxels,
    read_colour_table,
    read_labels,
    read_mesh,
    side_by_side,
    sphere_coordinates,
)
from factortopy.datasets.nsd.files import NsdFiles
from factortopy.errors import DataError
from factortopy.storage import open_volume, read_volume, volume_coordinates
from factortopy.subjects import RecordedVoxels

KINDS = (
    "nsdgeneral",
    "prf-visualrois",
    "floc-bodies",
    "floc-faces",
    "floc-places",
    "floc-words",
    "streams",
    "Kastner2015",
)
"""Kinds of labels that are read where they are there; further ones can be asked for."""
AREAS = {
    "V1": ("V1v", "V1d"),
    "V2V3": ("V2v", "V2d", "V3v", "V3d"),
    "V4": ("hV4",),
    "FFA": ("FFA-1", "FFA-2"),
}
"""Areas that the labels divide, put together under the names that the hierarchy's slope and tables use."""
STANDARD = {163_842: "fsaverage", 40_962: "fsaverage6", 10_242: "fsaverage5"}


def read_voxels(
    files: NsdFiles, session: int, kinds: Sequence[str] = KINDS
) -> tuple[RecordedVoxels, dict[str, tuple[int, ...]]]:
    """All voxels of a space: coordinates, ROIs, signal to noise ratio.

    Vertices lie on the sphere (``sphere_coordinates``). Voxels of a volume lie in mm, through the affine of
    the ROI files, are numbered as ``array.reshape(-1)`` of these files numbers them, and are ``"left"``
    where x < 0.

    Args:
        files: the folder.
        session: one that is there.
        kinds: kinds of labels; those without a file are left out.

    Returns:
        The voxels, and the shape of each part's betas: (vertices,) or (Z, Y, X).

    Raises:
        DataError: if a file is missing or damaged, or files do not fit together.
    """
    volume = files.parts == ("volume",)
    voxels, shapes = _volume(files) if volume else _surfaces(files, session)
    rois, kinds_of = _rois(files, voxels, kinds)
    return replace(voxels, rois=rois, kinds=kinds_of, ncsnr=_ncsnr(files, voxels)), shapes


def _gather(voxels: RecordedVoxels, maps: dict[str, np.ndarray]) -> np.ndarray:
    """Values of every voxel from those of each part; a volume's have the axes x, y, z."""
    return np.concatenate([values.reshape(-1)[voxels.vertex[voxels.part == part]] for part, values in maps.items()])


def _surfaces(files: NsdFiles, session: int) -> tuple[RecordedVoxels, dict[str, tuple[int, ...]]]:
    common = files.space == "fsaverage"
    names = ("sphere", "sphere.reg") if common else ("sphere.reg", "sphere")
    meshes = [[path for name in names if (path := files.surface(part, name)).is_file()] for part in files.parts]
    if all(meshes):
        left, right = (read_mesh(paths[0]).coordinates for paths in meshes)
        coordinates, split = side_by_side(left, right), len(left)
        surface = STANDARD.get(split) if common else f"nsd-{files.name}"
    elif common:
        path = files.session("left", session)
        split = int(open_volume(path).shape[0])
        surface = STANDARD.get(split)
        if surface is None:
            raise DataError(
                f"{path} has {split} vertices, fsaverage has 163842; get the file again, or the surface it "
                f"belongs to as {files.surface('left', names[-1])} and its right one",
                path=path,
            )
        coordinates = sphere_coordinates(surface)
    else:
        raise DataError(
            f"{files.surface('left', names[0])} or its right one is missing; get NSD's folder {files.anatomy}",
            path=files.surface("left", names[0]),
        )
    sizes = {"left": split, "right": len(coordinates) - split}
    vertex = np.concatenate([np.arange(size) for size in sizes.values()])
    part = np.repeat(list(sizes), list(sizes.values()))
    voxels = Voxels.at(coordinates, part, vertex, surface)
    return RecordedVoxels(**vars(voxels), part=part, column=vertex), {name: (size,) for name, size in sizes.items()}


def _volume(files: NsdFiles) -> tuple[RecordedVoxels, dict[str, tuple[int, ...]]]:
    candidates = [files.label("volume", kind) for kind in KINDS] + [files.ncsnr("volume")]
    path = next((file for file in candidates if file.is_file()), None)
    if path is None:
        raise DataError(f"{candidates[0]} is missing; its header says where the voxels lie: get it", path=candidates[0])
    image = open_volume(path)
    shape = tuple(int(length) for length in image.shape)
    if len(shape) != 3:
        raise DataError(f"{path} has shape {shape}, expected (X, Y, Z)", path=path)
    # The betas count x fastest, arrays of labels z fastest.
    z, y, x = np.unravel_index(np.arange(np.prod(shape)), shape[::-1])
    coordinates = volume_coordinates(np.stack([x, y, z], axis=1), image.affine)
    voxels = Voxels.at(coordinates, vertex=np.ravel_multi_index((x, y, z), shape))
    return RecordedVoxels.of_volume(voxels), {"volume": shape[::-1]}


def _ncsnr(files: NsdFiles, voxels: RecordedVoxels) -> Float[np.ndarray, "voxel"] | None:
    if not any(files.ncsnr(part).is_file() for part in files.parts):
        return None
    maps = {part: read_volume(files.ncsnr(part)).values for part in files.parts}
    for part, values in maps.items():
        expected = int((voxels.part == part).sum())
        if values.size != expected or values.dtype.kind != "f":
            raise DataError(
                f"{files.ncsnr(part)} has {values.size} values of {values.dtype}, expected {expected} "
                "floats; it belongs to another space",
                path=files.ncsnr(part),
            )
        if (values < 0).any() or np.isinf(values).any():
            raise DataError(
                f"{files.ncsnr(part)} holds values below 0 or infinite; get the file again", path=files.ncsnr(part)
            )
    return _gather(voxels, maps).astype(np.float32)


def _rois(
    files: NsdFiles, voxels: RecordedVoxels, kinds: Sequence[str]
) -> tuple[dict[str, Bool[np.ndarray, "voxel"]], dict[str, tuple[str, ...]]]:
    """Masks by name, and the names of each kind; a name already taken gets the kind in front."""
    rois: dict[str, np.ndarray] = {}
    named: dict[str, tuple[str, ...]] = {}
    for kind in dict.fromkeys(kinds):
        if not any(files.label(part, kind).is_file() for part in files.parts):
            continue
        labels = {part: _labels(files, part, kind, int((voxels.part == part).sum())) for part in files.parts}
        regions = {part: of_part.regions for part, of_part in labels.items()}
        empty = {part: np.zeros(of_part.values.shape, dtype=bool) for part, of_part in labels.items()}
        names = dict.fromkeys(name for masks in regions.values() for name in masks)
        masks = {
            name: _gather(voxels, {part: regions[part].get(name, empty[part]) for part in files.parts})
            for name in names
        }
        renamed = {name: f"{kind}.{name}" if name in rois else name for name in masks}
        named[kind] = tuple(renamed.values())
        rois |= {renamed[name]: mask for name, mask in masks.items()}
        for area, members in AREAS.items():
            if area not in rois and all(member in masks for member in members):
                rois[area] = np.any([masks[member] for member in members], axis=0)
    return rois, named


def _labels(files: NsdFiles, part: str, kind: str, size: int) -> Labels:
    """Labels with a name for every number: by the table of one or both hemispheres, or by the kind."""
    labels = read_labels(files.label(part, kind), vertices=size)
    folder = files.anatomy / "label"
    names = labels.names or read_colour_table(folder / f"{kind}.mgz")
    names = names or read_colour_table(folder / f"lh.{kind}.mgz")
    numbers = [int(value) for value in np.unique(labels.values) if value > 0]
    if not names and numbers in ([], [1]):
        return Labels(labels.values, {1: kind})
    return Labels(labels.values, {value: f"{kind}-{value}" for value in numbers} | names)
