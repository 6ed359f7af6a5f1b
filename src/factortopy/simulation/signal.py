"""From tokens to planted channels, and from planted channels to noise-free responses with their shares."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError
from factortopy.progress import progress_bar
from factortopy.subjects import Projection

BATCH = 64
# Largest number of (layer, kind, image, voxel) partial responses held at once: 256 MB in float32.
PARTIALS = 2**26


@dataclass(frozen=True, eq=False)
class PlantedChannels:
    """Tokens of all images seen through random channels, and the projections that did it.

    Attributes:
        local: per layer, (image, planted channel, H, W), variance 1 over images and positions.
        global_: per layer, (image, planted channel), variance 1 over images.
        local_projections, global_projections: per layer.
    """

    local: tuple[Float[Tensor, "image K H W"], ...]
    global_: tuple[Float[Tensor, "image K"], ...]
    local_projections: tuple[Projection, ...]
    global_projections: tuple[Projection, ...]


def plant_channels(
    tokens: Any, channels: int, generator: np.random.Generator, *, progress: bool = True
) -> PlantedChannels:
    """Project the standardised tokens of each layer and kind on random channels of mean 0 and variance 1.

    The tokens are read twice, batch by batch: once for mean and standard deviation of each layer and channel
    (over images, and positions for local tokens), once to project.
    """
    images = len(tokens.image_ids)
    if images < 2:
        raise DataError(f"a subject is simulated over images, and {images} has no variance; give at least two")
    with progress_bar("Simulated subject", total=2 * images, show=progress) as advance:
        moments = _moments(_batches(tokens, advance))
        drawn = [_projection(generator.standard_normal((channels, len(moment[0]))), *moment) for moment in moments]
        projected = _project(_batches(tokens, advance), drawn)
    features, projections = zip(*map(_unit_variance, projected, drawn), strict=True)
    layers = len(tokens.layers)
    return PlantedChannels(features[:layers], features[layers:], projections[:layers], projections[layers:])


def _batches(tokens: Any, advance: Callable[[int], None]) -> Iterator[list[Tensor]]:
    """Batches of tokens: local of every layer, then global of every layer, in float32."""
    images = len(tokens.image_ids)
    for start in range(0, images, BATCH):
        rows = range(start, min(start + BATCH, images))
        batch = tokens.read(rows)
        yield [part.float() for part in (*batch.local, *batch.global_)]
        advance(len(rows))


def _moments(batches: Iterator[list[Tensor]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and standard deviation of each channel, for each part of the batches."""
    seen = 0
    means: dict[int, Any] = defaultdict(float)
    variances: dict[int, Any] = defaultdict(float)
    for batch in batches:
        seen += len(batch[0])
        weight = len(batch[0]) / seen
        for number, part in enumerate(batch):
            variance, mean = torch.var_mean(part, dim=(0, *range(2, part.ndim)), correction=0)
            # Variances of two sets of images combine exactly, without the cancellation of mean squares.
            step = mean.double().numpy() - means[number]
            change = weight * (variance.double().numpy() - variances[number]) + weight * (1 - weight) * step**2
            variances[number] = variances[number] + change
            means[number] = means[number] + weight * step
    return [(means[number], np.sqrt(variances[number])) for number in means]


