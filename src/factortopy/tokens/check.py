"""A token store read whole: every checksum, and whether values can be used."""

from pathlib import Path
from typing import Literal

import torch

from factortopy.errors import DataError
from factortopy.progress import progress_bar
from factortopy.storage import SHARD_IMAGES
from factortopy.tokens.store import TokenStore, open_group, read_marker

Level = Literal["ok", "warning", "error"]


def check_store(path: str | Path, *, progress: bool = True) -> list[tuple[Level, str]]:
    """Read a token store again and compare the checksum of every chunk.

    Args:
        path: folder of the store.
        progress: show a bar.

    Returns:
        What was found, as level (``"ok"``, ``"warning"``, ``"error"``) and one line each. A store that is
        not finished is a warning; its whole images are not read.

    Raises:
        DataError: if there is no token store at ``path``.
    """
    path = Path(path)
    group = open_group(path)
    total, found = len(group.attrs["image_ids"]), []  # type: ignore[arg-type]
    try:
        done = read_marker(path)["images"]
        if done < total:
            return [("warning", f"{done} of {total} images are complete; run the extraction again to finish it")]
        store = TokenStore.open(path)
    except DataError as error:
        return [("error", str(error))]
    found = _check_images(store, progress)
    if found:
        return found
    facts = f"{len(store):,} images, {len(store.layers)} layers of {store.network}, {store.precision}"
    return [("ok", f"{facts}: every checksum holds and every value is finite"), *_left_out(store)]


def _check_images(store: TokenStore, progress: bool) -> list[tuple[Level, str]]:
    found: list[tuple[Level, str]] = []
    with progress_bar("Checksums", len(store), show=progress) as advance:
        for start in range(0, len(store), SHARD_IMAGES):
            rows = range(start, min(start + SHARD_IMAGES, len(store)))
            try:
                tokens = store.read(rows)
            except DataError as error:
                found.append(("error", str(error)))
                continue
            for layer, *parts in zip(store.layers, tokens.local, tokens.global_, strict=True):
                if not all(bool(torch.isfinite(part).all()) for part in parts):
                    ids = f"{store.image_ids[rows.start]!r} to {store.image_ids[rows.stop - 1]!r}"
                    found.append(("error", f"layer {layer!r} has values that are not finite in {ids}"))
            advance(len(rows))
    return found


def _left_out(store: TokenStore) -> list[tuple[Level, str]]:
    left_out = store.provenance.get("images_left_out", {})
    if not left_out:
        return []
    return [("warning", f"{len(left_out)} broken images were left out: {', '.join(left_out)}")]
