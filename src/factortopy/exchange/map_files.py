"""Maps in the files of other programs: GIfTI, FreeSurfer's, CIFTI, NIfTI, NumPy's."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from factortopy.errors import DataError
from factortopy.exchange.maps import MapSet
from factortopy.exchange.viewers import write_niivue, write_pycortex
from factortopy.mapping import Mapping
from factortopy.storage import atomic_path, open_volume, write_surface_maps

MapKind = Literal["gifti", "mgh", "annot", "cifti", "npz", "pycortex", "niivue", "nifti"]
STRUCTURES = {"left": "CortexLeft", "right": "CortexRight"}
FILL = "NaN; regions 0"
"""Where nothing was measured."""
NEAR = 0.05
"""Farthest that a voxel may lie from the middle of one of an image, in voxels."""
CONTENTS = "maps.json"


def export_maps(
    mapping: Mapping, folder: str | os.PathLike[str], kind: MapKind, *, like: str | os.PathLike[str] | None = None
) -> Path:
    """Write the maps of a mapping, and its regions as labels, for another program (`docs/surfaces.md`).

    Maps are all quantities of one number a voxel, places as ``space_x`` and ``space_y``, and weights of layers, as
    float32 at every vertex of the mapping's surface, NaN where nothing was measured; CIFTI holds the measured vertices
    alone, and niivue, which draws no map with NaN, a number below all others. ``maps.json`` says what the maps are of,
    what fills them, and the names of layers.

    Args:
        mapping: of which the maps are.
        folder: written whole or not at all; one that holds ``maps.json`` is replaced.
        kind: of the files: ``"gifti"``, ``"mgh"`` and ``"annot"`` (FreeSurfer), ``"cifti"``, ``"npz"`` (voxels as they
            are, on any surface or none), ``"pycortex"``, ``"niivue"``, or ``"nifti"`` for voxels in a volume.
        like: for ``"nifti"``, an image on whose grid the voxels lie.

    Returns:
        The folder.

    Raises:
        DataError: if there is no such kind, the voxels do not lie where it needs them, there are no regions for
            ``"annot"``, or the folder holds something else.
        UnavailableError: for ``"niivue"`` if the surface's meshes are not on this machine.

    Example:
        >>> folder = ft.export_maps(mapping, "maps", "mgh")
        >>> (folder / "lh.r2.mgh").exists()
        True
    """
    if kind not in _WRITERS:
        raise DataError(f"there are no exports of kind {kind!r}; choose of {', '.join(_WRITERS)}")
    if (kind == "nifti") != (like is not None):
        raise DataError("an image on the voxels' grid (like) is needed for nifti and for nothing else")
    found = MapSet(mapping, None if like is None else Path(like))
    with atomic_path(folder, sign=CONTENTS) as temporary:
        temporary.mkdir()
        fill = _WRITERS[kind](found, temporary)
        names = sorted(path.name for path in temporary.iterdir())
        about = {**found.facts, "kind": kind, "unmeasured": fill, "files": names}
        (temporary / CONTENTS).write_text(json.dumps(about, indent=1), encoding="utf-8")
    return Path(folder)


def _gifti(found: MapSet, folder: Path) -> str:
    from nibabel import gifti, save

    facts = {"Unmeasured": FILL, **{name: json.dumps(value) for name, value in found.facts.items()}}
    for side, prefix in found.sides():
        for one in found.maps:
            columns = found.spread(one.values, side).T
            write_surface_maps(folder / f"{prefix}.{one.name}.func.gii", columns, one.columns, facts)
        for label in found.labels:
            table = gifti.GiftiLabelTable()
            for key, (name, colour) in enumerate(zip(("???", *label.regions), label.colours() / 255, strict=True)):
                table.labels.append(entry := gifti.GiftiLabel(key, *colour))
                entry.label = name
            values, meta = found.spread(label.values, side, fill=0), gifti.GiftiMetaData({"Name": label.name})
            array = gifti.GiftiDataArray(values, "NIFTI_INTENT_LABEL", encoding="GIFTI_ENCODING_B64GZ", meta=meta)
            about = gifti.GiftiMetaData({"AnatomicalStructurePrimary": STRUCTURES[side], **facts})
            save(
                gifti.GiftiImage(meta=about, labeltable=table, darrays=[array]),
                folder / f"{prefix}.{label.name}.label.gii",
            )
    return FILL


def _mgh(found: MapSet, folder: Path) -> str:
    for side, prefix in found.sides():
        for one in found.maps:
            write_surface_maps(folder / f"{prefix}.{one.name}.mgh", found.spread(one.values, side).T, one.columns)
    return "NaN"


def _annot(found: MapSet, folder: Path) -> str:
    from nibabel.freesurfer import write_annot

    if not found.labels:
        raise DataError("the mapping has no regions, so there is nothing to label; export its maps as mgh")
    for side, prefix in found.sides():
        for label in found.labels:
            colours = label.colours()
            colours[:, 3] = 0  # FreeSurfer counts what is transparent
            colours[0, :3] = (25, 5, 25)  # and has this colour for unknown
            names = ["unknown", *label.regions]
            values = found.spread(label.values, side, fill=0)
            write_annot(folder / f"{prefix}.{label.name}.annot", values, colours, names, fill_ctab=True)
    return "unknown"


def _cifti(found: MapSet, folder: Path) -> str:
    from nibabel import cifti2, save

    parts = [(side, *found.rows(side)) for side, _ in found.sides()]
    brains = [
        cifti2.BrainModelAxis.from_surface(vertices, found.vertices, STRUCTURES[side])
        for side, _, vertices in parts
        if len(vertices)
    ]
    brain, rows = sum(brains[1:], brains[0]), np.concatenate([rows for _, rows, _ in parts])
    names = [f"{one.name}: {name}" if len(one.columns) > 1 else name for one in found.maps for name in one.columns]
    values = np.concatenate([one.values for one in found.maps], axis=1)[rows].T
    save(cifti2.Cifti2Image(values, (cifti2.ScalarAxis(names), brain)), folder / "maps.dscalar.nii")
    if found.labels:
        tables = [
            dict(enumerate(zip(("???", *one.regions), map(tuple, one.colours() / 255), strict=True)))
            for one in found.labels
        ]
        axis = cifti2.LabelAxis([one.name for one in found.labels], tables)
        labels = np.stack([one.values[rows] for one in found.labels]).astype(np.float32)
        save(cifti2.Cifti2Image(labels, (axis, brain)), folder / "rois.dlabel.nii")
    return "left out"


def _npz(found: MapSet, folder: Path) -> str:
    data = found.mapping.dataset
    places = {name: data[name].values for name in ("hemisphere", "vertex", "coordinates", "group") if name in data}
    maps = {one.name: one.values[:, 0] if len(one.columns) == 1 else one.values for one in found.maps}
    rois = found.mapping.rois
    masks = np.stack(list(rois.values()), axis=1) if rois else np.zeros((data.sizes["voxel"], 0), dtype=bool)
    named = {"layers": np.array(found.mapping.layers), "regions": np.array(list(rois), dtype=str)}
    arrays: dict[str, Any] = {**places, **maps, **named, "in_region": masks}
    with (folder / "maps.npz").open("wb") as file:
        np.savez_compressed(file, **arrays)
    return "left out"


def _nifti(found: MapSet, folder: Path) -> str:
    from nibabel import Nifti1Image, save

    image = open_volume(found.like or "")
    index, shape = _on_grid(found.mapping, image, found.like), image.shape[:3]

    def write(values: np.ndarray, name: str, fill: float) -> None:
        volume = np.full((*shape, values.shape[1]), fill, dtype=values.dtype)
        volume[tuple(index.T)] = values
        save(Nifti1Image(volume[..., 0] if values.shape[1] == 1 else volume, image.affine), folder / f"{name}.nii.gz")

    for one in found.maps:
        write(one.values, one.name, np.nan)
    for label in found.labels:
        write(label.values[:, None].astype(np.int16), label.name, 0)
        names = ["unknown", *label.regions]
        lines = [
            f"{number} {name.replace(' ', '_')} {red} {green} {blue} 0"
            for number, (name, (red, green, blue, _)) in enumerate(zip(names, label.colours(), strict=True))
        ]
        (folder / f"{label.name}.nii.gz.ctab").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return FILL


def _on_grid(mapping: Mapping, image: Any, like: Path | None) -> Int[np.ndarray, "voxel 3"]:
    """Voxel indices in an image of a mapping's voxels."""
    data = mapping.dataset
    if data.attrs.get("surface") or "coordinates" not in data:
        raise DataError("the voxels lie on a surface or nowhere known, not in a volume; export them as gifti or npz")
    exact = (data["coordinates"].values - image.affine[:3, 3]) @ np.linalg.inv(image.affine[:3, :3]).T
    index = np.rint(exact).astype(np.int64)
    off = (np.abs(exact - index) > NEAR) | (index < 0) | (index >= image.shape[:3])
    if off.any():
        count = off.any(axis=1).sum()
        raise DataError.of(like or "", f"has another grid: {count:,} of {len(index):,} voxels lie on none of its own")
    return np.asarray(index)


_WRITERS: dict[str, Callable[[MapSet, Path], str]] = {
    "gifti": _gifti,
    "mgh": _mgh,
    "annot": _annot,
    "cifti": _cifti,
    "npz": _npz,
    "pycortex": write_pycortex,
    "niivue": write_niivue,
    "nifti": _nifti,
}
"""Each writes into a folder and says what stands where nothing was measured."""
