"""Where to compute: device, precision, memory, seeds."""

from factortopy.machine.cost import Cost
from factortopy.machine.machine import Machine, autocast, choose_device, choose_precision, seeded

__all__ = [
    "Cost",
    "Machine",
    "autocast",
    "choose_device",
    "choose_precision",
    "seeded",
]
