"""Limits of a container and of a process are kept: in folders like those of Linux, and in a child with a limit."""

import json
import os
import platform
import subprocess
import sys

import psutil
import pytest
import torch

from factortopy.errors import DataError
from factortopy.machine import Machine, available_memory, processors, share_processors

GB = 10**9
STAT = "anon 5\nactive_file 100000000\ninactive_file 400000000\n"
# Version 1: what is of the group alone, here of one whose files were all read by groups below it, then of all.
STAT_1 = "cache 0\ninactive_file 0\nactive_file 0\ntotal_inactive_file 400000000\ntotal_active_file 100000000\n"
V2 = {
    "proc/self/cgroup": "0::/job/step\n",
    "sys/fs/cgroup/job/step/memory.max": "max\n",
    "sys/fs/cgroup/job/step/memory.current": "1\n",
    # The step has no limit of its own, the job that it is part of has.
    "sys/fs/cgroup/job/memory.max": f"{2 * GB}\n",
    "sys/fs/cgroup/job/memory.current": f"{GB}\n",
    "sys/fs/cgroup/job/memory.stat": STAT,
    "sys/fs/cgroup/job/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/job/step/cpu.max": "max 100000\n",
}
V1 = {
    # As inside of a container: the path is the host's, and what is mounted is its own folder.
    "proc/self/cgroup": "4:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GB}\n",
    "sys/fs/cgroup/memory/memory.stat": STAT_1,
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
}
UNLIMITED = {
    "proc/self/cgroup": "4:memory:/\n1:cpu:/\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "5\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 64 GB and 8 processors with these files."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 64 * GB}))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    def made(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return made


@pytest.mark.parametrize("files", [V1, V2], ids=["version 1", "version 2"])
def test_the_limits_of_a_container_hold(machine, files):
    root = machine(files)
    # Of 2 GB, 1 GB is used, half of it by files that were read and can be dropped.
    assert available_memory(root) == 1.5 * GB
    assert processors(root) == 2


@pytest.mark.parametrize("files", [{}, UNLIMITED], ids=["no groups", "no limits"])
def test_without_limits_the_machine_is_there(machine, files):
    root = machine(files)
    assert available_memory(root) == 64 * GB
    assert processors(root) == 8


def test_a_container_that_is_full_leaves_nothing(machine):
    root = machine(V2 | {"sys/fs/cgroup/job/memory.current": f"{3 * GB}\n"})
    assert available_memory(root) == 0


def test_threads_sleep_and_are_as_many_as_may_run_unless_the_user_says_otherwise(machine, monkeypatch):
    root = machine(V2)
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    share_processors(root)
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    share_processors(root)
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["OMP_NUM_THREADS"]) == ("ACTIVE", "5")


def test_a_machine_without_limits_keeps_all_its_threads(machine, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    share_processors(machine(UNLIMITED))
    assert "OMP_NUM_THREADS" not in os.environ


CHILD = """
import json, resource
import numpy as np, psutil
from factortopy.machine import available_memory
held = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (held + 400_000_000,) * 2)
free, fits = available_memory(), {}
for times in (0.9, 1.3):
    try:
        fits[times] = bool(np.ones(int(times * free), np.uint8).any())
    except MemoryError:
        fits[times] = False
print(json.dumps([free, *fits.values()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_in_a_child_with_a_limit_what_is_said_to_be_free_is_free_and_not_much_more():
    found = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    free, fits, more = json.loads(found.stdout)
    assert 0 < free <= 400_000_000
    assert fits
    assert not more


def test_tokens_may_take_half_of_what_the_container_leaves(monkeypatch):
    monkeypatch.setattr("factortopy.machine.machine.available_memory", lambda: 3 * GB)
    assert Machine.choose("cpu").memory == 1.5 * GB


def test_a_gpu_out_of_memory_holds_half_as_much_until_next_to_nothing(capsys):
    shares = []

    def work(machine):
        shares.append(machine.share)
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DataError, match="fewer voxels"):
        Machine.choose("cpu").sparing(work)
    assert shares == [0.5, 0.25, 0.125, 0.0625]
    assert capsys.readouterr().err.count("out of memory") == 3


RETURNING = """
import numpy as np, psutil
from factortopy.machine import give_back_memory

process = psutil.Process()
for _ in range(2):  # as often as it is asked
    blocks = [np.ones(12_000) for _ in range(2_000)]  # 96 kB each, too small to be mapped by themselves
    blocks = blocks[::100]
    held = process.memory_info().rss
    give_back_memory()
    print(held - process.memory_info().rss, all(block.sum() == 12_000 for block in blocks))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory that it can be asked for")
def test_freed_memory_between_what_is_kept_is_returned():
    """In a child, whose heap nothing else has used."""
    done = subprocess.run([sys.executable, "-c", RETURNING], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        returned, whole = line.split()
        assert int(returned) > 150e6
        assert whole == "True"
