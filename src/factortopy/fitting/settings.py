"""Settings of a fit: frozen, validated, saved with every result."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from factortopy.errors import DataError, UnknownNameError
from factortopy.settings import Settings
from factortopy.storage import sha256_text

Recipe = Literal["default", "paper"]
RIDGE = 0.75
"""Best penalty of the closed-form start's regressions for which a recipe's decays and rates hold as they are."""
CLIP = 0.5
"""Largest norm of the gradient in long trainings: at high rates, one leap of all places can cost what was learnt."""
Place = Annotated[float, Field(ge=-1, le=1)]


class FitSettings(Settings):
    """How a model is parametrised and trained.

    Make them with :func:`fit_settings`, which knows the numbers of both recipes.

    Attributes:
        recipe: ``"paper"`` is the authors' parametrisation (raw tokens, mean over channels);
            ``"default"`` the well-conditioned one (principal components of tokens, unit aligned features).
        topology: whether selectors are smooth functions of the place on the cortex, or free per voxel.
        bounds: what positions are scaled by: the whole ``"surface"``, so that a subset of its voxels gets the same
            code, or the ``"voxels"`` given, as in the authors' program, which then reads exported weights alike.
        fixed_space: place in [-1, 1] that every voxel reads instead of its own (ablation).
        uniform_layers: whether every voxel reads all layers alike instead of its own (ablation).
        fixed_scale: scale of every voxel instead of its own, 0 local to 1 global (ablation).
        width: channels D of the shared space.
        components: principal components kept per layer and kind of token (recipe ``"default"``), at most; with
            coordinates a quarter of the training images if that is fewer, and half, a quarter, ... of these where
            the align overfits and validation images are then predicted better.
        damping: see :class:`~factortopy.fitting.PrincipalComponents`.
        parcels: groups of neighbouring voxels at most, of four voxels at least (recipe ``"default"``). Align and
            selectors are trained on their mean responses, where these are predicted better than those of voxels,
            and channels of voxels are shrunk towards them. 0 for neither.
        closed_form: whether channels of every voxel are at last solved in closed form, from training and validation
            images, or stay as trained, on voxels (recipe ``"default"``).
        patches: whether voxels may read patches of the image with a size, by channels of every component, where that
            predicts the validation images of few better (recipe ``"default"`` with topology and ``closed_form``).
        shrinkage: whether predictions from few images are drawn towards the mean by what comes true of them in images
            that are left out (recipe ``"default"`` without coordinates).
        starts: times that align and selectors are trained, each from random numbers of its own (recipe ``"default"``
            with ``closed_form``). What they select is averaged, and channels are solved in all their aligns together.
        loss: ``"squared"`` error, or ``"smooth_l1"`` with beta 0.1.
        steps: optimisation steps at most.
        passes: times that all training images are gone through, where ``steps`` are too few for it: there are more
            then, looks at the validation images lie as much further apart, and gradients are clipped at 0.5 (recipe
            ``"default"``), where both are the recipe's. None leaves them, as where ``steps`` are asked for.
        batch_size: images per step.
        learning_rate: of the channel align and the channel selectors (AdamW).
        space_learning_rate: of the space selector.
        selector_learning_rate: of the layer and scale selectors, which overfit sooner.
        warmup_steps: steps over which learning rates rise from 0.
        hold_steps: steps over which selectors keep their start, until channels are learnt that can tell them
            anything: before, steps would be noise. Over as many steps more their learning rates then rise.
            At most a quarter of all steps.
        cosine: whether learning rates then fall to 0 along a half cosine, or stay.
        align_decay: weight decay of the channel align (AdamW, per unit of learning rate).
        channel_decay: weight decay of the channel selectors.
        bias_decay: weight decay of the bias.
        selector_decay: weight decay of the space, layer and scale selectors.
        decay_by_noise: whether the decays of align and channels are multiplied by ``(ridge / 0.75)^2`` and the rate of
            places by ``min(1, 0.75 / ridge)``, where ``ridge`` is the penalty that predicts best in the closed-form
            start (recipe ``"default"``).
        gradient_clip: largest norm of the gradient; None leaves it.
        softness: weight of the regulariser that keeps selectors soft at first.
        softness_steps: steps over which that weight falls to 0.
        validate_every: steps between two looks at the validation images.
        patience: looks without improvement after which training stops; None trains all steps.
        seed: of everything random.
    """

    recipe: Recipe
    topology: bool = True
    bounds: Literal["surface", "voxels"] = "surface"
    fixed_space: tuple[Place, Place] | None = None
    uniform_layers: bool = False
    fixed_scale: float | None = Field(default=None, ge=0, le=1)
    width: int = Field(ge=1)
    components: int = Field(default=256, ge=1)
    damping: float = Field(default=0.1, gt=0)
    parcels: int = Field(ge=0)
    closed_form: bool
    patches: bool
    shrinkage: bool = False
    starts: int = Field(default=1, ge=1)
    loss: Literal["squared", "smooth_l1"]
    steps: int = Field(ge=1)
    passes: float | None = Field(default=None, gt=0)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    space_learning_rate: float = Field(gt=0)
    selector_learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    hold_steps: int = Field(ge=0)
    cosine: bool
    align_decay: float = Field(ge=0)
    channel_decay: float = Field(ge=0)
    bias_decay: float = Field(ge=0)
    selector_decay: float = Field(ge=0)
    decay_by_noise: bool
    gradient_clip: float | None = Field(gt=0)
    softness: float = Field(default=0.1, ge=0)
    softness_steps: int = Field(ge=0)
    validate_every: int = Field(ge=1)
    patience: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)

    def seed_of(self, purpose: str) -> int:
        """A seed of its own for each purpose: with one for all, different parts would start with the same numbers."""
        return int(sha256_text(str(self.seed), purpose)[:15], 16)

    @property
    def factor(self) -> float:
        """Factor of the read-out: a mean over the channels D as the authors', or 1 / sqrt(D)."""
        return 1 / self.width if self.recipe == "paper" else self.width**-0.5

    def for_data(self, images: int, *, placed: bool = True) -> "FitSettings":
        """What a fit to so many training images takes; the same again of what this gives.

        Args:
            images: distinct training images, which ask for steps; see ``passes``.
            placed: whether coordinates of voxels are known, or what they select is given. If not, channels are solved
                and not trained; components and damping set by hand stay.
        """
        changes: dict[str, Any] = {"passes": None}
        if self.recipe == "default" and not placed:
            usual, set_ = RECIPES[self.recipe], self.model_dump(exclude_defaults=True)
            changes |= WITHOUT_COORDINATES | {name: value for name, value in set_.items() if name not in usual}
            changes["topology"] = False
        if self.passes is not None and (steps := math.ceil(self.passes * images / self.batch_size)) > self.steps:
            changes |= {"steps": steps, "gradient_clip": self.gradient_clip or CLIP}
            if self.validate_every == RECIPES[self.recipe]["validate_every"]:
                changes["validate_every"] = math.ceil(self.validate_every * steps / self.steps)
        return self.model_copy(update=changes)

    def for_noise(self, ridge: float) -> "FitSettings":
        """The settings with decays and a rate in keeping with the noise; see ``decay_by_noise``."""
        if not self.decay_by_noise:
            return self
        factor = (ridge / RIDGE) ** 2
        decays = {"align_decay": factor * self.align_decay, "channel_decay": factor * self.channel_decay}
        rate = {"space_learning_rate": self.space_learning_rate * min(1.0, RIDGE / ridge)}
        return self.model_copy(update=decays | rate)


