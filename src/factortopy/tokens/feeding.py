"""How photographs come to a network: decoded in threads, then resized and normalised by Pillow or on the device."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from factortopy.images import ImageSet
from factortopy.networks import Network
from factortopy.storage import sha256_array

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
        device, seen = self.network.device, self.network.preprocessing
        there = [image.to(device, non_blocking=True) for image in self._decoded[buffer][:count]]
        ready = torch.empty((count, 3, *seen.size), device=device)
        for shape in {image.shape for image in there}:
            rows = torch.tensor([row for row, image in enumerate(there) if image.shape == shape])
            for some in rows.split(max(1, NUMBERS_AT_ONCE // shape.numel())):
                alike = torch.stack([there[row] for row in some.tolist()]).movedim(-1, 1)
                ready[some.to(device, non_blocking=True)] = seen.on_tensors(alike)
        return ready


def image_digest(pixels: np.ndarray) -> bytes:
    """SHA-256 of an image's type, size and pixels."""
    return bytes.fromhex(sha256_array(pixels))
