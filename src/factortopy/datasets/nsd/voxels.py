"""Where NSD's voxels lie, which ROIs they belong to, and their signal to noise ratio."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex import (
    NATIVE,
    Labels,
    Voxels,
    read_colour_table,
    read_labels,
    read_mesh,
    roi_masks,
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
AREAS = {"V1": ("V1v", "V1d"), "V2V3": ("V2v", "V2d", "V3v", "V3d"), "V4": ("hV4",), "FFA": ("FFA-1", "FFA-2")}
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
    """
    volume = files.parts == ("volume",)
    voxels, shapes = _volume(files) if volume else _surfaces(files, session)
    rois, kinds_of = _rois(files, voxels, kinds)
    return replace(voxels, rois=rois, kinds=kinds_of, ncsnr=_ncsnr(files, voxels)), shapes


def _surfaces(files: NsdFiles, session: int) -> tuple[RecordedVoxels, dict[str, tuple[int, ...]]]:
    common = files.space == "fsaverage"
    names = ("sphere", "sphere.reg") if common else ("sphere.reg", "sphere")
    meshes = [[path for name in names if (path := files.surface(part, name)).is_file()] for part in files.parts]
    if all(meshes):
        left, right = (read_mesh(paths[0]).coordinates for paths in meshes)
        coordinates, split = side_by_side(left, right), len(left)
        surface = STANDARD.get(split) if common else f"{NATIVE}{files.name}"
    elif common:
        path = files.session("left", session)
        split = int(open_volume(path).shape[0])
        surface = STANDARD.get(split)
        if surface is None:
            fault = f"has {split} vertices, fsaverage has 163842; get the file again, or the surface it belongs to"
            raise DataError.of(path, f"{fault} as {files.surface('left', names[-1])} and its right one")
        coordinates = sphere_coordinates(surface)
    else:
        fault = f"or its right one is missing; get NSD's folder {files.anatomy}"
        raise DataError.of(files.surface("left", names[0]), fault)
    sizes = {"left": split, "right": len(coordinates) - split}
    vertex = np.concatenate([np.arange(size) for size in sizes.values()])
    part = np.repeat(list(sizes), list(sizes.values()))
    voxels = Voxels.at(coordinates, part, vertex, surface)
    return RecordedVoxels(**vars(voxels), part=part, column=vertex), {name: (size,) for name, size in sizes.items()}


def volume_image(files: NsdFiles) -> Any:
    """A volume without trials, whose header says where the voxels lie, opened."""
    candidates = [files.label("volume", kind) for kind in KINDS] + [files.ncsnr("volume")]
    path = next((file for file in candidates if file.is_file()), None)
    if path is None:
        raise DataError.of(candidates[0], "is missing; its header says where the voxels lie: get it")
    image = open_volume(path)
    if len(image.shape) != 3:
        raise DataError.of(path, f"has shape {tuple(image.shape)}, expected (X, Y, Z)")
    return image


def _volume(files: NsdFiles) -> tuple[RecordedVoxels, dict[str, tuple[int, ...]]]:
    image = volume_image(files)
    shape = tuple(int(length) for length in image.shape)
    # The betas count x fastest, arrays of labels z fastest.
    z, y, x = np.unravel_index(np.arange(np.prod(shape)), shape[::-1])
    coordinates = volume_coordinates(np.stack([x, y, z], axis=1), image.affine)
    voxels = Voxels.at(coordinates, vertex=np.ravel_multi_index((x, y, z), shape))
    return RecordedVoxels.of_volume(voxels), {"volume": shape[::-1]}


def _ncsnr(files: NsdFiles, voxels: RecordedVoxels) -> Float[np.ndarray, "voxel"] | None:
    paths = {part: files.ncsnr(part) for part in files.parts}
    if not any(path.is_file() for path in paths.values()):
        return None
    maps = []
    for part, path in paths.items():
        values, inside = read_volume(path), voxels.part == part
        if values.size != inside.sum() or values.dtype.kind != "f":
            fault = f"has {values.size} values of {values.dtype}, expected {inside.sum()} floats"
            raise DataError.of(path, f"{fault}; it belongs to another space")
        if (values < 0).any() or np.isinf(values).any():
            raise DataError.of(path, "holds values below 0 or infinite; get the file again")
        maps.append(values.reshape(-1)[voxels.vertex[inside]])
    return np.concatenate(maps).astype(np.float32)


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
        if "volume" in labels:
            regions = labels["volume"].regions.items()
            masks = {name: region.reshape(-1)[voxels.vertex] for name, region in regions}
        else:
            masks = roi_masks(labels, voxels.part, voxels.vertex)
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
