"""Training: recipes, settings, the reduction of tokens, the loop."""

from factortopy.fitting.build import build_default_model, build_paper_model, build_selectors, fix_selectors
from factortopy.fitting.estimator import FactorTopyRegressor
from factortopy.fitting.examples import (
    Examples,
    StandardisedResponses,
    default_split,
    image_of_rows,
    image_scenes,
    split_examples,
)
from factortopy.fitting.recipes import start_memory, train_model
from factortopy.fitting.reduction import PrincipalComponents, TokenReduction, measure_reduction
from factortopy.fitting.settings import FitSettings, Recipe, fit_settings
from factortopy.fitting.token_cache import join_tokens
from factortopy.fitting.training import History, mean_r2, train

__all__ = [
    "Examples",
    "FactorTopyRegressor",
    "FitSettings",
    "History",
    "PrincipalComponents",
    "Recipe",
    "StandardisedResponses",
    "TokenReduction",
    "build_default_model",
    "build_paper_model",
    "build_selectors",
    "default_split",
    "fit_settings",
    "fix_selectors",
    "image_of_rows",
    "image_scenes",
    "join_tokens",
    "mean_r2",
    "measure_reduction",
    "split_examples",
    "start_memory",
    "train",
    "train_model",
]
