"""Layer share and scale share: what a prediction is made of, whatever the gauge of the selectors.

The selectors are not identifiable: aligned features of a layer can grow while its weight shrinks, and
nothing predicted changes (`science.md` 4.1). The *share* of a layer in the variance of a voxel's
prediction does not depend on that choice::

    layer_share_il = cov_n(p_il, yhat_i) / var_n(yhat_i),     sum_l layer_share_il = 1

with p_il the part of the prediction that comes from layer l, over held-out images n. In the same way
the scale share is the part of the global tokens. Shares of correlated parts can be negative.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.model import AlignedTokens, FactorTopy


class Shares(NamedTuple):
    """Predictions on held-out images and what they are made of.

    Attributes:
        predictions: predicted responses.
        layer: share of every layer in the predictions' variance; sums to 1, may be negative. NaN where
            the prediction is constant.
        scale: share of the global tokens; 1 minus it is the share of the local ones.
    """

    predictions: Float[Tensor, "image N"]
    layer: Float[Tensor, "N L"]
    scale: Float[Tensor, "N"]


def shares(model: FactorTopy, aligned: Iterable[AlignedTokens]) -> Shares:
    """Layer and scale shares of a trained model, exact, in two passes over held-out images.

    A prediction is linear in the layer weights, so ``w_il`` times the gradient of
    ``sum_n (yhat_in - mean) yhat_in`` with respect to ``w_il`` is the covariance sought: no tensor of
    images x voxels x layers is made. The scale share follows alike from the gradient for a_i.

    Args:
        model: a trained model.
        aligned: the model's aligned tokens of the held-out images, batch by batch; iterated over twice.

    Returns:
        The shares, and the predictions in the order of the images.
    """
    with torch.no_grad():
        frozen = model.select()
        predictions = torch.cat([model.read(batch, frozen) + model.bias for batch in aligned])
    centred = predictions - predictions.mean(dim=0)
    layer, scale = frozen.layer.detach().requires_grad_(), frozen.scale.detach().requires_grad_()
    selection = frozen.map(Tensor.detach)._replace(layer=layer, scale=scale)
    start = 0
    for batch in aligned:
        predicted = model.read(batch, selection)
        (predicted * centred[start : start + len(predicted)]).sum().backward(inputs=[layer, scale])
        start += len(predicted)
    total = centred.square().sum(dim=0)
    layer_gradient, scale_gradient = _gradient(layer), _gradient(scale)
    with torch.no_grad():
        return Shares(
            predictions,
            layer * layer_gradient / total[:, None],
            scale + scale * (1 - scale) * scale_gradient / total,
        )


def _gradient(values: Tensor) -> Tensor:
    return torch.zeros_like(values) if values.grad is None else values.grad


class Parts(NamedTuple):
    """Parts of predictions whose shares are the depth and the scale share.

    Attributes:
        depth: the layers' parts weighted by layer position, ``sum_l (l - 1) / (L - 1) p_l``.
        global_: the part of the global tokens.
    """

    depth: Float[Tensor, "image N"]
    global_: Float[Tensor, "image N"]


def parts(model: FactorTopy, aligned: Iterable[AlignedTokens]) -> Parts:
    """Parts of a trained model's predictions of some images, without bias.

    Args:
        model: a trained model.
        aligned: the model's aligned tokens of the images, batch by batch.
    """
    depth, global_ = [], []
    with torch.no_grad():
        selection = model.select()
        position = torch.linspace(0, 1, selection.layer.shape[1]).to(selection.layer)
        deep = selection._replace(layer=selection.layer * position)
        for batch in aligned:
            depth.append(model.read(batch, deep))
            global_.append(model.read(batch._replace(local=torch.zeros_like(batch.local)), selection))
    return Parts(torch.cat(depth), torch.cat(global_))
