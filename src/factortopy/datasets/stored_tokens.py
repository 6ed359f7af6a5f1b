"""A network's tokens, which hold no subject but are checked like a data set: every checksum and value is read."""

from pathlib import Path

import torch

from factortopy.datasets.data_set import DataSet, Report
from factortopy.errors import DataError
from factortopy.progress import progress_bar
from factortopy.tokens import TokenFolder, TokenStore

IMAGES_AT_ONCE = 64


def check_tokens(path: Path, report: Report) -> None:
    """Every chunk of a store; one that is not finished is a note, and its whole images are not read."""
    folder = TokenFolder(path)
    done, total = folder.done, len(folder.open().attrs["image_ids"])  # type: ignore[arg-type]
    if done < total:
        message = f"{done} of {total} images are complete; run the extraction again to finish it"
        report.add("note", path, message)
        return
    store = TokenStore.open(path)
    _check_images(report, store)
    if report.problems:
        return
    facts = f"{len(store):,} images, {len(store.layers)} layers of {store.network}, {store.precision}"
    report.add("ok", path, f"{facts}: every checksum holds and every value is finite")
    if store.basis is not None:
        shares = [share for kind in store.basis.explained.values() for share in kind]
        held = f"{min(shares):.0%} to {max(shares):.0%} of a layer's variance"
        report.add("note", path, f"reduced to {store.basis.count} principal components, which hold {held}")
    left_out = store.provenance.get("images_left_out", {})
    if left_out:
        report.add("note", path, f"{len(left_out)} broken images were left out: {', '.join(left_out)}")
    if store.provenance.get("images_assumption"):
        report.add("note", path, store.provenance["images_assumption"])


def _check_images(report: Report, store: TokenStore) -> None:
    with progress_bar("Checksums", len(store), show=report.progress) as advance:
        for start in range(0, len(store), IMAGES_AT_ONCE):
            rows = range(start, min(start + IMAGES_AT_ONCE, len(store)))
            try:
                tokens = store.read(rows)
            except DataError as error:
                report.add("problem", store.path, str(error))
                continue
            for layer, *parts in zip(store.layers, tokens.local, tokens.global_, strict=True):
                if not all(bool(torch.isfinite(part).all()) for part in parts):
                    ids = f"{store.image_ids[rows.start]!r} to {store.image_ids[rows.stop - 1]!r}"
                    report.add("problem", store.path, f"layer {layer!r} has values that are not finite in {ids}")
            advance(len(rows))


STORED_TOKENS = DataSet(
    name="tokens", title="Tokens of a network", recognises=TokenFolder.recognises, check=check_tokens
)
