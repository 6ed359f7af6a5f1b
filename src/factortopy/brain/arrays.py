"""A subject from a user's own arrays in ``.npy`` files."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from factortopy.brain.subject import Subject
from factortopy.errors import DataError
from factortopy.images import ImageSet, images_from_folder

Source = str | os.PathLike[str] | np.ndarray


def read_array(source: Source) -> np.ndarray:
    """An array as it is, or read from a ``.npy`` file; objects (pickles) are refused.

    Raises:
        DataError: if the file is missing, truncated, no ``.npy`` or holds objects.
    """
    if isinstance(source, np.ndarray):
        return source
    path = Path(source)
    if not path.is_file():
        raise DataError(f"{path} is missing; give the path of a .npy file")
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"cannot read {path} ({reason}); it is truncated or no plain .npy; save it again with numpy.save"
        ) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path} is an archive of arrays; give a .npy file with one array")
    return array


def read_ids(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Image ids from a text file, one a line.

    Raises:
        DataError: if the file is missing or not UTF-8 text.
    """
    try:
        return tuple(Path(path).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {path} ({error}); give a UTF-8 text file with one image id a line"
        ) from error


def load_arrays(
    responses: Source,
    image_ids: Sequence[str] | str | os.PathLike[str],
    coordinates: Source,
    *,
    coordinate_bounds: Source | None = None,
    hemisphere: Source | None = None,
    vertex: Source | None = None,
    surface: str | None = None,
    rois: Mapping[str, Source] | None = None,
    noise_ceiling: Source | None = None,
    repeats: Source | None = None,
    images: ImageSet | str | os.PathLike[str] | None = None,
    name: str = "subject",
) -> Subject:
    """Make a subject of arrays, or of ``.npy`` files with them.

    Args:
        responses: (image, voxel), numbers.
        image_ids: one id for each row, or a text file with one a line.
        coordinates: (voxel, 3) in mm.
        coordinate_bounds: (2, 3) smallest and largest coordinate of the whole surface or volume; without it
            those of the given voxels.
        hemisphere: (voxel,) "left"/"right"; without it the sign of x decides.
        vertex: (voxel,) vertex index; without it the voxel's number.
        surface: surface that ``vertex`` refers to.
        rois: masks (voxel,) by name; numbers count as true where they are not 0.
        noise_ceiling: (voxel,) R^2 in 0..1.
        repeats: (image,) trials that each row averages.
        images: the photographs, or the folder that holds them under their ids.
        name: name of the subject.

    Raises:
        DataError: if a file cannot be read or the arrays do not fit together.
    """
    places = _numbers(coordinates, "coordinates", np.float32)
    if places.ndim != 2 or places.shape[1] != 3 or not len(places):
        raise DataError(f"subject {name!r}: coordinates must be (voxel, 3) in mm, got shape {places.shape}")
    ids = read_ids(image_ids) if isinstance(image_ids, str | os.PathLike) else tuple(image_ids)
    return Subject(
        name=name,
        responses=_numbers(responses, "responses", np.float32),
        image_ids=ids,
        coordinates=places,
        coordinate_bounds=(
            np.stack([places.min(axis=0), places.max(axis=0)])
            if coordinate_bounds is None
            else _numbers(coordinate_bounds, "coordinate_bounds", np.float32)
        ),
        hemisphere=(
            np.where(places[:, 0] < 0, "left", "right") if hemisphere is None else read_array(hemisphere)
        ),
        vertex=np.arange(len(places)) if vertex is None else _numbers(vertex, "vertex", np.int64),
        surface=surface,
        rois={key: _numbers(mask, f"ROI {key!r}", np.bool_) for key, mask in (rois or {}).items()},
        noise_ceiling=None if noise_ceiling is None else _numbers(noise_ceiling, "noise_ceiling", np.float32),
        repeats=None if repeats is None else _numbers(repeats, "repeats", np.int64),
        images=images if images is None or isinstance(images, ImageSet) else images_from_folder(Path(images)),
        provenance={"kind": "arrays"},
    )


def _numbers(source: Source, what: str, dtype: type[np.generic]) -> np.ndarray:
    array = read_array(source)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what} must hold real numbers, got {array.dtype}; convert before saving")
    return array.astype(dtype, copy=False)
