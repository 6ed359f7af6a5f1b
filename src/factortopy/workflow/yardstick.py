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
    TokenReduction,
    fit_yardstick,
    measure_reduction,
    sample_voxels,
)
from factortopy.machine import Machine, in_threads
from factortopy.storage import Checkpoint, Part

BLOCK = 256
LEAST_MEMORY = int(5e8)
"""Bytes that may be taken however little tokens may take."""
STAGE = "ridge"


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What a fit is held against.

    Attributes:
        sides: training, validation and test images; without validation images where these are the test images.
        reduction: principal components of the fit; measured anew if None.
        scenes: of every token; None where they are not known.
        settings: of the fit.
        machine: where to compute.
        checkpoint: where the ridge's predictions are kept.
    """

    sides: dict[str, Examples]
    reduction: TokenReduction | None
    scenes: Sequence[str] | None
    settings: FitSettings
    machine: Machine
    checkpoint: Checkpoint | None

    def variables(
        self,
        predictions: Float[np.ndarray, "row voxel"],
        images: Sequence[str],
        rois: dict[str, Bool[np.ndarray, "voxel"]],
        bootstrap: int,
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Variables of a mapping that say what ridge and training mean predict. A ridge that fails, fails no fit.

        Args:
            predictions: of the fit, of the test rows.
            images: the image of every test row.
            rois: masks.
            bootstrap: draws of test images; 0 for none.

        Returns:
            ``mean_r2`` of all voxels; ``ridge_r2``, NaN outside the sample; ``drawn_ridge`` and ``drawn_margin``. And
            the attribute ``ridge``, why there is none, if so.
        """
        observed = self.sides["test"].all_responses().numpy()
        values = {"mean_r2": r_squared(observed, np.broadcast_to(self._mean_response(), observed.shape))}
        voxels = sample_voxels(list(rois.values()), observed.shape[1], self.settings.seed)
        try:
            ridge = self._predictions(voxels)
        except (FactortopyError, RuntimeError, MemoryError) as error:
            return values, {"ridge": (str(error) or type(error).__name__).splitlines()[0]}
        values["ridge_r2"] = np.full(observed.shape[1], np.nan, np.float32)
        own, predicted = observed[:, voxels], predictions[:, voxels]
        values["ridge_r2"][voxels] = r_squared(own, ridge)
        if bootstrap:
            regions = {name: mask[voxels] for name, mask in rois.items()} | {ALL_VOXELS: np.ones(len(voxels), bool)}
            values["drawn_ridge"] = draw_roi_r2(own, ridge, images, regions, bootstrap)
            values["drawn_margin"] = draw_roi_r2(own, predicted, images, regions, bootstrap) - values["drawn_ridge"]
        return values, {}

    def _predictions(self, voxels: Int[np.ndarray, "some"]) -> Float[np.ndarray, "row some"]:
        """The ridge's predictions, read where a fit that was stopped has left them."""
        kept = None if self.checkpoint is None else self.checkpoint.load(STAGE)
        if kept is not None:
            return kept.tensors["predictions"].numpy()
        sides = {
            name: replace(side, responses=_SomeVoxels(side.responses, voxels)) for name, side in self.sides.items()
        }
        # Apple's GPUs have no eigenvectors.
        device = torch.device("cpu") if self.machine.device.type == "mps" else self.machine.device
        memory = self.machine.device_memory() if device.type == "cuda" else self.machine.memory
        damping, seed = self.settings.damping, self.settings.seed
        reduction = self.reduction or measure_reduction(sides["train"], COMPONENTS, damping, seed)
        predictions = fit_yardstick(reduction, sides, self.scenes, device, max(memory, LEAST_MEMORY)).cpu()
        if self.checkpoint is not None:
            self.checkpoint.save(STAGE, Part({"predictions": predictions}, {}))
        return predictions.numpy()

    def _mean_response(self) -> Float[np.ndarray, "voxel"]:
        """Over all rows of training and validation images."""
        sides = [side for name, side in self.sides.items() if name != "test"]
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
