"""Where to compute: device, precision, memory and seeds."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import torch

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.machine.container import available_memory
from factortopy.machine.threads import limit_threads

PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, else the best there is: CUDA, then MPS, then CPU.

    Raises:
        UnknownNameError: if ``device`` is no device.
        UnavailableError: if it is not in this machine.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    available = [name for name, is_there in present.items() if is_there]
    if device is None:
        return torch.device(available[0])
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UnknownNameError("device", str(device), present) from None
    if chosen.type not in present:
        raise UnknownNameError("device", str(device), present)
    missing_card = chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    if chosen.type not in available or missing_card:
        raise UnavailableError(f"device {str(device)!r} is not available here; there is {', '.join(available)}")
    if chosen.type == "cuda" and chosen.index is not None:
        torch.cuda.set_device(chosen)  # Triton's kernels run on the current one, and precision is asked of it
    return chosen


def choose_precision(device: torch.device, precision: str | None = None) -> str:
    """``"bf16"`` or ``"fp32"``: the one asked for, else bf16 where the processor computes in it.

    Raises:
        UnknownNameError: if ``precision`` is neither.
    """
    if precision is not None:
        if precision not in PRECISIONS:
            raise UnknownNameError("precision", precision, PRECISIONS)
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and _cpu_has_bf16() else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network runs in ``precision``."""
    return torch.autocast(device.type, dtype=PRECISIONS[precision], enabled=precision != "fp32")


def _cpu_has_bf16() -> bool:
    # Without these instructions bf16 is emulated and slower than fp32. Older PyTorch cannot tell: fp32.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


SHARE, SMALLEST_SHARE = 0.5, 0.05
"""Share of the free memory that tokens may take, at first and after a GPU ran out of it."""


Result = TypeVar("Result")


@dataclass(frozen=True)
class Machine:
    """Where a fit computes.

    Attributes:
        device: the processor.
        precision: of the matrix products, ``"bf16"`` or ``"fp32"``; parameters and sums are always float32.
        memory: bytes that tokens may take in main memory; beyond them they are read from disk.
        share: of the GPU's free memory that tokens may take.
    """

    device: torch.device
    precision: str
    memory: int
    share: float = SHARE

    @classmethod
    def choose(
        cls, device: str | torch.device | None = None, precision: str | None = None, memory_gb: float | None = None
    ) -> Self:
        """What is asked for, else the best there is: bf16 where the processor computes in it.

        Args:
            device: ``"cuda"``, ``"mps"`` or ``"cpu"``.
            precision: ``"bf16"`` or ``"fp32"``.
            memory_gb: GB that tokens may take in main memory; half of what is free if None.

        Raises:
            UnknownNameError: if there is no such device or precision.
            UnavailableError: if the device is not in this machine.
            DataError: if ``memory_gb`` is negative.
        """
        chosen = choose_device(device)
        if memory_gb is not None and memory_gb < 0:
            raise DataError(f"memory_gb is {memory_gb}; give the GB that tokens may take, at least 0")
        memory = SHARE * available_memory() if memory_gb is None else 1e9 * memory_gb
        return cls(chosen, choose_precision(chosen, precision), int(memory))

    def autocast(self) -> torch.autocast:
        """The context in which matrix products run in this precision."""
        return autocast(self.device, self.precision)

    def device_memory(self) -> int:
        """Bytes that tokens may take on a GPU; 0 where there is none to tell."""
        if self.device.type != "cuda":
            return 0
        # What PyTorch keeps of tensors that are gone counts as taken there.
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(self.share * (torch.cuda.mem_get_info(self.device)[0] + kept))

    def sparing(self, work: Callable[["Machine"], Result]) -> Result:
        """What work gives here, on a CPU with its small operations in one thread.

        Where a GPU's memory does not suffice, it begins again with half as much held there; a line on standard
        error says so.

        Raises:
            DataError: if it does not suffice with next to nothing held there.
        """
        try:
            with limit_threads() if self.device.type == "cpu" else nullcontext():
                return work(self)
        except torch.OutOfMemoryError:
            pass  # what it was raised among is freed by this
        gc.collect()  # a training refers to itself
        torch.cuda.empty_cache()
        share = self.share / 2
        if share < SMALLEST_SHARE:
            remedy = "choose fewer voxels (a ROI) or a smaller batch_size, or compute with device='cpu'"
            raise DataError(f"the memory of {self.device} does not suffice, even with tokens in main memory; {remedy}")
        print(f"{self.device} is out of memory: tokens may now take {share:.0%} of what is free there", file=sys.stderr)
        return replace(self, share=share).sparing(work)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of ``seed`` inside; the caller's own random state stays untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
