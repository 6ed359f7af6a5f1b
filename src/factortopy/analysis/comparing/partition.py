"""Shared and unique variance of two or three networks, on held-out images.

A joint predictor of some networks is the sum of their predictions by weights that are fitted for each voxel on
the validation images, by ridge regression that shrinks towards the plain mean of the predictions::

    minimise |y - b - X w|^2 / n + penalty * v |w - 1/K|^2        v: mean variance of the K predictions

The penalty is chosen for all voxels at once by leaving out one validation response at a time. R^2 is scored
on test images, which decide nothing. With R^2(S) of the joint predictor of the networks S, what exactly the
networks T share follows from ``R^2(S) = sum of parts of all T that meet S`` (commonality analysis): the
unique part of a network is ``R^2(all) - R^2(others)``. Parts can be negative and are left so: weights for
more networks may generalise worse, and networks may suppress each other's errors.
"""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas
from jaxtyping import Bool, Float

from factortopy.analysis.comparing.predictions import HeldOut
from factortopy.analysis.estimates.bootstrap import chunks, draw_r2, draw_roi_r2
from factortopy.analysis.estimates.estimate_tables import Estimate, table_of
from factortopy.analysis.heldout.scores import r_squared
from factortopy.analysis.quantities import map_correlation
from factortopy.errors import DataError
from factortopy.progress import progress_bar

PENALTIES = tuple(float(10.0**power) for power in range(-4, 4))
SAMPLE = 2_048
"""Voxels, evenly taken, on which the penalty is chosen; one number needs no more."""
Subset = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Partition:
    """Variance that networks share and that is unique to each.

    Attributes:
        labels: names of the networks.
        subsets: all sets of networks, by their indices; those of one first.
        r2: R^2 of the joint predictor of each set, on test images.
        parts: variance shared by exactly the networks of each set.
        penalties: ridge penalty of each set.
        agreement: correlation over voxels of each part between halves of the test images.
        table: parts by region, with columns ``part`` (``"unique to A"``, ``"shared by A, B"``, by exactly these, or
            ``"all together"``, R^2 of the joint predictor of all), ``roi``, ``voxels``; ``value``, the mean over its
            voxels, with ``low`` and ``high`` over draws of test images; ``half_one`` and ``half_two``, the same from
            either half of the test images.
    """

    labels: tuple[str, ...]
    subsets: tuple[Subset, ...]
    r2: Float[np.ndarray, "subset voxel"]
    parts: Float[np.ndarray, "subset voxel"]
    penalties: tuple[float, ...]
    agreement: tuple[float, ...]
    table: pandas.DataFrame


def partition_variance(
    held_out: HeldOut,
    labels: Sequence[str],
    regions: MappingType[str, Bool[np.ndarray, "voxel"]],
    *,
    resamples: int = 1_000,
    seed: int = 0,
    progress: bool = True,
) -> Partition:
    """Shared and unique variance of two or three networks.

    Args:
        held_out: predictions of the networks.
        labels: their names.
        regions: voxels of the regions of the table.
        resamples: draws of test images for limits.
        seed: of the halves of the test images.
        progress: whether to show a progress bar.

    Raises:
        DataError: if the networks are not two or three, or there are too few images.

    Example:
        >>> comparison = ft.compare([mapping, mapping], labels=["one", "same"])
        >>> held_out = ft.predict_held_out(comparison, [tokens, tokens], subject, progress=False)
        >>> parts = ft.partition_variance(held_out, comparison.labels, comparison.regions, resamples=20, progress=False)
        >>> "all voxels" in set(parts.table["roi"])
        True
    """
    count = len(held_out.test.predictions)
    if count not in (2, 3) or len(labels) != count:
        raise DataError(f"variance is partitioned between two or three networks, got {count}; choose some")
    if len(set(held_out.test.images)) < 4 or len(held_out.validation.responses) <= count + 1:
        raise DataError("too few validation or test images to weigh networks and to check halves")
    subsets = tuple(some for size in range(1, count + 1) for some in combinations(range(count), size))
    joint = [join(held_out, subset) for subset in subsets]
    predictions = [prediction for prediction, _ in joint]
    r2 = np.stack([r_squared(held_out.test.responses, own) for own in predictions])
    mixing = mixing_of(subsets)
    # Deviations in a half are about the mean of all test images, as in draws.
    rows = np.stack(half_rows(held_out.test.images, seed)).astype(np.float32)
    halves = np.stack([draw_r2(held_out.test.responses, own, rows) for own in predictions], axis=1)
    drawn = []
    with progress_bar("Draws of test images", len(subsets), show=progress) as advance:
        for own in predictions:
            drawn.append(draw_roi_r2(held_out.test.responses, own, held_out.test.images, regions, resamples))
            advance()
    table = _table(labels, subsets, r2, regions, halves, np.stack(drawn))
    return Partition(
        labels=tuple(labels),
        subsets=subsets,
        r2=r2,
        parts=mixing @ r2,
        penalties=tuple(penalty for _, penalty in joint),
        agreement=tuple(map_correlation(*pair)[0] for pair in zip(*(mixing @ half for half in halves), strict=True)),
        table=table,
    )


