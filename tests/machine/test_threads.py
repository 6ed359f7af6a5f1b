"""Large pieces are done by several threads, in order, each computing alone; small operations by one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from factortopy.machine import in_threads, limit_threads, single_threads, threads

CPU = torch.device("cpu")


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(threads, "processors", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_two_work_at_the_same_time_and_results_keep_their_order(two):
    together = threading.Barrier(2, timeout=60)  # breaks if one thread does both
    before = torch.get_num_threads()

    def work(item):
        together.wait()
        return item, torch.get_num_threads(), torch.is_grad_enabled()

    with torch.no_grad():
        found = list(in_threads(work, range(6), CPU))
    assert found == [(number, 1, False) for number in range(6)]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("asked", "items"), [("1", 4), ("8", 1)])
def test_limit_threads_or_one_piece_is_done_by_the_caller(two, monkeypatch, asked, items):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    found = list(in_threads(lambda _: threading.current_thread(), range(items), CPU))
    assert found == [threading.current_thread()] * items


def test_a_fault_in_a_piece_is_the_callers(two):
    def work(item):
        raise ValueError(str(item))

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="0"):
        list(in_threads(work, range(5), CPU))
    assert torch.get_num_threads() == before


def test_single_threads_compute_alone_and_their_caller_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with single_threads(2) as pool:
        assert list(pool.map(lambda _: torch.get_num_threads(), range(4))) == [1] * 4
        assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(1) as others:
        assert others.submit(torch.get_num_threads).result() == 3
    torch.set_num_threads(before)


def test_limit_threads_inside_and_as_before_after():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with limit_threads():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)
