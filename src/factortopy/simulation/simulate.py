"""A subject with a planted truth: responses computed from a real network's tokens on the real cortex."""

from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from factortopy.cortex import load_surface
from factortopy.provenance import provenance
from factortopy.simulation.maps import PlantedMaps, planted_maps
from factortopy.simulation.planting import Planted, what_to_plant, whole_number
from factortopy.simulation.signal import PlantedChannels, plant_channels, read_signal
from factortopy.subjects import PlantedTruth, Subject


def simulate_subject(
    tokens: Any,
    planted: Planted | None = None,
    *,
    seed: int = 0,
    name: str = "simulated",
    progress: bool = True,
    **changes: Any,
) -> Subject:
    """Simulate a subject that sees through a network, in the way the model assumes or in another.

    Over the visual part of fsaverage5, voxel i reads layer l with weight w_il (by default a Gaussian bump
    around depth_i (L - 1), sum 1), at the place u_i, mixing local and global tokens by a_i, through planted
    channels (per layer and kind a random projection of the standardised tokens, each channel of variance 1)::

        signal_in = sum_l w_il < (1 - a_i) Interp(u_i; P_l local_ln) + a_i Q_l global_ln, omega_i > + b_i

    omega_i is random and smooth over the cortex; it is scaled so that var(signal_i) is the noise ceiling,
    and independent Gaussian noise fills the variance of a trial up to 1. Maps of space, depth and scale: see
    ``simulation.maps.planted_maps``. The ceiling falls with the distance from the occipital pole.

    What the truth means: ``space``, ``layer`` and ``scale`` are what each voxel reads, mixtures as they are.
    ``layer_share`` and ``scale_share`` are those of the noise-free signal, whatever was planted. Outside the
    model class no fit can reach the ceiling. With divisive normalisation the selectors are those of the
    linear stage, and the shares are of its parts after division. Where the tokens are of another network
    than the one that is fitted, layers are that network's: compare depths, not layers.

    Args:
        tokens: a ``TokenStore`` of any network, or anything with its ``network, layers, channels, grid,
            image_ids, read``.
        planted: what to plant; the default of :class:`Planted` if None.
        seed: seed of projections, channel weights and noise.
        name: name of the subject.
        progress: show a progress bar.
        changes: settings that differ from those of ``planted``, by name; see :class:`Planted`.

    Returns:
        A subject whose ``truth`` holds all that was planted, row by row.

    Raises:
        DataError: if a setting is out of range or the tokens do not differ between images.
        UnknownNameError: if a setting does not exist.

    Example:
        >>> subject = ft.simulate_subject(tokens, seed=1, progress=False)
        >>> subject.truth.layer.shape == (len(subject.voxels), len(tokens.layers))
        True
    """
    planted, seed = what_to_plant(planted, changes), whole_number("seed", seed)
    maps = planted_maps(load_surface("fsaverage5"), planted.areas)
    ceiling = planted.trial_ceiling(maps)
    projections, weights, noise = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    channels = plant_channels(tokens, planted.planted_channels, projections, progress=progress)
    truth = _plant(channels, planted, maps, ceiling, weights, seed)
    rows = planted.repeats if planted.single_trials else 1
    return Subject(
        name=name,
        responses=_add_noise(truth.signal, ceiling, noise, planted),
        image_ids=tuple(tokens.image_ids) * rows,
        voxels=maps.voxels,
        noise_ceiling=truth.noise_ceiling,
        repeats=None if planted.repeats == rows else np.full(len(truth.signal), planted.repeats),
        single_trials=rows > 1,
        truth=truth,
        provenance=provenance(
            kind="simulated", network=str(tokens.network), layers=list(tokens.layers), seed=seed,
            **planted.facts(),
        ),
    )  # fmt: skip


def _plant(
    channels: PlantedChannels,
    planted: Planted,
    maps: PlantedMaps,
    ceiling: Float[np.ndarray, "voxel"],
    weights: np.random.Generator,
    seed: int,
) -> PlantedTruth:
    """What every voxel reads, and the signal and shares that follow."""
    layer = planted.layers(maps, len(channels.local))
    smooth = maps.smooth_weights(planted.planted_channels, weights)
    read = partial(read_signal, channels, space=maps.space, layer=layer, scale=maps.scale, weights=smooth)
    divisor = None
    if planted.normalisation is not None:
        drive = read(variance=np.ones_like(ceiling))["signal"]
        divisor = np.sqrt(planted.normalisation**2 + maps.smooth(np.square(drive, dtype=np.float64).T))
    reading = read(variance=ceiling, divisor=divisor)
    if planted.single_trials:
        reading["signal"] = np.tile(reading["signal"], (planted.repeats, 1))
    bump = planted.mixture == "bump" and planted.profile is None
    depth = maps.depth if bump else layer @ np.linspace(0, 1, layer.shape[1])
    return PlantedTruth(
        space=maps.space.astype(np.float32),
        layer=layer.astype(np.float32),
        scale=maps.scale.astype(np.float32),
        depth=depth.astype(np.float32),
        noise_ceiling=planted.row_ceiling(ceiling).astype(np.float32),
        local_projections=channels.local_projections,
        global_projections=channels.global_projections,
        seed=seed,
        **reading,
    )


def _add_noise(
    signal: Float[np.ndarray, "row voxel"],
    ceiling: Float[np.ndarray, "voxel"],
    generator: np.random.Generator,
    planted: Planted,
) -> Float[np.ndarray, "row voxel"]:
    """Rows with noise: of one trial each, or averages of all repeats, from the same draws."""
    noise = generator.standard_normal(signal.shape, dtype=np.float32)
    if not planted.single_trials and planted.repeats > 1:
        for _ in range(planted.repeats - 1):
            noise += generator.standard_normal(signal.shape, dtype=np.float32)
        noise /= planted.repeats
    noise *= np.sqrt(1 - ceiling).astype(np.float32)
    noise += signal
    return noise
