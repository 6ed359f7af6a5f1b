"""What a container leaves of a machine: its limits of memory and of processor time (Linux cgroups, version 1 and 2)."""

import ctypes
import math
import os
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path("/")


def available_memory(root: Path = ROOT) -> int:
    """Bytes that this process may still take: what is free here, in its container and under its ``ulimit -v``.

    Args:
        root: where ``proc`` and ``sys`` are found.
    """
    import psutil

    process = psutil.Process()
    free = [psutil.virtual_memory().available]
    if hasattr(process, "rlimit"):
        limit = process.rlimit(psutil.RLIMIT_AS)[0]
        free += [] if limit == psutil.RLIM_INFINITY else [limit - process.memory_info().vms]
    for folder in _folders("memory", root):
        limits = [_number(folder / name) for name in ("memory.max", "memory.limit_in_bytes")]
        used = [_number(folder / name) for name in ("memory.current", "memory.usage_in_bytes")]
        free += [int(limit - sum(used) + _cached_files(folder)) for limit in limits if limit]
    return max(0, min(free))


def give_back_memory() -> None:
    """Return freed memory to the system, which glibc keeps for every thread that took it; nothing elsewhere."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@cache
def processors(root: Path = ROOT) -> int:
    """Processors that this process may keep busy, at least 1: those it may run on, within its container's share.

    Args:
        root: where ``proc`` and ``sys`` are found.
    """
    counts = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    for folder in _folders("cpu", root):
        quota, period = (*_words(folder / "cpu.max"), "", "")[:2]
        if quota.isdecimal() and period.isdecimal():
            counts.append(int(quota) / int(period))
        quota_1, period_1 = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota_1 > 0 and period_1 > 0:
            counts.append(quota_1 / period_1)
    return max(1, math.ceil(min(counts)))


def share_processors(root: Path = ROOT) -> None:
    """Threads of numerical libraries that are loaded from now on wait asleep, and are no more than may run.

    OpenMP's threads wait for each other in a busy loop by default: beside another program that takes the processor
    from one of them, the others burn theirs for nothing. What the user's environment says already, stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if processors(root) < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(processors(root)))


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the groups that this process is in, from its own up: the limits of all hold."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers or controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / (controller if controllers else "")
            own = top / path.lstrip("/")
            yield from [own, *own.parents][: len(own.parts) - len(top.parts) + 1]


def _cached_files(folder: Path) -> int:
    """Bytes of files that a group and those below it have read: they stay in memory until it is needed.

    Version 1 counts those of the groups below in ``total_NAME`` alone, though the usage is of all.
    """
    names, file = ("active_file", "inactive_file"), folder / "memory.stat"
    return sum(_number(file, f"total_{name}") or _number(file, name) for name in names)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:  # no such group, no such limit, or no Linux
        return []


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _number(file: Path, name: str | None = None) -> int:
    """The number in a file, or after a name in it; 0 where there is none, as for the word "max"."""
    words = _words(file)
    for word, value in pairwise(words):
        if name is not None and word == name and value.isdecimal():
            return int(value)
    return int(words[0]) if name is None and words and words[0].lstrip("-").isdecimal() else 0
