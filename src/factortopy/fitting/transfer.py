"""Fits that start from donors: what other mappings select, trusted as far as validation images tell.

A selector is a function of the place on the cortex, so that it can be asked what a new subject's voxels select. With
few images that is a better guess than any fit to them. How far it is trusted is a row of choices:

1. the donors' selection as it is; only the channels of each voxel are new;
2. selections that depart from it, further and further: a smooth function of the place on the cortex is added to the
   selectors. It ascends the cross-validated R^2 of ridge regressions on what parcels read, so that channels are solved
   for at every step and never trained, and is noted after more and more steps;
3. the selection of a fit from scratch.

Channels of each are solved in closed form in a donor's channel align, or, where donors have none for this network, in
one that is trained at their places and scales. Each voxel takes what predicts validation images best around it, under a
prior that all voxels share. An align leaves out what the donors' images did not teach it. So channels are at last
solved in the aligns of all donors side by side too, with random channels of the tokens' components beside them, and
the better of both by validation is taken. If that predicts no better than the fit from scratch, that one stands.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting.build import build_selectors, join_aligns, random_align
from factortopy.fitting.examples import Examples, distinct_images
from factortopy.fitting.recipes import train_model
from factortopy.fitting.reduction import measure_reduction, spread_evenly
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.solved.channels import CHUNK_NUMBERS, Known, solve_channels
from factortopy.fitting.solved.closed_form import SMALLEST
from factortopy.fitting.solved.parcels import Parcels, find_parcels
from factortopy.fitting.solved.prior import log_likelihood, share_prior
from factortopy.fitting.solved.scan import FOLDS, RIDGES, explained
from factortopy.fitting.token_cache import cache_sides
from factortopy.fitting.training import Trained
from factortopy.machine import Machine, seeded
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection, reading_matrix
from factortopy.networks import Tokens
from factortopy.progress import progress_bar
from factortopy.storage import Checkpoint

STEPS = (10, 20, 40, 80)
"""After how many steps a departure from the donors' selection is noted."""
RATE = 2e-3
PULL = 4.0
"""Weight of the mean squared departure against R^2, times the images: with few, selectors stay near the donors'."""
IMAGES, PARCELS = 1_000, 128
"""Training images that departures are found from, and parcels that a step looks at, at most."""
LARGEST = 0.999
"""Of a departure in space that is drawn back."""
WIDTH = 14.0
"""Standard deviation of the means around a voxel that choose for it, mm."""
BATCH = 64
DONOR, SCRATCH = "as the donor", "from scratch"
FIRST = torch.tensor([0])


class Donor(NamedTuple):
    """What other mappings bring to the voxels of a new subject.

    Attributes:
        space: place that donors select where these voxels lie.
        scale: scale that they select.
        layer: weights of the layers; None where the donors' network is another one.
        aligns: channel aligns of this network's own channels, one a donor; none where it is another network, or where
            the donors have no trained parameters.
    """

    space: Float[Tensor, "N 2"]
    scale: Float[Tensor, "N"]
    layer: Float[Tensor, "N L"] | None = None
    aligns: tuple[ChannelAlign, ...] = ()


class Transferred(NamedTuple):
    """A fit that started from donors.

    Attributes:
        trained: the fit.
        trust: of every voxel in what the donors select: 1 as they are, 0 from scratch.
        voxels: how many took what.
        validation_r2: mean over voxels of R^2 on the validation images, of every choice if all voxels took it.
    """

    trained: Trained
    trust: Float[Tensor, "N"]
    voxels: dict[str, int]
    validation_r2: dict[str, float]


