"""Work of a GPU that is recorded once and then replayed as a whole, so that the host does next to nothing."""

import sys
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Work = Callable[[], Tensor]
WARM_UP = 3
"""Calls before work is recorded, in which libraries set themselves up."""


class Replayed:
    """A function of tensors, whose shapes never change, that gives a tensor and changes others in place.

    On a CUDA device it is recorded as a graph after a few calls, and replayed from then on: all that it depends on
    must stand in the same tensors every time, as numbers of the host are recorded with it. Where it cannot be
    recorded, as on other devices, it is called as it is.

    Args:
        function: what is called.
        device: where it computes.
        record: makes of work something that does it again; a CUDA graph if None. Work is not done while recorded.
    """

    def __init__(
        self, function: Callable[..., Tensor], device: torch.device, record: Callable[[Work], Work] | None = None
    ) -> None:
        self._function, self._device, self._calls = function, device, 0
        self._record = partial(cuda_graph, device) if record is None and device.type == "cuda" else record
        self._inputs: list[Tensor] = []
        self._replay: Work | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What the function gives for these inputs."""
        self._calls += 1
        if self._record is None:
            return self._function(*inputs)
        if self._calls <= WARM_UP:
            return self._warm_up(inputs)
        if self._replay is None:
            self._inputs = [value.clone() for value in inputs]
            try:
                self._replay = self._record(lambda: self._function(*self._inputs))
            except RuntimeError as error:
                self._record = None
                reason = str(error).strip().splitlines()[0]
                print(f"Steps run one operation after the other: {reason}", file=sys.stderr)
                return self._function(*inputs)
        for kept, value in zip(self._inputs, inputs, strict=True):
            kept.copy_(value, non_blocking=True)
        return self._replay().clone()

    def _warm_up(self, inputs: tuple[Tensor, ...]) -> Tensor:
        if self._device.type != "cuda":
            return self._function(*inputs)
        # What a graph records must not hang on the default stream.
        own, aside = torch.cuda.current_stream(self._device), torch.cuda.Stream(self._device)
        aside.wait_stream(own)
        with torch.cuda.stream(aside):
            result = self._function(*inputs)
        own.wait_stream(aside)
        return result


def cuda_graph(device: torch.device, work: Work) -> Work:
    """Work of a device recorded as a CUDA graph; other threads, which read tokens ahead, may take memory meanwhile."""
    with torch.cuda.device(device), torch.cuda.stream(torch.cuda.current_stream(device)):
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay
