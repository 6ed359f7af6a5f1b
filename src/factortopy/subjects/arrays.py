"""A subject from a user's own arrays, in memory or in files of any common format."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from factortopy.cortex import HEMISPHERES, Voxels, surface_name
from factortopy.errors import DataError, ShapeError
from factortopy.images import ImageSet, images_from_folder
from factortopy.storage import SUFFIXES, ArrayPath, ArraySource, parts_of, paths_of, read_array, read_text, reading
from factortopy.subjects.ceilings import check_ceiling
from factortopy.subjects.places import StatedPlaces, in_order, on_surface
from factortopy.subjects.regions import LabelledRegion, RegionSource, mask_of
from factortopy.subjects.subject import Subject, check_distinct


def read_ids(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Image ids from a text file, one a line.

    Raises:
        DataError: if the file is missing or not UTF-8 text.
    """
    with reading(path, "give a UTF-8 text file with one image id a line"):
        return tuple(read_text(path).splitlines())


def load_arrays(
    responses: ArraySource,
    image_ids: Sequence[str] | str | os.PathLike[str] | None,
    coordinates: ArraySource | None = None,
    *,
    coordinate_bounds: ArraySource | None = None,
    hemisphere: ArraySource | None = None,
    vertex: ArraySource | None = None,
    surface: str | None = None,
    groups: ArraySource | None = None,
    rois: Mapping[str, RegionSource] | None = None,
    noise_ceiling: ArraySource | None = None,
    repeats: ArraySource | None = None,
    single_trials: bool = False,
    group_mean: bool = False,
    images: ImageSet | str | os.PathLike[str] | None = None,
    name: str = "subject",
) -> Subject:
    """Make a subject of arrays, or of files with them.

    An array is given as it is (NumPy's, or what is like one: a tensor, a data frame, a list), as the path of a file
    that ``read_array`` knows (``.npy``, ``.npz``, HDF5 as ``file.h5:dataset``, Zarr, GIfTI, MGH/MGZ, CIFTI), or as
    several paths that are joined along the voxels. Masked values are refused.
    Which hemisphere a file is of, it says itself (``file_side``); two files of responses that say nothing are the left
    and the right one. Several files of one value a voxel are put into the order of the responses.

    Args:
        responses: (image, voxel), numbers.
        image_ids: one id for each row, or a text file with one a line; None takes those of ``images``.
        coordinates: (voxel, 3) in mm; None takes the vertices' positions on the sphere of ``surface``, and without
            a surface none are known: a fit then finds each unit's place in the image without its neighbours.
        coordinate_bounds: (2, 3) smallest and largest coordinate of the whole surface or volume; without it
            those of the given voxels.
        hemisphere: (voxel,) "left"/"right"; without it what the files of responses say, or else the sign of x, decides.
        vertex: (voxel,) vertex index; without it what the files say, or else the voxel's number.
        surface: surface that ``vertex`` refers to: a standard one, or ``"native-NAME"``, the subject's own.
        groups: (voxel,) labels of the areas or arrays of units without coordinates, which share a prior in a fit.
        rois: masks (voxel,) by name, true, or one number other than 0, inside; or ``LabelledRegion`` objects.
        noise_ceiling: (voxel,) R^2 in 0..1.
        repeats: (image,) trials that each row averages.
        single_trials: rows are trials, so that image ids may repeat.
        group_mean: rows are means over several persons, which every score then says.
        images: the photographs, or the folder that holds them under their ids.
        name: name of the subject.

    Raises:
        DataError: if a file cannot be read or the arrays do not fit together; the file is named.
        UnknownNameError: if there is no such surface.

    Example:
        >>> responses = np.random.default_rng(0).normal(size=(40, 5))
        >>> coordinates = np.arange(15.0).reshape(5, 3)
        >>> own = ft.load_arrays(responses, tokens.image_ids[:40], coordinates, name="mine")
        >>> own.responses.shape
        (40, 5)
    """
    photographs = images if images is None or isinstance(images, ImageSet) else images_from_folder(Path(images))
    rows, widths = _responses(responses)
    shape = (rows.shape[1],)
    surface = surface and surface_name(surface)
    stated = StatedPlaces.of(responses, widths, surface)
    sides = stated.agreed(None if hemisphere is None else _sides(hemisphere, shape))
    as_stated = hemisphere is None or not stated.by_order
    vertex = stated.vertex if vertex is None and as_stated else in_order(vertex, sides)
    indices = _numbers(vertex, "vertex", np.int64, shape)
    if surface is not None:
        sides, indices = on_surface(surface, sides, indices, *shape, stated.vertices)
    if coordinates is not None:
        positions = _numbers(in_order(coordinates, sides), "coordinates", np.float32, (*shape, 3), 0)
        voxels = Voxels.at(positions, sides, indices, surface)
    elif sides is not None and indices is not None and surface is not None:
        voxels = Voxels.on_sphere(surface, sides, indices)
    else:
        voxels = Voxels.unplaced(*shape, sides, indices, None if groups is None else _labels(groups, shape))
    if groups is not None and voxels.coordinates is not None:
        raise DataError("groups are for units without coordinates; leave one of the two out")
    if coordinate_bounds is not None:
        voxels = replace(voxels, bounds=_numbers(coordinate_bounds, "coordinate_bounds", np.float32, (2, 3)))
    masks = {key: _mask(key, mask, sides, shape) for key, mask in (rois or {}).items()}
    ids = _ids(image_ids, photographs)
    ceiling = _numbers(in_order(noise_ceiling, sides), "noise_ceiling", np.float32, shape)
    with _faults_of(image_ids if isinstance(image_ids, str | os.PathLike) else None):
        if not single_trials:
            check_distinct(ids)
    with _faults_of(noise_ceiling):
        if ceiling is not None:
            check_ceiling(ceiling, voxels.hemisphere)
    parts: dict[str, Any] = {
        "image_ids": ids,
        "images": photographs,
        "voxels": replace(voxels, rois=masks),
        "noise_ceiling": ceiling,
        "repeats": _numbers(repeats, "repeats", np.int64, (len(rows),)),
        "single_trials": single_trials,
        "group_mean": group_mean,
    }
    try:
        return Subject(name, rows, provenance={"kind": "arrays"}, **parts)
    except DataError as error:
        raise _of(responses, error) from error


