"""Images through a network into a token store: resumable, checked, one writer at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from factortopy.errors import DataError
from factortopy.images import ImageSet, default_workers
from factortopy.machine import choose_device, choose_precision
from factortopy.networks import Network
from factortopy.progress import progress_bar
from factortopy.provenance import provenance
from factortopy.storage import SHARD_IMAGES
from factortopy.tokens.outliers import OUTLIER_RATIO
from factortopy.tokens.pipeline import Extraction, image_digest
from factortopy.tokens.store import DIGESTS, TokenFolder, TokenStore, images_done, read_digests
from factortopy.tokens.writer import TokenWriter

SAMPLED_IMAGES = 32
"""Images of a store begun earlier that are decoded again and compared."""


def extract(
    network: Network,
    images: ImageSet,
    path: str | Path,
    grid: tuple[int, int] = (8, 8),
    *,
    batch_size: int = 32,
    workers: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    mask_outliers: bool = False,
    progress: bool = True,
) -> TokenStore:
    """Write the tokens of images to a store, each local map down-sampled to ``grid``.

    A run that was stopped, even killed, goes on where it was when called again; at the same batch size the
    bytes are those of a run in one go. A store that is complete is opened at once.

    Args:
        network: with the layers wanted.
        images: all of them are written, in their order; see ``leave_out_broken`` for broken ones.
        path: folder of the store.
        grid: height and width of the maps written; bilinear, ``align_corners=False``.
        batch_size: images at a time in the network, 1 to 64.
        workers: threads that decode images; one a core if None.
        device: where to run; the network's own if None.
        precision: ``"bf16"`` or ``"fp32"``; bf16 where the processor computes in it if None.
        mask_outliers: replace tokens of more than 3 times the median norm of their map, at the network's
            own resolution, by the mean of their neighbours.
        progress: show a bar.

    Raises:
        DataError: if the folder holds other tokens, is being written by another process or cannot be
            written, images are broken (all are named), or a token is not finite or too large for float16.

    Example:
        >>> store = ft.extract(network, ft.open_images("photographs"), "run/photographs", progress=False)
        >>> len(store.image_ids)
        40
    """
    extraction = prepare(network, images, grid, batch_size, workers, device, precision, mask_outliers)
    path, identity = Path(path), _identity(extraction)
    if images_done(path) == len(extraction.images):
        TokenFolder(path).compare(identity, len(extraction.images))
        _compare_images(path, extraction.images)
        return TokenStore.open(path)
    if not images_done(path):
        extraction.load_first(progress)  # so that no folder is made where the images cannot be read
    record = provenance(
        description=network.description,
        pretrained=network.pretrained,
        architecture=network.architecture,
        native_grids=[list(layer_grid) for layer_grid in network.grids],
        image_set=images.name,
        images_left_out=dict(images.left_out),
        batch_size=batch_size,
        device=str(network.device),
    )
    with TokenFolder(path).only_writer():
        writer = TokenWriter(path, identity, record)
        _compare_images(path, extraction.images)
        with progress_bar("Tokens", len(extraction.images), show=progress, done=writer.done) as advance:
            extraction.run(writer.done, writer.add, advance, progress)
    return TokenStore.open(path)


def prepare(
    network: Network,
    images: ImageSet,
    grid: tuple[int, int],
    batch_size: int,
    workers: int | None,
    device: str | torch.device | None,
    precision: str | None,
    mask_outliers: bool,
) -> Extraction:
    """An extraction as asked for, with the network on its device.

    Raises:
        DataError: if a number is out of range.
    """
    if len(grid) != 2 or min(grid) < 1:
        raise DataError(f"grid is {grid}; expected height and width, each at least 1")
    if not 1 <= batch_size <= SHARD_IMAGES:
        raise DataError(f"batch size is {batch_size}; expected 1 to {SHARD_IMAGES}")
    if workers is not None and workers < 1:
        raise DataError(f"workers are {workers}; expected at least 1")
    target = network.device if device is None else choose_device(device)
    network.to(target)
    chosen = choose_precision(target, precision)
    return Extraction(network, images, grid, batch_size, chosen, workers or default_workers(), mask_outliers)


def _identity(extraction: Extraction) -> dict[str, Any]:
    network, images = extraction.network, extraction.images
    return {
        "network": network.name,
        "weights_hash": network.weights_hash,
        "layers": network.layers,
        "channels": network.channels,
        "global_token": network.global_token,
        "preprocessing": vars(network.preprocessing),
        "precision": extraction.precision,
        "grid": extraction.grid,
        "outliers": f"masked above {OUTLIER_RATIO:g} times the median norm" if extraction.masked else "kept",
        "image_ids": images.ids,
        "image_groups": images.groups,
    }


def _compare_images(path: Path, images: ImageSet) -> None:
    """Equal names may hide other images: some of those written are decoded again and compared."""
    done = images_done(path)
    if not done or not (path / DIGESTS).is_dir():
        return
    rows = np.unique(np.linspace(0, done - 1, SAMPLED_IMAGES).round().astype(int)).tolist()
    for row, digest in zip(rows, read_digests(path, rows), strict=True):
        if image_digest(np.asarray(images.image(row))).hex() != digest:
            raise DataError(
                f"token store {path} was begun with another image {images.ids[row]!r}; choose another folder", path=path
            )
