"""The feature-weighted receptive field: ridge in every field, with what all fields share computed once.

For a field g the features of an image are its local tokens weighed by the field, and its global tokens::

    F_g = [ sum_p g_p X_p , Z ]           F_g^T y = [ sum_p g_p (X_p^T y) , Z^T y ]

The products X_p^T y and Z^T y with the responses, which cost most where there are many images and voxels, are
shared by all fields. With ``F_g^T F_g = Q D Q^T``, the weights are in closed form for every penalty a:
``w = Q (D + a)^-1 Q^T F_g^T y``. Means over the training images are taken off, which is an intercept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.baselines.features import Features, Field, Sides, field_weights
from factortopy.baselines.ridge import PENALTIES, LinearFit

VOXELS = 1_024
"""Voxels at a time: their products with 64 places of 384 numbers take 100 MB."""
FIELDS_AT_ONCE = 8
HELD = ("validation", "test")


@dataclass(frozen=True)
class _Solved:
    """A field's regression, ready for any responses.

    Attributes:
        vectors: eigenvectors Q of ``F_g^T F_g``.
        values: eigenvalues D.
        seen: features of validation and test images in that basis, ``F_g Q``.
        penalties: penalties for features of mean variance 1, as they are for these features.
    """

    vectors: Float[Tensor, "K K"]
    values: Float[Tensor, "K"]
    seen: dict[str, Float[Tensor, "_image K"]]
    penalties: Float[Tensor, "penalty"]


def fit_fields(
    features: Features,
    responses: Sides,
    *,
    device: torch.device | None = None,
    advance: Callable[[], None] = lambda: None,
) -> LinearFit:
    """Choose field and penalty of every voxel by the validation images, from training images alone.

    Equal to ridge regression on ``features.of_field(field)`` for each field of ``features.fields()``.

    Args:
        features: of the images.
        responses: to the images of every side.
        device: where to compute; the CPU if None.
        advance: called once a field, and once a field and ``VOXELS`` voxels.
    """
    kept_on = device if device is not None and device.type == "cuda" else torch.device("cpu")
    tokens = _Centred(features, kept_on)
    fields = features.fields()
    solved = []
    for field in fields:
        solved.append(tokens.solve(field))
        advance()
    fits = []
    for start in range(0, responses["train"].shape[1], VOXELS):
        some = {
            side: torch.from_numpy(part[:, start : start + VOXELS]).float().to(kept_on)
            for side, part in responses.items()
        }
        fits.append(_fit_voxels(tokens, fields, solved, some, advance))
    predictions, chosen, score = (torch.cat(parts, dim=-1).cpu().numpy() for parts in zip(*fits, strict=True))
    return LinearFit(predictions, chosen, score)


class _Centred:
    """Tokens of all layers side by side, less their mean over the training images.

    Args:
        features: of the images.
        device: where they are kept.
    """

    def __init__(self, features: Features, device: torch.device) -> None:
        parts = {
            side: (torch.cat([layer.flatten(2) for layer in tokens.local], dim=1).to(device),
                   torch.cat(tokens.global_, dim=1).float().to(device))
            for side, tokens in features.tokens.items()
        }  # fmt: skip
        self._mean = tuple(part.float().mean(dim=0) for part in parts["train"])
        self._parts = parts
        self._grid = features.tokens["train"].local[0].shape[-2:]

    def weights(self, fields: Sequence[Field]) -> Float[Tensor, "field position"]:
        """Weights of all places in each field."""
        rows = [field_weights(field, *self._grid).flatten() for field in fields]
        return torch.stack(rows).to(self._mean[0])

    def solve(self, field: Field) -> _Solved:
        """Features of a field and their regression."""
        weights = self.weights([field])[0]
        seen = {side: self._of(side, weights) for side in self._parts}
        training = seen["train"].double()
        values, vectors = torch.linalg.eigh(training.T @ training)
        variance = training.square().mean()
        spread = float(variance) if float(variance) > 0 else 1.0
        basis = vectors.float()
        return _Solved(
            basis,
            values.clamp(min=0).float(),
            {side: seen[side] @ basis for side in HELD},
            torch.from_numpy(PENALTIES).to(basis) * spread,
        )

    def products(
        self, responses: Float[Tensor, "image V"]
    ) -> tuple[Float[Tensor, "position M V"], Float[Tensor, "G V"]]:
        """``X_p^T y`` of every place and ``Z^T y``."""
        local, whole = self._parts["train"]
        products = [
            (local[:, :, position].float() - self._mean[0][:, position]).T @ responses
            for position in range(local.shape[2])
        ]
        return torch.stack(products), (whole - self._mean[1]).T @ responses

    def _of(self, side: str, weights: Float[Tensor, "position"]) -> Float[Tensor, "image K"]:
        local, whole = self._parts[side]
        weighed = torch.cat([part.float() @ weights for part in local.split(64)])
        return torch.cat([weighed - self._mean[0] @ weights, whole - self._mean[1]], dim=1)


def _fit_voxels(
    tokens: _Centred,
    fields: Sequence[Field],
    solved: Sequence[_Solved],
    responses: dict[str, Float[Tensor, "_image V"]],
    advance: Callable[[], None],
) -> tuple[Float[Tensor, "test V"], Int[Tensor, "V"], Float[Tensor, "V"]]:
    """Predictions of the test images, number of the best field and its score, for some voxels."""
    mean = responses["train"].mean(dim=0)
    observed = responses["validation"] - mean
    score = torch.full_like(mean, -torch.inf)
    chosen = torch.zeros_like(mean, dtype=torch.long)
    predictions = torch.zeros(len(responses["test"]), len(mean), device=mean.device)
    for number, products in enumerate(_field_products(tokens, fields, responses["train"] - mean)):
        field = solved[number]
        rotated = field.vectors.T @ products
        shrunk = 1 / (field.values[None] + field.penalties[:, None])
        errors = torch.stack(
            [(observed - field.seen["validation"] @ (by[:, None] * rotated)).square().mean(dim=0) for by in shrunk]
        )
        best, penalty = errors.min(dim=0)
        better = -best > score
        score[better], chosen[better] = -best[better], number
        weights = shrunk[penalty[better]].T * rotated[:, better]
        predictions[:, better] = field.seen["test"] @ weights + mean[better]
        advance()
    return predictions, chosen, score


def _field_products(
    tokens: _Centred, fields: Sequence[Field], responses: Float[Tensor, "image V"]
) -> Iterator[Float[Tensor, "K V"]]:
    """``F_g^T y`` of every field, from the products of places that all share."""
    local, whole = tokens.products(responses)
    for start in range(0, len(fields), FIELDS_AT_ONCE):
        weights = tokens.weights(fields[start : start + FIELDS_AT_ONCE])
        for weighed in (weights @ local.flatten(1)).view(len(weights), *local.shape[1:]):
            yield torch.cat([weighed, whole])
