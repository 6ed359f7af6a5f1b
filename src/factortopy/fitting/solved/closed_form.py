"""Ridge regression in closed form, with leave-one-image-out scores for many penalties at once.

Rows are distinct images: n of them, image j shown m_j times, ``y`` the mean of its responses. With rows centred and
multiplied by ``sqrt(m_j)``, ``K = X X'`` and a penalty p (in units of the mean eigenvalue of K)::

    f = K (K + p)^-1 y,     residual without image j = (y_j - f_j) / (1 - H_jj),     H = m m' / sum m + K (K + p)^-1

which is the error of a fit to all other images, all trials of image j left out together, exactly.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

PENALTIES = torch.logspace(-2, 5, 15, dtype=torch.float64)
"""Penalties to choose from, in units of the mean eigenvalue: from nearly none to all but the mean."""
SMALLEST = 1e-12


class Spectrum(NamedTuple):
    """A kernel of centred rows in its principal axes, scaled to a mean eigenvalue of 1 over the n images.

    Attributes:
        rows: the images in these axes: ``rows @ rows.T`` is the kernel, and their columns are orthogonal.
        values: the eigenvalues.
        factor: what the kernel was multiplied by.
        left: ``1 - m_j / sum m``, what leaving image j out leaves of the mean.
    """

    rows: Float[Tensor, "n r"]
    values: Float[Tensor, "r"]
    factor: Float[Tensor, ""]
    left: Float[Tensor, "n"]


def centre(
    values: Float[Tensor, "n M"], repeats: Float[Tensor, "n"]
) -> tuple[Float[Tensor, "n M"], Float[Tensor, "M"]]:
    """Values of images less their mean over trials, times the root of the repeats; and that mean."""
    mean = (repeats @ values) / repeats.sum()
    return repeats.sqrt()[:, None] * (values - mean), mean


def decompose(features: Float[Tensor, "n F"], repeats: Float[Tensor, "n"]) -> Spectrum:
    """Spectrum of ``X X'`` from centred features X (:func:`centre`), by the smaller of its two Gram matrices."""
    factor = 1 / features.square().sum(dim=1).mean().clamp(min=SMALLEST)
    if features.shape[0] <= features.shape[1]:
        return decompose_kernel(features @ features.T, repeats)
    values, axes = torch.linalg.eigh(factor * (features.T @ features))
    return Spectrum(factor.sqrt() * (features @ axes), values.clamp(min=0), factor, 1 - repeats / repeats.sum())


def decompose_kernel(kernel: Float[Tensor, "n n"], repeats: Float[Tensor, "n"]) -> Spectrum:
    """Spectrum of a kernel of centred rows."""
    factor = 1 / kernel.diagonal().mean().clamp(min=SMALLEST)
    values, axes = torch.linalg.eigh(factor * kernel)
    values = values.clamp(min=0)
    return Spectrum(axes * values.sqrt(), values, factor, 1 - repeats / repeats.sum())


def leave_one_out(spectrum: Spectrum, responses: Float[Tensor, "n M"]) -> Float[Tensor, "Q M"]:
    """R^2 of left-out images for every one of ``PENALTIES``, against the mean of the others.

    An infinite penalty scores 0: above 0 is better than the training mean. Constant responses score 0.

    Args:
        spectrum: of the kernel.
        responses: centred (:func:`centre`).
    """
    total = (responses / spectrum.left[:, None]).square().sum(dim=0)
    rotated, squares = spectrum.rows.T @ responses, spectrum.rows.square()
    scores = torch.empty(len(PENALTIES), responses.shape[1], dtype=responses.dtype, device=responses.device)
    for score, penalty in zip(scores, PENALTIES.tolist(), strict=True):
        shrunk = 1 / (spectrum.values + penalty)
        residual = responses - spectrum.rows @ (shrunk[:, None] * rotated)
        left = spectrum.left - squares @ shrunk
        torch.div((residual / left[:, None]).square_().sum(dim=0), total.clamp(min=SMALLEST), out=score)
    return torch.where(total > SMALLEST, 1 - scores, 0.0)


def leave_folds_out(
    spectrum: Spectrum, responses: Float[Tensor, "n M"], folds: Int[Tensor, "n"]
) -> Float[Tensor, "Q M"]:
    """As :func:`leave_one_out`, with all images of a fold left out together, as exactly.

    The residuals without the images g are ``(I - H_gg)^-1 (y_g - f_g)``.

    Args:
        spectrum: of the kernel.
        responses: centred (:func:`centre`).
        folds: number of the fold of every image; two folds at least.
    """
    error, total = responses.new_zeros(len(PENALTIES), responses.shape[1]), responses.new_zeros(responses.shape[1])
    rotated = spectrum.rows.T @ responses
    for fold in folds.unique():
        left, own = _leave_out(spectrum, responses, rotated, folds == fold)
        error, total = error + left, total + own
    return torch.where(total > SMALLEST, 1 - error / total.clamp(min=SMALLEST), 0.0)


def leave_last_out(spectrum: Spectrum, responses: Float[Tensor, "n M"], count: int) -> Float[Tensor, "Q M"]:
    """R^2 of the last images alone, all left out together; see :func:`leave_folds_out`."""
    out = torch.arange(len(responses), device=responses.device) >= len(responses) - count
    error, total = _leave_out(spectrum, responses, spectrum.rows.T @ responses, out)
    return torch.where(total > SMALLEST, 1 - error / total.clamp(min=SMALLEST), 0.0)


def _leave_out(
    spectrum: Spectrum, responses: Float[Tensor, "n M"], rotated: Float[Tensor, "r M"], out: Bool[Tensor, "n"]
) -> tuple[Float[Tensor, "Q M"], Float[Tensor, "M"]]:
    """Squared errors of some images, predicted from the others, and their squared distance from the others' mean."""
    by_mean = (1 - spectrum.left[out]).sqrt()
    rows, own = spectrum.rows[out], responses[out]
    without_mean = torch.eye(len(rows)).to(rows) - torch.outer(by_mean, by_mean)
    error = responses.new_empty(len(PENALTIES), responses.shape[1])
    for index, penalty in enumerate(PENALTIES.tolist()):
        shrunk = rows / (spectrum.values + penalty)
        left = torch.linalg.solve(without_mean - shrunk @ rows.T, own - shrunk @ rotated)
        error[index] = left.square().sum(dim=0)
    return error, torch.linalg.solve(without_mean, own).square().sum(dim=0)


def dual_weights(
    spectrum: Spectrum, responses: Float[Tensor, "n M"], weights: Float[Tensor, "Q M"]
) -> Float[Tensor, "n M"]:
    """``alpha = sum_q weights_q (K + p_q)^-1 y``, the mean of the fits over penalties.

    Predictions of new images are ``K_new alpha``, coefficients ``X' alpha``, with K and X as they were given.

    Args:
        spectrum: of the kernel.
        responses: centred (:func:`centre`).
        weights: of every penalty; one column for each response.
    """
    penalties = PENALTIES.to(responses)[:, None]
    by_row = (weights / penalties).sum(dim=0)
    # (K + p)^-1 = (1 - K (K + p)^-1) / p needs no inverse root of an eigenvalue that may be 0.
    by_axis = (1 / (penalties * (spectrum.values + penalties))).T @ weights
    return spectrum.factor * (by_row * responses - spectrum.rows @ (by_axis * (spectrum.rows.T @ responses)))
