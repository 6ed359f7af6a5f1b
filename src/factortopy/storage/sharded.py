"""A Zarr v3 group of sharded arrays that is filled shard by shard, so that a run killed at any point goes on."""

import glob
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import zarr
from filelock import FileLock, Timeout
from zarr.codecs import Crc32cCodec

from factortopy.errors import DataError
from factortopy.storage.files import atomic_path, remove, replaceable, standing_folder, write_text
from factortopy.storage.formats import check_format

MARKER = "completed.json"


class ShardedStore:
    """The folder of a store, complete or not.

    ``completed.json`` in it says how much is whole, and once all is, the bytes of each array. Whatever was
    written after it was is written again. What cannot be read, or is not what it should be, is a ``DataError``.

    Attributes:
        noun: what messages call it.
        unit: what is counted as whole.
        action: what fills it.
        format: what it says to be, with its version.
        listed: attributes that name the units, one after the other; None where there are no such names.
    """

    noun: ClassVar[str]
    unit: ClassVar[str]
    action: ClassVar[str]
    format: ClassVar[str]
    listed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a folder is such a store, of whatever version, by the format that it says."""
        try:
            attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
            same = attributes["format"].rpartition("-")[0] == cls.format.rpartition("-")[0]
            return same and (path / MARKER).is_file()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def open(self) -> zarr.Group:
        """The group, complete or not."""
        other = f"give another folder or run the {self.action} again"
        if not self.path.exists():
            raise DataError(f"there is no {self.noun} at {self.path}; run the {self.action} first", path=self.path)
        try:
            group = zarr.open_group(self.path, mode="r", zarr_format=3)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError.of(self.path, f"is no {self.noun} or is damaged; {other}") from error
        check_format(self.path, group.attrs.get("format"), self.format)
        if group.attrs.get("format") != self.format:
            version = f"{self.noun} of this version ({self.format})"
            raise DataError.of(self.path, f"is no {version}; {other}")
        return group

    def marker(self) -> dict[str, Any]:
        """What is whole: a number of units, ``of`` how many, and once all are there ``bytes`` by array."""
        try:
            marker: dict[str, Any] = json.loads((self.path / MARKER).read_text(encoding="utf-8"))
            return marker | {name: int(marker.get(name, 0)) for name in ("of", self.unit)}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise self.damaged(f"{MARKER} cannot be read") from error

    @property
    def done(self) -> int:
        """How many units are whole; 0 where there is no store."""
        return int(self.marker()[self.unit]) if (self.path / MARKER).is_file() else 0

    @property
    def finished(self) -> bool:
        """Whether all units are whole and it was said how many bytes they have."""
        return (self.path / MARKER).is_file() and "bytes" in self.marker()

    def check_whole(self, total: int) -> None:
        """Refuse a store that is not finished, or whose files have another size than they had."""
        marker = self.marker()
        if marker[self.unit] != total or "bytes" not in marker:
            whole = f"{marker[self.unit]} of {total} {self.unit}"
            raise self._error(f"holds {whole}; run the {self.action} again to finish it")
        for name, size in marker["bytes"].items():
            if self._stored_bytes(name) != size:
                raise self.damaged(f"{name} has {self._stored_bytes(name)} bytes instead of {size}")

    def begin(
        self,
        identity: Mapping[str, Any],
        facts: Mapping[str, Any],
        arrays: Mapping[str, Mapping[str, Any]],
        total: int,
        kept: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Make a new store, or go on with one that an earlier run of the same work left.

        Args:
            identity: what makes the arrays what they are; JSON-ready, and equal in every run that fills them.
            facts: further attributes of a new store; those of the first run are kept.
            arrays: by name, what Zarr's ``create_array`` takes.
            total: how many units there will be.
            kept: arrays by name that a new store begins with; those of the first run are kept.

        Raises:
            DataError: if the folder holds something else or was begun with another identity.
        """
        if self.path.exists() and not self.path.is_dir():
            raise DataError.of(self.path, f"is a file; give a folder for the {self.noun}")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            target = replaceable(self.path)
            self._sweep(target.parent, f".{glob.escape(target.name)}.*")
            with atomic_path(self.path) as temporary:
                attributes = {"format": self.format, **identity, **facts}
                layouts = {**arrays, **{name: {"data": values} for name, values in (kept or {}).items()}}
                self._create(zarr.create_group(temporary, zarr_format=3, attributes=attributes), layouts)
                write_text(temporary / MARKER, json.dumps({self.unit: 0, "of": total}))
        elif self.listed and self.recognises(self.path) and not self.finished:
            self._list_again(identity, facts, arrays, total)
        self.compare(identity)
        self._sweep(self.path, "**/*")

    def _list_again(
        self, identity: Mapping[str, Any], facts: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]], total: int
    ) -> None:
        """Let an unfinished store go on with other units, such as without broken ones, after those that are whole."""
        group, done = zarr.open_group(self.path, mode="r+", zarr_format=3), self.done
        attributes: dict[str, Any] = dict(group.attrs)
        fixed = {"format": self.format, **{name: value for name, value in identity.items() if name not in self.listed}}
        if any(attributes.get(name) != value for name, value in fixed.items()):
            return
        there, given = ([list(of.get(name) or []) for name in self.listed] for of in (attributes, identity))
        whole_ones_differ = [names[:done] for names in there] != [names[:done] for names in given]
        shapes = [group[name].shape == layout["shape"] for name, layout in arrays.items()]  # type: ignore[union-attr]
        if whole_ones_differ or (there == given and all(shapes)):
            return
        for name, layout in arrays.items():
            group[name].resize(layout["shape"])  # type: ignore[union-attr]
        # Last, so that a run that is killed before it does the same again.
        group.attrs.update({**{name: identity[name] for name in self.listed}, **facts})
        write_text(self.path / MARKER, json.dumps({self.unit: done, "of": total}))

    def compare(self, identity: Mapping[str, Any]) -> None:
        """Refuse to write to a store that is of other work."""
        attributes = self.open().attrs
        for name, given in json.loads(json.dumps(identity)).items():
            there = attributes.get(name)
            if there != given:
                values = f": {there!r} there, {given!r} given" if len(f"{there}{given}") < 200 else ""
                raise self._error(f"was begun with other {name.replace('_', ' ')}{values}; choose another folder")

    @contextmanager
    def writing(self, total: int) -> Iterator[None]:
        """Say in one line what is kept where the disk is full or the folder cannot be written."""
        try:
            yield
        except OSError as error:
            kept = f"{self.done} of {total} {self.unit} are whole and kept"
            remedy = "make room or allow writing, then run again"
            raise self._error(f"cannot be written: {error.strerror or error}; {kept}: {remedy}") from error

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Hold the right to write; the lock, a hidden file beside the folder, falls when its process dies."""
        target = Path(os.path.realpath(self.path)) if self.done else replaceable(self.path)
        file = target.with_name(f".{target.name}.lock")
        lock = FileLock(file, timeout=0)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            fault = "is being written by another process; wait until it ends or choose another folder"
            raise self._error(fault) from None
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror or error}; choose another folder") from error
        try:
            yield
        finally:
            # Windows keeps a file that is open; there the file is removed with the lock.
            with suppress(OSError):
                file.unlink()
            lock.release()

    def mark(self, done: int, total: int, arrays: Iterable[str]) -> None:
        """Say that so many units are whole; with all of them, the bytes of the arrays that are filled."""
        marker: dict[str, Any] = {self.unit: done, "of": total}
        if done == total:
            marker["bytes"] = {name: self._stored_bytes(name) for name in arrays}
        write_text(self.path / MARKER, json.dumps(marker))

    def check_space(self, needed: int, remedy: str) -> None:
        """Refuse to begin what the disk cannot hold."""
        free = shutil.disk_usage(standing_folder(self.path)).free
        if needed > free:
            room = f"{self.path.parent} has {free / 1e9:.1f} GB free"
            raise self._error(f"needs {needed / 1e9:.1f} GB, {room}; {remedy}")

    def damaged(self, reason: str) -> DataError:
        """The error of a store that is not as it was written."""
        return self._error(f"is damaged ({reason}); delete the folder and run the {self.action} again")

    def _error(self, fault: str) -> DataError:
        return DataError(f"{self.noun} {self.path} {fault}", path=self.path)

    def _create(self, group: zarr.Group, arrays: Mapping[str, Mapping[str, Any]]) -> None:
        # Tokens and betas hardly shrink under compression, so there is none: every chunk has a checksum instead.
        for name, layout in arrays.items():
            group.create_array(name, compressors=[Crc32cCodec()], config={"write_empty_chunks": True}, **layout)

    def _stored_bytes(self, array: str) -> int:
        return sum(file.stat().st_size for file in (self.path / array / "c").rglob("*") if file.is_file())

    def _sweep(self, folder: Path, pattern: str) -> None:
        """Remove what a killed run was writing."""
        for left in folder.glob(f"{pattern}.partial"):
            remove(left)
