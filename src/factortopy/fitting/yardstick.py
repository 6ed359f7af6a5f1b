"""What a plain ridge predicts on the same split: the yardstick that every fit is held against.

Its features are principal components of all layers, at all places, and of the global tokens, in the proportions of the
standardised channels, each block scaled to a mean square of 1 over the images, which makes the kernel::

    K = 3/4 mean_l K_l^local + 1/4 mean_l K_l^global

Every voxel has the penalty that predicts left-out folds of training and validation images best, scenes and all trials
of an image kept together; the regression is then that of all these images.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.model_selection import GroupKFold
from torch import Tensor

from factortopy.errors import DataError
from factortopy.fitting.examples import Examples, distinct_images
from factortopy.fitting.reduction import TokenReduction
from factortopy.fitting.solved.closed_form import centre, decompose_kernel, dual_weights, leave_folds_out
from factortopy.fitting.solved.scan import leading
from factortopy.fitting.token_cache import join_tokens
from factortopy.networks import Tokens

COMPONENTS = 64
"""Principal components of every layer and kind of token, at most."""
FOLDS = 10
GLOBAL = 0.25
"""Weight of the global tokens' kernel."""
VOXELS = 1_000
"""Voxels that the ridge is fitted to, at most."""
BATCH = 64
TIMED, TIMED_NUMBERS = 1_000, 2_048
"""Images and numbers an image of the ridge that is timed to say what another takes."""


def fit_yardstick(
    reduction: TokenReduction,
    sides: dict[str, Examples],
    scenes: Sequence[str] | None,
    device: torch.device,
    memory: int,
    reduced: bool = False,
) -> Float[Tensor, "row M"]:
    """Fit the ridge on training and validation images; its predictions for the test rows.

    Args:
        reduction: principal components of the fit.
        sides: ``"train"``, ``"validation"`` if it may be fitted, and ``"test"``, whose responses are not looked at.
        scenes: of every token, by its number; None where they are not known.
        device: where to compute.
        memory: bytes that tokens and kernels may take.
        reduced: whether tokens of training and validation images are these components.

    Raises:
        DataError: if images are too few to be parted, or the kernel of all of them does not fit the memory.
    """
    images, repeats = distinct_images(*(side for name, side in sides.items() if name != "test"))
    count, rows = len(images), len(images) + len(sides["test"])
    components = _affordable(images.read(torch.tensor([0])).local, count, rows, memory)
    damped, weight = reduction.leading(components).to(device), repeats.to(device)
    undamped = damped.undamped(components)

    def read() -> Iterator[Tokens]:
        for batch in images.batches(BATCH):
            there = (leading(batch, components) if reduced else batch).to(device)
            yield damped.undamp(there) if reduced else undamped.apply(there)
        for batch in sides["test"].batches(BATCH):
            yield undamped.apply(batch.to(device))

    tokens = join_tokens(read(), rows, device)
    kernel = (1 - GLOBAL) * mean_kernel(tokens.local, weight) + GLOBAL * mean_kernel(tokens.global_, weight)
    y, mean = centre(images.all_responses(device), weight)
    root = weight.sqrt()
    spectrum = decompose_kernel(root[:, None] * kernel[:count] * root, weight)
    scores = leave_folds_out(spectrum, y, image_folds(images, scenes).to(device))
    chosen = torch.zeros_like(scores).scatter_(0, scores.argmax(dim=0, keepdim=True), 1.0)
    return kernel[count:] * root @ dual_weights(spectrum, y, chosen) + mean


def mean_kernel(layers: Sequence[Float[Tensor, "row ..."]], repeats: Float[Tensor, "n"]) -> Float[Tensor, "row n"]:
    """Mean over layers of the kernels of all rows with the first n, each of mean square 1 over these.

    Args:
        layers: tokens of all rows.
        repeats: trials of the first n of them, whose mean over trials is taken off.
    """
    count, total = len(repeats), torch.zeros(len(layers[0]), len(repeats), device=repeats.device)
    for layer in layers:
        features = layer.float().flatten(1)
        features = features - (repeats @ features[:count]) / repeats.sum()
        block = features @ features[:count].T
        total += block / block.diagonal().mean().clamp(min=1e-12) / len(layers)
    return total


