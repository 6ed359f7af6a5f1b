"""What a simulated subject was made from, in memory and as a folder of ``.npy`` arrays."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.storage import read_array

KINDS = ("local", "global")


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map from a layer's tokens to the planted channels: ``weight @ token + bias``.

    It holds the standardisation of the tokens, so it applies to raw tokens; each output channel has mean 0
    and variance 1 over images (and positions).
    """

    weight: Float[np.ndarray, "planted_channel channel"]
    bias: Float[np.ndarray, "planted_channel"]


@dataclass(frozen=True, eq=False)
class PlantedTruth:
    """What a simulated subject was made from; see ``simulate_subject`` for the formula.

    Attributes:
        space: place read in the image, [-1, 1], x right, y down.
        layer: layer selector; each row sums to 1.
        scale: 0 local to 1 global.
        depth: planted (mean) depth in the network, 0 first layer to 1 last.
        layer_share: share of the signal's variance from each layer; rows sum to 1, may be negative.
        scale_share: share of the signal's variance from the global tokens.
        noise_ceiling: R^2 that the noise-free signal reaches on the subject's rows.
        signal: noise-free response of every row, on the scale of the responses, mean 0.
        local_projections, global_projections: per layer, tokens to planted channels.
        channel_weights: weights of the planted channels.
        offset: constant that makes the signal's mean 0.
        seed: seed of the simulation.
    """

    space: Float[np.ndarray, "voxel 2"]
    layer: Float[np.ndarray, "voxel layer"]
    scale: Float[np.ndarray, "voxel"]
    depth: Float[np.ndarray, "voxel"]
    layer_share: Float[np.ndarray, "voxel layer"]
    scale_share: Float[np.ndarray, "voxel"]
    noise_ceiling: Float[np.ndarray, "voxel"]
    signal: Float[np.ndarray, "image voxel"]
    local_projections: tuple[Projection, ...]
    global_projections: tuple[Projection, ...]
    channel_weights: Float[np.ndarray, "voxel planted_channel"]
    offset: Float[np.ndarray, "voxel"]
    seed: int

    def select(self, voxels: Int[np.ndarray, "selected"]) -> "PlantedTruth":
        """The truth of some voxels."""
        shared = ("signal", "local_projections", "global_projections", "seed")
        by_voxel = [item.name for item in fields(self) if item.name not in shared]
        chosen = {name: getattr(self, name)[voxels] for name in by_voxel}
        return replace(self, **chosen, signal=self.signal[:, voxels])

    def save(self, folder: Path) -> None:
        """Write the arrays to a folder of their own; the seed and the number of layers are not in it."""
        folder.mkdir()
        for name in _arrays():
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        for kind in KINDS:
            for number, projection in enumerate(getattr(self, f"{kind}_projections")):
                np.save(folder / f"{kind}_weight_{number}.npy", projection.weight, allow_pickle=False)
                np.save(folder / f"{kind}_bias_{number}.npy", projection.bias, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, *, seed: int, layers: int) -> "PlantedTruth":
        """Read what :meth:`save` wrote.

        Raises:
            DataError: if a file is missing or damaged.
        """
        parts: dict[str, Any] = {name: read_array(folder / f"{name}.npy") for name in _arrays()}
        for kind in KINDS:
            parts[f"{kind}_projections"] = tuple(
                Projection(*(read_array(folder / f"{kind}_{part}_{number}.npy") for part in ("weight", "bias")))
                for number in range(layers)
            )
        return cls(**parts, seed=seed)


def _arrays() -> list[str]:
    """Names of the parts that are one array each."""
    return [item.name for item in fields(PlantedTruth) if item.name != "seed" and "projections" not in item.name]
