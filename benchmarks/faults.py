"""Kill a sweep at random moments, change what it reads, run it on every engine, and count what is lost.

    python benchmarks/faults.py [--kills 50] [--engines process local ray]

A sweep of two untrained networks on two subjects of random numbers runs undisturbed, then again while its driver, or
one of its workers, is sent SIGKILL or SIGTERM at random moments of extraction, fits and all else; a killed driver is
started again. The last line is JSON: ``lost`` are tasks without a result at the end, ``repeated`` those that were done
twice, ``identical`` whether all results have the hashes of the undisturbed run, ``left`` files half-written,
``orphans`` processes that outlived the run, ``stale_hits`` changed inputs whose followers kept their keys. Overheads
are measured with fits of ``--seconds`` each: the time of the same fits and scores on an engine with one worker, its
start included, over that of a plain loop, half of which runs before and half behind, less one; ``_of_processor`` is the
same by processor seconds of all processes of the engine, which other work on the machine changes less; and
``_seconds_an_item`` hardly hangs on how long an item takes, so that at items of S seconds the overhead is about that
over S.
``_outside_of_tasks`` is the time that an engine took beyond its own tasks' seconds, over these. ``timeouts`` is how
often a job was told that its time is over before its fit was done, and ``timeouts_identical`` whether that fit ended as
an undisturbed one. Progress is told on standard error.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import tomli_w
from PIL import Image

from engines import FITS, digests, overheads, timeouts
from factortopy.sweep import Record, plan_tasks, read_sweep

IMAGES, VOXELS = 60, 40
KINDS = ("extract", "fit", "score")


def make(folder: Path, seeds: int) -> Path:
    """Two subjects, and a sweep file that asks for two networks on them."""
    for number, name in enumerate(("one", "two")):
        drawn, pixels = np.random.default_rng(number), np.random.default_rng(5)
        (folder / name / "images").mkdir(parents=True)
        names = [f"image-{image:03d}.png" for image in range(IMAGES)]
        for image in names:
            Image.fromarray(pixels.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / name / "images" / image)
        np.save(folder / name / "responses.npy", drawn.normal(size=(IMAGES, VOXELS)).astype(np.float32))
        np.save(folder / name / "coordinates.npy", drawn.uniform(0, 100, (VOXELS, 3)))
        (folder / name / "image_ids.txt").write_text("\n".join(names))
        (folder / name / "subject.toml").write_text(f'name = "{name}"\nimages = "images"\n')
    networks = [{"name": name, "untrained": True} for name in ("timm/test_vit", "timm/test_vit2")]
    asked = {"networks": networks, "subjects": ["one", "two"], "seeds": list(range(seeds)), "output": "study"}
    asked |= {"grid": [4, 4], "bootstrap": 20, "device": "cpu", "precision": "fp32", "settings": FITS}
    (folder / "sweep.toml").write_text(tomli_w.dumps(asked))
    return folder / "sweep.toml"


def endings(study: Path) -> dict[str, int]:
    """When each task was noted as done."""
    return {file.name: file.stat().st_mtime_ns for file in (study / "sweep" / "done").glob("*.json")}


def disturb(file: Path, engine: str, kills: int, longest: float, wanted: dict[str, str]) -> Counter[str]:
    """Run sweeps on an engine, each to its end, until drivers and workers were killed so many times."""
    study, counts, drawn = file.parent / "study", Counter[str](), random.Random(engine)
    seen: dict[str, int] = {}
    family = set[psutil.Process]()
    words = [sys.executable, "-m", "factortopy", "sweep", str(file), "-q", "--engine", engine]
    while counts["kills"] < kills or seen:
        driver = psutil.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        if counts["kills"] < kills:
            counts["kills"] += kill_one(driver, drawn.uniform(0.05, 0.8) * longest, drawn, family)
            if driver.poll() is None and drawn.random() < 0.5:
                driver.send_signal(signal.SIGKILL)
                counts["kills"] += 1
        begun = time.monotonic()
        code, now = driver.wait(), endings(study)
        counts["repeated"] += sum(now.get(name) != at for name, at in seen.items())
        seen = now
        told = f"{engine}: {counts['kills']} of {kills} kills, {len(seen)} tasks done"
        print(f"{told}, ended with {code} after {time.monotonic() - begun:.0f} s more", file=sys.stderr, flush=True)
        if code == 0:
            record = Record(study)
            counts["lost"] += sum(not record.is_done(task) for task in record.tasks())
            counts["left"] += sum(path.name.endswith((".partial", ".old", ".checkpoint")) for path in study.rglob("*"))
            counts["different"] += digests(study) != wanted
            shutil.rmtree(study)
            seen = {}
    counts["orphans"] = len(psutil.wait_procs(family, timeout=60)[1])
    return counts


def kill_one(driver: psutil.Popen, after: float, drawn: random.Random, family: set[psutil.Process]) -> int:
    """Kill the driver or one of its processes (workers, Ray's raylet and others) after so many seconds; how many were.

    All of these processes are added to ``family``.
    """
    time.sleep(after)
    if driver.poll() is not None:
        return 0
    try:
        now = [psutil.Process(driver.pid), *driver.children(recursive=True)]
        family.update(now)
        drawn.choice(now).send_signal(drawn.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
    except psutil.NoSuchProcess:
        return 0
    return 1


def stale_hits(file: Path) -> int:
    """Change each kind of input by as little as can be; followers that keep their keys."""

    def keys() -> dict[str, tuple[str, str]]:
        tasks = plan_tasks(read_sweep(file), progress=False)
        return {t.key: (t.kind, Path((t.facts or {}).get("subject", {}).get("folder", "")).name) for t in tasks}

    def pixel() -> None:
        image = file.parent / "one" / "images" / "image-007.png"
        pixels = np.asarray(Image.open(image)).copy()
        pixels[0, 0, 0] ^= 1
        Image.fromarray(pixels).save(image)

    def array(name: str) -> None:
        values = np.load(file.parent / "one" / name)
        values.flat[3] = np.nextafter(np.float32(values.flat[3]), np.float32(999))  # as little as float32 tells apart
        np.save(file.parent / "one" / name, values)

    Image.new("RGB", (32, 32)).save(file.parent / "two" / "images" / "image-000.png")  # photographs of its own
    stale = 0
    changes = {
        "responses": (2, lambda: array("responses.npy")),
        "coordinates": (2, lambda: array("coordinates.npy")),
        "pixel": (3, pixel),
    }
    for kinds, change in changes.values():
        before, networks = keys(), 2
        change()
        kept = set(before) & set(keys())
        of_one = [key for key, (kind, subject) in before.items() if kind in KINDS[-kinds:] and subject == "one"]
        assert len(of_one) >= kinds * networks
        stale += sum(key in kept for key in of_one)
    return stale


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3, help="2 at least where overheads are measured")
    parser.add_argument("--engines", nargs="+", default=["process", "local", "ray"])
    parser.add_argument("--timeouts", action="store_true", help="run a fit longer than its job's time as well")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a fit, in what overheads are measured with")
    parser.add_argument("--no-times", action="store_true", help="leave out the overhead of engines")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""  # where it is set, every process compiles the package again
    facts = Counter[str]()
    with tempfile.TemporaryDirectory() as work:
        file = make(Path(work) / "sweep", options.seeds)
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "factortopy", "sweep", str(file), "-q"], check=True)
        longest, wanted = time.monotonic() - begun, digests(file.parent / "study")
        print(f"undisturbed: {longest:.0f} s", file=sys.stderr, flush=True)
        (file.parent / "study").rename(file.parent / "undisturbed")
        for engine in options.engines:
            counts = disturb(file, engine, -(-options.kills // len(options.engines)), longest, wanted)
            print(engine, dict(counts), flush=True)
            facts.update(counts)
        times = {} if options.no_times else overheads(file, options.engines, options.seconds, options.seeds)
        times |= timeouts(file) if options.timeouts else {}
        result = {name: facts[name] for name in ("kills", "lost", "repeated", "left", "orphans")}
        print(json.dumps(result | {"identical": not facts["different"], "stale_hits": stale_hits(file), **times}))


if __name__ == "__main__":
    main()
