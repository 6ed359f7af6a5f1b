"""A fit beside other work against the same fit alone: wall time over its fair share, and processor time.

    python benchmarks/busy.py                    # two busy programs a processor; minutes
    python benchmarks/busy.py --busy 1           # one busy neighbour in all
    python benchmarks/busy.py --policy active    # with threads that spin while they wait, as OpenMP's do by default

Pairs in one run, each fit in a process of its own: alone, then beside busy loops of the same priority. Beside ``b``
of them on ``p`` processors, a program with a thread a processor deserves ``p / (p + b)`` of the machine, so its fair
share of wall time is ``(p + b) / p`` times that alone. ``others`` is how many processors were taken by programs that
are not part of the benchmark: well above 0, the ratios say little. The last line is one JSON object; its ratios are
medians over pairs.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

import psutil

LAYERS, GRID = 12, 8
LOOP = [sys.executable, "-c", "while True: pass"]


def fit(voxels: int, images: int, channels: int, steps: int) -> dict[str, float]:
    """Wall and processor seconds of a fit of the default recipe to responses with a signal in them."""
    import torch

    from factortopy.fitting import Examples, fit_settings, train_model
    from factortopy.machine import Machine
    from measure import make_tokens

    generator = torch.Generator().manual_seed(0)
    tokens = make_tokens(images, LAYERS, channels, GRID)
    coordinates = 100 * torch.rand(voxels, 3, generator=generator)
    signal = tokens.global_[LAYERS // 2][:, :8] @ torch.randn(8, voxels, generator=generator)
    responses = signal + 3 * torch.randn(images, voxels, generator=generator)
    responses = (responses - responses.mean(dim=0)) / responses.std(dim=0)
    first = images * 8 // 10
    training = Examples(lambda rows: tokens[:first][rows], responses[:first])
    validation = Examples(lambda rows: tokens[first:][rows], responses[first:])
    bounds = torch.tensor([[0.0, 0, 0], [100, 100, 100]])
    wall, processor = time.perf_counter(), time.process_time()
    settings, machine = fit_settings("default", steps=steps), Machine.choose("cpu", memory_gb=2)
    train_model(settings, training, validation, coordinates, bounds, machine=machine, progress=False)
    return {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}


def measure(arguments: list[str], busy: int, policy: str) -> dict[str, float]:
    """One fit in a process of its own beside so many busy loops."""
    loops = [subprocess.Popen(LOOP) for _ in range(busy)]
    before, start = psutil.cpu_times(), time.perf_counter()
    try:
        child = subprocess.run(
            [sys.executable, __file__, "--child", *arguments],
            env=os.environ | {"OMP_WAIT_POLICY": policy},
            check=True,
            capture_output=True,
            text=True,
        )
        own = sum(sum(psutil.Process(loop.pid).cpu_times()[:2]) for loop in loops)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    found: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    after, seconds = psutil.cpu_times(), time.perf_counter() - start
    taken = sum(getattr(after, kind) - getattr(before, kind) for kind in ("user", "nice", "system"))
    # The child's own start is counted as others': a second or two.
    return found | {"others": max(0.0, taken - own - found["processor"]) / seconds}


def main() -> None:
    """Measure pairs, and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"voxels": 2_000, "images": 400, "channels": 256, "steps": 30}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--busy", type=int, help="busy loops; two a processor by default")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--policy", default="passive", choices=("passive", "active"))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = {name: getattr(options, name) for name in sizes}
    if options.child:
        print(json.dumps(fit(**chosen)))
        return
    from factortopy.machine import processors

    arguments = [f"--{name}={value}" for name, value in chosen.items()]
    count = processors()
    busy = 2 * count if options.busy is None else options.busy
    fair = (count + busy) / count
    pairs = [[measure(arguments, beside, options.policy) for beside in (0, busy)] for _ in range(options.pairs)]
    print(f"{'busy loops':>10}{'wall s':>9}{'processor s':>13}{'others':>8}")
    for pair in pairs:
        for beside, row in zip((0, busy), pair, strict=True):
            print(f"{beside:>10}{row['wall']:>9.1f}{row['processor']:>13.1f}{row['others']:>8.2f}")
    summary = {
        "wall_over_fair_share": median(beside["wall"] / (fair * alone["wall"]) for alone, beside in pairs),
        "processor_ratio": median(beside["processor"] / alone["processor"] for alone, beside in pairs),
        "others": max(row["others"] for pair in pairs for row in pair),
        "busy": busy,
        "processors": count,
        "policy": options.policy,
        **chosen,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
