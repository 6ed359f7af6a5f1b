"""Mappings as they are given away: a folder with the digests of its files, a zip of it, or a repository of a hub."""

import os
import re
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from factortopy.errors import DataError, UnavailableError, first_line
from factortopy.mapping import Mapping
from factortopy.storage import atomic_path, check_plausible, reading, sha256_file, write_text

SUMS = "SHA256SUMS"
"""Digests of all files of a shared mapping, as ``sha256sum`` writes and checks them."""
FOLDER = "mapping"
"""Of a shared folder: where the mapping lies."""
HUB = "hf://"
COMMIT = re.compile(r"[0-9a-f]{40}")
MOST_FILES = 100_000
MACOS = re.compile(r"\.DS_Store|__MACOSX|\._.*")
"""Files and folders that macOS adds to folders and zip files; they are no part of a mapping."""


def load_mapping(source: str | os.PathLike[str]) -> Mapping:
    """Read a mapping from a folder, a zip file or a repository of the Hugging Face hub.

    Args:
        source: a folder that ``fit`` or ``card`` wrote; a zip file of one; or ``hf://OWNER/NAME@COMMIT``, with the 40
            hex digits of a commit, so that what is read today is what is read tomorrow. Nothing is downloaded for
            any other source, nor what is in the hub's cache already.

    Raises:
        DataError: if it is no mapping, a file is not what ``SHA256SUMS`` beside it says, a zip holds paths that leave
            its folder, links, or more than it can, or a repository is named without a commit.
        UnavailableError: if the repository cannot be had.

    Example:
        >>> folder = mapping.save("mapping")
        >>> ft.load_mapping(folder).layers == mapping.layers
        True
    """
    text = os.fspath(source)
    if text.startswith(HUB):
        return _load_folder(_download(text), need_sums=True)
    path = Path(text)
    if not path.is_file():
        return _load_folder(path)
    with tempfile.TemporaryDirectory(prefix="factortopy-") as folder:
        _unpack(path, Path(folder))
        return _load_folder(Path(folder), shown=path)


def share(mapping: Mapping, folder: Path) -> Path:
    """Write a mapping into ``folder/mapping`` with the digests of its files; returns that folder.

    Raises:
        DataError: if it cannot be written.
    """
    own = mapping.save(folder / FOLDER)
    write_text(own / SUMS, "".join(f"{sha256_file(own / name)}  {name}\n" for name in sorted(_files(own))))
    return own


def _load_folder(folder: Path, *, need_sums: bool = False, shown: Path | None = None) -> Mapping:
    # A zip may hold the folder itself or what is in it.
    inside = [folder, folder / FOLDER, *(path / FOLDER for path in _only_folder(folder)), *_only_folder(folder)]
    own = next((path for path in inside if (path / "dataset.zarr").exists()), folder)
    try:
        if (own / SUMS).is_file():
            _check_sums(own)
        elif need_sums:
            raise DataError.of(own, f"has no {SUMS}; share a mapping as `factortopy card` writes it")
        return Mapping.load(own)
    except DataError as error:
        if shown is None:
            raise
        fault = "holds no mapping, or one that was changed or cut short"
        raise DataError.of(shown, f"{fault}; zip again the folder that `fit` or `card` wrote") from error


def _only_folder(folder: Path) -> list[Path]:
    entries = [path for path in folder.iterdir() if not MACOS.fullmatch(path.name)] if folder.is_dir() else []
    return entries if len(entries) == 1 and entries[0].is_dir() else []


def _files(folder: Path) -> set[str]:
    """Paths of a mapping's files in its folder."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {path.as_posix() for path in files if not any(map(MACOS.fullmatch, path.parts))}


def _check_sums(folder: Path) -> None:
    """Every file must be listed and be what the list says."""
    with reading(folder / SUMS, "get the mapping again"):
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines if line)}
    for name in sorted((_files(folder) - {SUMS}) ^ set(listed)):
        fault = "is missing" if name in listed else f"is not listed in {SUMS}"
        raise DataError.of(folder / name, f"{fault}; get the mapping again")
    for name, digest in listed.items():
        if sha256_file(folder / name) != digest:
            raise DataError.of(folder / name, f"is not what {SUMS} says; get the mapping again")


def _unpack(path: Path, folder: Path) -> None:
    """Extract a zip file whose members all stay inside and are no more than it can hold."""
    with reading(path, "expected a folder or a zip file of a mapping"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > MOST_FILES:
            raise DataError.of(path, f"holds {len(members):,} files, more than a mapping has; is it one?")
        check_plausible(path, sum(member.file_size for member in members), path.stat().st_size)
        for member in members:
            parts = PurePosixPath(member.filename.replace("\\", "/")).parts
            away = not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]
            if away or stat.S_ISLNK(member.external_attr >> 16):
                raise DataError.of(path, f"holds {member.filename!r}, which leaves its folder or is a link; not read")
        # zipfile stops a member that is longer than it announces by its checksum.
        archive.extractall(folder)


def _download(text: str) -> Path:
    """The folder of a repository at a commit, from the hub or its cache."""
    name, _, revision = text.removeprefix(HUB).partition("@")
    if name.count("/") != 1 or not COMMIT.fullmatch(revision):
        raise DataError(f"{text!r}: give hf://OWNER/NAME@COMMIT with the 40 hex digits of a commit of that repository")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[f"{FOLDER}/**"]))
    except Exception as error:  # it passes on whatever its HTTP library raises
        raise UnavailableError(f"cannot get {text}: {first_line(error)}") from error


def plain_text(value: object) -> str:
    """A name as the text of a docstring: nothing in it can end it."""
    return re.sub(r"[^\w .,:@/+()-]", "_", str(value))


def zip_folder(folder: Path, path: Path) -> Path:
    """Write the files of a folder as a zip file, whole or not at all; returns its path."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent).as_posix())
    return path
