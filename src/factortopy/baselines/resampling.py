"""Bootstrap over test images of the mean R^2 of each ROI, with the same images for every method."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

RESAMPLES = 1_000
VOXELS = 2_048
"""Voxels computed at a time, which bounds the memory."""


def resampled_r2(
    responses: Float[np.ndarray, "row voxel"],
    predictions: Float[np.ndarray, "row voxel"],
    image_ids: Sequence[str],
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    resamples: int = RESAMPLES,
) -> Float[np.ndarray, "resample roi"]:
    """Mean R^2 over the voxels of each ROI when test images are drawn again with replacement.

    With image weights w (how often each was drawn) and errors e, this is
    ``R^2 = 1 - sum w e^2 / sum w (y - ybar)^2``: two products of matrices, no response is copied. ybar stays
    the mean over all test images: that of the drawn ones would shift every R^2 down by about one over their
    number. Draws depend on nothing but the images, so that differences between methods are paired. Trials of
    one image are drawn together.

    Args:
        responses: to the test images.
        predictions: of them.
        image_ids: image of each row.
        rois: masks by name.
        resamples: how many draws.
    """
    images, rows = np.unique(image_ids, return_inverse=True)
    drawn = np.random.default_rng(0).multinomial(
        len(images), np.full(len(images), 1 / len(images)), resamples
    )
    weights = drawn[:, rows].astype(np.float32)
    masks = np.stack([np.asarray(mask, np.float32) for mask in rois.values()], axis=1)
    sums, counts = np.zeros((2, resamples, masks.shape[1]))
    for start in range(0, responses.shape[1], VOXELS):
        some = slice(start, start + VOXELS)
        observed = responses[:, some]
        residual = weights @ np.square(observed - predictions[:, some])
        total = weights @ np.square(observed - observed.mean(axis=0))
        # A voxel that is constant over the drawn images has no R^2.
        known = total > 1e-6
        r2 = 1 - np.divide(residual, total, out=np.ones_like(total), where=known)
        sums += r2 @ masks[some]
        counts += known.astype(np.float32) @ masks[some]
    return sums / np.maximum(counts, 1)
