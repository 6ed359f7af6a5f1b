"""Closed-form start of the default recipe: what predicts a voxel best, place by place and layer by layer.

Gradient descent from the image centre finds the right place only slowly, if at all. But how well a voxel
is predicted from the tokens of *one* place of *one* layer, with and without the global token, has a closed
form: ridge regression, cross-validated. Training and testing need only the covariances of components and
responses, fold by fold, so that no prediction is ever made. The tables of these scores, averaged over
neighbouring voxels, say roughly where, which layer and which scale each voxel selects; training starts there.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from factortopy.fitting.examples import Examples
from factortopy.fitting.reduction import spread_evenly
from factortopy.fitting.token_cache import join_tokens
from factortopy.machine import in_threads
from factortopy.model import FreeSelectors, Selection
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
NEIGHBOURS = 30
"""Voxels that scores are averaged over, the voxel itself included."""
TIED = 1 + 1e-9
"""Ratio of distances up to which voxels count as equally far."""
LAYER_POWER, SPACE_POWER = 30, 4
"""Powers of the scores, relative to the best one, in the averages over layers and over places."""
SCANNED_IMAGES = 3_000
"""Training images that the closed-form start is found from: it need not be sharper than what follows."""
BATCH = 64
BLOCK = 1_024
"""Voxels scored at a time, which bounds the memory."""
VOXELS = 4_096
"""Voxels that smooth selectors are regressed on at a time."""
SCORED_VOXELS = 8_192
"""Voxels that are scored where scores are averaged: on a finer mesh, neighbours say much the same."""


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
    scores, best = [], []
    with progress_bar("Noise of the responses", len(RIDGES), show=progress) as advance:
        for ridge in RIDGES:
            both = scan(tokens, responses, ridge, progress=False).both
            # A mean over all places favours no penalty by chance, as that over the best places would.
            scores.append(float(both.mean()))
            best.append(float(both.amax(dim=(0, 1)).mean()))
            advance()
    chosen = int(np.argmax(scores))
    middle = min(max(chosen, 1), len(RIDGES) - 2)
    bend, slope, _ = np.polyfit(np.log(RIDGES[middle - 1 : middle + 2]), scores[middle - 1 : middle + 2], 2)
    peak = -slope / (2 * bend) if bend < 0 else np.log(RIDGES[chosen])
    return Noise(float(np.exp(np.clip(peak, *np.log((RIDGES[0], RIDGES[-1]))))), best[chosen])


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
        places = layer[0][:, :COMPONENTS].float().flatten(2).permute(2, 1, 0)
        whole = layer[1][None, :, :COMPONENTS].float().mT
        blocks = [_cross_validate(places, whole, block, ridge) for block in centred.split(BLOCK, dim=1)]
        local_score, both, global_score = (torch.cat(part, -1) for part in zip(*blocks, strict=True))
        advance()
        return local_score, both, global_score[0]

    with progress_bar("Closed-form start", len(tokens.local), show=progress) as advance:
        scores = list(in_threads(of_layer, zip(tokens.local, tokens.global_, strict=True), responses.device))
    return Scores(*(torch.stack(part).cpu() for part in zip(*scores, strict=True)))


def start_selection(
    scores: Scores,
    scored: Float[Tensor, "M 3"],
    coordinates: Float[Tensor, "N 3"],
    grid: tuple[int, int],
    *,
    neighbours: int = NEIGHBOURS,
) -> Selection:
    """Rough selection of every voxel from the scores of its neighbours.

    Layer weights follow the best score of each layer. The place is the centre of mass of what local tokens
    add to the global one. The scale compares what the global token adds to the best local one with what
    that adds to the global: both go with the square of their weights a and 1 - a.

    Args:
        scores: of :func:`scan`, for M voxels.
        scored: coordinates of these, mm.
        coordinates: coordinates of all voxels, mm.
        grid: height and width of the token grid.
        neighbours: scored voxels that are averaged over; 1 for no smoothing, where all voxels are scored.
    """
    local, both, global_ = (_smooth(part, scored, coordinates, neighbours) for part in scores)
    layer = _sharpen(both.amax(dim=1), LAYER_POWER)
    added = (layer[:, None] * (both - global_[:, None])).sum(dim=0)
    place = _sharpen(added, SPACE_POWER)
    rows, columns = (2 * (torch.arange(size) + 0.5) / size - 1 for size in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    space = torch.stack([x.flatten() @ place, y.flatten() @ place], dim=-1)
    by_local = (place * added).sum(dim=0).clamp(min=0).sqrt()
    by_global = (layer[:, None] * (both - local) * place).sum(dim=(0, 1)).clamp(min=0).sqrt()
    return Selection(space, layer.T, (by_global + 1e-3) / (by_local + by_global + 2e-3))


def start_selectors(selectors: nn.Module, target: Selection, steps: int = 200, rate: float = 3e-3) -> None:
    """Set selectors to a selection: exactly where they are free, by least squares where they are smooth.

    Args:
        selectors: free or topological selectors, changed in place.
        target: what they should select.
        steps: steps of the regression.
        rate: its largest learning rate.
    """
    device = next(selectors.parameters()).device
    target = target.map(lambda part: part.to(device))
    if isinstance(selectors, FreeSelectors):
        with torch.no_grad():
            selectors.space.copy_(target.space.atanh())
            selectors.layer.copy_((target.layer + 1e-4).log())
            selectors.scale.copy_(target.scale.logit()[:, None])
        return
    optimiser = torch.optim.Adam(selectors.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(0)
    voxels = len(target.scale)
    for _ in range(steps):
        chosen = torch.randperm(voxels, generator=generator)[:VOXELS].to(device)
        selection, wanted = selectors(chosen), Selection(*(part[chosen] for part in target[:3]))
        loss = functional.mse_loss(selection.space, wanted.space)
        loss = loss + functional.mse_loss(selection.scale, wanted.scale)
        # Cross-entropy of the layers, on the scale of the two squared errors.
        loss = loss - 0.3 * (wanted.layer * (selection.layer + 1e-9).log()).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _cross_validate(
    places: Float[Tensor, "P K n"], whole: Float[Tensor, "1 J n"], responses: Float[Tensor, "n M"], ridge: float
) -> tuple[Float[Tensor, "P M"], Float[Tensor, "P M"], Float[Tensor, "1 M"]]:
    """R^2 from the token of each place, from that and the global token, and from the global token alone."""
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
    total = responses.square().sum(dim=0)

    def score(first: slice, chosen: slice) -> Tensor:
        gram = [part[first, chosen, chosen] for part in grams]
        return explained(gram, [part[first, chosen] for part in products], ridge) / total

    everywhere, others = slice(None), slice(count, None)
    scores = score(everywhere, slice(count)), score(everywhere, everywhere), score(slice(1), others)
    local, both, global_ = (part.nan_to_num(nan=0.0, neginf=0.0, posinf=0.0) for part in scores)
    return local, both, global_


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
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram - gram_here + penalty))
        weights = inverse @ (product - product_here)
        explained += (weights * (2 * product_here - gram_here @ weights)).sum(dim=1)
    return explained


def _smooth(
    scores: Float[Tensor, "*table M"], scored: Float[Tensor, "M 3"], coordinates: Float[Tensor, "N 3"], neighbours: int
) -> Float[Tensor, "*table N"]:
    """Mean over the scored voxels nearest to each voxel; those equally far count alike, whichever comes first."""
    if neighbours == 1:
        return scores
    positions, of_voxel = np.unique(coordinates.numpy(), axis=0, return_inverse=True)
    tree, neighbours = cKDTree(scored.numpy()), min(neighbours, len(scored))
    distance, nearest = tree.query(positions, k=[*range(1, neighbours + 1)])
    radius = TIED * distance[:, -1]
    columns, entries = list(nearest), [np.full(neighbours, 1 / neighbours, np.float32)] * len(positions)
    for row in np.flatnonzero(tree.query_ball_point(positions, radius, return_length=True) > neighbours):
        columns[row] = np.array(tree.query_ball_point(positions[row], radius[row]))
        away = np.linalg.norm(tree.data[columns[row]] - positions[row], axis=1)
        border = TIED * away >= distance[row, -1]
        share = np.where(border, (neighbours - (~border).sum()) / border.sum(), 1) / neighbours
        entries[row] = share.astype(np.float32)
    rows = np.repeat(np.arange(len(positions)), [len(part) for part in columns])
    shape = (len(positions), len(scored))
    mean = csr_array((np.concatenate(entries), (rows, np.concatenate(columns))), shape=shape)
    smooth = mean @ scores.flatten(0, -2).T.numpy()
    return torch.from_numpy(np.ascontiguousarray(smooth.T[:, of_voxel])).view(*scores.shape[:-1], len(coordinates))


def _sharpen(scores: Float[Tensor, "K N"], power: int) -> Float[Tensor, "K N"]:
    """Weights over the first dimension from scores relative to the best; uniform where none is positive."""
    best = scores.amax(dim=0)
    weights = torch.where(best > 0, scores.clamp(min=0) / best.clamp(min=1e-12), 1.0) ** power
    return weights / weights.sum(dim=0)


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


def leading(tokens: Tokens) -> Tokens:
    """The leading components of tokens."""
    return Tokens(
        tuple(layer[:, :COMPONENTS] for layer in tokens.local), tuple(layer[:, :COMPONENTS] for layer in tokens.global_)
    )
