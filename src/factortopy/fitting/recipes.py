"""The two recipes from start to trained model; either model takes the network's raw tokens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.fitting.build import build_default_model, build_paper_model, build_selectors
from factortopy.fitting.reduction import TokenReduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.start import scan, start_selection, start_selectors
from factortopy.fitting.train import History, Images, train
from factortopy.model import FactorTopy
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

MEASURED_IMAGES = 1_024
"""Training images that principal components are measured on."""
BATCH = 64


def train_paper(
    training: Images,
    validation: Images,
    settings: FitSettings,
    coordinates: Float[Tensor, "N 3"],
    bounds: Float[Tensor, "2 3"],
    selectors: nn.Module | None = None,
    *,
    progress: bool = True,
    description: str = "Fit",
) -> tuple[FactorTopy, History]:
    """Train as the authors do, reading tokens batch by batch.

    Args:
        training: training images.
        validation: images that choose when to stop.
        settings: how to train.
        coordinates: coordinates of the voxels, mm.
        bounds: smallest and largest coordinate of the whole surface, mm.
        selectors: selectors that are given instead of built.
        progress: whether to show progress bars.
        description: what the progress bar calls the training.

    Returns:
        The trained model and what was seen while training.

    Raises:
        DataError: if the fit diverges.
    """
    channels = tuple(values.shape[1] for values in training.read(torch.tensor([0])).local)
    if selectors is None:
        selectors = build_selectors(settings, coordinates, bounds, len(channels))
    model = build_paper_model(settings, selectors, len(coordinates), channels)
    return model, train(model, training, validation, settings, progress=progress, description=description)


def train_default(
    training: Images,
    validation: Images,
    settings: FitSettings,
    coordinates: Float[Tensor, "N 3"],
    bounds: Float[Tensor, "2 3"],
    selectors: nn.Module | None = None,
    *,
    progress: bool = True,
    description: str = "Fit",
) -> tuple[FactorTopy, History]:
    """Train in principal components of the tokens, from a closed-form start; see :func:`train_paper`."""
    chosen = torch.arange(len(training))[:: -(-len(training) // MEASURED_IMAGES)]
    reduction = TokenReduction.measure(
        training.read(chosen), settings.components, settings.damping, settings.seed
    )
    reduced, reduced_validation = _reduce([training, validation], reduction, progress)
    if selectors is None:
        selectors = build_selectors(settings, coordinates, bounds, len(reduction.local))
        everything = reduced.read(torch.arange(len(reduced)))
        scores = scan(everything, reduced.responses, progress=progress)
        height, width = everything.local[0].shape[-2:]
        # Without topology no voxel may learn from its neighbours.
        neighbours = {} if settings.topology else {"neighbours": 1}
        start_selectors(selectors, start_selection(scores, coordinates, (height, width), **neighbours))
    model = build_default_model(settings, selectors, len(coordinates), reduction)
    history = train(model, reduced, reduced_validation, settings, progress=progress, description=description)
    model.align = reduction.unfold(model.align)
    return model, history


def _reduce(sides: list[Images], reduction: TokenReduction, progress: bool) -> list[Images]:
    """The same images with reduced tokens, held in memory."""
    total = sum(len(side) for side in sides)
    held = []
    with progress_bar("Principal components", total, show=progress) as advance:
        for side in sides:
            batches = []
            for batch in side.batches(BATCH):
                batches.append(reduction.apply(batch).to(dtype=torch.float16))
                advance(len(batch))
            held.append(_in_memory(_join(batches), side.responses))
    return held


def _in_memory(tokens: Tokens, responses: Float[Tensor, "image N"]) -> Images:
    return Images(lambda chosen: tokens[chosen], responses)


def _join(batches: list[Tokens]) -> Tokens:
    return Tokens(
        tuple(torch.cat(layer) for layer in zip(*(batch.local for batch in batches), strict=True)),
        tuple(torch.cat(layer) for layer in zip(*(batch.global_ for batch in batches), strict=True)),
    )
