"""Maps of a hemisphere's vertices as GIfTI or MGH files, which other programs for surfaces read."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from factortopy.storage.files import Path_, atomic_path

STRUCTURES = {"lh": "CortexLeft", "rh": "CortexRight"}
"""What GIfTI calls the hemisphere of a file, by the beginning of its name."""


def write_surface_maps(
    path: Path_, maps: Float[np.ndarray, "map vertex"], names: Sequence[str], facts: Mapping[str, str] | None = None
) -> Path:
    """Write maps of all vertices of one hemisphere, whole or not at all.

    Args:
        path: ``lh.NAME.gii`` (maps with their names), ``lh.NAME.mgh`` or ``.mgz`` (frames without names), or of
            the right hemisphere; ``.gii.gz`` too.
        maps: NaN where nothing was measured.
        names: of the maps.
        facts: about the whole, by name, which GIfTI keeps and MGH has no room for.

    Returns:
        The path.

    Raises:
        DataError: if the file cannot be written.
    """
    path = Path(path)
    content = _gifti(path, maps, names, facts or {}) if ".gii" in path.name.lower() else _mgh(maps)
    compressed = path.name.lower().endswith((".mgz", ".gz"))
    with atomic_path(path) as temporary:
        # Without a time inside, so that equal maps are equal files.
        temporary.write_bytes(gzip.compress(content, mtime=0) if compressed else content)
    return path


def _gifti(path: Path, maps: Float[np.ndarray, "map vertex"], names: Sequence[str], facts: Mapping[str, str]) -> bytes:
    from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

    structure = STRUCTURES.get(path.name[:2].lower())
    meta = GiftiMetaData(({} if structure is None else {"AnatomicalStructurePrimary": structure}) | dict(facts))
    arrays = [
        GiftiDataArray(values.astype("<f4"), intent="NIFTI_INTENT_NONE", meta=GiftiMetaData({"Name": name}))
        for values, name in zip(maps, names, strict=True)
    ]
    return bytes(GiftiImage(darrays=arrays, meta=meta).to_bytes())


def _mgh(maps: Float[np.ndarray, "map vertex"]) -> bytes:
    from nibabel import MGHImage

    # An image of one frame has no axis of frames.
    frames = () if len(maps) == 1 else (len(maps),)
    return bytes(MGHImage(maps.T.reshape(-1, 1, 1, *frames).astype(np.float32), np.eye(4)).to_bytes())
