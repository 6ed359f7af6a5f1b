"""What a fit takes, from 1,000 to 327,684 voxels and 500 to 9,000 images; ridge and banded ridge beside it.

    python benchmarks/scale.py --page docs/cost.md                 # on a CPU; what would take long is left out
    python benchmarks/scale.py --device cuda --page docs/cost.md
    python benchmarks/scale.py --most 3600 --page docs/cost.md     # goes on with the larger ones

Every fit runs in a process of its own, one after the other: the default recipe of factortopy from tokens to channels,
and himalaya's ridge and banded ridge (20 weightings of the layers, as in ``factortopy baselines``) on the mean over
places of each layer's tokens beside its global token. Tokens are random, 12 layers of 768 channels on an 8 x 8 grid.
Responses are planted in them (SIMULATED, a fifth of their variance): on noise a fit trains for longer or shorter.
Figures are measured; what was not run says so. A size is left out where a smaller one of the same
method took so long that this one would take more than ``--most`` seconds. Beside other programs seconds of the clock
tell little, seconds of the processor hold. Results are kept in ``--work``: what is there is not run again. The table of
the device is put between its marks in ``--page``; the last line is one JSON object with all rows.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from laboratory import Results, markdown, write_table

VOXELS = (1_000, 9_496, 37_984, 327_684)
IMAGES = (500, 2_000, 9_000)
METHODS = ("factortopy", "ridge", "banded ridge")
LAYERS, CHANNELS, GRID = 12, 768, 8
DISTINCT = 200
"""Images whose tokens are drawn: the others are mixtures of two of them, so that memory holds no more."""
WEIGHTINGS = 20
PLANTED, CEILING = 16, 0.2
"""Channels that responses read, which vary most; the part of their variance that is read."""


def run(method: str, voxels: int, images: int, device: str) -> dict[str, Any]:
    """One fit in this process."""
    generator = np.random.default_rng(0)
    responses = generator.standard_normal((images, voxels), dtype=np.float32)
    work = {"factortopy": _factortopy, "ridge": _ridge, "banded ridge": _ridge}[method]
    held, processor, start = _peak(), time.process_time(), time.perf_counter()
    work(method, responses, torch.device(device))
    facts = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - processor}
    of_gpu = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0
    return facts | {"memory_gb": _peak() - held, "gpu_gb": of_gpu}


def _factortopy(_: str, responses: np.ndarray, device: torch.device) -> None:
    from factortopy.fitting import Examples, fit_settings, train_model
    from factortopy.machine import Machine
    from factortopy.networks import Tokens

    generator = torch.Generator().manual_seed(0)
    shape = (LAYERS, DISTINCT, CHANNELS, GRID, GRID)
    spectrum = torch.arange(1, CHANNELS + 1).rsqrt()[:, None, None]
    local = (torch.randn(shape, generator=generator) * spectrum).half()
    global_ = (torch.randn(shape[:3], generator=generator) * spectrum[:, 0, 0]).half()
    values, first = torch.from_numpy(responses), len(responses) * 9 // 10
    places = 100 * torch.rand(responses.shape[1], 3, generator=generator)
    _plant(values, local, global_, places)

    def side(start: int, stop: int) -> Examples:
        def read(rows: torch.Tensor) -> Tokens:
            one, other = _mixed(rows + start)
            return Tokens(
                tuple(layer[one] + layer[other] for layer in local), tuple(g[one] + g[other] for g in global_)
            )

        return Examples(read, values[start:stop])

    bounds = torch.tensor([[0.0, 0, 0], [100, 100, 100]])
    sides = side(0, first), side(first, len(responses))
    train_model(fit_settings("default"), *sides, places, bounds, machine=Machine.choose(device), progress=False)


def _mixed(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The two distinct images that each is a mixture of."""
    return images % DISTINCT, images // DISTINCT * 7 % DISTINCT


def _plant(noise: torch.Tensor, local: torch.Tensor, global_: torch.Tensor, places: torch.Tensor) -> None:
    """Add what smooth selectors read to the noise, in place: places by x and y, layers and scale by z."""
    from factortopy.model import Selection, read_out

    x, y, z = (places / 100).T
    layer = (-(torch.arange(LAYERS) - (LAYERS - 1) * z[:, None]).square() / 2).softmax(dim=1)
    selection = Selection(torch.stack([1.6 * x - 0.8, 1.6 * y - 0.8], dim=1), layer, 0.2 + 0.6 * z)
    channels = torch.randn(len(places), PLANTED, generator=torch.Generator().manual_seed(1))
    read = read_out(local[:, :, :PLANTED].float(), global_[:, :, :PLANTED].float(), selection, channels)
    read *= (CEILING / (2 * read.var(dim=0))).sqrt()  # an image is the sum of two
    noise *= (1 - CEILING) ** 0.5
    for rows in torch.arange(len(noise)).split(DISTINCT):
        one, other = _mixed(rows)
        noise[rows] += read[one] + read[other]


