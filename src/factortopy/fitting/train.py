"""The training loop: one model, its optimiser, early stopping on validation images."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from factortopy.errors import DataError
from factortopy.fitting.settings import FitSettings
from factortopy.model import FactorTopy, softness_penalty
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

ReadTokens = Callable[[Int[Tensor, "batch"]], Tokens]
"""Gives the tokens of images by their index."""


@dataclass(frozen=True)
class Images:
    """Images of one side of a split: their tokens, read on demand, and the responses to them."""

    read: ReadTokens
    responses: Float[Tensor, "image voxel"]

    def __len__(self) -> int:
        return len(self.responses)

    def batches(self, size: int) -> Iterator[Tokens]:
        """Tokens of all images in order, batch by batch."""
        for indices in torch.arange(len(self)).split(size):
            yield self.read(indices)


@dataclass
class History:
    """What was seen while training.

    Attributes:
        step: steps at which the validation images were looked at.
        loss: mean training loss since the look before.
        validation_r2: mean over voxels of R^2 on the validation images.
        best_step: the step whose parameters were kept.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_r2: list[float] = field(default_factory=list)
    best_step: int = 0


def train(
    model: FactorTopy,
    training: Images,
    validation: Images,
    settings: FitSettings,
    *,
    progress: bool = True,
    description: str = "Fit",
) -> History:
    """Train a model in place and leave it with the parameters that predicted the validation images best.

    Args:
        model: the model to train.
        training: training images.
        validation: images that choose when to stop.
        settings: how to train.
        progress: whether to show a progress bar.
        description: what the progress bar calls this.

    Raises:
        DataError: if the loss is no longer finite.
    """
    optimiser = _optimiser(model, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings))
    order = _shuffled(len(training), settings)
    history, best, losses = History(), _copy(model), []
    with progress_bar(description, settings.steps, show=progress) as advance:
        for step in range(1, settings.steps + 1):
            losses.append(_step(model, training, next(order), optimiser, step, settings))
            schedule.step()
            if step % settings.validate_every and step != settings.steps:
                advance()
                continue
            _look(model, validation, step, losses, history, settings)
            losses = []
            if history.best_step == step:
                best = _copy(model)
            advance(note=f"R² {history.validation_r2[-1]:.3f}")
            looks = (step - history.best_step) / settings.validate_every
            if settings.patience is not None and looks >= settings.patience:
                break
    model.load_state_dict(best)
    return history


def _step(
    model: FactorTopy,
    training: Images,
    indices: Int[Tensor, "batch"],
    optimiser: torch.optim.Optimizer,
    step: int,
    settings: FitSettings,
) -> Float[Tensor, ""]:
    selection = model.select()
    predictions = model(training.read(indices), selection)
    responses = training.responses[indices]
    if settings.loss == "squared":
        loss = functional.mse_loss(predictions, responses)
    else:
        loss = functional.smooth_l1_loss(predictions, responses, beta=0.1)
    left = 1 - (step - 1) / settings.softness_steps if settings.softness_steps else 0.0
    objective = loss + settings.softness * left * softness_penalty(selection) if left > 0 else loss
    optimiser.zero_grad(set_to_none=True)
    objective.backward()
    if settings.gradient_clip is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
    optimiser.step()
    return loss.detach()


def _look(
    model: FactorTopy,
    validation: Images,
    step: int,
    losses: list[Tensor],
    history: History,
    settings: FitSettings,
) -> None:
    loss = float(torch.stack(losses).mean())
    if not math.isfinite(loss):
        raise DataError(
            f"the fit diverged before step {step}: lower learning_rate or standardise the responses"
        )
    score = mean_r2(model, validation, settings.batch_size)
    if not history.step or score > max(history.validation_r2):
        history.best_step = step
    history.step.append(step)
    history.loss.append(loss)
    history.validation_r2.append(score)


@torch.no_grad()
def mean_r2(model: FactorTopy, images: Images, batch_size: int) -> float:
    """Mean over voxels of the R^2 of a model's predictions; constant voxels are left out."""
    selection = model.select()
    predictions = torch.cat([model(tokens, selection) for tokens in images.batches(batch_size)])
    total = (images.responses - images.responses.mean(dim=0)).square().sum(dim=0)
    residual = (images.responses - predictions).square().sum(dim=0)
    return float((1 - residual / total)[total > 0].mean())


def _optimiser(model: FactorTopy, settings: FitSettings) -> torch.optim.AdamW:
    selectors = dict(model.selectors.named_parameters())
    space = [value for name, value in selectors.items() if name.startswith("space")]
    others = [value for name, value in selectors.items() if not name.startswith("space")]
    groups = [
        (list(model.align.parameters()), settings.learning_rate, settings.align_decay),
        ([model.channels], settings.learning_rate, settings.channel_decay),
        ([model.bias], settings.learning_rate, 0.0),
        (space, settings.space_learning_rate, settings.selector_decay),
        (others, settings.selector_learning_rate, settings.selector_decay),
    ]
    return torch.optim.AdamW(
        [{"params": params, "lr": rate, "weight_decay": decay} for params, rate, decay in groups if params]
    )


def _rate(step: int, settings: FitSettings) -> float:
    """Factor of the learning rates after ``step`` steps."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if not settings.cosine:
        return 1.0
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _shuffled(count: int, settings: FitSettings) -> Iterator[Int[Tensor, "batch"]]:
    """Endless batches; every image comes once before any comes again."""
    generator = torch.Generator().manual_seed(settings.seed)
    while True:
        order = torch.randperm(count, generator=generator)
        full = count - count % min(settings.batch_size, count)
        yield from order[:full].split(settings.batch_size)


def _copy(model: FactorTopy) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
