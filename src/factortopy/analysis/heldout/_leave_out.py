"""What each layer adds on held-out images: leave-one-layer-out R^2, and how sure the layer shares are.

Both come from sums over images that are kept for every voxel and layer, N x L, while images pass once.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Real
from torch import Tensor

from factortopy.model import AlignedTokens, FactorTopy, Selection


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
    residual = responses - predictions
    mean, mean_residual = predictions.mean(dim=0), residual.mean(dim=0)
    weight = torch.ones(len(predictions)) if repeats is None else repeats
    sums = _Sums()
    start = 0
    with torch.no_grad():
        selection = model.select()
        for batch in aligned:
            rows = slice(start, start + batch.global_.shape[1])
            sums.add(
                _parts(model, batch, selection),
                (predictions[rows] - mean).double(),
                (residual[rows] - mean_residual).double(),
                weight[rows, None].to(mean.device).double(),
            )
            start = rows.stop
        total = (responses - responses.mean(dim=0)).square().sum(dim=0).double()
        return LeaveOut(_drop(sums, len(predictions), total), _share_error(sums, len(predictions)))


def _parts(model: FactorTopy, aligned: AlignedTokens, selection: Selection) -> Iterable[Float[Tensor, "B N"]]:
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
        self._held: dict[str, list[Tensor]] = {}
        self._origin: list[Tensor] = []

    def add(self, parts: Iterable[Tensor], y: Tensor, r: Tensor, w: Tensor) -> None:
        """Take in a batch."""
        self._add(0, {"yy": y * y, "wyy": w * y**2, "wyyy": w * y**3, "wyyyy": w * y**4})
        for layer, part in enumerate(parts):
            if len(self._origin) == layer:
                # Deviations from about the mean, as the mean is known only at the end.
                self._origin.append(part.mean(dim=0))
            p = part - self._origin[layer]
            products = {"p": p, "pp": p * p, "pr": p * r, "py": p * y}
            products |= {"wppyy": w * (p * y) ** 2, "wpyy": w * p * y**2, "wpyyy": w * p * y**3}
            self._add(layer, products)

    def _add(self, layer: int, products: dict[str, Tensor]) -> None:
        for name, values in products.items():
            held = self._held.setdefault(name, [])
            if len(held) == layer:
                held.append(values.sum(dim=0))
            else:
                held[layer] += values.sum(dim=0)

    def __getitem__(self, name: str) -> Float[Tensor, "N L"]:
        return torch.stack(self._held[name], dim=1)


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