def join(held_out: HeldOut, subset: Subset) -> tuple[Float[np.ndarray, "image voxel"], float]:
    """The joint predictor of some networks on the test images, and the ridge penalty that was chosen."""
    chosen = list(subset)
    predictors, responses = held_out.validation.predictions[chosen], held_out.validation.responses
    voxels = responses.shape[1]
    some = np.linspace(0, voxels - 1, min(voxels, SAMPLE)).astype(int)
    errors = [left_out_error(predictors[:, :, some], responses[:, some], penalty) for penalty in PENALTIES]
    penalty = PENALTIES[int(np.argmin(errors))]
    joined = np.empty_like(held_out.test.responses)
    for part in chunks(voxels):
        weights, offset = ridge(predictors[:, :, part], responses[:, part], penalty)
        joined[:, part] = np.einsum("kiv,kv->iv", held_out.test.predictions[chosen][:, :, part], weights) + offset
    return joined, penalty


def ridge(
    predictors: Float[np.ndarray, "network image voxel"], responses: Float[np.ndarray, "image voxel"], penalty: float
) -> tuple[Float[np.ndarray, "network voxel"], Float[np.ndarray, "voxel"]]:
    """Weights of networks, voxel by voxel, shrunk towards their mean; and the offset."""
    count = len(predictors)
    centred = predictors - predictors.mean(axis=1, keepdims=True)
    rest = responses - responses.mean(axis=0) - centred.mean(axis=0)
    inverse = _inverse(centred, penalty)
    weights = 1 / count + np.einsum("vkl,liv,iv->kv", inverse, centred, rest, optimize=True)
    offset = responses.mean(axis=0) - np.einsum("kv,kv->v", predictors.mean(axis=1), weights)
    return weights, offset


def left_out_error(
    predictors: Float[np.ndarray, "network image voxel"], responses: Float[np.ndarray, "image voxel"], penalty: float
) -> float:
    """Squared errors of responses left out one at a time, ``e_i / (1 - h_ii)``, summed over voxels."""
    weights, offset = ridge(predictors, responses, penalty)
    centred = predictors - predictors.mean(axis=1, keepdims=True)
    errors = responses - np.einsum("kiv,kv->iv", predictors, weights) - offset
    leverage = np.einsum("kiv,vkl,liv->iv", centred, _inverse(centred, penalty), centred, optimize=True)
    return float(np.square(errors / (1 - 1 / len(responses) - leverage)).sum())


def part_name(labels: Sequence[str], subset: Subset) -> str:
    """A part in words: unique to one network, or shared by exactly some."""
    return f"{'unique to' if len(subset) == 1 else 'shared by'} {', '.join(labels[index] for index in subset)}"


def mixing_of(subsets: Sequence[Subset]) -> Float[np.ndarray, "part subset"]:
    """The matrix that takes R^2 of all sets of networks to the variance that exactly each set shares.

    R^2(S) is the sum of the parts of all T that meet S; the matrix is the inverse of that.
    """
    meets = [[bool(set(left) & set(right)) for right in subsets] for left in subsets]
    return np.asarray(np.linalg.inv(np.array(meets, dtype=float)))


def half_rows(images: Sequence[str], seed: int) -> list[Bool[np.ndarray, "image"]]:
    """Rows of two halves of the images, at random; all trials of an image stand in one half."""
    names, image = np.unique(np.asarray(images), return_inverse=True)
    first = np.random.default_rng(seed).permutation(len(names)) < len(names) // 2
    return [first[image], ~first[image]]


def _inverse(centred: np.ndarray, penalty: float) -> Float[np.ndarray, "voxel network network"]:
    gram = np.einsum("kiv,liv->vkl", centred, centred, optimize=True).astype(np.float64)
    count = len(centred)
    variance = np.trace(gram, axis1=1, axis2=2) / count
    # Networks that predict nothing of a voxel get no weight from the data.
    shrinkage = np.where(variance > 0, penalty * variance, 1.0)
    return np.asarray(np.linalg.inv(gram + shrinkage[:, None, None] * np.eye(count)))


def _table(
    labels: Sequence[str],
    subsets: Sequence[Subset],
    r2: Float[np.ndarray, "subset voxel"],
    regions: MappingType[str, np.ndarray],
    halves: Float[np.ndarray, "half subset voxel"],
    drawn: Float[np.ndarray, "subset draw region"],
) -> pandas.DataFrame:
    """Parts by region, and R^2 of all networks together."""
    mixing = mixing_of(subsets)
    parts = np.concatenate([mixing, np.eye(len(mixing))[-1:]])
    names = [*(part_name(labels, subset) for subset in subsets), "all together"]
    rows: list[dict[str, object]] = []
    for column, (region, inside) in enumerate(regions.items()):
        whole, *half = (np.nanmean(parts @ values[:, inside], axis=1) for values in (r2, *halves))
        draws = parts @ drawn[:, :, column]
        rows += [
            {
                "part": name,
                "roi": region,
                "voxels": int(inside.sum()),
                "value": Estimate.of_draws(float(whole[i]), draws[i]),
                "half_one": half[0][i],
                "half_two": half[1][i],
            }
            for i, name in enumerate(names)
        ]
    return table_of(rows)
