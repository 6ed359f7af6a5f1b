"""Arrays in HDF5 and Zarr: found through links, and refused where parts of them were never stored.

Both formats give a fill value, mostly 0, for what is not there, without a word: a chunk that an interrupted copy left
out, a source of a virtual dataset that is missing. Such zeros would pass for measured values.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.errors import DataError
from factortopy.storage.files import ArrayPath, Path_, check_plausible, reading

REMEDY = "get the file again, or write these parts too"


def hdf5_dataset(file: Any, path: ArrayPath) -> Any:
    """The dataset asked for in an open HDF5 file, through soft and external links too; the only one if none is.

    Raises:
        DataError: if there is none, or a link leads nowhere.
    """
    import h5py

    if path.member:
        found = file.get(path.member)
        if isinstance(found, h5py.Dataset):
            return found
        link = file.get(path.member, getlink=True) if path.member in file or found is None else None
        where = f"{link.path} of {link.filename}" if isinstance(link, h5py.ExternalLink) else getattr(link, "path", "")
        if where and found is None:
            raise DataError.of(path, f"is a link to {where}, which is missing; get what it leads to")
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    if not names or path.member:
        links: list[str] = []
        file.visititems_links(lambda name, link: links.append(name) if not isinstance(link, h5py.HardLink) else None)
        names += [name for name in links if isinstance(file.get(name), h5py.Dataset)]
    return file[path.choose(names)]


def check_dataset(dataset: Any, path: Path_ | ArrayPath) -> None:
    """Refuse an HDF5 dataset that its file cannot hold, or of which parts were never stored.

    Raises:
        DataError: if it has no numbers, announces more than is stored, or lacks parts.
    """
    if dataset.dtype.hasobject or dataset.shape is None:
        raise DataError.of(path, f"holds {dataset.dtype}, no numbers; give a data set of numbers")
    if dataset.chunks:
        size = Path(dataset.file.filename).stat().st_size
        check_plausible(path, math.prod(dataset.chunks) * dataset.dtype.itemsize, size)
    fault = missing_part(dataset)
    if fault is not None:
        check_plausible(path, dataset.nbytes, 0)
        raise DataError.of(path, f"is not whole: {fault}; what is missing would read as {dataset.fillvalue}: {REMEDY}")
    check_plausible(path, dataset.nbytes, _stored_bytes(dataset))


def check_meaning(values: np.ndarray, attributes: Mapping[str, Any], path: Path_ | ArrayPath) -> np.ndarray:
    """The values, unless attributes say by netCDF's conventions that they are packed, or some stand for missing ones.

    Raises:
        DataError: if they do.
    """
    for name, neutral in (("scale_factor", 1), ("add_offset", 0)):
        if name in attributes and np.any(np.asarray(attributes[name]) != neutral):
            raise DataError.of(path, f"is packed ({name} {attributes[name]}); open it with xarray and save the values")
    for name in ("_FillValue", "missing_value"):
        fill = np.asarray(attributes.get(name, ()))
        missing = int(np.isin(values, fill).sum()) if fill.dtype.kind in "fiu" and fill.size else 0
        if missing:
            fault = f"holds {missing:,} values that stand for missing ones ({name} {fill.flat[0]})"
            raise DataError.of(path, f"{fault}; leave these voxels or images out")
    return values


def missing_part(dataset: Any) -> str | None:
    """What of an HDF5 dataset is not stored, in a few words; None if it is whole."""
    if dataset.is_virtual:
        return _missing_source(dataset)
    if not dataset.size:
        return None
    for name, start, length in dataset.external or ():
        there = Path(name).stat().st_size if Path(name).is_file() else 0
        if there < start + min(length, dataset.nbytes):
            return f"{name}, which holds its values, is missing or short"
    if dataset.chunks:
        chunks = math.prod(-(-length // part) for length, part in zip(dataset.shape, dataset.chunks, strict=True))
        absent = chunks - dataset.id.get_num_chunks()
        return f"{absent:,} of {chunks:,} chunks were never written" if absent else None
    return None if dataset.id.get_storage_size() else "its values were never written"


def check_chunks_found(dataset: Any, values: np.ndarray, path: Path_ | ArrayPath) -> None:
    """Refuse values read of an HDF5 dataset of which a chunk is listed, but not found, as in a damaged index.

    Raises:
        DataError: if a chunk that is all fill value cannot be read by itself.
    """
    if not dataset.chunks:
        return
    grid = [range(0, length, part) for length, part in zip(dataset.shape, dataset.chunks, strict=True)]
    for place in product(*grid):
        box = tuple(slice(start, start + part) for start, part in zip(place, dataset.chunks, strict=True))
        if (values[box] == dataset.fillvalue).all():
            with reading(path, "a chunk of it is not where its index says; get it again"):
                dataset.id.read_direct_chunk(place)


def row_is_stored(dataset: Any, row: int) -> bool:
    """Whether all chunks of one row of a chunked HDF5 dataset are stored; see ``missing_part`` for all rows."""
    starts = [range(0, length, part) for length, part in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)]
    first = row - row % dataset.chunks[0]
    places = np.stack(np.meshgrid([first], *starts, indexing="ij"), axis=-1).reshape(-1, dataset.ndim)
    return all(dataset.id.get_chunk_info_by_coord(tuple(map(int, place))).byte_offset is not None for place in places)


def check_zarr(array: Any, path: Path_ | ArrayPath) -> None:
    """Refuse a Zarr array of a folder, version 2 or 3, of which files of chunks are missing.

    Zarr itself leaves out chunks that hold the fill value alone, unless told otherwise: nothing tells these from lost
    ones. Arrays in memory are not looked at.

    Raises:
        DataError: if chunks, or shards where there are some, are missing.
    """
    root = getattr(array.store, "root", None)
    if not isinstance(root, Path):
        return
    parts = array.shards or array.chunks
    grid = [-(-length // part) for length, part in zip(array.shape, parts, strict=True)]
    keys = (array.metadata.encode_chunk_key(place) for place in np.ndindex(*grid))
    # An empty file is what is left of one where the disk was full.
    absent = sum(not (file := root / array.path / key).is_file() or not file.stat().st_size for key in keys)
    if absent:
        fault = (
            f"is not whole: {absent:,} of {math.prod(grid):,} files of chunks are missing or empty, which would read as"
        )
        remedy = "if that is meant, write them with zarr.config.set({'array.write_empty_chunks': True})"
        raise DataError.of(path, f"{fault} {array.fill_value}; get them again, or {remedy}")


def _missing_source(dataset: Any) -> str | None:
    """What of the sources of a virtual dataset is not stored."""
    mapped = 0
    for source in dataset.virtual_sources():
        name, count = f"its source {source.dset_name} of {source.file_name}", source.vspace.get_select_npoints()
        if "%" in source.file_name or not 0 <= count <= dataset.size:
            return "its sources are without limit, so that none can be missed"
        with _source(dataset, source) as part:
            if part is None:
                return f"{name} is missing"
            fault = missing_part(part)
            if fault is not None:
                return f"of {name}, {fault}"
            if not _inside(source.src_space, part.shape):
                return f"{name} has only shape {part.shape}"
        mapped += count
    return None if mapped >= dataset.size else f"its sources hold {mapped:,} of {dataset.size:,} values"


def _inside(selection: Any, shape: tuple[int, ...]) -> bool:
    import h5py

    if selection.get_select_type() == h5py.h5s.SEL_ALL:
        return True  # HDF5 itself refuses another number of values
    ends = selection.get_select_bounds()[1]
    return all(end < length for end, length in zip(ends, shape, strict=True))


@contextmanager
def _source(dataset: Any, source: Any) -> Iterator[Any]:
    """The dataset that is a source of a virtual one, looked for as HDF5 does; None if it is not there."""
    import h5py

    if source.file_name == ".":
        yield dataset.file.get(source.dset_name)
        return
    folder = Path(dataset.file.filename).parent
    files = [file for file in (folder / source.file_name, Path(source.file_name)) if file.is_file()]
    if not files:
        yield None
        return
    with h5py.File(files[0], "r") as file:
        found = file.get(source.dset_name)
        yield found if isinstance(found, h5py.Dataset) else None


def _stored_bytes(dataset: Any) -> int:
    """Bytes that hold a dataset; of a virtual one, its sources' together, each once."""
    if not dataset.is_virtual:
        return int(dataset.id.get_storage_size())
    total = 0
    for source in {(source.file_name, source.dset_name): source for source in dataset.virtual_sources()}.values():
        with _source(dataset, source) as part:
            total += 0 if part is None else _stored_bytes(part)
    return total
