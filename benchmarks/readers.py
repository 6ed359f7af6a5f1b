"""Reading tokens; converting a full-size synthetic fsaverage subject of NSD: speed against the disk's own, and memory.

    python benchmarks/readers.py                        # 2 sessions, 2 GB, about a minute on a slow disk
    python benchmarks/readers.py --sessions 0           # tokens alone, some seconds
    python benchmarks/readers.py --sessions 40          # a whole subject: needs 80 GB of disk
    python benchmarks/readers.py --folder /data/scratch # on that disk

Sessions are as large as the real ones: 750 trials of 163,842 vertices in float32, 491.5 MB a hemisphere.
Definition: ``fraction_of_disk_speed`` is the time of a plain sequential read plus that of a plain sequential
write of the same bytes, over the time of the conversion, which reads and writes them as well. The page cache
holds none of the files when they are read, and writing ends when all bytes are on the disk (fsync).
``fraction_of_read_speed`` compares reading alone: all betas through the reader, against the plain read.
Medians over the repeats. ``peak_gb`` is the largest resident memory of the whole converting process, Python
and its libraries included.

Tokens are those of 256 images in a ViT-B, random numbers (307 MB), read from the page cache in one process: by 64 in
order, by 64 and by 8 in any order, and reduced to 128 components, of which tokens are made again; the best of the
repeats, as other work on the machine only slows down. ``read_over_plain`` is reading in order over ``readinto`` of the
same files into one buffer; ``read_over_zarr`` is eight images in any order over the same by Zarr's own reader. The last
line is one JSON object.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
import zarr
from scipy.io import savemat

from factortopy.datasets import convert, open_nsd
from factortopy.networks import Preprocessing, Tokens
from factortopy.tokens import PrincipalAxes, TokenBasis, TokenStore, TokenWriter

VERTICES, TRIALS, DESIGNED = 163_842, 750, 40
AT_ONCE = 2**24
TOKEN_IMAGES = 256


def write_subject(root: Path, sessions: int) -> list[Path]:
    """A subject's betas on fsaverage, random, and the design; returns the files of betas."""
    random = np.random.default_rng(0)
    design = root / "nsddata" / "experiments" / "nsd"
    design.mkdir(parents=True)
    order = random.permutation(np.repeat(np.arange(1, 10_001), 3))
    names = {"masterordering": order[None], "subjectim": np.tile(np.arange(1, 10_001), (8, 1))}
    savemat(design / "nsd_expdesign.mat", names | {"sharedix": np.arange(1, 1_001)[None]})
    folder = root / "nsddata_betas/ppdata/subj01/fsaverage/betas_fithrf_GLMdenoise_RR"
    folder.mkdir(parents=True)
    header = nib.freesurfer.mghformat.MGHHeader()
    header.set_data_shape((VERTICES, 1, 1, TRIALS))
    header.set_data_dtype(">f4")
    files = []
    for session in range(1, sessions + 1):
        for hemisphere in ("lh", "rh"):
            files.append(folder / f"{hemisphere}.betas_session{session:02d}.mgh")
            with open(files[-1], "wb") as file:
                header.writehdr_to(file)
                file.write(bytes(header.get_data_offset() - file.tell()))
                for _ in range(0, TRIALS, 50):
                    file.write((2 * random.standard_normal((50, VERTICES), np.float32)).astype(">f4").tobytes())
                finish(file.fileno())
    return files


def finish(descriptor: int) -> None:
    """Wait until a file is on the disk."""
    os.fsync(descriptor)


