"""How well each voxel is predicted from the tokens of one place of one layer, and how noisy it is for that.

Ridge regression, cross-validated, has a closed form. Training and testing need only the covariances of components and
responses, fold by fold, so that no prediction is ever made, and that are the same for all penalties.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting.examples import Examples
from factortopy.fitting.reduction import spread_evenly
from factortopy.fitting.token_cache import join_tokens
from factortopy.machine import in_threads
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

COMPONENTS = 32
"""Leading principal components of a token that a voxel is predicted from."""
RIDGES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Penalties of the regression to choose from, in units of the components' mean variance."""
JUDGES = 256
"""Voxels that suffice to choose the penalty on."""
FOLDS = 5
"""Parts of the images, each predicted from the others."""
SCANNED_IMAGES = 3_000
"""Training images that the closed-form start is found from: it need not be sharper than what follows."""
BATCH = 64
BLOCK = 1_024
"""Voxels scored at a time, which bounds the memory."""


class Scores(NamedTuple):
    """Cross-validated R^2 of a voxel's prediction from few tokens of one layer.

    Attributes:
        local: from the local token of one place (rows of the grid one after another).
        both: from that token and the global one.
        global_: from the global token alone.
    """

    local: Float[Tensor, "L P N"]
    both: Float[Tensor, "L P N"]
    global_: Float[Tensor, "L N"]


class Noise(NamedTuple):
    """How noisy responses are.

    Attributes:
        ridge: penalty that predicts best on the whole: the noisier the responses and the fewer, the larger.
        score: mean over responses of R^2 from the best place and layer, with about that penalty.
    """

    ridge: float
    score: float


def measure_noise(tokens: Tokens, responses: Float[Tensor, "image N"], *, progress: bool = True) -> Noise:
    """By the peak of a parabola through the scores of the best penalty and the two beside it; see :func:`scan`."""
    centred = responses - responses.mean(dim=0)

    def of_layer(layer: tuple[Tensor, Tensor]) -> Tensor:
        regressors = _regressors(layer)
        found = torch.cat([_with_each_penalty(*regressors, block) for block in centred.split(BLOCK, dim=1)], dim=-1)
        advance()
        return found

    with progress_bar("Response noise", len(tokens.local), show=progress) as advance:
        layers = list(in_threads(of_layer, zip(tokens.local, tokens.global_, strict=True), responses.device))
    mean, best = torch.stack(layers).cpu().unbind(dim=1)
    # A mean over all places favours no penalty by chance, as that over the best places would.
    scores = mean.mean(dim=(0, 2)).tolist()
    chosen = int(np.argmax(scores))
    middle = min(max(chosen, 1), len(RIDGES) - 2)
    bend, slope, _ = np.polyfit(np.log(RIDGES[middle - 1 : middle + 2]), scores[middle - 1 : middle + 2], 2)
    peak = -slope / (2 * bend) if bend < 0 else np.log(RIDGES[chosen])
    ridge = float(np.exp(np.clip(peak, *np.log((RIDGES[0], RIDGES[-1])))))
    return Noise(ridge, float(best.amax(dim=0).mean(dim=1)[chosen]))


def ridge_at_edge(ridge: float | None) -> str | None:
    """One line on a penalty of ``measure_noise`` that is the smallest or largest tried; None where it is neither."""
    for edge, name, meaning in (
        (RIDGES[0], "smallest", "a smaller one may predict better"),
        (RIDGES[-1], "largest", "responses may be noisier than it allows for"),
    ):
        if ridge is not None and np.isclose(ridge, edge):
            return f"penalty of the closed-form start at the edge of its grid, {edge:g}, the {name} tried: {meaning}"
    return None


