"""How photographs come to a network: decoded, then resized and normalised by Pillow or on the device.

Threads decode for a CPU, which takes longer over an image than they do. A GPU takes so many a second that threads,
which run Python's own code one at a time, would keep it waiting: processes decode for it.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.networks import Network
from factortopy.storage import sha256_array

PIECE, PIECES_AHEAD = 16, 2
"""Images that a process hands over at a time, and how often it may before they are taken."""
SHARED_MARGIN = 4
"""Times the size of the first image that others may have."""
NUMBERS_AT_ONCE = 2**26
"""Of pictures that are resized on the device at a time: a quarter of a GB in float32."""


class Feed(ABC):
    """Buffers of batches, each filled by threads while the network computes another.

    Args:
        images: what is shown.
        network: to which, on its device.
        slots: images of a batch, at most.
        buffers: batches that are on their way at a time; what was in a buffer is overwritten.
    """

    def __init__(self, images: ImageSet, network: Network, slots: int, buffers: int) -> None:
        self.images, self.network, self.slots, self.buffers = images, network, slots, buffers
        # A GPU fetches pinned memory by itself, while the processor goes on.
        self.pinned = network.device.type == "cuda"

    @abstractmethod
    def load(self, row: int, buffer: int, slot: int) -> bytes:
        """Decode an image into a slot of a buffer; its digest. Threads may load at the same time.

        Raises:
            DataError: if it is broken.
        """

    @abstractmethod
    def pixels(self, buffer: int, count: int) -> Float[Tensor, "B 3 H W"]:
        """The first images of a buffer as the network takes them, on its device."""


class PillowFeed(Feed):
    """Every image is resized and normalised by Pillow, as the network's own library does."""

    def __init__(self, images: ImageSet, network: Network, slots: int, buffers: int) -> None:
        super().__init__(images, network, slots, buffers)
        shape = (buffers, slots, 3, *network.preprocessing.size)
        self._ready = torch.empty(shape, pin_memory=self.pinned)

    def load(self, row: int, buffer: int, slot: int) -> bytes:
        """See :class:`Feed`."""
        pixels = self.images.pixels(row)
        self._ready[buffer, slot] = self.network.preprocessing(Image.fromarray(pixels))
        return image_digest(pixels)

    def pixels(self, buffer: int, count: int) -> Float[Tensor, "B 3 H W"]:
        """See :class:`Feed`."""
        return self._ready[buffer, :count].to(self.network.device, non_blocking=True)


class DeviceFeed(Feed):
    """Images travel to the device as they were decoded; those of one size are resized and normalised there at once."""

    def __init__(self, images: ImageSet, network: Network, slots: int, buffers: int) -> None:
        super().__init__(images, network, slots, buffers)
        self._room = [[torch.empty(0, dtype=torch.uint8)] * slots for _ in range(buffers)]
        self._decoded = [list(buffer) for buffer in self._room]

    def load(self, row: int, buffer: int, slot: int) -> bytes:
        """See :class:`Feed`."""
        pixels = self.images.pixels(row)
        if self._room[buffer][slot].numel() < pixels.size:
            self._room[buffer][slot] = torch.empty(pixels.size, dtype=torch.uint8, pin_memory=self.pinned)
        place = self._room[buffer][slot][: pixels.size].view(pixels.shape)
        place.numpy()[...] = pixels
        self._decoded[buffer][slot] = place
        return image_digest(pixels)

    def pixels(self, buffer: int, count: int) -> Float[Tensor, "B 3 H W"]:
        """See :class:`Feed`."""
        device = self.network.device
        there = [image.to(device, non_blocking=True) for image in self._decoded[buffer][:count]]
        return resized(there, self.network)


def resized(there: Sequence[UInt8[Tensor, "_H _W 3"]], network: Network) -> Float[Tensor, "B 3 H W"]:
    """Decoded images that are on the network's device, as the network takes them; those of one size at once."""
    device, seen = network.device, network.preprocessing
    ready = torch.empty((len(there), 3, *seen.size), device=device)
    for shape in {image.shape for image in there}:
        rows = torch.tensor([row for row, image in enumerate(there) if image.shape == shape])
        for some in rows.split(max(1, NUMBERS_AT_ONCE // shape.numel())):
            alike = torch.stack([there[row] for row in some.tolist()]).movedim(-1, 1)
            ready[some.to(device, non_blocking=True)] = seen.on_tensors(alike)
    return ready


class Decoded(NamedTuple):
    """Some images as they were decoded, one after the other.

    Attributes:
        numbers: of all pixels.
        sizes: height and width of every image.
        digests: of the images.
    """

    numbers: UInt8[Tensor, "numbers"]
    sizes: list[tuple[int, int]]
    digests: list[bytes]

    def on(self, device: torch.device) -> list[UInt8[Tensor, "_H _W 3"]]:
        """The images on a device."""
        each = self.numbers.to(device, non_blocking=True).split([3 * height * width for height, width in self.sizes])
        return [one.view(*size, 3) for one, size in zip(each, self.sizes, strict=True)]


class Decoding(Dataset[Decoded | None]):
    """Images that a process decodes, some at a time; None where one of them is broken."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def __getitem__(self, rows: range) -> Decoded | None:
        try:
            pixels = [self._images.pixels(row) for row in rows]
        except (DataError, OSError):
            return None
        numbers = torch.from_numpy(np.concatenate([one.reshape(-1) for one in pixels]))
        return Decoded(numbers, [one.shape[:2] for one in pixels], [image_digest(one) for one in pixels])


def decode_in_processes(
    images: ImageSet, batches: Sequence[range], network: Network, workers: int
) -> Iterator[tuple[range, Float[Tensor, "B 3 H W"], list[bytes]] | range]:
    """Batches as the network takes them, on its device, and digests of their images; its rows if one is broken."""
    pieces = [[rows[i : i + PIECE] for i in range(0, len(rows), PIECE)] for rows in batches]
    loader = DataLoader(
        Decoding(images),
        sampler=[piece for batch in pieces for piece in batch],  # type: ignore[arg-type]
        batch_size=None,
        num_workers=workers,
        prefetch_factor=PIECES_AHEAD,
        pin_memory=network.device.type == "cuda",
        multiprocessing_context="fork",
    )
    coming = iter(loader)
    for rows, batch in zip(batches, pieces, strict=True):
        decoded = [next(coming) for _ in batch]
        if None in decoded:
            yield rows
            return
        there = [image for piece in decoded for image in piece.on(network.device)]
        yield rows, resized(there, network), [digest for piece in decoded for digest in piece.digests]


def processes_fit(first: UInt8[np.ndarray, "H W 3"], workers: int) -> bool:
    """Whether processes can hand over images like this one: by shared memory, of which containers have little."""
    shared = Path("/dev/shm")
    asked = SHARED_MARGIN * PIECE * PIECES_AHEAD * workers * first.size
    return shared.is_dir() and shutil.disk_usage(shared).free >= asked


def image_digest(pixels: np.ndarray) -> bytes:
    """SHA-256 of an image's type, size and pixels."""
    return bytes.fromhex(sha256_array(pixels))
