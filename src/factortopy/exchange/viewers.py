"""Maps for two viewers: pycortex's HDF5, and meshes with layers for niivue."""

import gzip
import hashlib
import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from factortopy.cortex import Mesh, Surface, load_surface
from factortopy.errors import UnavailableError
from factortopy.exchange.maps import MapSet

SHAPES = {"wm": "white", "pia": "pial", "inflated": "inflated", "flat": "flat"}
"""pycortex's names of a subject's surfaces."""
MESH, SCALAR = 3, 8
"""Attributes of MZ3 files: faces with vertices, or numbers of vertices."""


def write_pycortex(found: MapSet, folder: Path) -> str:
    """One file that ``cortex.load`` opens: a view for each map and layer, over both hemispheres, left first.

    Its subject is the surface, e.g. ``fsaverage5``, whose meshes stand in the file where they are on this machine.
    """
    subject = found.surface
    with h5py.File(folder / "maps.hdf", "w") as file:
        for one in found.maps:
            both = np.concatenate([found.spread(one.values, side) for side, _ in found.sides()])
            for number, name in enumerate(one.columns):
                many = len(one.columns) > 1
                key = f"{one.name}_{number + 1:02d}" if many else one.name
                _add_view(file, key, both[:, number], f"{one.name}: {name}" if many else name, subject)
        with suppress(UnavailableError):
            _add_meshes(file, subject, load_surface(subject))
    return "NaN"


def _add_view(file: h5py.File, key: str, values: Float[np.ndarray, "vertex"], words: str, subject: str) -> None:
    """Numbers under a hash, and what is seen of them: eight texts, of which the last is a transform of volumes."""
    name = f"__{hashlib.sha1(values.tobytes()).hexdigest()[:16]}"
    if f"data/{name}" not in file:
        file.create_dataset(f"data/{name}", data=values, compression="gzip").attrs["subject"] = subject
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    texts = [json.dumps([name]), words, '["viridis"]', json.dumps([low]), json.dumps([high]), "null", "{}", "null"]
    file.create_dataset(f"views/{key}", data=texts, dtype=h5py.string_dtype())


def _add_meshes(file: h5py.File, subject: str, surface: Surface) -> None:
    for half in surface.hemispheres:
        for name, attribute in SHAPES.items():
            mesh: Mesh = getattr(half, attribute)
            group = f"subjects/{subject}/surfaces/{name}/{half.name[0]}h"
            file.create_dataset(f"{group}/pts", data=mesh.coordinates, compression="gzip")
            file.create_dataset(f"{group}/polys", data=mesh.faces, compression="gzip")


def write_niivue(found: MapSet, folder: Path) -> str:
    """Meshes and layers in MZ3 files, and in ``niivue.json`` what ``Niivue.loadMeshes`` takes to show them.

    niivue takes least and largest of a layer from its numbers, and NaN for both where one is NaN; and it looks for them
    itself where ``cal_min`` is 0.
    """
    surface = load_surface(found.surface)
    ranges = {one.name: _range(one.values) for one in found.maps}
    shown = []
    for half in surface.hemispheres:
        prefix = f"{half.name[0]}h"
        for shape in ("pial", "inflated"):
            mesh: Mesh = getattr(half, shape)
            _write_mz3(folder / f"{prefix}.{shape}.mz3", MESH, mesh.faces, mesh.coordinates)
        layers: list[dict[str, Any]] = []
        for one in found.maps:
            low, high = ranges[one.name]
            values = found.spread(one.values, half.name)
            values = np.where(np.isfinite(values), values, low - (high - low)).astype(np.float32)
            _write_mz3(folder / f"{prefix}.{one.name}.mz3", SCALAR, np.zeros((0, 3)), values.T)
            opacity = float(one.name == "r2")
            limits = {"cal_min": low or 1e-6 * high, "cal_max": high}
            layers.append({"url": f"{prefix}.{one.name}.mz3", **limits, "colormap": "viridis", "opacity": opacity})
        shown.append({"url": f"{prefix}.inflated.mz3", "layers": layers})
    (folder / "niivue.json").write_text(json.dumps(shown, indent=1), encoding="utf-8")
    return "the least value less the range of the map, below cal_min of niivue.json"


def _range(values: np.ndarray) -> tuple[float, float]:
    """Least and largest known value, never the same."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return low, high if high > low else low + 1


def _write_mz3(path: Path, attributes: int, faces: np.ndarray, numbers: np.ndarray) -> None:
    """Header of 16 bytes, faces, then three numbers a vertex, or one a vertex for each frame."""
    vertices = numbers.shape[0] if attributes == MESH else numbers.shape[1]
    header = struct.pack("<HHIII", 0x5A4D, attributes, len(faces), vertices, 0)
    content = header + faces.astype("<i4").tobytes() + numbers.astype("<f4").tobytes()
    path.write_bytes(gzip.compress(content, 6, mtime=0))
