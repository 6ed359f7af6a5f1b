"""Where a fit computes, in which precision, and how much memory its tokens may take."""

from dataclasses import dataclass
from typing import Self

import torch

from factortopy.errors import DataError
from factortopy.machine.device import autocast, choose_device, choose_precision

SHARE = 0.5
"""Share of the free memory that tokens may take."""


@dataclass(frozen=True)
class Machine:
    """Where a fit computes.

    Attributes:
        device: the processor.
        precision: of the matrix products, ``"bf16"`` or ``"fp32"``; parameters and sums are always float32.
        memory: bytes that tokens may take in main memory; beyond them they are read from disk.
    """

    device: torch.device
    precision: str
    memory: int

    @classmethod
    def choose(
        cls,
        device: str | torch.device | None = None,
        precision: str | None = None,
        memory_gb: float | None = None,
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
        import psutil

        chosen = choose_device(device)
        if memory_gb is not None and memory_gb < 0:
            raise DataError(f"memory_gb is {memory_gb}; give the GB that tokens may take, at least 0")
        memory = SHARE * psutil.virtual_memory().available if memory_gb is None else 1e9 * memory_gb
        return cls(chosen, choose_precision(chosen, precision), int(memory))

    def autocast(self) -> torch.autocast:
        """The context in which matrix products run in this precision."""
        return autocast(self.device, self.precision)

    def device_memory(self) -> int:
        """Bytes that tokens may take on a GPU; 0 where there is none to tell."""
        if self.device.type != "cuda":
            return 0
        return int(SHARE * torch.cuda.mem_get_info(self.device)[0])
