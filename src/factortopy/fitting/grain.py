"""What align and selectors are trained on, voxels, some of them, or parcels, and where training starts."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.fitting.examples import Examples
from factortopy.fitting.solved.parcels import VOXELS, Parcels, Sample, find_parcels, parcel_responses
from factortopy.fitting.solved.scan import JUDGES, Noise, measure_noise, scan, scanned_tokens
from factortopy.fitting.start import NEIGHBOURS, SCORED_VOXELS, start_selection, start_selectors
from factortopy.fitting.task import FIRST, Task
from factortopy.fitting.token_cache import with_responses
from factortopy.storage import Part

PARCEL_GAIN = 1.25
"""How much better parcels must be predicted than single voxels to be trained on."""
TRAINED_VOXELS = 16_384
"""Voxels that align and selectors are trained on, at most: channels are solved for all of them at last."""
TOUCHING = 14
"""Parcels that scores of the start are averaged over, near ones most: in effect one and those that touch it."""


@dataclass(frozen=True, eq=False)
class Grain:
    """What align and selectors are trained on.

    Attributes:
        noise: of single voxels.
        ridge: best penalty for what is trained on.
        examples: training and validation examples of it.
        parcels: that a voxel's channels may be shrunk towards; None where none may.
        trained: parcels, or some of the voxels, if they are what is trained on; None for all voxels.
    """

    noise: Noise
    ridge: float
    examples: tuple[Examples, Examples]
    parcels: Parcels | None = None
    trained: Parcels | Sample | None = None

    @property
    def units(self) -> str:
        """What is trained on, in words."""
        if self.trained is None:
            return "voxels"
        return "parcels" if isinstance(self.trained, Parcels) else "some voxels"

    def coordinates(self, task: Task) -> Float[Tensor, "M 3"]:
        """Where selectors are trained, mm."""
        return task.positions[0] if self.trained is None else self.trained.centre


def find_grain(task: Task, examples: tuple[Examples, Examples]) -> Grain:
    """Parcels where their mean responses are better predicted than voxels: noise averages out, and steps cost less.

    Else voxels, of many a sample: align and selectors are all that is kept of them, and neighbours tell much the same.
    """
    noise = _noise(task, examples[0], "noise")
    voxels = Grain(noise, noise.ridge, examples)
    if task.coordinates is None or not task.settings.topology or not task.settings.parcels:
        return voxels
    parcels = find_parcels(task.coordinates, task.settings.parcels)
    voxels = replace(voxels, parcels=parcels)
    given = task.selectors is not None and any(True for _ in task.selectors.parameters())
    if given or VOXELS * len(parcels.voxels) > task.voxels or not task.settings.closed_form:
        return voxels
    coarse = _coarse(parcels, examples)
    of_parcels = _noise(task, coarse[0], "noise-of-parcels")
    if of_parcels.score >= max(noise.score, PARCEL_GAIN * noise.score):
        return Grain(noise, of_parcels.ridge, coarse, parcels, parcels)
    if task.voxels <= TRAINED_VOXELS:
        return voxels
    chosen = task.shuffled(task.voxels, "trained on")[:TRAINED_VOXELS].sort().values
    sample = Sample(chosen, task.coordinates[chosen])
    return replace(voxels, examples=_coarse(sample, examples), trained=sample)


def _coarse(parcels: Parcels | Sample, examples: tuple[Examples, Examples]) -> tuple[Examples, Examples]:
    """Examples with responses of parcels, or of some voxels."""
    training, validation = parcel_responses(parcels, *(side.responses for side in examples))
    return with_responses(examples[0], training), with_responses(examples[1], validation)


def _noise(task: Task, training: Examples, stage: str) -> Noise:
    """How noisy responses are, by some of them."""
    kept = task.kept(stage)
    if kept is not None:
        return Noise(**kept.facts)
    judges = task.shuffled(training.responses[FIRST].shape[1], "judges")[:JUDGES]
    noise = measure_noise(*scanned_tokens(training, judges, task.machine.device), progress=task.progress)
    task.keep(stage, Part({}, noise._asdict()))
    return noise


def set_start(task: Task, selectors: nn.Module, grain: Grain) -> None:
    """Set selectors to the closed-form start."""
    topology, coordinates = task.settings.topology, grain.coordinates(task)
    some = torch.arange(len(coordinates))
    some = task.shuffled(len(some), "scanned")[:SCORED_VOXELS] if topology else some
    tokens, responses = scanned_tokens(grain.examples[0], some, task.machine.device)
    scores = scan(tokens, responses, grain.ridge, progress=task.progress)
    # Without topology no voxel may learn from its neighbours.
    neighbours = (TOUCHING if isinstance(grain.trained, Parcels) else NEIGHBOURS) if topology else 1
    height, width = tokens.local[0].shape[-2:]
    target = start_selection(scores, coordinates[some], coordinates, (height, width), neighbours=neighbours)
    start_selectors(selectors, target)