_NUMBERS: dict[str, tuple[Any, Any]] = {
    "width": (128, 64),
    "loss": ("smooth_l1", "squared"),
    "steps": (20_000, 300),
    "passes": (None, 12.0),
    "batch_size": (8, 64),
    "learning_rate": (1e-3, 1e-2),
    "space_learning_rate": (1e-3, 2e-2),
    "selector_learning_rate": (1e-3, 5e-4),
    "warmup_steps": (0, 30),
    "hold_steps": (0, 40),
    "cosine": (False, True),
    "align_decay": (0.01, 0.15),
    "channel_decay": (0.01, 0.15),
    "bias_decay": (0.01, 0.0),
    "selector_decay": (0.01, 0.0),
    "decay_by_noise": (False, True),
    "gradient_clip": (0.5, None),
    "softness_steps": (2_000, 0),  # the closed-form start leaves nothing to keep open
    "validate_every": (1_000, 25),
    "patience": (5, 4),
    "parcels": (0, 1_024),
    "closed_form": (False, True),
    "patches": (False, True),
    "shrinkage": (False, True),
}
"""Of the recipes ``"paper"`` and ``"default"``."""
RECIPES: dict[Recipe, dict[str, Any]] = {
    "paper": {name: value for name, (value, _) in _NUMBERS.items()},
    "default": {name: value for name, (_, value) in _NUMBERS.items()},
}


WITHOUT_COORDINATES = {"components": 256, "damping": 10.0, "topology": False}
"""What the recipe ``"default"`` takes where voxels have no coordinates: channels are solved, not trained."""


def fit_settings(recipe: Recipe = "default", **changes: Any) -> FitSettings:
    """Settings of a recipe with changes.

    Raises:
        UnknownNameError: if the recipe does not exist.
        DataError: if a change names no setting or has a value out of range.
    """
    if recipe not in RECIPES:
        raise UnknownNameError("recipe", recipe, RECIPES)
    asked = {"passes": None} | changes if "steps" in changes else changes
    settings = FitSettings.checked(recipe=recipe, **{**RECIPES[recipe], **asked})
    if settings.starts > 1 and not settings.closed_form:
        raise DataError(
            f"setting starts = {settings.starts}: channels of several starts are solved in closed form together, "
            'which closed_form=False and recipe="paper" do not; leave it at 1'
        )
    return settings
