"""All that a model says on held-out images; above all its shares: what predictions are made of, in any gauge.

The selectors are not identifiable: aligned features of a layer can grow while its weight shrinks, and nothing
predicted changes. The *share* of a layer in the variance of a voxel's prediction does not depend on that choice::

    layer_share_il = cov_n(p_il, yhat_i) / var_n(yhat_i),     sum_l layer_share_il = 1

with p_il the part of the prediction that comes from layer l, over held-out images n; the scale share is the part
of the global tokens alike. Shares of correlated parts can be negative.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

from factortopy.analysis.estimates.bootstrap import PredictedParts, error_limits, has_limits, uncertainty
from factortopy.analysis.heldout.gauge import canonical_selectors
from factortopy.analysis.heldout.scores import correlation, r_squared
from factortopy.analysis.quantities import deviations
from factortopy.analysis.slope import layer_position
from factortopy.model import AlignedTokens, FactorTopy, Selection
from factortopy.networks import Tokens


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

    Example:
        >>> model = ft.load_model(mapping, subject)
        >>> ft.shares(model, [model.align(tokens.read(range(20)))]).layer.shape == mapping.dataset["layer"].shape
        True
    """
    with torch.no_grad():
        frozen = model.select()
        predictions = torch.cat([model.read(batch, frozen) + model.bias for batch in aligned])
    centred = deviations(predictions)
    layer, scale = frozen.layer.detach().requires_grad_(), frozen.scale.detach().requires_grad_()
    selection = frozen.map(Tensor.detach)._replace(layer=layer, scale=scale)
    start = 0
    for batch in aligned:
        predicted = model.read(batch, selection)
        (predicted * centred[start : start + len(predicted)]).sum().backward(inputs=[layer, scale])
        start += len(predicted)
    total = centred.square().sum(dim=0)
    layer_gradient, scale_gradient = (
        torch.zeros_like(part) if part.grad is None else part.grad for part in (layer, scale)
    )
    with torch.no_grad():
        return Shares(
            predictions, layer * layer_gradient / total[:, None], scale + scale * (1 - scale) * scale_gradient / total
        )


def depth_and_global_parts(
    model: FactorTopy, aligned: Iterable[AlignedTokens]
) -> tuple[Float[Tensor, "image N"], Float[Tensor, "image N"]]:
    """Parts of a model's predictions, without bias, whose shares are the depth and the scale share.

    The layers' parts weighted by layer position, ``sum_l (l - 1) / (L - 1) p_l``; and the global tokens' part.
    """
    depth, global_ = [], []
    with torch.no_grad():
        selection = model.select()
        position = torch.linspace(0, 1, selection.layer.shape[1]).to(selection.layer)
        deep = selection._replace(layer=selection.layer * position)
        for batch in aligned:
            depth.append(model.read(batch, deep))
            global_.append(model.read(batch._replace(local=torch.zeros_like(batch.local)), selection))
    return torch.cat(depth), torch.cat(global_)


class LeaveOut(NamedTuple):
    """Layers one by one, on held-out images.

    Attributes:
        drop: R^2 minus the R^2 without the layer; negative where the layer does harm. NaN where the
            responses are constant.
        share_error: standard error of the layer share over images; NaN where the prediction is constant.
    """

    drop: Float[Tensor, "N L"]
    share_error: Float[Tensor, "N L"]


def leave_out(
    model: FactorTopy,
    aligned: Iterable[AlignedTokens],
    responses: Float[Tensor, "image N"],
    predictions: Float[Tensor, "image N"],
    repeats: Real[Tensor, "image"] | None = None,
) -> LeaveOut:
    """Leave-one-layer-out R^2 and standard errors of layer shares, exact, in one pass.

    With p the layer's part of the prediction, centred, r = y - yhat and SS the sum of squares of y::

        drop = sum_n (2 r_n p_n + p_n^2) / SS

    The layer is taken out of the trained model; the others are not fitted again. Its mean goes to the bias.
    The standard error of a share s is the infinitesimal jackknife's (Efron 1982), the limit of the
    bootstrap over images: ``sqrt sum_n (p_n yhat_n - s yhat_n^2)^2 / sum_n yhat_n^2``, yhat centred.

    Args:
        model: a trained model.
        aligned: the model's aligned tokens of the held-out images, batch by batch.
        responses: measured responses to them.
        predictions: what the model predicts of them.
        repeats: how many rows show the image of each row, for single trials; 1 if None.
    """
    centred, residual = deviations(predictions), deviations(responses - predictions)
    weight = torch.ones(len(predictions)) if repeats is None else repeats
    sums = _Sums()
    start = 0
    with torch.no_grad():
        selection = model.select()
        for batch in aligned:
            rows = slice(start, start + batch.global_.shape[1])
            sums.add(
                _layer_parts(model, batch, selection),
                centred[rows].double(),
                residual[rows].double(),
                weight[rows, None].to(predictions.device).double(),
            )
            start = rows.stop
        total = deviations(responses).square().sum(dim=0).double()
        return LeaveOut(_drop(sums, len(predictions), total), _share_error(sums, len(predictions)))


def _layer_parts(model: FactorTopy, aligned: AlignedTokens, selection: Selection) -> Iterable[Float[Tensor, "B N"]]:
    """The part of the prediction that comes from each layer, one after the other."""
    for layer in range(len(aligned.local)):
        only = slice(layer, layer + 1)
        chosen = selection._replace(layer=selection.layer[:, only])
        yield model.read(AlignedTokens(*(part[only] for part in aligned)), chosen).double()


