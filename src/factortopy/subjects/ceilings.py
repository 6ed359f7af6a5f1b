"""Noise ceilings: the R^2 that a perfect model of the signal would reach on noisy responses.

All of them are one formula, ``S / (S + N mean(1 / n))``, with the variances of signal S and of a single
trial's noise N, and the mean over images of 1 over the trials n that each image's response averages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from factortopy.errors import DataError, ShapeError
from factortopy.storage import as_array

NCSNR_FORMULA = "ncsnr^2 / (ncsnr^2 + mean over images of 1 / repeats)"
REPEATS_FORMULA = "S / (S + N * mean over images of 1 / repeats), S and N by analysis of variance of repeats"


def noise_ceiling_from_ncsnr(
    ncsnr: Float[np.ndarray, "voxel"], counts: Sequence[int] | Int[np.ndarray, "repeats"]
) -> Float[np.ndarray, "voxel"]:
    """Ceiling from the noise ceiling signal-to-noise ratio, ``ncsnr^2 / (ncsnr^2 + m)``.

    m is 1 / k for k repeats of every image, and ``(A / 1 + B / 2 + C / 3) / (A + B + C)`` where A, B and C
    images have one, two and three. Source: Allen et al. 2022, Nature Neuroscience 25:116-126, and the manual
    of NSD. NSD's ncsnr holds for betas z-scored within sessions; z-scored otherwise, it is an approximation.

    Args:
        ncsnr: standard deviation of the signal over that of a single trial's noise, 0 or more; NaN stays.
        counts: number of images seen once, twice, three times and so on; (0, 0, 515) is 515 images thrice.

    Returns:
        R^2 in 0..1.

    Raises:
        DataError: if a ratio is negative or infinite, or no image is counted.
    """
    ncsnr = as_array(ncsnr, "ncsnr").astype(np.float64)
    if (ncsnr < 0).any() or np.isinf(ncsnr).any():
        raise DataError("ncsnr must be 0 or more and finite; read it from the file that belongs to the betas")
    signal = np.square(ncsnr)
    return np.asarray(signal / (signal + mean_inverse(counts)))


def mean_inverse(counts: Sequence[int] | Int[np.ndarray, "repeats"]) -> float:
    """Mean over images of 1 / repeats, ``(A / 1 + B / 2 + C / 3 + ...) / (A + B + C + ...)``."""
    images = np.asarray(counts)
    if images.ndim != 1 or images.dtype.kind not in "iu" or (images < 0).any() or not images.sum():
        raise DataError(f"counts must be numbers of images seen 1, 2, 3, ... times, not all 0; got {counts}")
    return float(images @ (1 / np.arange(1, len(images) + 1)) / images.sum())


def noise_ceiling_at(
    ceiling: Float[np.ndarray, "voxel"],
    given: Sequence[int] | Int[np.ndarray, "_repeats"],
    wanted: Sequence[int] | Int[np.ndarray, "_repeats"],
) -> Float[np.ndarray, "voxel"]:
    """The ceiling of the same voxels for other numbers of repeats, ``c m / (c m + (1 - c) m')``.

    It follows from ``c = S / (S + N m)`` for the mean inverse m of the repeats that c holds for, and m' of
    those asked for; of a ceiling for single trials, ``given=(1,)``.

    Args:
        ceiling: R^2 in 0..1.
        given: number of images seen once, twice and so on, for which ``ceiling`` holds.
        wanted: the same for the images of interest, e.g. the test images.
    """
    ceiling = as_array(ceiling, "ceiling").astype(np.float64)
    signal, noise = ceiling * mean_inverse(given), (1 - ceiling) * mean_inverse(wanted)
    return np.asarray(signal / (signal + noise))


def repeat_counts(repeats: Int[np.ndarray, "image"]) -> Int[np.ndarray, "repeats"]:
    """Number of images that average one trial, two trials and so on, as ``noise_ceiling_from_ncsnr`` takes.

    Args:
        repeats: trials that each image's response averages, at least 1.
    """
    repeats = as_array(repeats, "repeats")
    if repeats.ndim != 1 or not len(repeats) or repeats.min() < 1:
        raise DataError("repeats must be at least 1 for each image, and there must be an image")
    return np.bincount(repeats)[1:]


def noise_ceiling_from_percent(percent: Float[np.ndarray, "voxel"]) -> Float[np.ndarray, "voxel"]:
    """Ceiling from a file in per cent, as Algonauts 2023 and THINGS-fMRI give it; NaN stays.

    Args:
        percent: explainable variance, 0 to 100.

    Raises:
        DataError: if values lie outside 0..100.
    """
    percent = as_array(percent, "noise ceilings").astype(np.float64)
    if percent.size and (np.nanmin(percent) < 0 or np.nanmax(percent) > 100):
        low, high = np.nanmin(percent), np.nanmax(percent)
        raise DataError(f"noise ceilings in per cent lie in 0..100, found {low:.4g} to {high:.4g}")
    return percent / 100


def check_ceiling(ceiling: Float[np.ndarray, "voxel"], hemisphere: Shaped[np.ndarray, "voxel"]) -> None:
    """Refuse a ceiling that is no R^2 in 0..1, and say what it seems to be instead.

    Args:
        ceiling: of each voxel.
        hemisphere: of each voxel; per cent on one side only are named.

    Raises:
        DataError: if a value is NaN or outside 0..1.
    """
    if np.isnan(ceiling).any():
        unknown = f"noise_ceiling is NaN in {np.isnan(ceiling).sum()} voxels"
        raise DataError(f"{unknown}; leave them out, or give 0 where there is no signal")
    if (ceiling < 0).any():
        below = f"noise_ceiling lies below 0 in {(ceiling < 0).sum()} voxels (smallest {ceiling.min():.4g})"
        raise DataError(f"{below}; give 0 where the estimated signal is negative")
    if ceiling.max() <= 1:
        return
    largest = {str(side): float(ceiling[hemisphere == side].max()) for side in np.unique(hemisphere)}
    if min(largest.values()) <= 1:
        texts = " and ".join(f"{value:.4g} on the {side}" for side, value in largest.items())
        raise DataError(f"noise_ceiling goes to {texts}: per cent on one side only; divide that side by 100")
    kind = "divide percentages by 100" if ceiling.max() <= 100 else "it is neither R^2 in 0..1 nor per cent"
    raise DataError(f"noise_ceiling goes to {ceiling.max():.4g}; {kind}")


@dataclass(frozen=True, eq=False)
class RepeatVariance:
    """Variances that repeated trials tell apart.

    Attributes:
        signal: variance over images of the response without noise; negative where the estimate is, which
            chance does to voxels without signal.
        noise: variance of single trials of one image.
        images: images with repeats.
        trials: trials of all images.
    """

    signal: Float[np.ndarray, "voxel"]
    noise: Float[np.ndarray, "voxel"]
    images: int
    trials: int

    @property
    def without_signal(self) -> int:
        """Number of voxels whose estimated signal is 0 or less: their ceiling is set to 0."""
        return int((self.signal <= 0).sum())

    @property
    def ncsnr(self) -> Float[np.ndarray, "voxel"]:
        """Standard deviation of the signal over that of the noise, 0 where there is no signal."""
        signal = np.maximum(self.signal, 0)
        ratio = np.divide(signal, self.noise, out=np.zeros_like(signal), where=self.noise > 0)
        return np.asarray(np.sqrt(ratio))

    def ceiling(self, counts: Sequence[int] | Int[np.ndarray, "repeats"]) -> Float[np.ndarray, "voxel"]:
        """R^2 of a perfect model on responses that average trials; see ``noise_ceiling_from_ncsnr``."""
        return noise_ceiling_from_ncsnr(self.ncsnr, counts)


def repeat_variance(trials: Float[np.ndarray, "trial voxel"], images: Sequence[str] | np.ndarray) -> RepeatVariance:
    """Variance of signal and noise from single trials, for equal or unequal numbers of repeats.

    With N trials of k images, n_i of image i: noise ``W = SSW / (N - k)``, the pooled variance of trials of
    the same image; signal ``S = (SSB - (k - 1) W) / (N - sum n_i^2 / N)``, both without bias (one-way
    analysis of variance with random effects: Searle, Casella & McCulloch 1992, Variance Components, 3.6).
    W is the noise variance of NSD (Allen et al. 2022), which takes the mean over images of the variance of
    their three trials: the same where repeats are equal. NSD's signal variance is ``1 - W`` for betas
    z-scored within sessions; here it is estimated, as other data are not z-scored.

    Args:
        trials: single-trial responses.
        images: image of each trial.

    Raises:
        ShapeError: if there is not one image for each trial.
        DataError: if no image is repeated, there is one image only, or a response is not finite.
    """
    trials = as_array(trials, "trials")
    if trials.ndim != 2 or len(images) != len(trials):
        raise ShapeError(f"trials must be (trial, voxel) for {len(images)} images, got shape {trials.shape}")
    _, image, repeats = np.unique(np.asarray(images), return_inverse=True, return_counts=True)
    total, kinds = len(trials), len(repeats)
    if kinds < 2 or total == kinds:
        raise DataError(f"{total} trials of {kinds} images: a ceiling needs two images and repeats of some")
    centred = trials - trials.mean(axis=0, dtype=np.float64)
    order, starts = np.argsort(image, kind="stable"), np.cumsum(repeats) - repeats
    means = np.add.reduceat(centred[order], starts, axis=0) / repeats[:, None]
    between = (repeats[:, None] * np.square(means)).sum(axis=0)
    noise = (np.square(centred).sum(axis=0) - between) / (total - kinds)
    if not np.isfinite(noise).all():
        raise DataError("responses hold NaN or infinity; leave those voxels out before the ceiling is taken")
    signal = (between - (kinds - 1) * noise) / (total - np.square(repeats).sum() / total)
    return RepeatVariance(signal, noise, int((repeats > 1).sum()), total)