def scan(tokens: Tokens, responses: Float[Tensor, "image N"], ridge: float, *, progress: bool = True) -> Scores:
    """Score every layer and place for every voxel.

    Args:
        tokens: principal components of training images' tokens.
        responses: responses to the same images, on the same device.
        ridge: penalty of the regressions, in units of the components' mean variance.
        progress: whether to show a progress bar.

    Returns:
        Scores; negative where tokens predict worse than the mean.
    """
    centred = responses - responses.mean(dim=0)

    def of_layer(layer: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        regressors = _regressors(layer)
        blocks = [_cross_validate(*regressors, block, ridge) for block in centred.split(BLOCK, dim=1)]
        local_score, both, global_score = (torch.cat(part, -1) for part in zip(*blocks, strict=True))
        advance()
        return local_score, both, global_score[0]

    with progress_bar("Closed-form start", len(tokens.local), show=progress) as advance:
        scores = list(in_threads(of_layer, zip(tokens.local, tokens.global_, strict=True), responses.device))
    return Scores(*(torch.stack(part).cpu() for part in zip(*scores, strict=True)))


def _regressors(layer: tuple[Tensor, Tensor]) -> tuple[Float[Tensor, "P K n"], Float[Tensor, "1 J n"]]:
    """Leading components of a layer's local tokens at each place, and of its global token."""
    places = layer[0][:, :COMPONENTS].float().flatten(2).permute(2, 1, 0)
    return places, layer[1][None, :, :COMPONENTS].float().mT


def _cross_validate(
    places: Float[Tensor, "P K n"], whole: Float[Tensor, "1 J n"], responses: Float[Tensor, "n M"], ridge: float
) -> tuple[Float[Tensor, "P M"], Float[Tensor, "P M"], Float[Tensor, "1 M"]]:
    """R^2 from the token of each place, from that and the global token, and from the global token alone."""
    count, total = places.shape[1], responses.square().sum(dim=0)
    grams, products = _covariances(places, whole, responses)

    def score(first: slice, chosen: slice) -> Tensor:
        gram = [part[first, chosen, chosen] for part in grams]
        return _finite(explained(gram, [part[first, chosen] for part in products], ridge) / total)

    everywhere, others = slice(None), slice(count, None)
    return score(everywhere, slice(count)), score(everywhere, everywhere), score(slice(1), others)


def _with_each_penalty(
    places: Float[Tensor, "P K n"], whole: Float[Tensor, "1 J n"], responses: Float[Tensor, "n M"]
) -> Float[Tensor, "2 R M"]:
    """R^2 from the tokens of a place and the global token by each of ``RIDGES``: mean and largest over places."""
    grams, products = _covariances(places, whole, responses)
    total, found = responses.square().sum(dim=0), []
    for ridge in RIDGES:
        score = _finite(explained(grams, products, ridge) / total)
        found.append(torch.stack([score.mean(dim=0), score.amax(dim=0)]))
    return torch.stack(found, dim=1)


def _finite(score: Float[Tensor, "P M"]) -> Float[Tensor, "P M"]:
    return score.nan_to_num(nan=0.0, neginf=0.0, posinf=0.0)


def _covariances(
    places: Float[Tensor, "P K n"], whole: Float[Tensor, "1 J n"], responses: Float[Tensor, "n M"]
) -> tuple[list[Float[Tensor, "P Q Q"]], list[Float[Tensor, "P Q M"]]]:
    """Products of the regressors, those of each place and then the global ones, with themselves and with responses.

    In each fold of images.
    """
    count = places.shape[1]
    design = torch.cat([places, whole.expand(len(places), -1, -1)], dim=1)
    design = design - design.mean(dim=2, keepdim=True)
    grams, products = [], []
    for fold in range(FOLDS):
        part, observed = design[:, :, fold::FOLDS].contiguous(), responses[fold::FOLDS]
        grams.append(part @ part.mT)
        # The global token is the same in every place.
        by_place = part[:, :count].flatten(0, 1) @ observed
        by_whole = (part[0, count:] @ observed).expand(len(places), -1, -1)
        products.append(torch.cat([by_place.unflatten(0, (-1, count)), by_whole], dim=1))
    return grams, products


def explained(
    grams: list[Float[Tensor, "P K K"]], products: list[Float[Tensor, "P K M"]], ridge: float
) -> Float[Tensor, "P M"]:
    """Squared responses that ridge regressions explain, each fold predicted from the others.

    With G and C the covariances of the regressors with themselves and with the responses y, the others'
    folds give w = (G + penalty)^-1 C, and fold f leaves the squared error ``y'y - 2 w'C_f + w'G_f w``.
    """
    gram, product = sum(grams[1:], grams[0]), sum(products[1:], products[0])
    mean = gram.diagonal(dim1=1, dim2=2).mean(dim=1)
    # Where tokens never vary, as in blank corners of images, a penalty of their own would be none.
    mean = mean.maximum(1e-6 * mean.max()).clamp(min=torch.finfo(gram.dtype).tiny)
    penalty = ridge * mean[:, None, None] * torch.eye(gram.shape[1], device=gram.device)
    explained = torch.zeros_like(product[:, 0])
    for gram_here, product_here in zip(grams, products, strict=True):
        # The penalty keeps the inverse well conditioned; a product with it is many times faster than solving.
        inverse = _inverse(gram - gram_here + penalty)
        weights = inverse @ (product - product_here)
        explained += (weights * (2 * product_here - gram_here @ weights)).sum(dim=1)
    return explained


def scanned_tokens(
    training: Examples, voxels: Int[Tensor, "M"], device: torch.device
) -> tuple[Tokens, Float[Tensor, "image M"]]:
    """What the closed-form start looks at: leading components and some voxels of some images."""
    chosen = spread_evenly(len(training), SCANNED_IMAGES)
    # Only leading components are looked at, so that the memory stays bounded.
    batches = (leading(training.read(rows)) for rows in chosen.split(BATCH))
    tokens = join_tokens(batches, len(chosen), device)
    responses = torch.empty(len(chosen), len(voxels), device=device)
    for rows, part in zip(chosen.split(BATCH), responses.split(BATCH), strict=True):
        observed = training.responses[rows]
        part.copy_(observed[:, voxels.to(observed.device)])
    return tokens, responses


def leading(tokens: Tokens, count: int = COMPONENTS) -> Tokens:
    """At most so many leading components of tokens."""
    return Tokens(*(tuple(layer[:, :count] for layer in kind) for kind in (tokens.local, tokens.global_)))


def _inverse(matrices: Float[Tensor, "... n n"]) -> Float[Tensor, "... n n"]:
    """Of positive definite matrices."""
    roots = torch.linalg.cholesky(matrices)
    # Before PyTorch 2.11, Apple's GPUs have no inverse from a root.
    place = torch.device("cpu") if roots.device.type == "mps" else roots.device
    return torch.cholesky_inverse(roots.to(place)).to(roots.device)
