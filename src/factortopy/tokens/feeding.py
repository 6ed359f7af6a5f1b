"""How photographs come to a network: decoded, then resized and normalised by Pillow or on the device.

Threads decode for a CPU, which takes longer over an image than they do. A GPU takes so many a second that threads,
which run Python's own code one at a time, would keep it waiting: processes decode for it.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from factortopy.errors import DataError
from factortopy.images import ImageSet, default_workers
from factortopy.machine import Copied, Forked, pinned, shared_empty
from factortopy.networks import Network
from factortopy.progress import progress_bar
from factortopy.storage import sha256_array

PIECE, PIECES_AHEAD = 16, 2
"""Images that a process hands over at a time, and how often it may before they are taken."""
PIECE_BYTES = 12 * 2**20
"""Of a place where a process leaves them; what does not fit there is sent."""
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
    """Some images as a process decoded them, one after the other.

    Attributes:
        numbers: of all pixels, where they did not fit into the room that is shared.
        sizes: height and width of every image.
        digests: of the images.
    """

    numbers: UInt8[np.ndarray, "numbers"] | None
    sizes: list[tuple[int, int]]
    digests: list[bytes]

    def on(self, device: torch.device, room: UInt8[Tensor, "room"]) -> list[UInt8[Tensor, "_H _W 3"]]:
        """The images on a device."""
        counts = [3 * height * width for height, width in self.sizes]
        numbers = room[: sum(counts)] if self.numbers is None else torch.from_numpy(self.numbers)
        each = numbers.to(device, non_blocking=True).split(counts)
        return [one.view(*size, 3) for one, size in zip(each, self.sizes, strict=True)]


def _decode(shared: tuple[ImageSet, UInt8[Tensor, "place room"]], rows: range, place: int) -> Decoded | None:
    """Decode images into a place that is shared; None where one of them is broken."""
    images, room = shared
    try:
        pixels = [images.pixels(row) for row in rows]
    except (DataError, OSError):
        return None
    flat, count = [one.reshape(-1) for one in pixels], sum(one.size for one in pixels)
    fits = count <= room.shape[1]
    numbers = np.concatenate(flat, out=room[place, :count].numpy() if fits else None)
    sizes = [one.shape[:2] for one in pixels]
    return Decoded(None if fits else numbers, sizes, [image_digest(one) for one in pixels])


def decode_in_processes(
    images: ImageSet, batches: Sequence[range], network: Network, workers: int
) -> Iterator[tuple[range, Float[Tensor, "B 3 H W"], list[bytes]] | range]:
    """Batches as the network takes them, on its device, and digests of their images; its rows if one is broken."""
    device, size = network.device, max(1, min(PIECE, PIECE_BYTES // images.pixels(0).size))
    pieces = [[rows[i : i + size] for i in range(0, len(rows), size)] for rows in batches]
    coming = [piece for batch in pieces for piece in batch]
    places = min(len(coming), workers * PIECES_AHEAD + 2 * max(map(len, pieces)))
    room = shared_empty((places, PIECE_BYTES), torch.uint8)
    jobs: deque[Future[Decoded | None]] = deque()
    sent, taken, allowed = 0, 0, places
    with Forked(_decode, (images, room), workers) as processes, pinned(device, room):
        copied = Copied(device)
        for rows, batch in zip(batches, pieces, strict=True):
            for number in range(sent, min(allowed, len(coming))):
                jobs.append(processes.submit(coming[number], number % places))
            sent = max(sent, min(allowed, len(coming)))
            decoded = [job.result() for job in (jobs.popleft() for _ in batch)]
            whole = [piece for piece in decoded if piece is not None]
            if len(whole) < len(decoded):
                yield rows
                return
            copied.wait()  # what was copied of all batches before may be overwritten
            allowed = taken + places
            there = [piece.on(device, room[number % places]) for number, piece in enumerate(whole, taken)]
            copied.record()
            taken += len(batch)
            ready = resized([image for piece in there for image in piece], network)
            yield rows, ready, [digest for piece in whole for digest in piece.digests]


def image_digest(pixels: np.ndarray) -> bytes:
    """SHA-256 of an image's type, size and pixels."""
    return bytes.fromhex(sha256_array(pixels))


def image_digests(images: ImageSet, *, progress: bool = True) -> list[str]:
    """Digest of every image, as hex digits: names and dates of files may stay the same while pixels change."""
    digests = []
    with (
        progress_bar("Checking images", len(images), show=progress) as advance,
        ThreadPoolExecutor(default_workers()) as pool,
    ):
        for digest in pool.map(lambda row: image_digest(images.pixels(row)).hex(), range(len(images))):
            digests.append(digest)
            advance()
    return digests
