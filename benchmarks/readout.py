"""One training step of the model, forward and backward: the grouped read-out against the plain formula.

    python benchmarks/readout.py                       # a quarter of the paper's voxels, a minute or two
    python benchmarks/readout.py --voxels 37984        # the paper's scale; the plain formula takes 5 GB

Both run in this process on the same inputs. The plain formula runs at a smaller batch, as it would not fit
into memory otherwise; times are per image. The last line is one JSON object.
"""

import argparse
import json
import threading
import time
from pathlib import Path

import numpy as np
import torch

from factortopy.fitting import build_paper_model, build_selectors, fit_settings
from factortopy.model import FactorTopy
from factortopy.networks import Tokens


class PeakMemory:
    """Largest resident memory of this process while inside, above what it was before, in GB."""

    def __enter__(self) -> "PeakMemory":
        self._before, self.gigabytes, self._running = _resident(), 0.0, True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join()

    def _watch(self) -> None:
        while self._running:
            self.gigabytes = max(self.gigabytes, _resident() - self._before)
            time.sleep(0.005)


def _resident() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1e6


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


def measure(model: FactorTopy, tokens: Tokens, repeats: int) -> tuple[float, float, np.ndarray]:
    """Seconds per image (median), peak memory in GB, and predictions."""
    seconds = []
    with PeakMemory() as memory:
        for _ in range(repeats):
            model.zero_grad(set_to_none=True)
            start = time.perf_counter()
            predictions = model(tokens)
            predictions.square().mean().backward()
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) / len(tokens), memory.gigabytes, predictions.detach().numpy()


def main() -> None:
    """Run both forms and print a table and a JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voxels", type=int, default=9_496)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--channels", type=int, default=768)
    parser.add_argument("--grid", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--plain-batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    model = make_model(options.voxels, options.layers, options.channels)
    generator = torch.Generator().manual_seed(1)
    shape = (options.batch, options.channels, options.grid, options.grid)
    tokens = Tokens(
        tuple(torch.randn(shape, generator=generator) for _ in range(options.layers)),
        tuple(torch.randn(shape[:2], generator=generator) for _ in range(options.layers)),
    )
    model.form = "grouped"
    measure(model, tokens[:2], 1)
    grouped = measure(model, tokens, options.repeats)
    model.form = "plain"
    plain = measure(model, tokens[: options.plain_batch], 1)
    error = float(np.abs(grouped[2][: options.plain_batch] - plain[2]).max())
    scale = f"{options.voxels:,} voxels, {options.layers} layers x {options.channels} channels"
    print(f"{scale}, {torch.get_num_threads()} threads")
    print(f"{'form':<10}{'batch':>6}{'ms / image':>12}{'peak GB':>9}")
    print(f"{'plain':<10}{options.plain_batch:>6}{1e3 * plain[0]:>12.1f}{plain[1]:>9.2f}")
    print(f"{'grouped':<10}{options.batch:>6}{1e3 * grouped[0]:>12.1f}{grouped[1]:>9.2f}")
    print(
        json.dumps(
            {
                "speedup_fp32": plain[0] / grouped[0],
                "memory_ratio": grouped[1] / plain[1],
                "max_abs_error_fp32": error,
                "voxels": options.voxels,
                "device": "cpu",
            }
        )
    )


if __name__ == "__main__":
    main()
