"""What an extraction will take, from running a part of it: decoding and writing included."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import torch

from factortopy.images import ImageSet
from factortopy.machine import Cost
from factortopy.networks import Network, Tokens, peak_memory
from factortopy.storage import SHARD_IMAGES
from factortopy.tokens._extract import prepare
from factortopy.tokens.pipeline import Extraction
from factortopy.tokens.store import planned_bytes
from factortopy.tokens.writer import TokenWriter

MEASURED_SECONDS = 6.0
MEASURED_BYTES = 500e6
MEASURED_IMAGES = 512
ATTRIBUTE_BYTES = 40
"""Of an image in the store's attributes, beside its id and scene."""


def estimate_extraction(
    network: Network,
    images: ImageSet,
    grid: tuple[int, int] = (8, 8),
    *,
    batch_size: int = 32,
    workers: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    mask_outliers: bool = False,
) -> Cost:
    """Time, memory and disk that ``extract`` will take with these arguments.

    Images spread over the set are extracted to a temporary folder for some seconds, three batches at least;
    of a network so slow that this takes long, smaller batches. The arguments are those of ``extract``.

    Example:
        >>> cost = ft.estimate_extraction(network, ft.open_images("photographs"))
        >>> cost.disk > 0
        True
    """
    extraction = prepare(network, images, grid, batch_size, workers, device, precision, mask_outliers)
    by_image, batch = _first_look(extraction)
    stored = planned_bytes(1, network.channels, grid)
    count = min(MEASURED_IMAGES, int(MEASURED_SECONDS / by_image), int(MEASURED_BYTES / stored))
    count = min(len(images), max(3 * batch, count))
    rows = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    part = replace(extraction, images=images.subset(images.ids[row] for row in rows), batch_size=batch)
    before = psutil.Process().memory_info().rss
    with peak_memory() as peak:
        start, each = _measure(part)
    # Activations grow with the batch; the writer's shard with the images in it.
    memory = before + (peak[0] - before) * (min(batch_size, len(images)) / batch if batch < batch_size else 1)
    memory += stored * max(0, min(SHARD_IMAGES, len(images)) - len(rows))
    on_device = torch.cuda.max_memory_allocated(network.device) if network.device.type == "cuda" else 0
    names = sum(len(image_id) for image_id in (*images.ids, *(images.groups or ())))
    disk = planned_bytes(len(images), network.channels, grid) + names + ATTRIBUTE_BYTES * len(images)
    seconds = start + each * len(images)
    return Cost(seconds, memory, disk, on_device, facts={"measured on": f"{len(rows):,} images"})


def _first_look(extraction: Extraction) -> tuple[float, int]:
    """Seconds that one image takes alone, and the batch size to measure with."""
    single = extraction.load_first()
    extraction.compute(single).to("cpu")  # the first batch is slower than the others
    start = time.perf_counter()
    extraction.compute(single).to("cpu")
    by_image = max(time.perf_counter() - start, 1e-4)
    batch = min(extraction.batch_size, len(extraction.images))
    if by_image * batch > MEASURED_SECONDS:
        batch = max(1, int(MEASURED_SECONDS / by_image))
    return by_image, batch


def _measure(extraction: Extraction) -> tuple[float, float]:
    """Seconds to begin a store, and seconds an image.

    The first batch, for which nothing was decoded ahead, counts only if there are but two.
    """
    network, begun, taken = extraction.network, time.perf_counter(), [0]
    identity = {
        "layers": network.layers,
        "channels": network.channels,
        "grid": extraction.grid,
        "image_ids": extraction.images.ids,
    }
    with tempfile.TemporaryDirectory() as folder:
        writer = TokenWriter(Path(folder) / "tokens", identity, {})
        moments = [time.perf_counter()]

        def take(tokens: Tokens, digests: Sequence[bytes]) -> None:
            writer.add(tokens, digests)
            moments.append(time.perf_counter())
            taken.append(taken[-1] + len(tokens))

        extraction.run(0, take, lambda _: None, progress=False)
    first = 1 if len(moments) > 3 else 0
    return moments[0] - begun, (moments[-1] - moments[first]) / (taken[-1] - taken[first])