def _ridge(method: str, responses: np.ndarray, device: torch.device) -> None:
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV, MultipleKernelRidgeCV

    backend = set_backend("torch_cuda" if device.type == "cuda" else "torch")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(LAYERS, len(responses), 2 * CHANNELS, generator=generator)
    kernels = torch.stack([layer @ layer.T for layer in backend.asarray(features)])
    penalties = np.logspace(-2, 8, 15)
    if method == "ridge":
        KernelRidgeCV(alphas=penalties, kernel="precomputed", cv=5).fit(kernels.mean(dim=0), backend.asarray(responses))
        return
    search = {"n_iter": WEIGHTINGS, "alphas": penalties, "n_targets_batch": 2_048, "progress_bar": False}
    banded = MultipleKernelRidgeCV(kernels="precomputed", cv=5, solver_params=search, random_state=0)
    banded.fit(kernels, backend.asarray(responses))


def _peak() -> float:
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def measure(results: Results, device: str, most: float, voxels: int, images: int, method: str) -> None:
    """One fit in a process of its own, unless it is known or would take too long."""
    facts = {"device": device, "method": method, "voxels": voxels, "images": images}
    if results.has(**facts):
        return
    for row in results.rows:
        smaller = row["device"] == device and row["method"] == method and row.get("seconds")
        if smaller and row["voxels"] <= voxels and row["images"] <= images:
            # At least half of the growth of voxels and images.
            grown = max(1.0, voxels * images / (row["voxels"] * row["images"]) / 2)
            if row["seconds"] * grown > most:
                return
    sizes = [f"--voxels={voxels}", f"--images={images}", f"--device={device}", f"--method={method}"]
    command = [sys.executable, __file__, "--child", *sizes]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=2 * most)
    except subprocess.TimeoutExpired:
        return
    except subprocess.CalledProcessError as error:
        print(f"{facts}: {error.stderr.splitlines()[-1] if error.stderr else error}", file=sys.stderr)
        return
    results.add(facts | json.loads(done.stdout.splitlines()[-1]))


def table(rows: list[dict[str, Any]], device: str) -> str:
    """Time and memory of every size, as Markdown."""
    found = {(row["voxels"], row["images"], row["method"]): row for row in rows if row["device"] == device}
    lines = []
    for voxels in VOXELS:
        for images in IMAGES:
            cells = [_cell(found.get((voxels, images, method)), device) for method in METHODS]
            lines.append((f"{voxels:,}", f"{images:,}", *cells))
    return markdown(("voxels", "images", *METHODS), lines)


def _cell(row: dict[str, Any] | None, device: str) -> str:
    if row is None:
        return "not run"
    if device == "cuda":
        return f"{row['seconds']:,.0f} s, {row['memory_gb']:.1f} GB, {row['gpu_gb']:.1f} GB of the GPU's"
    return f"{row['seconds']:,.0f} s, {row['processor_seconds']:,.0f} s of processors, {row['memory_gb']:.1f} GB"


def main() -> None:
    """Run what is not known yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--most", type=float, default=600, help="seconds of one fit, about")
    parser.add_argument("--work", type=Path, default=Path("runs/scale"), help="where results are kept")
    parser.add_argument("--page", type=Path, help="Markdown file whose table is replaced")
    parser.add_argument("--voxels", type=int, nargs="*", default=VOXELS)
    parser.add_argument("--images", type=int, nargs="*", default=IMAGES)
    parser.add_argument("--method", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run(options.method[0], options.voxels[0], options.images[0], options.device)))
        return
    results = Results(options.work / "results.jsonl")
    # From small to large, so that what small ones took says which are left out.
    sizes = sorted(((v, i) for v in options.voxels for i in options.images), key=lambda size: size[0] * size[1])
    for voxels, images in sizes:
        for method in options.method:
            measure(results, options.device, options.most, voxels, images, method)
    if options.page:
        write_table(options.page, f"scale.py {options.device}", table(results.rows, options.device))
    print(json.dumps({"rows": results.rows}))


if __name__ == "__main__":
    main()
