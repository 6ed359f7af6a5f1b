"""What every stage of a recipe works on: the data of a fit, where it computes, what earlier runs left."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.errors import DataError
from factortopy.fitting.examples import Examples
from factortopy.fitting.reduction import TokenReduction, as_stored, measure_reduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.token_cache import cache_sides, with_responses
from factortopy.fitting.training import History, train
from factortopy.machine import Machine
from factortopy.model import FactorTopy
from factortopy.storage import Checkpoint, Part

IMAGES_A_COMPONENT = 4
"""Training images for each component that an align is trained on, at least: with fewer, it fits more noise than
signal. A ridge in closed form shrinks small components and needs no such bound."""
FIRST = torch.tensor([0])


@dataclass(frozen=True, eq=False)
class Task:
    """What every stage of a recipe works on; see :func:`factortopy.fitting.train_model`."""

    settings: FitSettings
    training: Examples
    validation: Examples
    coordinates: Float[Tensor, "N 3"] | None
    bounds: Float[Tensor, "2 3"] | None
    selectors: nn.Module | None
    groups: Int[np.ndarray, "N"] | None
    refit: bool
    machine: Machine
    checkpoint: Checkpoint | None
    progress: bool
    description: str
    rough: bool = False
    reduced: tuple[Examples, Examples] | None = None

    @property
    def voxels(self) -> int:
        """Number of voxels N."""
        return self.training.responses[FIRST].shape[1]

    @property
    def positions(self) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "2 3"]]:
        """Coordinates of the voxels and bounds of the surface, which selectors are functions of."""
        if self.coordinates is None or self.bounds is None:
            raise DataError(f'recipe="{self.settings.recipe}" needs coordinates; only recipe="default" can do without')
        return self.coordinates, self.bounds

    @property
    def starts(self) -> list["Task"]:
        """The same for each start: the first with this task's random numbers and checkpoint, the others with theirs."""
        return [self, *(self._start(number) for number in range(2, self.settings.starts + 1))]

    def _start(self, number: int) -> "Task":
        name = f"start-{number}"
        settings = self.settings.model_copy(update={"seed": self.settings.seed_of(name)})
        return replace(self.within(name, f"start {number} of {self.settings.starts}"), settings=settings)

    def within(self, name: str, description: str) -> "Task":
        """The same with a checkpoint of its own, and more of a description."""
        checkpoint = None if self.checkpoint is None else self.checkpoint.within(name)
        return replace(self, checkpoint=checkpoint, description=f"{self.description}, {description}")

    def shuffled(self, count: int, purpose: str) -> Int[Tensor, "count"]:
        """So many voxels or parcels in a random order of its own for each purpose."""
        return torch.randperm(count, generator=torch.Generator().manual_seed(self.settings.seed_of(purpose)))

    def kept(self, stage: str) -> Part | None:
        """What an earlier run left of a stage."""
        return None if self.checkpoint is None else self.checkpoint.load(stage)

    def keep(self, stage: str, part: Part) -> None:
        """Leave what a stage came to for a later run."""
        if self.checkpoint is not None:
            self.checkpoint.save(stage, part)

    def train(
        self, model: FactorTopy, examples: tuple[Examples, Examples], settings: FitSettings | None = None
    ) -> History:
        """Train a model on these training and validation examples."""
        return train(
            model,
            *examples,
            settings or self.settings,
            self.machine,
            checkpoint=self.checkpoint,
            progress=self.progress,
            description=self.description,
        )


def usual_components(settings: FitSettings, images: int) -> int:
    """Components that training with so many images begins with."""
    return min(settings.components, max(1, images // IMAGES_A_COMPONENT))


def reduction_of(task: Task) -> TokenReduction:
    """Principal components of the training tokens."""
    kept = task.kept("reduction")
    if kept is not None:
        return TokenReduction.from_tensors(kept.tensors)
    settings, count = task.settings, task.settings.components
    if task.coordinates is not None or task.selectors is not None:
        count = usual_components(settings, len(task.training))
    reduction = measure_reduction(task.training, count, settings.damping, settings.seed_of("components"))
    task.keep("reduction", Part(reduction.to_tensors(), {}))
    return reduction


def reduced_examples(task: Task, reduction: TokenReduction) -> tuple[Examples, Examples]:
    """Training and validation examples with reduced tokens, close to the processor."""
    if task.reduced is not None:
        train, validation = task.reduced
        return with_responses(train, task.training.responses), with_responses(validation, task.validation.responses)
    device, (training, there) = task.machine.device, as_stored(task.training, reduction.to(task.machine.device))
    sides = training, as_stored(task.validation, reduction)[0]
    return cache_sides(
        sides, lambda tokens: there.apply(tokens.to(device)), task.machine, "Principal components", task.progress
    )
