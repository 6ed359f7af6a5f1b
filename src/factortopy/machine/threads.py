"""Threads that do large pieces of work each, and sleep while they wait; what is small is done in one."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from factortopy.machine.container import processors
from factortopy.storage import read_ahead

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def limit_threads(count: int = 1) -> Iterator[None]:
    """PyTorch computes in so many threads inside: two that share a small operation wait for each other after each.

    Beside another program that has the processor of one of them, the wait is many times the operation.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def single_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, in each of which PyTorch computes alone: their caller keeps the threads that it computes in."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # new threads take the number that was set last


def threads_at_once() -> int:
    """Threads that share work on a CPU: as many as processors, or fewer if ``OMP_NUM_THREADS`` says so."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(processors(), int(asked))) if asked.isdecimal() else processors()


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], device: torch.device, most: int | None = None
) -> Iterator[Result]:
    """What work gives for every item, in their order; on a CPU several at a time, each in one thread.

    There are :func:`threads_at_once`. Results do not hang on their number.

    Args:
        work: does not depend on what it did for other items.
        items: of enough work each to be worth a thread's.
        device: where it computes.
        most: threads at most, as memory may ask for.
    """
    pieces = list(items)
    threads = min(threads_at_once(), len(pieces), most or len(pieces))
    if device.type != "cpu" or threads < 2:
        yield from map(work, pieces)
        return
    gradients, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return work(item)

    with limit_threads():
        yield from read_ahead(alone, pieces, threads, threads)