def train_from(
    donor: Donor,
    settings: FitSettings,
    training: Examples,
    validation: Examples,
    coordinates: Float[Tensor, "N 3"],
    bounds: Float[Tensor, "2 3"],
    *,
    machine: Machine,
    checkpoint: Checkpoint | None = None,
    refit: bool = True,
    progress: bool = True,
    description: str = "Fit",
) -> Transferred:
    """Train from scratch, start from donors as well, and keep what validation images are predicted best by.

    Args:
        donor: what the donors bring.
        settings: how to train; of the recipe ``"default"``, with topology, parcels and channels in closed form.
        training, validation, coordinates, bounds, machine, checkpoint, refit, progress, description: as for
            :func:`~factortopy.fitting.train_model`, whose errors it raises.
    """
    sides = training, validation, coordinates, bounds
    told: dict[str, Any] = {"machine": machine, "refit": refit, "progress": progress}
    own = train_model(settings, *sides, checkpoint=checkpoint, description=description, **told)
    with torch.no_grad():
        found = own.model.select().map(Tensor.cpu)._replace(size=None)
    settings = settings.model_copy(update={"patches": False})  # what donors and voxels read of each other is points
    where = settings, *sides
    given = Selection(donor.space, found.layer if donor.layer is None else donor.layer, donor.scale)
    aligns = donor.aligns
    if not aligns:
        told["checkpoint"] = (
            None if checkpoint is None else Checkpoint(checkpoint.folder / "start", checkpoint.identity)
        )
        guided = train_model(*where, FixedSelectors(given), description=f"{description} at donors' places", **told)
        aligns = (guided.model.align,)
    # Apple's GPUs have no float64, which channels are solved in.
    there = replace(machine, device=torch.device("cpu")) if machine.device.type == "mps" else machine
    parcels = find_parcels(coordinates, settings.parcels)
    task = _Task(settings, (training, validation), coordinates, bounds, parcels, there, refit, progress)
    room = max((_Room.of(align, task, given) for align in aligns), key=lambda one: one.score)
    tables = {DONOR: given, **_departures(room, task, given), SCRATCH: found}
    components = measure_reduction(training, settings.components, settings.damping, settings.seed_of("components"))
    at_random = random_align(components, settings.width, settings.seed_of("random channels"))
    wide = _Room.of(join_aligns([*(align.cpu() for align in aligns), at_random]), task, given)
    result = _choose(own, (room, wide), task, tables)
    result.trained.model.to(machine.device)
    return result


class _Task(NamedTuple):
    """What every part of a fit from donors works on; see :func:`train_from`."""

    settings: FitSettings
    sides: tuple[Examples, Examples]
    coordinates: Float[Tensor, "N 3"]
    bounds: Float[Tensor, "2 3"]
    parcels: Parcels
    machine: Machine
    refit: bool
    progress: bool


