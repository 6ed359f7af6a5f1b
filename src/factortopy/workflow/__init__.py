"""The stages from tokens and a subject to a scored mapping, in their order."""

from factortopy.workflow._fit import Fit, fit, fit_identity, fit_model, fit_options
from factortopy.workflow.costs import LIBRARIES_MEMORY, estimate_fit, settings_cost
from factortopy.workflow.folder import fit_to_folder, map_before_and_after
from factortopy.workflow.scoring import HeldOutScores, ceiling_on_test, fit_facts, score_model

__all__ = [
    "LIBRARIES_MEMORY",
    "Fit",
    "HeldOutScores",
    "ceiling_on_test",
    "estimate_fit",
    "fit",
    "fit_facts",
    "fit_identity",
    "fit_model",
    "fit_options",
    "fit_to_folder",
    "map_before_and_after",
    "score_model",
    "settings_cost",
]
