"""Closed-form start of the default recipe: what predicts a voxel best, place by place and layer by layer.

Gradient descent from the image centre finds the right place only slowly, if at all. But how well a voxel
is predicted from the tokens of *one* place of *one* layer, with and without the global token, has a closed
form (`solved/scan.py`). The tables of these scores, averaged over neighbouring voxels, say roughly where, which layer
and which scale each voxel selects; training starts there.
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from factortopy.fitting.solved.scan import BLOCK, COMPONENTS, FOLDS, SCANNED_IMAGES, Scores
from factortopy.machine import threads_at_once
from factortopy.model import FreeSelectors, Selection

NEIGHBOURS = 60
"""Voxels that scores are averaged over, the voxel itself included."""
BELL = 2.5
"""Standard deviations of the Gaussian they are weighed by that the farthest lies away: it flattens maps less."""
TIED = 1 + 1e-9
"""Ratio of distances up to which voxels count as equally far."""
LAYER_POWER = 5
"""Power of the scores, relative to the best one, that layers start with: training sharpens them and hardly flattens."""
READ_POWER, SPACE_POWER = 30, 4
"""The same by which layers, and places, count where a voxel's place and scale are read from the scores."""
VOXELS = 4_096
"""Voxels that smooth selectors are regressed on at a time."""
SCORED_VOXELS = 8_192
"""Voxels that are scored where scores are averaged: on a finer mesh, neighbours say much the same."""
PRODUCTS = 4
"""Arrays at a time of the size of a fold's products where places are scored."""


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
    add to the global one, in the best layers above all. The scale compares what the global token adds to the
    best local one with what that adds to the global: both go with the square of their weights a and 1 - a.

    Args:
        scores: of :func:`scan`, for M voxels.
        scored: coordinates of these, mm.
        coordinates: coordinates of all voxels, mm.
        grid: height and width of the token grid.
        neighbours: scored voxels that are averaged over, near ones most; 1 for no smoothing, where all are scored.
    """
    local, both, global_ = (_smooth(part, scored, coordinates, neighbours) for part in scores)
    by_layer = both.amax(dim=1)
    layer, read = _sharpen(by_layer, LAYER_POWER), _sharpen(by_layer, READ_POWER)
    added = (read[:, None] * (both - global_[:, None])).sum(dim=0)
    place = _sharpen(added, SPACE_POWER)
    rows, columns = (2 * (torch.arange(size) + 0.5) / size - 1 for size in grid)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    space = torch.stack([x.flatten() @ place, y.flatten() @ place], dim=-1)
    by_local = (place * added).sum(dim=0).clamp(min=0).sqrt()
    by_global = (read[:, None] * (both - local) * place).sum(dim=(0, 1)).clamp(min=0).sqrt()
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
    optimiser = torch.optim.Adam(selectors.parameters(), rate, fused=device.type in ("cpu", "cuda"))
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


def _smooth(
    scores: Float[Tensor, "*table M"], scored: Float[Tensor, "M 3"], coordinates: Float[Tensor, "N 3"], neighbours: int
) -> Float[Tensor, "*table N"]:
    """Mean over the scored voxels nearest to each voxel, under a Gaussian; those equally far count alike."""
    if neighbours == 1:
        return scores
    positions, of_voxel = np.unique(coordinates.numpy(), axis=0, return_inverse=True)
    tree, neighbours = cKDTree(scored.numpy()), min(neighbours, len(scored))
    distance, nearest = tree.query(positions, k=[*range(1, neighbours + 1)])
    radius = TIED * distance[:, -1].clip(min=np.finfo(np.float32).tiny)
    columns, away, shares = list(nearest), list(distance), [np.ones(neighbours)] * len(positions)
    for row in np.flatnonzero(tree.query_ball_point(positions, radius, return_length=True) > neighbours):
        columns[row] = np.array(tree.query_ball_point(positions[row], radius[row]))
        away[row] = np.linalg.norm(tree.data[columns[row]] - positions[row], axis=1)
        border = TIED * away[row] >= distance[row, -1]
        shares[row] = np.where(border, (neighbours - (~border).sum()) / border.sum(), 1)
    counts = [len(part) for part in columns]
    rows = np.repeat(np.arange(len(positions)), counts)
    weights = np.concatenate(shares) * np.exp(-((BELL * np.concatenate(away) / radius[rows]) ** 2) / 2)
    weights /= np.bincount(rows, weights)[rows]
    shape = (len(positions), len(scored))
    mean = csr_array((weights.astype(np.float32), (rows, np.concatenate(columns))), shape=shape)
    smooth = mean @ scores.flatten(0, -2).T.numpy()
    return torch.from_numpy(np.ascontiguousarray(smooth.T[:, of_voxel])).view(*scores.shape[:-1], len(coordinates))


def _sharpen(scores: Float[Tensor, "K N"], power: int) -> Float[Tensor, "K N"]:
    """Weights over the first dimension from scores relative to the best; uniform where none is positive."""
    best = scores.amax(dim=0)
    weights = torch.where(best > 0, scores.clamp(min=0) / best.clamp(min=1e-12), 1.0) ** power
    return weights / weights.sum(dim=0)


def start_memory(images: int, voxels: int, layers: int, positions: int) -> float:
    """Bytes that the closed-form start takes.

    Args:
        images: number of training images.
        voxels: number of voxels.
        layers: number of layers.
        positions: tokens of a layer, the global one among them.
    """
    scanned = min(images, SCANNED_IMAGES)
    # Components as read and in float32, and responses; scores before and after smoothing.
    read = 6.0 * scanned * layers * COMPONENTS * positions + 8.0 * scanned * min(voxels, SCORED_VOXELS)
    products = 4.0 * positions * 2 * COMPONENTS * min(voxels, BLOCK) * (FOLDS + PRODUCTS)
    return read + 3 * 4.0 * layers * positions * voxels + min(layers, threads_at_once()) * products
