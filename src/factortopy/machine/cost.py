"""What a piece of work takes, before it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Cost:
    """What a piece of work takes, about; costs add up: ``one + other``, ``3 * one``, ``sum(costs, Cost())``.

    Work is done one piece after the other: seconds and bytes on disk add up, of memory the largest counts.

    Attributes:
        seconds: on this machine.
        memory: bytes of main memory at the peak, of the whole process.
        disk: bytes of the result.
        device_memory: bytes of the GPU's memory at the peak; 0 without one.
        temporary: bytes more on disk until the work is done.
        facts: what the work is of and how the cost was found, by name, to be shown beside the numbers.
    """

    seconds: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    device_memory: float = 0.0
    temporary: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.seconds + other.seconds,
            max(self.memory, other.memory),
            self.disk + other.disk,
            max(self.device_memory, other.device_memory),
            max(self.temporary, other.temporary),
            {**self.facts, **other.facts},
        )

    def __rmul__(self, times: int) -> "Cost":
        return replace(self, seconds=times * self.seconds, disk=times * self.disk) if times else Cost()
