"""Baselines and ablations at equal budget: what a simpler model would have said (`docs/baselines.md`)."""

from factortopy.baselines.costs import estimate_baselines
from factortopy.baselines.methods import METHODS, REFERENCE, Method, extract_untrained
from factortopy.baselines.run import run_baselines
from factortopy.baselines.scores import BaselineScores

__all__ = [
    "METHODS",
    "REFERENCE",
    "BaselineScores",
    "Method",
    "estimate_baselines",
    "extract_untrained",
    "run_baselines",
]
