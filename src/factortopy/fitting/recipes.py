"""The two recipes from start to trained model; either model takes the network's raw tokens."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.fitting.build import build_default_model, build_paper_model, build_selectors, fix_selectors
from factortopy.fitting.held import Layout, fits_device, fits_memory, gather, hold
from factortopy.fitting.images import Images
from factortopy.fitting.reduction import TokenReduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.start import (
    COMPONENTS,
    JUDGES,
    SCORED_VOXELS,
    choose_ridge,
    scan,
    start_selection,
    start_selectors,
)
from factortopy.fitting.training import STATE, History, train
from factortopy.machine import Machine
from factortopy.model import FactorTopy
from factortopy.networks import Tokens
from factortopy.progress import Advance, progress_bar
from factortopy.storage import Checkpoint, Part

MEASURED_IMAGES = 2_048
"""Training images that principal components are measured on."""
IMAGES_A_COMPONENT = 4
"""Training images for each component, at least: with fewer, more components fit more noise than signal."""
SCANNED_IMAGES = 3_000
"""Training images that the closed-form start is found from: it need not be sharper than what follows."""
RIDGE = 0.75
"""Best penalty of the closed-form start's regressions for which a recipe's weight decays hold as they are."""
BATCH = 64


def train_paper(
    training: Images,
    validation: Images,
    settings: FitSettings,
    coordinates: Float[Tensor, "N 3"],
    bounds: Float[Tensor, "2 3"],
    selectors: nn.Module | None = None,
    *,
    machine: Machine | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
    description: str = "Fit",
) -> tuple[FactorTopy, History]:
    """Train as the authors do, on raw tokens; they are held in memory if they fit, else read from disk.

    Args:
        training: training images.
        validation: images that choose when to stop.
        settings: how to train.
        coordinates: coordinates of the voxels, mm.
        bounds: smallest and largest coordinate of the whole surface, mm.
        selectors: selectors that are given instead of built.
        machine: where to compute; the best there is if None.
        checkpoint: where states are written and found.
        progress: whether to show progress bars.
        description: what the progress bar calls the training.

    Returns:
        The trained model, on the machine's device, and what was seen while training.

    Raises:
        DataError: if the fit diverges, the disk is full, or the checkpoint is another fit's.
    """
    machine = machine or Machine.choose()
    layout = Layout.of(training.read(torch.tensor([0])))
    channels = layout.global_
    if selectors is None:
        selectors = fix_selectors(settings, build_selectors(settings, coordinates, bounds, len(channels)))
    model = build_paper_model(settings, selectors, len(coordinates), channels).to(machine.device)
    held, held_validation = _near([training, validation], layout, machine, progress)
    history = train(
        model,
        held,
        held_validation,
        settings,
        machine,
        checkpoint=checkpoint,
        progress=progress,
        description=description,
    )
    return model, history


def train_default(
    training: Images,
    validation: Images,
    settings: FitSettings,
    coordinates: Float[Tensor, "N 3"],
    bounds: Float[Tensor, "2 3"],
    selectors: nn.Module | None = None,
    *,
    machine: Machine | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
    description: str = "Fit",
) -> tuple[FactorTopy, History]:
    """Train in principal components of the tokens, from a closed-form start; see :func:`train_paper`."""
    machine = machine or Machine.choose()
    reduction = _reduction(training, settings, checkpoint)
    reduced, reduced_validation = _reduce([training, validation], reduction, machine, progress)
    ridge = _ridge(reduced, len(coordinates), settings, machine, checkpoint, progress)
    if selectors is None:
        selectors = build_selectors(settings, coordinates, bounds, len(reduction.local)).to(machine.device)
        if checkpoint is None or checkpoint.load(STATE) is None:
            _start(selectors, reduced, coordinates, settings, machine, ridge, progress)
        selectors = fix_selectors(settings, selectors)
    model = build_default_model(settings, selectors, len(coordinates), reduction).to(machine.device)
    history = train(
        model,
        reduced,
        reduced_validation,
        _decayed(settings, ridge),
        machine,
        checkpoint=checkpoint,
        progress=progress,
        description=description,
    )
    history.ridge = ridge
    model.align = reduction.unfold(model.align).to(machine.device)
    return model, history


def _near(sides: list[Images], layout: Layout, machine: Machine, progress: bool) -> list[Images]:
    """The same images with raw tokens as close to the processor as they fit."""
    if not (fits_device(sides[0], layout, machine) or fits_memory(sides[0], layout, machine)):
        # They are on disk already: no second copy of raw tokens is written.
        return [Images(side.read, side.responses, resident=False) for side in sides]
    with progress_bar("Reading tokens", sum(map(len, sides)), show=progress) as advance:
        return [hold(_counted(side.batches(BATCH), advance), side, layout, machine) for side in sides]


def _reduction(training: Images, settings: FitSettings, checkpoint: Checkpoint | None) -> TokenReduction:
    """Principal components of the training tokens: those of the checkpoint where it has them."""
    kept = checkpoint.load("reduction") if checkpoint is not None else None
    if kept is not None:
        return TokenReduction.from_tensors(kept.tensors)
    chosen = _spread(len(training), MEASURED_IMAGES)
    batches = (training.read(rows) for rows in chosen.split(BATCH))
    count = min(settings.components, max(1, len(training) // IMAGES_A_COMPONENT))
    reduction = TokenReduction.measure(batches, len(chosen), count, settings.damping, settings.seed)
    if checkpoint is not None:
        checkpoint.save("reduction", Part(reduction.to_tensors(), {}))
    return reduction


def _reduce(sides: list[Images], reduction: TokenReduction, machine: Machine, progress: bool) -> list[Images]:
    """The same images with reduced tokens, close to the processor."""
    there = reduction.to(machine.device)
    layout = Layout.of(reduction.apply(sides[0].read(torch.tensor([0]))))

    with progress_bar("Principal components", sum(map(len, sides)), show=progress) as advance:
        return [
            hold(
                (there.apply(batch.to(machine.device)) for batch in _counted(side.batches(BATCH), advance)),
                side,
                layout,
                machine,
            )
            for side in sides
        ]


def _ridge(
    training: Images,
    voxels: int,
    settings: FitSettings,
    machine: Machine,
    checkpoint: Checkpoint | None,
    progress: bool,
) -> float:
    """How noisy responses are, as the best penalty of a ridge regression: the checkpoint's if it has one."""
    kept = checkpoint.load("noise") if checkpoint is not None else None
    if kept is not None:
        return float(kept.facts["ridge"])
    judges = torch.randperm(voxels, generator=_seeded(settings))[:JUDGES]
    ridge = choose_ridge(*_scanned(training, judges, machine), progress=progress)
    if checkpoint is not None:
        checkpoint.save("noise", Part({}, {"ridge": ridge}))
    return ridge


