"""Images through a network into a token store: planned, resumable, with time left."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError
from factortopy.files import sha256_array
from factortopy.images import ImageSet
from factortopy.networks import Network, Tokens, autocast, choose_device, choose_precision
from factortopy.progress import progress_bar
from factortopy.provenance import provenance
from factortopy.tokens.store import SHARD_IMAGES, TokenStore, planned_bytes
from factortopy.tokens.writer import TokenWriter

LARGEST_FLOAT16 = 65504.0


@dataclass(frozen=True)
class ExtractionEstimate:
    """What an extraction will take.

    Args:
        images: number of images.
        bytes: on disk.
        seconds: on this device, from the time one batch took.
    """

    images: int
    bytes: int
    seconds: float


def extract(
    network: Network,
    images: ImageSet,
    path: str | Path,
    grid: tuple[int, int] = (8, 8),
    *,
    batch_size: int = 32,
    device: str | torch.device | None = None,
    precision: str | None = None,
    progress: bool = True,
) -> TokenStore:
    """Write the tokens of images to a store, each local map down-sampled to ``grid``.

    A run that was stopped, even killed, goes on where it was when called again; at the same batch size the
    bytes are those of a run in one go. A store that is complete is opened at once.

    Args:
        network: with the layers wanted.
        images: all of them are written, in their order.
        path: folder of the store.
        grid: height and width of the maps written; bilinear, ``align_corners=False``.
        batch_size: images at a time in the network, 1 to 64.
        device: where to run; the network's own if None.
        precision: ``"bf16"`` or ``"fp32"``; bf16 where the processor computes in it if None.
        progress: show a bar.

    Raises:
        DataError: if the folder holds other tokens or cannot be written, an image is broken, or a token is
            not finite or too large for float16.
    """
    target, precision = _prepare(network, grid, batch_size, device, precision)
    settings = {"image_set": images.name, "batch_size": batch_size, "device": str(target)}
    record = provenance(description=network.description, pretrained=network.pretrained, **settings)
    writer = TokenWriter(path, _identity(network, images, grid, precision), record)
    with progress_bar("Tokens", len(images), show=progress, done=writer.done) as advance:
        shard: list[Tokens] = []
        for rows, batch in _batches(network, images, writer.done, batch_size):
            tokens = _run(network, batch, grid, precision)
            shard.append(_float16(tokens, network.layers, images.ids[rows.start : rows.stop]))
            advance(len(rows))
            if rows.stop % SHARD_IMAGES == 0 or rows.stop == len(images):
                writer.write((rows.stop - 1) // SHARD_IMAGES * SHARD_IMAGES, _join(shard))
                shard.clear()
    return TokenStore.open(path)


def estimate_extraction(
    network: Network,
    images: ImageSet,
    grid: tuple[int, int] = (8, 8),
    *,
    batch_size: int = 32,
    device: str | torch.device | None = None,
    precision: str | None = None,
) -> ExtractionEstimate:
    """Time and disk that ``extract`` will take with these arguments, from running one batch."""
    _, precision = _prepare(network, grid, batch_size, device, precision)
    rows = range(min(batch_size, len(images)))
    _run(network, _load(network, images, rows), grid, precision)  # the first batch is slower than the others
    start = time.perf_counter()
    _run(network, _load(network, images, rows), grid, precision)
    seconds = (time.perf_counter() - start) / len(rows) * len(images)
    return ExtractionEstimate(len(images), planned_bytes(len(images), network.channels, grid), seconds)


def _prepare(
    network: Network,
    grid: tuple[int, int],
    batch_size: int,
    device: str | torch.device | None,
    precision: str | None,
) -> tuple[torch.device, str]:
    if len(grid) != 2 or min(grid) < 1:
        raise DataError(f"grid is {grid}; expected height and width, each at least 1")
    if not 1 <= batch_size <= SHARD_IMAGES:
        raise DataError(f"batch size is {batch_size}; expected 1 to {SHARD_IMAGES}")
    target = network.device if device is None else choose_device(device)
    network.to(target)
    return target, choose_precision(target, precision)


def _identity(network: Network, images: ImageSet, grid: tuple[int, int], precision: str) -> dict[str, Any]:
    return {
        "network": network.name,
        "weights_hash": network.weights_hash,
        "layers": network.layers,
        "channels": network.channels,
        "global_token": network.global_token,
        "preprocessing": vars(network.preprocessing),
        "precision": precision,
        "grid": grid,
        "image_ids": images.ids,
        "image_groups": images.groups,
        # Equal names may hide other images; one image tells.
        "first_image": sha256_array(np.asarray(images.image(0))),
    }


def _batches(
    network: Network, images: ImageSet, first: int, batch_size: int
) -> Iterator[tuple[range, Float[Tensor, "B 3 H W"]]]:
    """Batches from image ``first`` on, none across shards; the next is loaded while one is computed."""
    total = len(images)
    shards = (range(start, min(start + SHARD_IMAGES, total)) for start in range(first, total, SHARD_IMAGES))
    rows = [shard[i : i + batch_size] for shard in shards for i in range(0, len(shard), batch_size)]
    with ThreadPoolExecutor(max_workers=1) as loader:
        pending = loader.submit(_load, network, images, rows[0]) if rows else None
        for index, current in enumerate(rows):
            batch = pending.result() if pending is not None else torch.empty(0)
            if index + 1 < len(rows):
                pending = loader.submit(_load, network, images, rows[index + 1])
            yield current, batch


def _load(network: Network, images: ImageSet, rows: range) -> Float[Tensor, "B 3 H W"]:
    return torch.stack([network.preprocessing(images.image(row)) for row in rows])


def _run(network: Network, batch: Tensor, grid: tuple[int, int], precision: str) -> Tokens:
    with torch.inference_mode(), autocast(network.device, precision):
        return network.tokens(batch.to(network.device)).downsample(grid).to("cpu", torch.float32)


def _float16(tokens: Tokens, layers: tuple[str, ...], ids: tuple[str, ...]) -> Tokens:
    """The tokens as float16.

    Raises:
        DataError: if one is not finite or too large; nothing is clipped.
    """
    for kind, parts in (("local", tokens.local), ("global", tokens.global_)):
        for layer, tensor in zip(layers, parts, strict=True):
            largest = tensor.abs().flatten(1).amax(1)
            if not bool((largest <= LARGEST_FLOAT16).all()):
                row = int((~(largest <= LARGEST_FLOAT16)).nonzero()[0])
                value = float(largest[row])
                raise DataError(
                    f"layer {layer!r} gives {kind} tokens of size {value:.4g} for image {ids[row]!r}, not "
                    f"finite values up to {LARGEST_FLOAT16:.0f} (float16): leave it out or use fp32"
                )
    return Tokens(tokens.local, tokens.global_).to(dtype=torch.float16)


def _join(parts: list[Tokens]) -> Tokens:
    local = tuple(torch.cat(tensors) for tensors in zip(*(part.local for part in parts), strict=True))
    global_ = tuple(torch.cat(tensors) for tensors in zip(*(part.global_ for part in parts), strict=True))
    return Tokens(local, global_)
