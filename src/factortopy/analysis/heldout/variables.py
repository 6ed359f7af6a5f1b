"""All that a trained model says on held-out images, voxel by voxel: the variables of a mapping."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from factortopy.analysis.estimates.bootstrap import PredictedParts, error_limits, uncertainty
from factortopy.analysis.heldout.gauge import canonical_selectors
from factortopy.analysis.heldout.layer_parts import depth_and_global_parts, leave_out, shares
from factortopy.analysis.heldout.scores import correlation, r_squared
from factortopy.analysis.hierarchy.slope import layer_position
from factortopy.model import AlignedTokens, FactorTopy
from factortopy.networks import Tokens


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
        bootstrap: draws of test images for intervals; 0 for none.

    Returns:
        The variables by name, as :class:`factortopy.mapping.Mapping` describes them, and the predictions.
    """
    share = shares(model, aligned)
    selection, channels = canonical_selectors(model, aligned)
    _, image, counts = np.unique(np.asarray(images), return_inverse=True, return_counts=True)
    left_out = leave_out(model, aligned, responses, share.predictions, torch.from_numpy(counts[image]))
    predictions, measured, layer_share = (_numpy(values) for values in (share.predictions, responses, share.layer))
    variables = {
        "space": _numpy(selection.space),
        "layer": _numpy(selection.layer),
        "scale": _numpy(selection.scale),
        "channels": _numpy(channels),
        "layer_share": layer_share,
        "depth": layer_position(layer_share),
        "scale_share": _numpy(share.scale),
        "r2_drop": _numpy(left_out.drop),
        "r2": r_squared(measured, predictions),
        "r": correlation(measured, predictions),
    }
    if selection.size is not None:
        variables["size"] = _numpy(selection.size)
    if bootstrap and len(counts) > 1:
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