def _projection(weight: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> Projection:
    # A channel that never changes carries nothing: it is left out instead of divided by zero.
    alive = deviation > 1e-6 * (1 + np.abs(mean))
    weight = np.where(alive, weight / np.where(alive, deviation, 1), 0)
    return Projection(weight, -weight @ mean)


def _project(batches: Iterator[list[Tensor]], projections: list[Projection]) -> list[Tensor]:
    matrices = [torch.from_numpy(part.weight).float() for part in projections]
    biases = [torch.from_numpy(part.bias).float() for part in projections]
    done: list[list[Tensor]] = [[] for _ in projections]
    for batch in batches:
        for number, part in enumerate(batch):
            shape = (len(part), -1, *part.shape[2:])
            projected = torch.matmul(matrices[number], part.reshape(*part.shape[:2], -1))
            done[number].append((projected + biases[number][:, None]).reshape(shape))
    return [torch.cat(parts) for parts in done]


def _unit_variance(feature: Tensor, projection: Projection) -> tuple[Tensor, Projection]:
    deviation = feature.std(dim=(0, *range(2, feature.ndim)), correction=0).double()
    if (deviation < 1e-6).any():
        raise DataError("the tokens of a layer do not differ between images; check the images and the token store")
    factor = 1 / deviation
    weight, bias = projection.weight * factor.numpy()[:, None], projection.bias * factor.numpy()
    shaped = factor.float().reshape(-1, *[1] * (feature.ndim - 2))
    return feature * shaped, Projection(weight.astype(np.float32), bias.astype(np.float32))


def read_signal(
    channels: PlantedChannels,
    *,
    space: Float[np.ndarray, "voxel 2"],
    layer: Float[np.ndarray, "voxel layer"],
    scale: Float[np.ndarray, "voxel"],
    weights: Float[np.ndarray, "voxel K"],
    variance: Float[np.ndarray, "voxel"],
    divisor: Float[np.ndarray, "voxel image"] | None = None,
) -> dict[str, np.ndarray]:
    """Noise-free responses of all voxels, and how much of their variance each layer and kind brings.

    With p_l the part of the signal s that comes from layer l, the share of l is cov(p_l, s) / var(s): the
    shares sum to 1 and may be negative. The same for local against global. Where the signal is divided, so is
    each of its parts, and the shares are those of the divided parts.

    Args:
        channels: planted channels.
        space, layer, scale: what each voxel selects.
        weights: of the planted channels; only their direction counts.
        variance: of each voxel's signal.
        divisor: positive; divides the signal after its mean is taken away, before it is scaled.

    Returns:
        ``signal`` (image, voxel), ``layer_share``, ``scale_share``, ``channel_weights``, ``offset``.
    """
    images, layers = len(channels.local[0]), len(channels.local)
    chunk = max(1, PARTIALS // (2 * layers * images))
    given = [part for part in (space, layer, scale, weights, variance, divisor) if part is not None]
    parts = [torch.from_numpy(np.asarray(part, dtype=np.float32)).split(chunk) for part in given]
    results = [_read_voxels(channels, *some) for some in zip(*parts, strict=True)]
    signal = np.concatenate([result.pop("signal") for result in results], axis=1)
    return {"signal": signal} | {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def _read_voxels(
    channels: PlantedChannels, space: Tensor, layer: Tensor, scale: Tensor, weights: Tensor, variance: Tensor,
    divisor: Tensor | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    positions = bilinear_weights(space, *channels.local[0].shape[2:])
    # One matrix reads positions and channels at once: (voxel, K x H x W).
    reading = (weights[:, :, None] * positions[:, None, :]).flatten(1)
    local = torch.stack([feature.flatten(1) @ reading.T for feature in channels.local])
    whole = torch.stack([feature @ weights.T for feature in channels.global_])
    local *= layer.T[:, None] * (1 - scale)
    whole *= layer.T[:, None] * scale
    signal = local.sum(0) + whole.sum(0)
    mean = signal.mean(0)
    signal -= mean
    if divisor is not None:
        local, whole, signal = (_centred(part) / divisor.T for part in (local, whole, signal))
        signal = _centred(signal)
    deviation = signal.std(0, correction=0)
    from_layer = ((local + whole) * signal).mean(1) / deviation**2
    from_whole = (whole.sum(0) * signal).mean(0) / deviation**2
    gain = variance.sqrt() / deviation
    return {
        "signal": (signal * gain).numpy(),
        "layer_share": from_layer.T.numpy(),
        "scale_share": from_whole.numpy(),
        "channel_weights": (weights * gain[:, None]).numpy(),
        "offset": (-mean * gain).numpy(),
    }


def _centred(part: Float[Tensor, "*layer image voxel"]) -> Float[Tensor, "*layer image voxel"]:
    return part - part.mean(-2, keepdim=True)


def bilinear_weights(space: Float[Tensor, "voxel 2"], height: int, width: int) -> Float[Tensor, "voxel position"]:
    """Weights of bilinear interpolation on a token grid, zero outside it, at x and y in [-1, 1].

    x = -1 and 1 are the left and right edges of the image (PyTorch's ``align_corners=False``): column w lies
    at (2 w + 1) / W - 1.
    """
    column = (space[:, 0] + 1) * width / 2 - 0.5
    row = (space[:, 1] + 1) * height / 2 - 0.5
    across = (1 - (column[:, None] - torch.arange(width)).abs()).clamp(min=0)
    down = (1 - (row[:, None] - torch.arange(height)).abs()).clamp(min=0)
    return (down[:, :, None] * across[:, None, :]).flatten(1)