def image_folds(images: Examples, scenes: Sequence[str] | None) -> Int[Tensor, "n"]:
    """The fold of every image: ten of them or one a scene, scenes kept whole.

    Args:
        images: distinct ones.
        scenes: of every token, by its number; None where they are not known.

    Raises:
        DataError: if there is but one scene.
    """
    numbers = list(range(len(images))) if images.image is None else images.image.tolist()
    names = np.asarray(numbers if scenes is None else [scenes[number] for number in numbers])
    distinct = len(np.unique(names))
    if distinct < 2:
        raise DataError("training and validation images are of one scene: nothing can be left out to choose by")
    fold = torch.empty(len(names), dtype=torch.long)
    for number, (_, left) in enumerate(GroupKFold(min(FOLDS, distinct)).split(names, groups=names)):
        fold[left] = number
    return fold


def sample_voxels(
    rois: Sequence[Bool[np.ndarray, "voxel"]], voxels: int, seed: int, most: int = VOXELS
) -> Int[np.ndarray, "some"]:
    """Voxels at random, as many of every ROI as its size asks for.

    Voxels are put in the order of the ROIs they belong to, at random within, and evenly spread ones are taken.

    Args:
        rois: masks.
        voxels: number of all voxels.
        seed: of the sample.
        most: voxels taken, at most.
    """
    if voxels <= most:
        return np.arange(voxels)
    random = np.random.default_rng(seed)
    order = np.lexsort([random.random(voxels), *rois])
    places = (np.arange(most) + random.random()) * voxels / most
    return np.sort(order[places.astype(int)])


def yardstick_memory(layers: int, positions: int, count: int, rows: int, components: int) -> float:
    """Bytes of the tokens of so many components, of one layer in float32, and of kernels and eigenvectors.

    Args:
        layers: number of layers.
        positions: of each local map.
        count: images that are fitted.
        rows: these and the test rows.
        components: of each layer and kind of token.
    """
    tokens = 2.0 * layers * (positions + 1) + 2 * 4.0 * positions
    return rows * components * tokens + 4.0 * count * (2 * rows + 4 * count)


def yardstick_seconds(numbers: int, count: int, voxels: int, device: torch.device) -> float:
    """Seconds of the ridge of so many images, voxels and numbers an image: of few images, scaled to all.

    Kernel and scores grow with the square of the images, eigenvectors with their cube.
    """
    few, some = min(count, TIMED), min(voxels, VOXELS)
    features, responses = torch.randn(few, TIMED_NUMBERS, device=device), torch.randn(few, some, device=device)
    kernel, by_kernel = _timed(lambda: features @ features.T)
    spectrum, by_axes = _timed(lambda: decompose_kernel(kernel, torch.ones(few, device=device)))
    parts = torch.arange(few, device=device) % FOLDS
    _, by_scores = _timed(lambda: leave_folds_out(spectrum, responses, parts))
    grown = count / few
    return grown**2 * (numbers / TIMED_NUMBERS * by_kernel + voxels / some * by_scores + grown * by_axes)


Result = TypeVar("Result")


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def _affordable(local: Sequence[Float[Tensor, "B C H W"]], count: int, rows: int, memory: int) -> int:
    """Components that fit the memory, at most ``COMPONENTS``."""
    positions = max(layer.shape[-2] * layer.shape[-1] for layer in local)
    fixed, one = (yardstick_memory(len(local), positions, count, rows, components) for components in (0, 1))
    components = min(COMPONENTS, int((memory - fixed) // (one - fixed)))
    if components < 1:
        raise DataError(
            f"its kernel of {count:,} images takes {one / 1e9:.1f} GB, and {memory / 1e9:.1f} GB may be taken; "
            "allow more memory"
        )
    return components
