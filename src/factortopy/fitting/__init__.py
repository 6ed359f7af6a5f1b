"""Training: recipes, settings, the reduction of tokens, the loop."""

from factortopy.fitting.build import build_default_model, build_paper_model, build_selectors, fix_selectors
from factortopy.fitting.estimator import FactorTopyRegressor
from factortopy.fitting.images import Images, StandardisedResponses
from factortopy.fitting.recipes import MEASURED_IMAGES, SCANNED_IMAGES, train_default, train_paper
from factortopy.fitting.reduction import PrincipalComponents, TokenReduction
from factortopy.fitting.settings import FitSettings, Recipe, fit_settings
from factortopy.fitting.sides import image_scenes, side_images
from factortopy.fitting.start import COMPONENTS, SCORED_VOXELS
from factortopy.fitting.training import History, mean_r2, train

__all__ = [
    "COMPONENTS",
    "MEASURED_IMAGES",
    "SCANNED_IMAGES",
    "SCORED_VOXELS",
    "FactorTopyRegressor",
    "FitSettings",
    "History",
    "Images",
    "PrincipalComponents",
    "Recipe",
    "StandardisedResponses",
    "TokenReduction",
    "build_default_model",
    "build_paper_model",
    "build_selectors",
    "fit_settings",
    "fix_selectors",
    "image_scenes",
    "mean_r2",
    "side_images",
    "train",
    "train_default",
    "train_paper",
]
