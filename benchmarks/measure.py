"""What the benchmarks share: peak memory of a piece of work, and the paper's model at any size."""

import threading
import time

import psutil
import torch

from factortopy.fitting import build_paper_model, build_selectors, fit_settings
from factortopy.model import FactorTopy
from factortopy.networks import Tokens


class PeakMemory:
    """Largest memory of a piece of work above what was held before, in GB: of the GPU if given one.

    Attributes:
        gigabytes: the peak, once the work is done.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cpu")
        self.gigabytes = 0.0

    def __enter__(self) -> "PeakMemory":
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = float(torch.cuda.memory_allocated(self._device))
            return self
        self._process, self._running = psutil.Process(), True
        self._before = float(self._process.memory_info().rss)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.gigabytes = (torch.cuda.max_memory_allocated(self._device) - self._before) / 1e9
            return
        self._running = False
        self._thread.join()

    def _watch(self) -> None:
        while self._running:
            self.gigabytes = max(self.gigabytes, (self._process.memory_info().rss - self._before) / 1e9)
            time.sleep(0.005)


def make_model(voxels: int, layers: int, channels: int) -> FactorTopy:
    """The paper's model, with selectors spread over the image as in a trained one."""
    generator = torch.Generator().manual_seed(0)
    coordinates = 100 * torch.rand(voxels, 3, generator=generator)
    bounds = torch.tensor([[0.0, 0, 0], [100, 100, 100]])
    settings = fit_settings("paper")
    selectors = build_selectors(settings, coordinates, bounds, layers)
    with torch.no_grad():
        for parameter in selectors.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return build_paper_model(settings, selectors, voxels, (channels,) * layers)


def make_tokens(images: int, layers: int, channels: int, grid: int) -> Tokens:
    """Random tokens."""
    generator = torch.Generator().manual_seed(1)
    shape = (images, channels, grid, grid)
    return Tokens(
        tuple(torch.randn(shape, generator=generator) for _ in range(layers)),
        tuple(torch.randn(shape[:2], generator=generator) for _ in range(layers)),
    )


def wait_for(device: torch.device) -> None:
    """Let the device finish, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
