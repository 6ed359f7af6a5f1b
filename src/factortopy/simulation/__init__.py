"""Simulated subjects with a planted truth."""

from factortopy.simulation.planting import Planted
from factortopy.simulation.simulate import simulate_subject

__all__ = [
    "Planted",
    "simulate_subject",
]
