"""Closed-form start of the default recipe: what predicts a voxel best when it is read alone.

Gradient descent from the image centre finds the right place only slowly, if at all. But how well a voxel
is predicted by the tokens of *one* place and *one* layer has a closed form (ridge regression, scored by
leaving one image out), and the same few matrices serve all voxels. The table of these scores, smoothed
over neighbouring voxels, says roughly where, which layer and which scale each voxel selects; training
starts there.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from factortopy.model import FreeSelectors, Selection
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

COMPONENTS = 64
"""Leading principal components of a token that a voxel is predicted from."""
IMAGES = 3_000
"""Images at most: the start need not be sharper than the training that follows."""
RIDGE = 0.5
"""Penalty of the regression, in units of the components' mean variance."""
NEIGHBOURS = 10
"""Voxels that scores are averaged over, the voxel itself included."""
SHARPNESS = 30
"""Power of the scores, relative to the best one, in the averages over places and layers."""
VOXELS = 4_096
"""Voxels scored at a time, which bounds the memory."""


def scan(
    tokens: Tokens, responses: Float[Tensor, "image N"], *, progress: bool = True
) -> Float[Tensor, "L P1 N"]:
    """R^2, leaving one image out, of each voxel's prediction from one token alone.

    Args:
        tokens: principal components of the training images' tokens.
        responses: responses to the same images.
        progress: whether to show a progress bar.

    Returns:
        Scores for every layer and every position (rows of the grid one after another, then the global
        token); negative where a token predicts worse than the mean.
    """
    responses = responses[:IMAGES]
    columns = []
    with progress_bar("Closed-form start", len(tokens.local), show=progress) as advance:
        for local, global_ in zip(tokens.local, tokens.global_, strict=True):
            places = local[:IMAGES, :COMPONENTS].flatten(2).unbind(dim=-1)
            every = [*places, global_[:IMAGES, :COMPONENTS]]
            columns.append(torch.stack([_leave_one_out(token, responses) for token in every]))
            advance()
    return torch.stack(columns)


def start_selection(
    scores: Float[Tensor, "L P1 N"],
    coordinates: Float[Tensor, "N 3"],
    grid: tuple[int, int],
    *,
    neighbours: int = NEIGHBOURS,
) -> Selection:
    """Rough selection of every voxel from its scores.

    The place is the centre of mass of the local scores, layer weights follow each layer's best score, both
    raised to a high power; the scale is the best global score's part of the best scores.

    Args:
        scores: of :func:`scan`.
        coordinates: coordinates of the voxels, mm.
        grid: height and width of the token grid.
        neighbours: voxels that scores are averaged over; 1 for no smoothing.
    """
    smooth = _smooth(scores, coordinates, neighbours).clamp(min=0)
    local, global_ = smooth[:, :-1], smooth[:, -1]
    weights = _sharpen(local.mean(dim=0))
    height, width = grid
    rows = (2 * torch.arange(height) + 1) / height - 1
    columns = (2 * torch.arange(width) + 1) / width - 1
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    space = torch.stack([x.flatten() @ weights, y.flatten() @ weights], dim=-1)
    best_local = local.amax(dim=1)
    layer = _sharpen(torch.maximum(best_local, global_)).T
    top_local, top_global = best_local.amax(dim=0), global_.amax(dim=0)
    scale = (top_global + 1e-6) / (top_local + top_global + 2e-6)
    return Selection(space, layer, scale)


def start_selectors(selectors: nn.Module, target: Selection, steps: int = 300, rate: float = 3e-3) -> None:
    """Set selectors to a selection: exactly where they are free, by least squares where they are smooth.

    Args:
        selectors: free or topological selectors, changed in place.
        target: what they should select.
        steps: steps of the regression.
        rate: its largest learning rate.
    """
    if isinstance(selectors, FreeSelectors):
        with torch.no_grad():
            selectors.space.copy_(target.space.atanh())
            selectors.layer.copy_((target.layer + 1e-4).log())
            selectors.scale.copy_(target.scale.logit()[:, None])
        return
    optimiser = torch.optim.Adam(selectors.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        selection = selectors()
        loss = functional.mse_loss(selection.space, target.space)
        loss = loss + functional.mse_loss(selection.scale, target.scale)
        # Cross-entropy of the layers, on the scale of the two squared errors.
        loss = loss - 0.3 * (target.layer * (selection.layer + 1e-9).log()).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _leave_one_out(token: Float[Tensor, "n K"], responses: Float[Tensor, "n N"]) -> Float[Tensor, "N"]:
    """R^2 of ridge regression with every image predicted from the others (the hat-matrix formula)."""
    token = token.float() - token.float().mean(dim=0)
    gram = token.T @ token
    penalty = RIDGE * max(float(gram.diagonal().mean()), math.ulp(1.0))
    factor = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram)))
    half = torch.linalg.solve_triangular(factor, token.T, upper=False)
    leverage = half.square().sum(dim=0)[:, None] + 1 / len(token)
    scores = []
    for block in responses.split(VOXELS, dim=1):
        centred = block - block.mean(dim=0)
        residual = (centred - half.T @ (half @ centred)) / (1 - leverage)
        scores.append(1 - residual.square().sum(dim=0) / centred.square().sum(dim=0))
    return torch.cat(scores).nan_to_num(nan=0.0, neginf=0.0)


def _smooth(
    scores: Float[Tensor, "L P1 N"], coordinates: Float[Tensor, "N 3"], neighbours: int
) -> Float[Tensor, "L P1 N"]:
    """Mean over each voxel's nearest voxels."""
    voxels = len(coordinates)
    neighbours = min(neighbours, voxels)
    _, nearest = cKDTree(coordinates.numpy()).query(coordinates.numpy(), k=[*range(1, neighbours + 1)])
    rows = np.repeat(np.arange(voxels), neighbours)
    mean = csr_array((np.full(rows.size, 1 / neighbours, np.float32), (rows, nearest.ravel())))
    smooth = mean @ scores.flatten(0, 1).T.numpy()
    return torch.from_numpy(np.ascontiguousarray(smooth.T)).view_as(scores)


def _sharpen(scores: Float[Tensor, "K N"]) -> Float[Tensor, "K N"]:
    """Weights over the first dimension from scores relative to the best one; uniform where none is positive."""
    best = scores.amax(dim=0)
    weights = torch.where(best > 0, scores / best.clamp(min=1e-12), 1.0) ** SHARPNESS
    return weights / weights.sum(dim=0)
