"""Images through a network into a token store (resumable, checked, one writer at a time), and what it will take."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from factortopy.errors import DataError
from factortopy.images import ImageSet, default_workers
from factortopy.machine import Cost, choose_device, choose_precision
from factortopy.networks import Network, Tokens, peak_memory
from factortopy.progress import progress_bar
from factortopy.provenance import provenance
from factortopy.storage import SHARD_IMAGES, ShardedStore
from factortopy.tokens.feeding import image_digest
from factortopy.tokens.outliers import OUTLIER_RATIO
from factortopy.tokens.pipeline import Extraction
from factortopy.tokens.reduction import Reduction
from factortopy.tokens.store import DIGESTS, TokenFolder, TokenStore, images_done, planned_bytes, read_digests
from factortopy.tokens.writer import TokenWriter

SAMPLED_IMAGES = 32
"""Images of a store begun earlier that are decoded again and compared."""
MEASURED_SECONDS = 6.0
MEASURED_BYTES = 500e6
MEASURED_IMAGES = 512
ATTRIBUTE_BYTES = 40
"""Of an image in the store's attributes, beside its id and scene."""


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
    components: int | None = None,
    basis: TokenStore | None = None,
    on_device: bool | None = None,
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
        components: principal components of every layer's standardised channels that are written in place of the
            channels, at most; all channels if None. The store keeps what makes tokens of them again.
        basis: tokens of the same network, of other images maybe, whose components are taken; those of at most 1,024
            of these images, evenly spread and run through the network before all others, if None.
        on_device: resize and normalise photographs on the device, to a level of 255 as Pillow does, or with Pillow as
            each library does itself; on the device if None and that is a CUDA GPU, which would wait for Pillow.
        progress: show a bar.

    Raises:
        DataError: if the folder holds other tokens, is being written by another process or cannot be
            written, images are broken (all are named), a token is not finite or too large for float16, or ``basis`` is
            of another network.

    Example:
        >>> store = ft.extract(network, ft.open_images("photographs"), "run/photographs", progress=False)
        >>> len(store.image_ids)
        40
    """
    extraction = prepare_extraction(
        network, images, grid, batch_size, workers, device, precision, mask_outliers, on_device
    )
    reduction = Reduction.of(network, components, basis)
    path, identity = Path(path), _identity(extraction, reduction)
    if images_done(path) == len(extraction.images) and TokenFolder(path).finished:
        TokenFolder(path).compare(identity)
        compare_images(TokenFolder(path), extraction.images)
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
        images_assumption=images.assumption,
        batch_size=batch_size,
        device=str(network.device),
        resized="on the device" if extraction.on_device else "by Pillow",
    )
    with TokenFolder(path).only_writer():
        axes = None
        if reduction is not None:
            begun = TokenFolder(path).basis() if TokenFolder.recognises(path) else None
            axes = begun or reduction.measure(extraction, progress)
            extraction = replace(extraction, basis=axes.to(network.device))
            record["components"] = {"count": axes.count, "explained": axes.explained}
        with (
            TokenWriter(path, identity, record, axes, extraction.workers, network.device) as writer,
            progress_bar("Tokens", len(extraction.images), show=progress, done=writer.done) as advance,
        ):
            compare_images(TokenFolder(path), extraction.images)
            extraction.run(range(writer.done, len(extraction.images)), writer.add, advance, progress)
    return TokenStore.open(path)


def prepare_extraction(
    network: Network,
    images: ImageSet,
    grid: tuple[int, int],
    batch_size: int,
    workers: int | None,
    device: str | torch.device | None,
    precision: str | None,
    mask_outliers: bool,
    on_device: bool | None = None,
) -> Extraction:
    """An extraction as asked for, with the network on its device; a number out of range is an error."""
    if len(grid) != 2 or min(grid) < 1:
        raise DataError(f"grid is {grid}; expected height and width, each at least 1")
    if not 1 <= batch_size <= SHARD_IMAGES:
        raise DataError(f"batch size is {batch_size}; expected 1 to {SHARD_IMAGES}")
    if workers is not None and workers < 1:
        raise DataError(f"workers are {workers}; expected at least 1")
    target = network.device if device is None else choose_device(device)
    network.to(target)
    chosen = choose_precision(target, precision)
    there = network.preprocessing.runs_on_tensors
    if on_device and not there:
        raise DataError(
            f"{network.name} is shown photographs with borders, which only Pillow adds; leave on_device out"
        )
    there = there and target.type == "cuda" if on_device is None else on_device
    return Extraction(network, images, grid, batch_size, chosen, workers or default_workers(), mask_outliers, there)


def _identity(extraction: Extraction, reduction: Reduction | None) -> dict[str, Any]:
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
        "components": None if reduction is None else reduction.identity,
        "image_ids": images.ids,
        "image_groups": images.groups,
    }


def compare_images(folder: ShardedStore, images: ImageSet) -> None:
    """Equal names may hide other images: some of those written are decoded again and compared.

    Raises:
        DataError: if the folder, which keeps digests of its images, was begun with others.
    """
    done, path = folder.done, folder.path
    if not done or not (path / DIGESTS).is_dir():
        return
    rows = np.unique(np.linspace(0, done - 1, SAMPLED_IMAGES).round().astype(int)).tolist()
    for row, digest in zip(rows, read_digests(path, rows), strict=True):
        if image_digest(images.pixels(row)).hex() != digest:
            fault = f"{folder.noun} {path} was begun with another image {images.ids[row]!r}; choose another folder"
            raise DataError(fault, path=path)


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
    components: int | None = None,
    basis: TokenStore | None = None,
    on_device: bool | None = None,
) -> Cost:
    """Time, memory and disk that ``extract`` will take with these arguments.

    Images spread over the set are extracted to a temporary folder for some seconds, three batches at least;
    of a network so slow that this takes long, smaller batches. The arguments are those of ``extract``.

    Example:
        >>> estimate = ft.estimate_extraction(network, ft.open_images("photographs"))
        >>> estimate.disk > 0
        True
    """
    extraction = prepare_extraction(
        network, images, grid, batch_size, workers, device, precision, mask_outliers, on_device
    )
    reduction = Reduction.of(network, components, basis)
    kept = None if reduction is None else reduction.count
    by_image, batch = _first_look(extraction)
    stored = planned_bytes(1, network.channels, grid)
    count = min(MEASURED_IMAGES, int(MEASURED_SECONDS / by_image), int(MEASURED_BYTES / stored))
    count = min(len(images), max(3 * batch, count))
    rows = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    part = replace(extraction, images=images.subset(images.ids[row] for row in rows), batch_size=batch)
    before = psutil.Process().memory_info().rss
    with peak_memory() as peak:
        start, each = _measure(part)
    # Activations grow with the batch; the writer's shards with the images in them.
    memory = before + (peak[0] - before) * (min(batch_size, len(images)) / batch if batch < batch_size else 1)
    memory += stored * max(0, min(2 * SHARD_IMAGES, len(images)) - len(rows))  # one is filled, one is written
    device_memory = torch.cuda.max_memory_allocated(network.device) if network.device.type == "cuda" else 0
    names = sum(len(image_id) for image_id in (*images.ids, *(images.groups or ())))
    disk = planned_bytes(len(images), network.channels, grid, kept) + names + ATTRIBUTE_BYTES * len(images)
    measured = 0 if reduction is None else len(reduction.rows(len(images)))
    seconds = start + each * (len(images) + measured)
    return Cost(seconds, memory, disk, device_memory, facts={"measured on": f"{len(rows):,} images"})


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
    with (
        tempfile.TemporaryDirectory() as folder,
        TokenWriter(Path(folder) / "tokens", identity, {}, None, extraction.workers, network.device) as writer,
    ):
        moments = [time.perf_counter()]

        def take(tokens: Tokens, digests: Sequence[bytes]) -> None:
            writer.add(tokens, digests)
            moments.append(time.perf_counter())
            taken.append(taken[-1] + len(tokens))

        extraction.run(range(len(extraction.images)), take, lambda _: None, progress=False)
    first = 1 if len(moments) > 3 else 0
    return moments[0] - begun, (moments[-1] - moments[first]) / (taken[-1] - taken[first])
