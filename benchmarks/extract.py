"""Extraction: does the network stay busy, is memory flat, does a killed run end with the same bytes?

    python benchmarks/extract.py                    # a few minutes on two CPU cores
    python benchmarks/extract.py --device cuda --images 2048

The speed is that of a ViT-B/16 with random weights over JPEG photographs of 425 x 425 pixels (the size of
NSD's), all 12 layers at 8 x 8 in float16, against the same network fed with images that are ready. Runs of
both take turns and the medians are compared. Memory and resuming are measured with a ViT-Tiny/16, each run in
a process of its own. The last line is one JSON object.
"""

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from factortopy.images import images_from_folder, sample_views
from factortopy.machine import autocast
from factortopy.networks import Network, load_network, peak_memory
from factortopy.tokens import TokenStore, estimate_extraction, extract, images_done

LARGE, SMALL = "timm/vit_base_patch16_224", "timm/vit_tiny_patch16_224"
FEW, MANY = 200, 2000
KILLED, KILLS = 600, 4
"""Images of a run that is killed, some shards of 64, and how often it is."""
VIEWS = 5_000


def write_photographs(folder: Path, count: int) -> None:
    """JPEG files of 425 x 425 pixels; where there are not as many views, others are mirrored."""
    folder.mkdir()
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_photograph, folder, count), range(count), chunksize=16))


def _write_photograph(folder: Path, count: int, index: int) -> None:
    views = _views(min(count, VIEWS))
    image = views.image(index % VIEWS).resize((425, 425), Image.Resampling.BICUBIC)
    image = ImageOps.mirror(image) if index >= VIEWS else image
    image.save(folder / f"{index:05d}.jpg", quality=90)


_views = lru_cache(sample_views)


def bare_forward(network: Network, images: int, batch_size: int, precision: str | None) -> float:
    """Seconds that the network alone takes, its input ready on the device."""
    pixels = torch.randn(batch_size, 3, *network.preprocessing.size, device=network.device)
    start = time.perf_counter()
    with torch.inference_mode(), autocast(network.device, precision or "fp32"):
        for _ in range(images // batch_size):
            network.tokens(pixels)
    if network.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure_speed(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Speed against the bare forward pass, the estimate's error, the size of the store, reading."""
    network = load_network(LARGE, untrained=True, device=options.device)
    images = images_from_folder(folder)
    images = images.subset(images.ids[: options.images])
    settings = {"batch_size": options.batch_size, "precision": options.precision}
    store_path = folder.parent / "large"
    bare_forward(network, options.batch_size, options.batch_size, options.precision)
    estimate = estimate_extraction(network, images, **settings)
    bare, whole = [], []
    with peak_memory() as peak:
        for _ in range(options.repeats):
            shutil.rmtree(store_path, ignore_errors=True)
            bare.append(bare_forward(network, options.images, **settings))
            start = time.perf_counter()
            store = extract(network, images, store_path, **settings, progress=False)
            whole.append(time.perf_counter() - start)
    size = sum(file.stat().st_size for file in store_path.rglob("*") if file.is_file())
    bare_seconds, seconds = float(np.median(bare)), float(np.median(whole))
    ratios = {"time": estimate.seconds / seconds, "memory": estimate.memory / peak[0], "disk": estimate.disk / size}
    for name, ratio in ratios.items():
        print(f"{'estimated / real ' + name:<34}{ratio:>10.3f}")
    print(f"{'bare forward, images a second':<34}{options.images / bare_seconds:>10.2f}")
    print(f"{'extraction, images a second':<34}{options.images / seconds:>10.2f}")
    return {
        "fraction_of_forward": bare_seconds / seconds,
        "estimate_error": max(max(ratio, 1 / ratio) for ratio in ratios.values()),
        "bytes_per_image": size / len(images),
        **measure_reading(store),
    }


def measure_reading(store: TokenStore) -> dict[str, float]:
    """Gigabytes a second from the page cache: in order by 64, and random batches of 8."""
    generator = random.Random(0)
    whole = range(len(store))
    orders = {
        "read_gb_per_second": [list(whole[start : start + 64]) for start in range(0, len(store), 64)],
        "random_gb_per_second": [generator.sample(whole, 8) for _ in range(len(store) // 8)],
    }
    speeds = {}
    for name, batches in orders.items():
        rates = []
        for _ in range(5):
            start, count = time.perf_counter(), 0
            for batch in batches:
                tokens = store.read(batch)
                count += sum(part.nbytes for part in (*tokens.local, *tokens.global_))
            rates.append(count / (time.perf_counter() - start) / 1e9)
        speeds[name] = float(np.median(rates))
    return speeds


def small_run(folder: Path, count: int, output: Path) -> subprocess.Popen[str]:
    """Start an extraction with the small network in a process of its own."""
    command = [sys.executable, __file__, "--worker", str(folder), str(count), str(output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def worker(folder: str, count: str, output: str) -> None:
    """What that process does; says when it begins, its peak memory in bytes and the seconds that it took."""
    network = load_network(SMALL, untrained=True, device="cpu")
    images = images_from_folder(folder)
    print("begins", flush=True)
    start = time.perf_counter()
    with peak_memory() as peak:
        extract(network, images.subset(images.ids[: int(count)]), output, precision="fp32", progress=False)
    print(peak[0], time.perf_counter() - start)


def measure_growth(folder: Path) -> float:
    """Peak memory of many images over that of few."""
    peaks = []
    for count in (FEW, MANY):
        out, _ = small_run(folder, count, folder.parent / f"small-{count}").communicate()
        peaks.append(int(out.split()[1]))
        print(f"{f'peak memory, {count} images, GB':<34}{peaks[-1] / 1e9:>10.3f}")
    return peaks[1] / peaks[0]


def measure_resume(folder: Path) -> tuple[bool, int]:
    """Whether a run killed at random moments ends with the bytes of a run in one go; images done at the last kill."""
    whole, output, done = folder.parent / "whole", folder.parent / "killed", 0
    out, _ = small_run(folder, KILLED, whole).communicate()
    seconds = float(out.split()[2])
    generator = random.Random(0)
    for _ in range(KILLS):
        process = small_run(folder, KILLED, output)
        if process.stdout is not None:
            process.stdout.readline()
        time.sleep(generator.uniform(0.2, 0.5) * seconds * (1 - done / KILLED))
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = images_done(output)
        print(f"{'killed with images complete':<34}{done:>10}")
    small_run(folder, KILLED, output).communicate()
    return hashes(whole) == hashes(output), done


def hashes(path: Path) -> dict[str, str]:
    """SHA-256 of every file of a store but the attributes, which hold the time of the run."""
    files = [file for file in path.rglob("*") if file.is_file() and file != path / "zarr.json"]
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> None:
    """Run all parts and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(*options.worker)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "photographs"
        write_photographs(folder, max(MANY, options.images))
        facts = measure_speed(folder, options)
        facts["peak_growth"] = measure_growth(folder)
        facts["resume_identical"], facts["images_at_last_kill"] = measure_resume(folder)
    setting = f"{options.images} images, batch {options.batch_size}, {options.device}, {options.precision}"
    print(f"{setting}, {torch.get_num_threads()} threads")
    for name, value in facts.items():
        print(f"{name:<34}{value:>10.4g}")
    print(json.dumps({**facts, "device": options.device, "precision": options.precision}))


if __name__ == "__main__":
    main()
