"""FactorTopy with scikit-learn's habits: fit, predict, score."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from factortopy.errors import DataError, ShapeError
from factortopy.fitting.examples import Examples, StandardisedResponses
from factortopy.fitting.recipes import train_model
from factortopy.fitting.settings import Recipe, fit_settings
from factortopy.fitting.training import History
from factortopy.machine import Machine
from factortopy.model import FactorTopy, Selection
from factortopy.networks import Tokens
from factortopy.storage import as_array

BATCH = 64


class FactorTopyRegressor(RegressorMixin, BaseEstimator):
    """Encoding model that predicts responses (image, voxel) from tokens of the images.

    ``score`` is scikit-learn's: R^2, averaged over voxels. For a split by scene, shares and provenance use
    ``factortopy.fit``, which gives a ``Mapping``.

    Args:
        recipe: ``"default"`` (well-conditioned) or ``"paper"`` (the authors' parametrisation).
        validation_fraction: share of the images that chooses when to stop, in (0, 1).
        seed: of the choice of those images, the start and the order of images.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``; the best there is if None.
        precision: of the matrix products, ``"bf16"`` or ``"fp32"``; bf16 where computed natively if None.
        memory_gb: GB that tokens may take in main memory; half of what is free if None.
        progress: whether to show progress bars.
        changes: settings that differ from the recipe's, as for ``factortopy.fit``; see ``FitSettings``.

    Attributes:
        model_: the trained model.
        history_: what was seen while training.
        selection_: space, layer and scale of every voxel.

    Example:
        >>> regressor = ft.FactorTopyRegressor(steps=5)
        >>> train, where = tokens.read(range(30)), subject.voxels.coordinates
        >>> regressor = regressor.fit(train, subject.responses[:30], coordinates=where)
        >>> regressor.predict(tokens.read(range(30, 40))).shape == subject.responses[30:40].shape
        True
    """

    model_: FactorTopy
    history_: History
    selection_: Selection

    def __init__(
        self,
        recipe: Recipe = "default",
        *,
        validation_fraction: float = 0.1,
        seed: int = 0,
        device: str | None = None,
        precision: str | None = None,
        memory_gb: float | None = None,
        progress: bool = False,
        **changes: Any,
    ) -> None:
        self.recipe: Recipe = recipe
        self.validation_fraction = validation_fraction
        self.seed = seed
        self.device = device
        self.precision = precision
        self.memory_gb = memory_gb
        self.progress = progress
        self.changes = changes

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All arguments by name, the changed settings among them."""
        return {**super().get_params(deep), **self.changes}

    def set_params(self, **params: Any) -> Self:
        """Change arguments by name; one that is none of the constructor's is a setting of the recipe."""
        own = super().get_params(deep=False)
        self.changes = {**self.changes, **{name: value for name, value in params.items() if name not in own}}
        return super().set_params(**{name: value for name, value in params.items() if name in own})

    def fit(
        self,
        tokens: Tokens | Sequence[Tokens],
        responses: Float[np.ndarray, "image voxel"],
        *,
        coordinates: Float[np.ndarray, "voxel 3"],
        coordinate_bounds: Float[np.ndarray, "2 3"] | None = None,
    ) -> Self:
        """Train on images.

        Args:
            tokens: tokens of the images; also as a list, as scikit-learn's cross-validation takes them.
            responses: responses to them, on any scale.
            coordinates: of every voxel, mm.
            coordinate_bounds: smallest and largest coordinate of the whole surface, mm; those of the voxels
                given if None.

        Raises:
            ShapeError: if images or voxels differ in number.
            DataError: if responses or coordinates are not finite, or there are too few images.
        """
        tokens = _joined(tokens)
        responses = as_array(responses, "responses").astype(np.float32, copy=False)
        coordinates = np.ascontiguousarray(as_array(coordinates, "coordinates"), dtype=np.float32)
        _check(tokens, responses, coordinates)
        settings = fit_settings(self.recipe, seed=self.seed, **self.changes)
        count = round(self.validation_fraction * len(responses))
        if not 2 <= count <= len(responses) - 2:
            raise DataError(
                f"validation_fraction = {self.validation_fraction} of {len(responses)} images leaves {count} "
                "to validate; at least 2 are needed, and 2 to train"
            )
        order = np.random.default_rng(settings.seed).permutation(len(responses))
        scored = StandardisedResponses.by_training(responses, order[count:])
        self._mean, self._spread = scored.mean, scored.spread

        def examples(rows: np.ndarray) -> Examples:
            index = torch.from_numpy(rows)
            return Examples(lambda chosen: tokens[index[chosen]], scored.of(rows))

        bounds = np.stack([coordinates.min(axis=0), coordinates.max(axis=0)])
        if coordinate_bounds is not None and settings.bounds == "surface":
            bounds = np.ascontiguousarray(coordinate_bounds)
        self.model_, self.history_, *_ = train_model(
            settings,
            examples(order[count:]),
            examples(order[:count]),
            torch.from_numpy(coordinates),
            torch.from_numpy(bounds),
            machine=Machine.choose(self.device, self.precision, self.memory_gb),
            progress=self.progress,
        )
        self.model_.cpu()
        with torch.no_grad():
            self.selection_ = self.model_.select()
        return self

    @torch.no_grad()
    def predict(self, tokens: Tokens | Sequence[Tokens]) -> Float[np.ndarray, "image voxel"]:
        """Predicted responses, on the scale of those fitted."""
        check_is_fitted(self, "model_")
        tokens = _joined(tokens)
        batches = torch.arange(len(tokens)).split(BATCH)
        predicted = torch.cat([self.model_(tokens[rows], self.selection_) for rows in batches])
        return predicted.numpy() * self._spread + self._mean


def _joined(tokens: Tokens | Sequence[Tokens]) -> Tokens:
    return tokens if isinstance(tokens, Tokens) else Tokens.join(tokens)


def _check(tokens: Tokens, responses: np.ndarray, coordinates: np.ndarray) -> None:
    if responses.ndim != 2 or len(responses) != len(tokens):
        raise ShapeError(f"responses {responses.shape} must be (image, voxel) for the tokens' {len(tokens)} images")
    if coordinates.shape != (responses.shape[1], 3):
        raise ShapeError(f"coordinates {coordinates.shape} must be ({responses.shape[1]}, 3): x, y and z of each voxel")
    for name, values in (("responses", responses), ("coordinates", coordinates)):
        if not np.isfinite(values).all():
            raise DataError(f"{name} hold NaN or infinite values; leave those voxels or images out")