def _responses(source: ArraySource) -> tuple[Float[np.ndarray, "image voxel"], list[int]]:
    """Responses, and how many voxels each of their files has."""
    if source is None:
        raise DataError("responses are missing; give numbers, one row an image")
    files = parts_of(source)
    parts = [_numbers(file, "responses", np.float32) for file in files]
    for file, part in zip(files, parts, strict=True):
        if part.ndim != 2 or not part.size or len(part) != len(parts[0]):
            expected = "responses must be (image, voxel) and not empty, as many images in every file"
            raise _of(file, ShapeError(f"{expected}, got shape {part.shape}; give one row an image"))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), [part.shape[1] for part in parts]


def _mask(name: str, source: RegionSource, sides: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    if isinstance(source, LabelledRegion):
        labels = _numbers(in_order(source.labels, sides), f"labels of ROI {name!r}", np.int64, shape)
        return np.isin(labels, source.values)
    values = _numbers(in_order(source, sides), f"ROI {name!r}", np.float64, shape)
    try:
        return mask_of(name, values)
    except DataError as error:
        raise _of(source, error) from None


def _ids(source: Sequence[str] | str | os.PathLike[str] | None, images: ImageSet | None) -> tuple[str, ...]:
    if source is not None:
        ids = read_ids(source) if isinstance(source, str | os.PathLike) else tuple(source)
        if not all(isinstance(name, str) for name in ids):
            raise DataError("image_ids must be texts, one a row of responses; give file names")
        return ids
    if images is None:
        raise DataError("give image_ids, one a row of responses, or images: their sorted names are taken then")
    in_number_order = sorted(images.ids, key=_by_number)
    if list(images.ids) == sorted(images.ids) != in_number_order:
        first, second = next(pair for pair in zip(images.ids, in_number_order, strict=True) if pair[0] != pair[1])
        fault = (
            f"names of images do not tell the order of rows: {first!r} comes before {second!r} by name, not by number"
        )
        raise DataError(f"{fault}; give image_ids (image_ids.txt), one a row")
    return images.ids


def _by_number(name: str) -> tuple[Any, ...]:
    """Sorts ``img2`` before ``img10``, as people do."""
    parts = re.split(r"([0-9]+)", name)
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


def _sides(source: ArraySource, shape: tuple[int, ...]) -> np.ndarray:
    array = _texts(source, "hemisphere")
    if array.shape != shape or not np.isin(array, HEMISPHERES).all():
        fault = f"hemisphere must be 'left' or 'right' for each of {shape[0]} voxels"
        raise _of(source, DataError(f"{fault}, got {array.dtype} of shape {array.shape}"))
    return array.astype("<U5", copy=False)


def _texts(source: ArraySource, what: str) -> np.ndarray:
    """Labels of voxels; texts in a list are the labels themselves, unless they name files of arrays."""
    files = paths_of(source) if isinstance(source, list | tuple) else []
    named = any(ArrayPath.parse(file).file.name.lower().endswith(SUFFIXES) for file in files)
    return np.array(source) if files and not named else read_array(source, what=what)


def _labels(source: ArraySource, shape: tuple[int, ...]) -> np.ndarray:
    array = _texts(source, "groups")
    if array.shape != shape or array.dtype.kind not in "iuUSO":
        fault = f"groups must be a text or a whole number for each of {shape[0]} voxels"
        raise _of(source, DataError(f"{fault}, got {array.dtype} of shape {array.shape}"))
    return array.astype(str)


def _numbers(
    source: ArraySource | None, what: str, dtype: type, shape: tuple[int, ...] | None = None, axis: int = -1
) -> Any:
    """An array of finite numbers; leading axes of length 1 that ``shape`` has not are dropped. None stays None."""
    if source is None:
        return None
    array = read_array(source, axis=axis, what=what)
    if array.dtype.kind not in "fiub":
        raise _of(source, DataError(f"{what} must hold real numbers, got {array.dtype}; convert before saving"))
    if shape is not None:
        while array.ndim > len(shape) and len(array) == 1:
            array = array[0]
        if array.shape != shape:
            raise _of(source, ShapeError(f"{what} must be of shape {shape}, got {array.shape}"))
    # One pass without a copy: a NaN or an infinity anywhere makes the sum not finite.
    if array.dtype.kind == "f" and what != "responses" and not np.isfinite(array.sum(dtype=np.float64)):
        raise _of(source, DataError(f"{what} hold NaN or infinity; leave out the voxels without a value"))
    if dtype == np.int64 and array.dtype.kind == "f" and (array % 1).any():
        raise _of(source, DataError(f"{what} must be whole numbers"))
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


@contextmanager
def _faults_of(source: ArraySource | None) -> Iterator[None]:
    """Errors inside are of the file or files of this array, if it is from any."""
    try:
        yield
    except DataError as error:
        raise error if source is None else _of(source, error) from None


def _of(source: ArraySource, error: DataError) -> DataError:
    """The error, at the file or files that the array is from; as it is for an array in memory."""
    files = paths_of(source)
    if not files:
        return error
    return type(error)(f"{' + '.join(map(str, files))}: {error}", path=files[0])