@dataclass(frozen=True, eq=False)
class _Room:
    """Images in the channels of an align, and the regressions of parcels on what they read there.

    Attributes:
        align: of the network's own channels.
        known: training and validation images; their tokens are aligned.
        read: aligned tokens of some training images, the global one of every layer last.
        grid: rows and columns of the local ones.
        responses: mean responses of parcels to these images, centred.
        ridge: penalty that predicts best with the donors' selection.
        score: mean R^2 of parcels with it.
    """

    align: ChannelAlign
    known: Known
    read: Float[Tensor, "positions n D"]
    grid: tuple[int, int]
    responses: Float[Tensor, "n M"]
    ridge: float = 1.0
    score: float = 0.0

    @classmethod
    @torch.no_grad()
    def of(cls, align: ChannelAlign, task: _Task, given: Selection) -> "_Room":
        """Align the tokens of all images, and find the best penalty for the selection that is given."""
        sides, device = task.sides, task.machine.device
        align = align.to(device)

        def aligned(tokens: Tokens) -> Tokens:
            local, global_ = align(tokens.to(device))
            return Tokens(tuple(local), tuple(global_))

        cached = cache_sides(sides, aligned, task.machine, "Donors' channels", task.progress)
        pairs = zip(sides, cached, strict=True)
        images, repeats = distinct_images(*(replace(side, read=there.read) for side, there in pairs))
        known = Known(images, repeats, len(distinct_images(sides[1])[1]), task.refit)
        rows = torch.arange(len(images) - known.judged)[spread_evenly(len(images) - known.judged, IMAGES)]
        batches = rows.split(BATCH)
        read = torch.cat([_positions(images.read(batch).to(device)) for batch in batches], dim=1)
        means = torch.cat([task.parcels.mean(images.responses[batch].to(device).T).T for batch in batches])
        grid = images.read(FIRST).local[0].shape[-2:]
        room = cls(align, known, read.float(), (grid[0], grid[1]), means - means.mean(dim=0))
        selection, parcels = given.map(task.parcels.mean), torch.arange(means.shape[1])
        scores = [float(room.predict(selection, parcels, ridge).mean()) for ridge in RIDGES]
        best = int(np.argmax(scores))
        return replace(room, ridge=RIDGES[best], score=scores[best])

    def predict(
        self, selection: Selection, parcels: Int[Tensor, "some"], ridge: float | None = None
    ) -> Float[Tensor, "some"]:
        """Cross-validated R^2 of some parcels with what they select; channels are solved for in every fold."""
        selection = selection.map(lambda part: part.to(self.read))
        reading = reading_matrix(selection, *self.grid).flatten(1)
        count, width = self.read.shape[1:]
        scores = []
        for some in torch.arange(len(parcels)).split(max(1, CHUNK_NUMBERS // (count * width))):
            read = (reading[some] @ self.read.flatten(1)).view(-1, count, width)
            read = read - read.mean(dim=1, keepdim=True)
            wanted = self.responses[:, parcels[some]].T[:, :, None]
            folds = [(read[:, fold::FOLDS], wanted[:, fold::FOLDS]) for fold in range(FOLDS)]
            grams, products = [part.mT @ part for part, _ in folds], [part.mT @ own for part, own in folds]
            total = wanted.square().sum(dim=(1, 2)).clamp(min=SMALLEST)
            scores.append(explained(grams, products, self.ridge if ridge is None else ridge)[:, 0] / total)
        return torch.cat(scores)

    @torch.no_grad()
    def solve(self, table: Selection, task: _Task) -> tuple[FactorTopy, Float[Tensor, "N"]]:
        """The model, on aligned tokens, with this selection and channels in closed form; its R^2 by validation."""
        width, layers = self.read.shape[-1], len(self.align.local)
        with seeded(0):  # starts are drawn, and then written over
            same = ChannelAlign(*([ChannelMap(width, width) for _ in range(layers)] for _ in range(2)))
        for weight in same.parameters():
            weight.copy_(torch.eye(width))
        model = FactorTopy(same, FixedSelectors(table), torch.zeros(len(table.scale), width), task.settings.factor)
        model.to(self.read.device)
        return model, solve_channels(model, self.known, task.coordinates, task.parcels, progress=task.progress)


def _positions(tokens: Tokens) -> Float[Tensor, "positions B D"]:
    """Tokens of every layer and position, the global one of each layer last."""
    pairs = zip(tokens.local, tokens.global_, strict=True)
    layers = [torch.cat([local.flatten(2), whole[..., None]], dim=-1) for local, whole in pairs]
    return torch.stack(layers).permute(0, 3, 1, 2).flatten(0, 1)


def _departures(room: _Room, task: _Task, given: Selection) -> dict[str, Selection]:
    """Selections of all voxels after so many steps away from those given."""
    settings, centres, device = task.settings, task.parcels.centre, room.read.device
    generator = torch.Generator().manual_seed(settings.seed_of("departures"))
    layers, start = given.layer.shape[1], given.map(task.parcels.mean)
    at_parcels = build_selectors(settings, centres, task.bounds, layers)
    at_voxels = build_selectors(settings, task.coordinates, task.bounds, layers)
    fused = device.type in ("cpu", "cuda")
    optimiser = torch.optim.Adam(at_parcels.to(device).parameters(), RATE, fused=fused)
    pull, found = PULL / room.read.shape[1], {}
    with progress_bar("Departures", STEPS[-1], show=task.progress) as advance:
        for step in range(1, STEPS[-1] + 1):
            some = torch.randperm(len(centres), generator=generator)[:PARCELS]
            by = at_parcels(some.to(device))
            here = Selection(*(part[some].to(device) for part in start[:3]))
            loss = pull * _distance(by) - room.predict(here.departed(by), some).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step in STEPS:
                at_voxels.load_state_dict(at_parcels.state_dict())
                with torch.no_grad():
                    found[f"after {step} steps"] = given.departed(at_voxels())
            advance()
    return found


def _distance(by: Selection) -> Float[Tensor, ""]:
    """Mean square of a departure before tanh, softmax and sigmoid."""
    layer = by.layer.log()
    parts = by.space.clamp(-LARGEST, LARGEST).atanh(), layer - layer.mean(dim=1, keepdim=True), by.scale.logit()
    return torch.stack([part.square().mean() for part in parts]).sum()


def _choose(own: Trained, rooms: tuple[_Room, _Room], task: _Task, tables: dict[str, Selection]) -> Transferred:
    """What each voxel takes, and channels for it; the fit from scratch if validation images are predicted no better.

    What is taken is chosen in the first of the rooms, channels are solved in the better one.
    """
    scratch = own.history.solved_r2
    assert scratch is not None
    scores = torch.stack([rooms[0].solve(table, task)[1] for table in tables.values()])
    around = task.parcels.around(task.coordinates, WIDTH) @ task.parcels.mean(scores.T)
    choice = share_prior(log_likelihood(around.T, rooms[0].known.judged)).argmax(dim=0)
    told = dict(zip(tables, scores.mean(dim=1).tolist(), strict=True)) | {SCRATCH: scratch}
    voxels = torch.arange(len(choice))
    parts = zip(*(table[:3] for table in tables.values()), strict=True)
    chosen = Selection(*(torch.stack(part)[choice, voxels] for part in parts))
    solved = [(float(score.mean()), model, room.align) for room in rooms for model, score in [room.solve(chosen, task)]]
    score, model, align = max(solved, key=lambda one: one[0])
    if score <= scratch:
        return Transferred(own, torch.zeros(len(choice)), {SCRATCH: len(choice)}, told)
    model.align = align
    counts = torch.bincount(choice, minlength=len(tables)).tolist()
    trained = Trained(model, replace(own.history, solved_r2=score), own.reduction)
    took = {name: count for name, count in zip(tables, counts, strict=True) if count}
    return Transferred(trained, 1 - choice / (len(tables) - 1), took, told)
