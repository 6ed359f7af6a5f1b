"""Baselines and ablations at equal budget: what a simpler model would have said (`docs/baselines.md`)."""

from factortopy.baselines.features import FIELD_PLACES, FIELD_SIZES, Features
from factortopy.baselines.methods import METHODS, REFERENCE, Method, is_linear
from factortopy.baselines.ridge import BAND_WEIGHTS, VOXELS, choose
from factortopy.baselines.run import check_methods, run_baselines
from factortopy.baselines.scores import BaselineScores
from factortopy.baselines.variants import extract_untrained

__all__ = [
    "BAND_WEIGHTS",
    "FIELD_PLACES",
    "FIELD_SIZES",
    "METHODS",
    "REFERENCE",
    "VOXELS",
    "BaselineScores",
    "Features",
    "Method",
    "check_methods",
    "choose",
    "extract_untrained",
    "is_linear",
    "run_baselines",
]
