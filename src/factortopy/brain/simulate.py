"""A subject with a planted truth: responses computed from a real network's tokens on the real cortex."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from factortopy.brain.planted import PlantedMaps, planted_maps
from factortopy.brain.readings import plant_channels, read_signal
from factortopy.brain.subject import PlantedTruth, Subject
from factortopy.brain.surface import load_surface
from factortopy.errors import DataError, ShapeError
from factortopy.provenance import provenance


def simulate_subject(
    tokens: Any,
    *,
    seed: int = 0,
    planted_channels: int = 32,
    layer_width: float = 1.0,
    ceiling_range: tuple[float, float] = (0.3, 0.8),
    noise_ceiling: Float[np.ndarray, "voxel"] | None = None,
    name: str = "simulated",
    progress: bool = True,
) -> Subject:
    """Simulate a subject that sees through a network in the way the model assumes.

    Over the visual part of fsaverage5, voxel i reads layer l with weight w_il (a Gaussian bump around
    depth_i (L - 1), sum 1), at the place u_i, mixing local and global tokens by a_i, through planted
    channels (per layer and kind a random projection of the standardised tokens, each channel of variance 1)::

        signal_in = sum_l w_il < (1 - a_i) Interp(u_i; P_l local_ln) + a_i Q_l global_ln, omega_i > + b_i

    omega_i is random and smooth over the cortex; it is scaled so that var(signal_i) is the noise ceiling,
    and independent Gaussian noise fills the variance up to 1. Maps of space, depth and scale: see
    ``planted.planted_maps``. The ceiling falls with the distance from the occipital pole.

    Args:
        tokens: a ``TokenStore`` of any network, or anything with its ``network, layers, channels, grid,
            image_ids, read``.
        seed: seed of projections, channel weights and noise.
        planted_channels: number of random channels K.
        layer_width: standard deviation of the bump over layers, in layers.
        ceiling_range: smallest and largest noise ceiling (R^2), in (0, 1].
        noise_ceiling: R^2 for each voxel instead, (0, 1].
        name: name of the subject.
        progress: show a progress bar.

    Returns:
        A subject whose ``truth`` holds all that was planted.

    Raises:
        DataError: if the ceiling is out of range or the tokens do not differ between images.
    """
    maps = planted_maps(load_surface("fsaverage5"))
    ceiling = _ceiling(maps, ceiling_range, noise_ceiling)
    projections, weights, noise = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    channels = plant_channels(tokens, planted_channels, projections, progress=progress)
    layer = layer_bump(maps.depth, len(tokens.layers), layer_width)
    reading = read_signal(
        channels,
        space=maps.space,
        layer=layer,
        scale=maps.scale,
        weights=maps.smooth_weights(planted_channels, weights),
        variance=ceiling,
    )
    truth = PlantedTruth(
        space=maps.space.astype(np.float32),
        layer=layer.astype(np.float32),
        scale=maps.scale.astype(np.float32),
        depth=maps.depth.astype(np.float32),
        noise_ceiling=ceiling.astype(np.float32),
        local_projections=channels.local_projections,
        global_projections=channels.global_projections,
        seed=seed,
        **reading,
    )
    return Subject(
        name=name,
        responses=_add_noise(truth.signal, ceiling, noise),
        image_ids=tuple(tokens.image_ids),
        coordinates=maps.coordinates,
        coordinate_bounds=maps.coordinate_bounds,
        hemisphere=maps.hemisphere,
        vertex=maps.vertex,
        surface="fsaverage5",
        rois=dict(maps.rois),
        noise_ceiling=truth.noise_ceiling,
        truth=truth,
        provenance=provenance(
            kind="simulated",
            network=str(tokens.network),
            layers=list(tokens.layers),
            seed=seed,
            planted_channels=planted_channels,
            layer_width=layer_width,
            ceiling_range=list(ceiling_range) if noise_ceiling is None else "given for each voxel",
        ),
    )


def layer_bump(
    depth: Float[np.ndarray, "voxel"], layers: int, width: float
) -> Float[np.ndarray, "voxel layer"]:
    """Gaussian weights over layers around ``depth * (layers - 1)``; each row sums to 1.

    Args:
        depth: 0 (first layer) to 1 (last).
        layers: number of layers L.
        width: standard deviation in layers, positive.
    """
    if width <= 0:
        raise DataError(f"layer_width must be positive, got {width}")
    distance = np.arange(layers) - depth[:, None] * (layers - 1)
    weight = np.exp(-0.5 * (distance / width) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _ceiling(
    maps: PlantedMaps, ceiling_range: Sequence[float], given: np.ndarray | None
) -> Float[np.ndarray, "voxel"]:
    if given is None:
        low, high = ceiling_range
        if not 0 < low <= high <= 1:
            raise DataError(f"ceiling_range must be two increasing R^2 in (0, 1], got {tuple(ceiling_range)}")
        return np.asarray(high - (high - low) * maps.distance)
    if given.shape != maps.depth.shape:
        raise ShapeError(
            f"noise_ceiling has shape {given.shape}, expected {maps.depth.shape}: one R^2 a voxel"
        )
    if not ((given > 0) & (given <= 1)).all():
        raise DataError("noise_ceiling must lie in (0, 1]; divide percentages by 100")
    return np.asarray(given, dtype=float)


def _add_noise(
    signal: Float[np.ndarray, "image voxel"], ceiling: np.ndarray, generator: np.random.Generator
) -> Float[np.ndarray, "image voxel"]:
    noise = generator.standard_normal(signal.shape, dtype=np.float32)
    noise *= np.sqrt(1 - ceiling).astype(np.float32)
    noise += signal
    return noise
