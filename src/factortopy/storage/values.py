"""What users have in memory, as a NumPy array: tensors, data frames, lists; nothing masked becomes a number."""

from typing import Any

import numpy as np

from factortopy.errors import DataError, first_line
from factortopy.storage.chunked import check_dataset, check_meaning, check_zarr


def as_array(values: Any, what: str = "the array") -> np.ndarray:
    """A NumPy array of what is like one: masked arrays, PyTorch's, pandas', xarray's, h5py's, Zarr's, lists of numbers.

    Tensors are taken off their device and out of their graph; bfloat16 becomes float32. Missing entries of a data
    frame become NaN. Numbers are not looked at: whether they are finite, or numbers at all, is the caller's to check.

    Args:
        values: the array.
        what: what messages call it.

    Raises:
        DataError: if values are masked, lists are ragged, or it is nothing like an array.
    """
    if isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values)
    library, name = type(values).__module__.partition(".")[0], type(values).__name__
    kind = name if library == "builtins" else f"{library} {name}"
    try:
        return _converted(values, library, kind, what)
    except DataError:
        raise
    # Libraries raise anything for what cannot be an array: quantised or sparse tensors, ragged lists, ...
    except Exception as error:
        fault = f"{what}: cannot make an array of a {kind} ({first_line(error)})"
        raise DataError(f"{fault}; give a plain array of numbers") from error


def _converted(values: Any, library: str, kind: str, what: str) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(values).sum())
        if masked:
            raise DataError(f"{what}: {masked:,} values are masked; leave these voxels or images out")
        return np.asarray(values.data)
    if library == "torch":
        values = values.detach().cpu()
        values = values.resolve_conj().resolve_neg()
        return np.asarray(values.float() if str(values.dtype) == "torch.bfloat16" else values)
    if library == "pandas":
        array = np.asarray(values)
        numeric = array.dtype == object and all(map(_is_number, values.dtypes if values.ndim == 2 else [values.dtype]))
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan)) if numeric else _texts(array)
    if library == "h5py":
        path = f"{values.file.filename}:{values.name.strip('/')}"
        check_dataset(values, path)
        return check_meaning(np.asarray(values[()]), values.attrs, path)
    if library == "zarr":
        check_zarr(values, f"{values.store}/{values.path}")
        return check_meaning(np.asarray(values[...]), values.attrs, f"{values.store}/{values.path}")
    if isinstance(values, list | tuple):
        # NumPy loses the masks of masked arrays in a list.
        values = [
            as_array(part, what) if hasattr(part, "__array__") or isinstance(part, list) else part for part in values
        ]
    array = np.asarray(values)
    if not array.ndim and array.dtype == object:
        raise DataError(f"{what} is a {kind}; give an array of numbers")
    return array


def _is_number(dtype: Any) -> bool:
    """Whether pandas counts a dtype, which may be one of its own with missing entries, among numbers."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(dtype) or is_bool_dtype(dtype))


def _texts(array: np.ndarray) -> np.ndarray:
    """Objects that are all texts as texts; others as they are."""
    return array.astype(str) if array.size and all(isinstance(item, str) for item in array.ravel()) else array