def _decayed(settings: FitSettings, ridge: float) -> FitSettings:
    """The settings with weight decays in keeping with the noise."""
    if not settings.decay_by_noise:
        return settings
    factor = (ridge / RIDGE) ** 2
    decays = {"align_decay": factor * settings.align_decay, "channel_decay": factor * settings.channel_decay}
    return settings.model_copy(update=decays)


def _start(
    selectors: nn.Module,
    training: Images,
    coordinates: Float[Tensor, "N 3"],
    settings: FitSettings,
    machine: Machine,
    ridge: float,
    progress: bool,
) -> None:
    """Set selectors to the closed-form start."""
    # Without topology no voxel may learn from its neighbours.
    some = torch.randperm(len(coordinates), generator=_seeded(settings))
    some = some[:SCORED_VOXELS] if settings.topology else torch.arange(len(coordinates))
    tokens, responses = _scanned(training, some, machine)
    scores = scan(tokens, responses, ridge, progress=progress)
    neighbours = {} if settings.topology else {"neighbours": 1}
    height, width = tokens.local[0].shape[-2:]
    target = start_selection(scores, coordinates[some], coordinates, (height, width), **neighbours)
    start_selectors(selectors, target)


def _scanned(training: Images, voxels: Int[Tensor, "M"], machine: Machine) -> tuple[Tokens, Float[Tensor, "image M"]]:
    """What the closed-form start looks at: leading components and some voxels of some images."""
    chosen = _spread(len(training), SCANNED_IMAGES)
    # Only leading components are looked at, so that the memory stays bounded.
    layout = Layout.of(_leading(training.read(chosen[:1])))
    batches = (_leading(training.read(rows)) for rows in chosen.split(BATCH))
    tokens = layout.unpack(gather(batches, len(chosen), layout, machine.device))
    responses = torch.empty(len(chosen), len(voxels), device=machine.device)
    for rows, part in zip(chosen.split(BATCH), responses.split(BATCH), strict=True):
        observed = training.responses[rows]
        part.copy_(observed[:, voxels.to(observed.device)])
    return tokens, responses


def _seeded(settings: FitSettings) -> torch.Generator:
    return torch.Generator().manual_seed(settings.seed)


def _spread(count: int, wanted: int) -> Tensor:
    """At most so many indices, evenly spread over all."""
    return torch.arange(count)[:: -(-count // wanted)]


def _leading(tokens: Tokens) -> Tokens:
    return Tokens(
        tuple(layer[:, :COMPONENTS] for layer in tokens.local),
        tuple(layer[:, :COMPONENTS] for layer in tokens.global_),
    )


def _counted(batches: Iterator[Tokens], advance: Advance) -> Iterator[Tokens]:
    for batch in batches:
        yield batch
        advance(len(batch))
