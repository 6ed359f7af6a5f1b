"""Where to compute: device, precision, memory, seeds."""

from factortopy.machine.device import autocast, choose_device, choose_precision
from factortopy.machine.machine import Machine
from factortopy.machine.seeds import seeded

__all__ = [
    "Machine",
    "autocast",
    "choose_device",
    "choose_precision",
    "seeded",
]
