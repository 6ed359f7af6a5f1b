"""The yardstick of a fit: ridge regression on all layers, and the training mean, on the same test images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from factortopy.analysis import draw_roi_r2, r_squared
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import FactortopyError
from factortopy.fitting import (
    COMPONENTS,
    Examples,
    FitSettings,
    Responses,
    Trained,
    fit_yardstick,
    measure_reduction,
    sample_voxels,
)
from factortopy.machine import Machine, available_memory, give_back_memory, in_threads
from factortopy.storage import Checkpoint, Part

BLOCK = 256
LEAST_MEMORY = int(5e8)
"""Bytes that may be taken however little tokens may take."""
LEFT = 0.75
"""Share of the memory that is free when the fit has ended, at most: it still holds what it was made of."""
STAGE = "ridge"


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What a fit is held against.

    Attributes:
        test: the test images.
        mean: mean response of every voxel, over all rows of training and validation images.
        voxels: those that a ridge is fitted to.
        ridge: its predictions for the test rows; why there are none, if so. A ridge that fails, fails no fit.
    """

    test: Examples
    mean: Float[np.ndarray, "voxel"]
    voxels: Int[np.ndarray, "some"]
    ridge: Float[np.ndarray, "row some"] | str

    @classmethod
    def measure(
        cls,
        sides: dict[str, Examples],
        trained: Trained,
        scenes: Sequence[str] | None,
        rois: Sequence[Bool[np.ndarray, "voxel"]],
        settings: FitSettings,
        machine: Machine,
        checkpoint: Checkpoint | None,
    ) -> "Yardstick":
        """Fit a ridge to some voxels and take means of all.

        Args:
            sides: training, validation and test images; without validation images where these are the test images.
            trained: the fit, whose components are taken where it has some, and their tokens where it still holds them.
            scenes: of every token; None where they are not known.
            rois: masks, each of which the voxels represent.
            settings: of the fit.
            machine: where to compute.
            checkpoint: where the ridge's predictions are kept.
        """
        mean = _mean_response([side for name, side in sides.items() if name != "test"])
        voxels = sample_voxels(rois, len(mean), settings.seed)
        kept = None if checkpoint is None else checkpoint.load(STAGE)
        # Which voxels they are follows from the ROIs, which no fit hangs on.
        if kept is not None and np.array_equal(kept.tensors["voxels"].numpy(), voxels):
            return cls(sides["test"], mean, voxels, kept.tensors["predictions"].numpy())
        few = {name: replace(side, responses=_SomeVoxels(side.responses, voxels)) for name, side in sides.items()}
        try:
            predictions = _predictions(few, trained, scenes, settings, machine)
        except (FactortopyError, RuntimeError, MemoryError) as error:
            return cls(sides["test"], mean, voxels, (str(error) or type(error).__name__).splitlines()[0])
        if checkpoint is not None:
            checkpoint.save(STAGE, Part({"predictions": predictions, "voxels": torch.from_numpy(voxels)}, {}))
        return cls(sides["test"], mean, voxels, predictions.numpy())

    def variables(
        self,
        predictions: Float[np.ndarray, "row voxel"],
        images: Sequence[str],
        rois: dict[str, Bool[np.ndarray, "voxel"]],
        bootstrap: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Variables of a mapping that say what ridge and training mean predict.

        Args:
            predictions: of the fit, of the test rows.
            images: the image of every test row.
            rois: masks.
            bootstrap: draws of test images; 0 for none.

        Returns:
            ``mean_r2`` of all voxels; ``ridge_r2``, NaN outside the sample; ``drawn_ridge`` and ``drawn_margin``. And
            the attribute ``ridge``, why there is none, if so.
        """
        observed, voxels = self.test.all_responses().numpy(), self.voxels
        values = {"mean_r2": r_squared(observed, np.broadcast_to(self.mean, observed.shape))}
        if isinstance(self.ridge, str):
            return values, {"ridge": self.ridge}
        values["ridge_r2"] = np.full(observed.shape[1], np.nan, np.float32)
        own, predicted = observed[:, voxels], predictions[:, voxels]
        values["ridge_r2"][voxels] = r_squared(own, self.ridge)
        if bootstrap:
            regions = {name: mask[voxels] for name, mask in rois.items()} | {ALL_VOXELS: np.ones(len(voxels), bool)}
            values["drawn_ridge"] = draw_roi_r2(own, self.ridge, images, regions, bootstrap)
            values["drawn_margin"] = draw_roi_r2(own, predicted, images, regions, bootstrap) - values["drawn_ridge"]
        return values, {}


def _predictions(
    sides: dict[str, Examples], trained: Trained, scenes: Sequence[str] | None, settings: FitSettings, machine: Machine
) -> Float[Tensor, "row some"]:
    """The ridge's predictions for the test rows."""
    # Apple's GPUs have no eigenvectors.
    device = torch.device("cpu") if machine.device.type == "mps" else machine.device
    give_back_memory()
    memory = machine.device_memory() if device.type == "cuda" else min(machine.memory, LEFT * available_memory())
    reduction, held = trained.reduction, dict(zip(("train", "validation"), trained.reduced or (), strict=False))
    sides |= {name: replace(sides[name], read=held[name].read) for name in held if name in sides}
    if reduction is None:
        reduction = measure_reduction(sides["train"], COMPONENTS, settings.damping, settings.seed)
    return fit_yardstick(reduction, sides, scenes, device, max(int(memory), LEAST_MEMORY), bool(held)).cpu()


def _mean_response(sides: Sequence[Examples]) -> Float[np.ndarray, "voxel"]:
    """Over all rows."""
    blocks = [(side.responses, rows) for side in sides for rows in torch.arange(len(side)).split(BLOCK)]
    sums = in_threads(lambda block: block[0][block[1]].sum(dim=0, dtype=torch.float64), blocks, torch.device("cpu"))
    total = torch.stack(list(sums)).sum(dim=0)
    return (total / sum(map(len, sides))).float().numpy()


@dataclass(frozen=True, eq=False)
class _SomeVoxels:
    """Responses of some voxels, cut out as they are read."""

    responses: Responses
    voxels: Int[np.ndarray, "some"]

    def __len__(self) -> int:
        return len(self.responses)

    def __getitem__(self, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch some"]:
        return self.responses[rows][:, self.voxels]
