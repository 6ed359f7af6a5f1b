"""Baselines and ablations at equal budget: what a simpler model would have said (`docs/baselines.md`)."""

from factortopy.baselines.comparison import Comparison, Row
from factortopy.baselines.methods import METHODS, Method
from factortopy.baselines.run import run_baselines

__all__ = ["METHODS", "Comparison", "Method", "Row", "run_baselines"]
