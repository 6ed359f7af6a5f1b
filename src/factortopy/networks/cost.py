"""What a network takes on this machine: memory from its structure, speed from a batch or its operations."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from factortopy.machine import autocast
from factortopy.networks.network import Network

BATCH = 4
# Above either, a network is not built for its estimate: it would take minutes.
MOST_PARAMETERS, MOST_OPERATIONS = 150e6, 250e9
# A ViT-B/16's block and images of 224 pixels: what stands for a large network's speed.
BLOCK_WIDTH, BLOCK_HEADS, BLOCK_TOKENS, BLOCK_IMAGES = 768, 12, 197, 8


@dataclass(frozen=True)
class NetworkCost:
    """What a network takes.

    Args:
        parameters: their number.
        parameter_bytes: their memory, as they are stored.
        activation_bytes: most memory that one image takes at a time, its tokens included, in float32.
        operations: floating-point operations an image; a multiplication and an addition are two.
        images_per_second: on the device and in the precision asked for.
        timed: whether a batch was timed; else the speed follows from the operations and the speed of a
            transformer block.
    """

    parameters: int
    parameter_bytes: int
    activation_bytes: int
    operations: int
    images_per_second: float
    timed: bool


def estimate_cost(
    skeleton: Network, build: Callable[[], Network] | None, device: torch.device, precision: str
) -> NetworkCost:
    """Memory and speed of a network, without its weights.

    Args:
        skeleton: the network on PyTorch's device ``meta``.
        build: makes it with random weights; called only if it is small enough. None times nothing: the speed is 0.
        device: where it would run.
        precision: ``"bf16"`` or ``"fp32"``.
    """
    meter = MemoryMeter()
    image = torch.zeros(1, 3, *skeleton.preprocessing.size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter, meter:
        skeleton.tokens(image)
    operations = counter.get_total_flops()
    image_bytes = image.untyped_storage().nbytes()
    parameter_bytes = sum(size for size, _ in meter.given.values()) - image_bytes
    count = sum(size // each for size, each in meter.given.values()) - image.numel()
    timed = build is not None and count < MOST_PARAMETERS and operations < MOST_OPERATIONS
    if build is None:
        return NetworkCost(count, parameter_bytes, meter.peak, operations, 0.0, timed)
    speed = _time(build().to(device), precision) if timed else _block_speed(device, precision) / operations
    return NetworkCost(count, parameter_bytes, meter.peak, operations, speed, timed)


class MemoryMeter(TorchDispatchMode):
    """Measures the most memory that tensors made inside it hold at a time; it works on ``meta`` tensors.

    Attributes:
        peak: bytes.
        given: tensors made before that were read (weights, images): bytes, and bytes an element, by key.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self.given: dict[int, tuple[int, int]] = {}
        self._live: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, _types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Run one operation and count the new memory of what it gives."""
        outputs = function(*arguments, **(options or {}))
        for tensor in _tensors((arguments, options)):
            if _key(tensor) not in self._live:
                self.given[_key(tensor)] = (tensor.untyped_storage().nbytes(), tensor.element_size())
        for tensor in _tensors(outputs):
            key, storage = _key(tensor), tensor.untyped_storage()
            if key not in self.given and key not in self._live:
                self._live[key] = storage.nbytes()
                weakref.finalize(storage, self._live.pop, key, None)
        self.peak = max(self.peak, sum(self._live.values()))
        return outputs


@contextmanager
def peak_memory(interval: float = 0.01) -> Iterator[list[int]]:
    """Watch the resident memory of this process; the list holds the largest seen, in bytes."""
    process = psutil.Process()
    peak, ended = [process.memory_info().rss], threading.Event()

    def watch() -> None:
        while not ended.wait(interval):
            peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _key(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _time(network: Network, precision: str) -> float:
    """Images a second of a batch; the first batch is slower than the others."""
    images = torch.zeros(BATCH, 3, *network.preprocessing.size, device=network.device)

    def run() -> None:
        network.tokens(images)

    return BATCH / _seconds(run, network.device, precision)


def _block_speed(device: torch.device, precision: str) -> float:
    """Operations a second of one block of a vision transformer."""
    block = torch.nn.TransformerEncoderLayer(
        BLOCK_WIDTH, BLOCK_HEADS, 4 * BLOCK_WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    block = block.to(device).train()  # in eval mode it takes a fused path, which cannot be counted
    tokens = torch.zeros(BLOCK_IMAGES, BLOCK_TOKENS, BLOCK_WIDTH, device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        block(tokens)
    return counter.get_total_flops() / _seconds(lambda: block(tokens), device, precision)


def _seconds(run: Callable[[], Any], device: torch.device, precision: str) -> float:
    """The better of two times after a first run, as other work on the machine only makes it longer."""
    times = []
    with torch.no_grad(), autocast(device, precision):
        run()
        for _ in range(2):
            _wait(device)
            start = time.perf_counter()
            run()
            _wait(device)
            times.append(time.perf_counter() - start)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()