def forget(files: Iterable[Path]) -> None:
    """Take files out of the page cache."""
    for path in files:
        with open(path, "rb") as file:
            finish(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def plain_read(files: list[Path]) -> None:
    """Read files from beginning to end."""
    buffer = bytearray(AT_ONCE)
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def plain_write(path: Path, size: int) -> None:
    """Write a file of so many bytes."""
    block = np.random.default_rng(0).bytes(AT_ONCE)
    with open(path, "wb", buffering=0) as file:
        for start in range(0, size, AT_ONCE):
            file.write(block[: size - start])
        finish(file.fileno())
    path.unlink()


def read_all(root: Path) -> None:
    """All betas through the reader, a session of a hemisphere at a time."""
    recording = open_nsd(root, 1, voxels="all")
    for session in recording.sessions:
        for part in recording.parts:
            recording.read(session, part, recording.columns(part))


def convert_all(root: Path, output: Path) -> None:
    """Convert, and wait until all is on the disk."""
    convert(open_nsd(root, 1, voxels="all"), output, progress=False)
    for path in output.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                finish(file.fileno())


def apart(work: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """Seconds and peak memory (GB) of work in a fresh process; its imports are not timed."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., None], arguments: tuple[object, ...]) -> tuple[float, float]:
    start = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return seconds, int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1e6


def measure(folder: Path, sessions: int, repeats: int) -> dict[str, float]:
    """Seconds of every kind of work (medians), bytes and peak memory."""
    files = write_subject(folder / "nsd", sessions)
    size = sum(path.stat().st_size for path in files)
    output = folder / "betas"
    kinds: dict[str, tuple[Callable[..., None], tuple[object, ...]]] = {
        "plain read": (plain_read, (files,)),
        "plain write": (plain_write, (folder / "plain", size)),
        "reader": (read_all, (folder / "nsd",)),
        "conversion": (convert_all, (folder / "nsd", output)),
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    peak = 0.0
    for _ in range(repeats):
        for kind, (work, arguments) in kinds.items():
            forget(files)
            taken, memory = apart(work, *arguments)
            seconds[kind].append(taken)
            peak = max(peak, memory) if kind == "conversion" else peak
        shutil.rmtree(output)
    medians = {kind: float(np.median(values)) for kind, values in seconds.items()}
    return medians | {"bytes": float(size), "peak": peak}


def write_tokens(folder: Path, components: int | None) -> TokenStore:
    """Random tokens of some images in a ViT-B, whole or reduced."""
    random = torch.Generator().manual_seed(0)
    channels, ids = (768,) * 12, [f"{number:03d}" for number in range(TOKEN_IMAGES)]
    network = {"network": "random", "weights_hash": "", "layers": [f"blocks.{number}" for number in range(12)]}
    seen = vars(Preprocessing((224, 224), (0.5,) * 3, (0.5,) * 3, "bicubic", 0.875))
    identity = {**network, "channels": channels, "global_token": "class", "preprocessing": seen, "precision": "fp32"}
    identity |= {"grid": (8, 8), "image_ids": ids, "image_groups": None}

    # The time to read does not hang on the numbers, so that those of one layer stand for all.
    kept, axes = components or 768, torch.eye(768)[: components or 768]
    layer = PrincipalAxes(torch.zeros(768), torch.ones(768), axes, torch.ones(kept))
    basis = None if components is None else TokenBasis((layer,) * 12, (layer,) * 12)
    local = torch.randn(64, kept, 8, 8, generator=random).half()
    tokens = Tokens((local,) * 12, (local[:, :, 0, 0].contiguous(),) * 12)
    with TokenWriter(folder, identity, {}, basis) as writer:
        for _ in range(0, TOKEN_IMAGES, 64):
            writer.add(tokens, [bytes(32)] * 64)
    return TokenStore.open(folder)


def measure_tokens(folder: Path, repeats: int) -> dict[str, float]:
    """Gigabytes a second of tokens in float16, and how they compare."""
    store, reduced = write_tokens(folder / "tokens", None), write_tokens(folder / "reduced", 128)
    files = [file for file in (store.path).rglob("*") if file.is_file() and "c" in file.parts]
    size = sum(file.stat().st_size for file in files)
    order = np.random.default_rng(0).permutation(TOKEN_IMAGES)
    arrays = [zarr.open_array(store.path / kind / layer) for kind in ("local", "global") for layer in store.layers]
    buffer = bytearray(max(file.stat().st_size for file in files))

    def plain() -> None:
        for path in files:
            with open(path, "rb", buffering=0) as file:
                file.readinto(buffer)

    def by_eight(read: Callable[[list[int]], object], images: int) -> None:
        for start in range(0, images, 8):
            read(order[start : start + 8].tolist())

    works: dict[str, tuple[Callable[[], None], float]] = {
        "plain": (plain, 1),
        "in_order": (lambda: [store.read(range(first, first + 64)) for first in range(0, TOKEN_IMAGES, 64)], 1),
        "any_order": (lambda: [store.read(part.tolist()) for part in order.reshape(-1, 64)], 1),
        "eight": (lambda: by_eight(store.read, TOKEN_IMAGES), 1),
        "eight_by_zarr": (
            lambda: by_eight(lambda rows: [array.oindex[rows] for array in arrays], 32),
            32 / TOKEN_IMAGES,
        ),
        "reduced": (lambda: [reduced.read(range(first, first + 64)) for first in range(0, TOKEN_IMAGES, 64)], 1),
    }
    speed = {}
    for name, (work, share) in works.items():
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        speed[name] = share * size / min(seconds) / 1e9
        print(f"tokens, {name.replace('_', ' '):<26}{speed[name]:>7.2f} GB / s")
    facts = {f"tokens_{name}_gb_per_second": value for name, value in speed.items()}
    facts["read_over_plain"] = speed["in_order"] / speed["plain"]
    facts["read_over_zarr"] = speed["eight"] / speed["eight_by_zarr"]
    return facts


def main() -> None:
    """Run and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2, choices=range(DESIGNED + 1), metavar="0..40")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        tokens = measure_tokens(Path(folder), options.repeats)
    if not options.sessions:
        print(json.dumps(tokens | {"cores": os.cpu_count()}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), options.sessions, options.repeats)
    size, peak = found.pop("bytes"), found.pop("peak")
    plain = found["plain read"] + found["plain write"]
    print(f"{options.sessions} sessions, both hemispheres: {size / 1e9:.2f} GB read, as much written")
    print(f"{'work':<26}{'seconds':>9}{'MB / s':>9}")
    for kind, seconds in (found | {"plain read, plain write": plain}).items():
        print(f"{kind:<26}{seconds:>9.2f}{size / seconds / 1e6:>9.0f}")
    print(f"peak memory of the conversion: {peak:.2f} GB")
    result = {
        "fraction_of_disk_speed": plain / found["conversion"],
        "peak_gb": peak,
        "fraction_of_read_speed": found["plain read"] / found["reader"],
        "sessions": options.sessions,
        "gigabytes": size / 1e9,
        "seconds": found,
        **tokens,
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