class _Sums:
    """Sums over images of products of a layer's part p, the centred prediction y, and the residual r.

    ``w`` counts the rows of an image: it weighs what is summed in squares over images.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._origin: list[Tensor] = []

    def add(self, parts: Iterable[Tensor], y: Tensor, r: Tensor, w: Tensor) -> None:
        """Take in a batch."""
        whole = {"yy": y * y, "wyy": w * y**2, "wyyy": w * y**3, "wyyyy": w * y**4}
        batch = {name: [values.sum(dim=0)] for name, values in whole.items()}
        for layer, part in enumerate(parts):
            if len(self._origin) == layer:
                # Deviations from about the mean, as the mean is known only at the end.
                self._origin.append(part.mean(dim=0))
            p = part - self._origin[layer]
            products = {"p": p, "pp": p * p, "pr": p * r, "py": p * y}
            products |= {"wppyy": w * (p * y) ** 2, "wpyy": w * p * y**2, "wpyyy": w * p * y**3}
            for name, values in products.items():
                batch.setdefault(name, []).append(values.sum(dim=0))
        for name, sums in batch.items():
            self._sums[name] = self._sums.get(name, 0) + torch.stack(sums, dim=1)

    def __getitem__(self, name: str) -> Float[Tensor, "N L"]:
        return self._sums[name]


def _drop(sums: _Sums, images: int, total: Float[Tensor, "N"]) -> Float[Tensor, "N L"]:
    mean = sums["p"] / images
    drop = (2 * sums["pr"] + sums["pp"] - images * mean**2) / total[:, None]
    return torch.where(total[:, None] > 0, drop, torch.nan)


def _share_error(sums: _Sums, images: int) -> Float[Tensor, "N L"]:
    """Square root of the sum of squared influences, ``(p - mean) y - s y^2``, multiplied out."""
    mean, share = sums["p"] / images, sums["py"] / sums["yy"]
    squares = sums["wppyy"] - 2 * mean * sums["wpyy"] + mean**2 * sums["wyy"]
    squares = squares - 2 * share * (sums["wpyyy"] - mean * sums["wyyy"]) + share**2 * sums["wyyyy"]
    return squares.clamp(min=0).sqrt() / sums["yy"]


def held_out_variables(
    model: FactorTopy,
    aligned: Iterable[AlignedTokens],
    responses: Float[Tensor, "image voxel"],
    images: Sequence[str],
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    bootstrap: int = 1_000,
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "image voxel"]]:
    """Selectors in the canonical gauge, shares, scores and their limits.

    Args:
        model: a trained model.
        aligned: its aligned tokens of the held-out images, batch by batch; iterated over several times.
        responses: measured responses to them, on the model's device.
        images: the image of every row.
        rois: membership of ROIs by name.
        bootstrap: draws of test images for intervals; 0 for none, and none of too few images.

    Returns:
        The variables by name, as :class:`factortopy.mapping.Mapping` describes them, and the predictions.
    """
    share = shares(model, aligned)
    selection, channels = canonical_selectors(model, aligned)
    _, image, counts = np.unique(np.asarray(images), return_inverse=True, return_counts=True)
    left_out = leave_out(model, aligned, responses, share.predictions, torch.from_numpy(counts[image]))
    predictions, measured, layer_share = (_numpy(values) for values in (share.predictions, responses, share.layer))
    variables = {
        **{name: _numpy(part) for name, part in selection._asdict().items() if part is not None},
        "channels": _numpy(channels),
        "layer_share": layer_share,
        "depth": layer_position(layer_share),
        "scale_share": _numpy(share.scale),
        "r2_drop": _numpy(left_out.drop),
        "r2": r_squared(measured, predictions),
        "r": correlation(measured, predictions),
    }
    if bootstrap and has_limits(images):
        low, high = error_limits(layer_share, _numpy(left_out.share_error))
        variables |= {"layer_share_low": low, "layer_share_high": high}
        depth, global_ = (_numpy(part) for part in depth_and_global_parts(model, aligned))
        variables |= uncertainty(PredictedParts(measured, predictions, depth, global_, images, rois), bootstrap)
    return variables, predictions


def raw_selectors(model: FactorTopy) -> dict[str, np.ndarray]:
    """Layer, scale and channels as they were trained: ``layer_raw``, ``scale_raw``, ``channels_raw``."""
    selection = model.select()
    return {
        "layer_raw": _numpy(selection.layer),
        "scale_raw": _numpy(selection.scale),
        "channels_raw": _numpy(model.channels),
    }


def _numpy(values: Tensor) -> np.ndarray:
    return values.detach().cpu().float().numpy()


class AlignedBatches:
    """A model's aligned tokens of images, batch by batch, as often as they are iterated over.

    The first pass reads and aligns the tokens and keeps them where they are aligned; the next ones read none.

    Args:
        model: a trained model.
        batches: gives the tokens, batch by batch, on the model's device.
        memory: bytes that may be kept; if they do not suffice, every pass reads and aligns again.
    """

    def __init__(self, model: FactorTopy, batches: Callable[[], Iterable[Tokens]], memory: float = math.inf) -> None:
        self._model, self._batches, self._memory = model, batches, memory
        self._kept: list[AlignedTokens] | None = None

    def __iter__(self) -> Iterator[AlignedTokens]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[AlignedTokens] = []
        size = 0
        for tokens in self._batches():
            with torch.no_grad():
                aligned = self._model.align(tokens)
            size += sum(part.nbytes for part in aligned)
            if size <= self._memory:
                kept.append(aligned)
            else:
                kept.clear()
            yield aligned
        if size <= self._memory:
            self._kept = kept
