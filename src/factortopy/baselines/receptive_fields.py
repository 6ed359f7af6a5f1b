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

from factortopy.baselines.features import PENALTIES, Features, LinearFit, Sides, field_weights

VOXELS = 1_024
"""Voxels at a time: their products with 64 positions of 384 numbers take 100 MB."""
FIELDS_AT_ONCE = 8


@dataclass(frozen=True)
class _Solved:
    """A field's regression, ready for any responses.

    Eigenvectors Q and eigenvalues D of ``F_g^T F_g``; features of validation and test images in that basis,
    ``F_g Q``; and the penalties for features of mean variance 1, as they are for these features.
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

    Equal to ridge regression on ``features.of_field(field)`` for each field of ``features.fields()``. ``advance``
    is called once a field, and once a field and ``VOXELS`` voxels.
    """
    kept_on = device if device is not None and device.type == "cuda" else torch.device("cpu")
    tokens = _Centred(features, kept_on)
    solved = []
    for weights in tokens.weights:
        solved.append(tokens.solve(weights))
        advance()
    fits = []
    for start in range(0, responses["train"].shape[1], VOXELS):
        some = {
            side: torch.from_numpy(part[:, start : start + VOXELS]).float().to(kept_on)
            for side, part in responses.items()
        }
        fits.append(_fit_voxels(tokens, solved, some, advance))
    predictions, chosen, score = (torch.cat(parts, dim=-1).cpu().numpy() for parts in zip(*fits, strict=True))
    return LinearFit(predictions, chosen, score)


class _Centred:
    """Tokens of all layers side by side, less their mean over the training images, kept on a device.

    Attributes:
        weights: of all positions in each field.
    """

    def __init__(self, features: Features, device: torch.device) -> None:
        self._parts = {
            side: (torch.cat([layer.flatten(2) for layer in tokens.local], dim=1).to(device),
                   torch.cat(tokens.global_, dim=1).float().to(device))
            for side, tokens in features.tokens.items()
        }  # fmt: skip
        self._mean = tuple(part.float().mean(dim=0) for part in self._parts["train"])
        grid = features.tokens["train"].local[0].shape[-2:]
        self.weights = torch.stack([field_weights(field, *grid).flatten() for field in features.fields()]).to(device)

    def solve(self, weights: Float[Tensor, "position"]) -> _Solved:
        """Features of a field and their regression."""
        seen = {}
        for side, (local, whole) in self._parts.items():
            weighed = torch.cat([part.float() @ weights for part in local.split(64)])
            seen[side] = torch.cat([weighed - self._mean[0] @ weights, whole - self._mean[1]], dim=1)
        training = seen.pop("train").double()
        values, vectors = torch.linalg.eigh(training.T @ training)
        spread, basis = float(training.square().mean()) or 1.0, vectors.float()
        return _Solved(
            basis,
            values.clamp(min=0).float(),
            {side: features @ basis for side, features in seen.items()},
            torch.from_numpy(PENALTIES).to(basis) * spread,
        )

    def products(self, responses: Float[Tensor, "image V"]) -> Iterator[Float[Tensor, "K V"]]:
        """``F_g^T y`` of every field, from the products of positions that all share."""
        local, whole = self._parts["train"]
        by_position = torch.stack(
            [
                (local[:, :, position].float() - self._mean[0][:, position]).T @ responses
                for position in range(local.shape[2])
            ]
        )
        by_whole = (whole - self._mean[1]).T @ responses
        for weights in self.weights.split(FIELDS_AT_ONCE):
            for weighed in (weights @ by_position.flatten(1)).view(len(weights), *by_position.shape[1:]):
                yield torch.cat([weighed, by_whole])


def _fit_voxels(
    tokens: _Centred,
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
    every = tokens.products(responses["train"] - mean)
    for number, (field, products) in enumerate(zip(solved, every, strict=True)):
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
