"""Processes beside a GPU: Python's threads run its own code one at a time, and would keep a GPU waiting."""

import math
import mmap
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from factortopy.errors import UnavailableError

POLL_SECONDS = 0.1

PORTABLE = 1
"""To be pinned for all GPUs."""

_task: list[Callable[..., Any]] = []
"""What a process does; empty but in the process itself."""


class Forked:
    """Processes that begin with all that is in memory here, and share what :func:`shared_empty` made.

    They end when the context is left, or when this process is killed.

    Args:
        work: called in a process with ``shared`` and what was submitted; it does not touch a GPU.
        shared: what is there when the processes begin; it is not copied.
        count: of processes.
    """

    def __init__(self, work: Callable[..., Any], shared: Any, count: int) -> None:
        context = multiprocessing.get_context("fork")
        self._pool = ProcessPoolExecutor(count, context, _begin, (work, shared, os.getpid()))
        self._pool.submit(os.getpid).result()  # all begin now, before memory is pinned

    def submit(self, *what: Any) -> Future[Any]:
        """Have a process do its work."""
        return self._pool.submit(_work, *what)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        self._pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            remedy = "if memory was short, take fewer workers; a run that is started again goes on where it was"
            raise UnavailableError(f"the system ended a process that decodes or writes; {remedy}") from error


def can_fork(device: torch.device) -> bool:
    """Whether work for a device is done in processes: for a CUDA GPU, where the system can fork."""
    return device.type == "cuda" and "fork" in multiprocessing.get_all_start_methods()


def shared_empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory that processes which are forked later share with this one; zeros."""
    count = dtype.itemsize * math.prod(shape)
    return torch.frombuffer(mmap.mmap(-1, max(1, count)), dtype=torch.uint8)[:count].view(dtype).view(shape)


@contextmanager
def pinned(device: torch.device, *tensors: Tensor) -> Iterator[None]:
    """Memory that a CUDA GPU reads and writes by itself meanwhile; where it cannot be, copies only take longer."""
    if device.type != "cuda":
        yield
        return
    runtime = torch.cuda.cudart()
    there = [part for part in tensors if int(runtime.cudaHostRegister(part.data_ptr(), part.nbytes, PORTABLE)) == 0]
    try:
        yield
    finally:
        torch.cuda.synchronize(device)
        for part in there:
            runtime.cudaHostUnregister(part.data_ptr())


class Copied:
    """The moment at which copies that were asked for are done; on a CPU they are at once."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._event = device, torch.cuda.Event() if device.type == "cuda" else None

    def record(self) -> None:
        """All copies up to now are meant."""
        if self._event is not None:
            self._event.record(torch.cuda.current_stream(self._device))

    def wait(self) -> None:
        """Sleep until they are done."""
        if self._event is not None:
            self._event.synchronize()


def _begin(work: Callable[..., Any], shared: Any, parent: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began this one ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _task.append(partial(work, shared))
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """End with the process that began this one."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _work(*what: Any) -> Any:
    return _task[-1](*what)
