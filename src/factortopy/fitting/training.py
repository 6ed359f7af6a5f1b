"""The training loop: one model, its optimiser, early stopping on validation images, checkpoints."""

import math
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from factortopy.errors import DataError
from factortopy.fitting.examples import Examples
from factortopy.fitting.reduction import TokenReduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.token_cache import Batch, Feed
from factortopy.machine import Machine, Replayed, give_back_memory
from factortopy.model import FactorTopy, softness_penalty
from factortopy.networks import Tokens
from factortopy.progress import progress_bar
from factortopy.storage import Checkpoint, Part, ResumableTraining

STATE = "training"
SLOWER = 0.25
"""Factor of all learning rates after a fit diverged."""
EDGE, LEAPT = 0.99, 0.9
"""A coordinate beyond which a place is at the edge of the image; share of places that only a leap puts there."""


@dataclass
class History:
    """What was seen while training.

    Attributes:
        step: steps at which the validation images were looked at.
        loss: mean training loss since the look before.
        validation_r2: mean of R^2 on the validation images over what is trained on.
        units: what that is: "voxels", "some voxels" or "parcels"; None in mappings that do not say.
        best_step: the step whose parameters were kept.
        seconds: that training took, looks at the validation images included.
        waited: seconds of these spent waiting for tokens.
        ridge: noise of the responses, as the best penalty of a ridge regression; None where not measured.
        solved_r2: mean over voxels of R^2 on the validation images when channels are at last solved in closed form
            from the training images; None where they are not.
        components: principal components that the align was trained in; None in raw tokens or without training.
        diverged: step at which the loss was no longer finite, or places had leapt to the edge of the image, and the
            learning rate there; None if neither came.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_r2: list[float] = field(default_factory=list)
    units: str | None = None
    best_step: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    ridge: float | None = None
    solved_r2: float | None = None
    components: int | None = None
    diverged: dict[str, float] | None = None


class Trained(NamedTuple):
    """A trained model, on the machine's device.

    Attributes:
        model: it takes raw tokens.
        history: what was seen while training.
        reduction: the principal components that it was trained in; None where it was trained on raw tokens.
        reduced: training and validation images with these components as tokens, as they were held; None without.
    """

    model: FactorTopy
    history: History
    reduction: TokenReduction | None
    reduced: tuple[Examples, Examples] | None = None


def train(
    model: FactorTopy,
    training: Examples,
    validation: Examples,
    settings: FitSettings,
    machine: Machine,
    *,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
    description: str = "Fit",
) -> History:
    """Train a model in place and leave it with the parameters that predicted the validation images best.

    With a checkpoint, a training that was stopped goes on from its last state; on a CPU it then ends with
    the very numbers of one that was not. Where the loss is no longer finite, or all places leapt to the edge of the
    image, from where no gradient leads back, it goes back to the best parameters so far and on from there at a quarter
    of all learning rates, once.

    Args:
        model: the model to train, on the machine's device.
        training, validation, settings, machine, checkpoint, progress, description: as for :func:`train_model`.

    Raises:
        DataError: if the loss is no longer finite for the second time, or the checkpoint is another fit's.
    """
    run, kept = _Run(model, settings, machine), None if checkpoint is None else checkpoint.load(STATE)
    if kept is not None:
        run.go_on(kept)
    total = _total(validation, settings.batch_size)
    started, before, waited = time.perf_counter(), run.history.seconds, run.history.waited
    with progress_bar(description, settings.steps, show=progress, done=run.step) as advance:
        while not run.finished:
            feed = Feed(training, machine.device)
            for batch in feed.batches(islice(_shuffled(len(training), settings), run.step, settings.steps)):
                run.advance(batch)
                history, looks = run.history, run.step % settings.validate_every == 0 or run.step == settings.steps
                if looks and not run.sound():
                    advance(1 - run.go_back())
                    break
                if looks:
                    give_back_memory()  # steps leave gigabytes in the heaps of their threads
                    run.look(mean_r2(model, validation, machine, settings.batch_size, total))
                history.seconds = before + time.perf_counter() - started
                history.waited = waited + feed.waited
                if checkpoint is not None and (checkpoint.due or run.finished):
                    checkpoint.save(STATE, run.state(asdict(history), best=run.best))
                advance(note=f"R² {history.validation_r2[-1]:.3f}" if looks else "")
                if run.finished:
                    break
            waited += feed.waited
    model.load_state_dict(run.best)
    return run.history


class _Run(ResumableTraining):
    """A training with its history and the parameters that were best so far."""

    def __init__(self, model: FactorTopy, settings: FitSettings, machine: Machine) -> None:
        super().__init__(_optimiser(model, settings), model=model)
        self.model, self.settings, self.machine = model, settings, machine
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        # Numbers that change from step to step stand on the device, where a recorded step reads them.
        self.softness = torch.zeros((), device=machine.device)
        self.steps = {soft: Replayed(partial(self._step, soft), machine.device) for soft in (False, True)}
        self.history, self.best = History(), deepcopy(model.state_dict())
        self.started_at_edge = self._at_edge()

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the validation images have been predicted no better for long."""
        patience, looks = self.settings.patience, self.history.step
        if self.step >= self.settings.steps:
            return True
        if patience is None or not looks:
            return False
        return looks[-1] - self.history.best_step >= patience * self.settings.validate_every

    def advance(self, batch: Batch) -> None:
        """One optimisation step."""
        for group, full in zip(self.optimiser.param_groups, self.rates, strict=True):
            factor = _released(self.step, self.settings) if group["selects"] else 1.0
            rate = full * _rate(self.step, self.settings) * factor
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        left = 1 - self.step / self.settings.softness_steps if self.settings.softness_steps else 0.0
        softness = self.settings.softness * left
        tokens, responses = batch
        step = self.steps[softness > 0]
        self.softness.fill_(softness)
        self.losses.append(step(responses, *tokens.local, *tokens.global_))
        self.step += 1

    def _step(self, soft: bool, responses: Tensor, *tokens: Tensor) -> Tensor:
        """The loss of a batch, from which the parameters are moved; nothing in it waits for the device."""
        layers = len(tokens) // 2
        with self.machine.autocast():
            selection = self.model.select()
            predictions = self.model(Tokens(tokens[:layers], tokens[layers:]), selection)
        if self.settings.loss == "squared":
            loss = functional.mse_loss(predictions, responses)
        else:
            loss = functional.smooth_l1_loss(predictions, responses, beta=0.1)
        objective = loss + self.softness * softness_penalty(selection) if soft else loss
        self.optimiser.zero_grad(set_to_none=True)
        objective.backward()
        if self.settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimiser.step()
        # PyTorch's mean squared error holds the squares of all responses as long as the loss itself is held.
        return loss.detach().clone()

    def sound(self) -> bool:
        """Whether losses since the last look and all parameters are finite, and places did not leap to the edge.

        At lower rates they may: of noise alone, they may be anywhere.
        """
        losses = torch.stack([*self.losses, *(value.detach().float().sum() for value in self.model.parameters())])
        leapt = self.history.diverged is None and bool(self._at_edge() & ~self.started_at_edge)
        return bool(losses.isfinite().all()) and not leapt

    @torch.no_grad()
    def _at_edge(self) -> Bool[Tensor, ""]:
        return (self.model.select().space.abs().amax(dim=1) > EDGE).float().mean() > LEAPT

    def go_back(self) -> int:
        """Go back to the best parameters so far, at lower rates; how many steps that is.

        Raises:
            DataError: if that was done before.
        """
        history, rate, step = self.history, self.rates[0], self.step
        if history.diverged is not None:
            first = f"and at step {history.diverged['step']:.0f} at {history.diverged['rate']:.2g}"
            fault = f"the fit diverged before step {step} at learning rate {rate:.2g}, {first}"
            raise DataError(f"{fault}: lower learning_rate or standardise the responses")
        kept = sum(looked <= history.best_step for looked in history.step)
        for values in (history.step, history.loss, history.validation_r2):
            del values[kept:]
        history.diverged = {"step": step, "rate": rate}
        print(f"The fit diverged before step {step}; it goes on from its best parameters, more slowly", file=sys.stderr)
        self.model.load_state_dict(self.best)
        for moments in self.optimiser.state.values():
            for value in moments.values():
                value.zero_()  # in place: a recorded step reads them where they are
        self.step, self.losses, self.rates = history.best_step, [], [SLOWER * full for full in self.rates]
        return step - self.step

    def look(self, score: float) -> None:
        """Note the score on the validation images, and the parameters if they are the best so far."""
        loss = self.take_loss()
        if not self.history.step or score > max(self.history.validation_r2):
            self.history.best_step, self.best = self.step, deepcopy(self.model.state_dict())
        self.history.step.append(self.step)
        self.history.loss.append(loss)
        self.history.validation_r2.append(score)

    def go_on(self, state: Part) -> None:
        """Go on from a state."""
        self.history = History(**state.facts["history"])
        self.best = {name: value.to(self.machine.device) for name, value in self.resume(state)["best"].items()}
        if self.history.diverged is not None:
            self.rates = [SLOWER * full for full in self.rates]


@torch.no_grad()
def mean_r2(
    model: FactorTopy, images: Examples, machine: Machine, batch_size: int, total: Float[Tensor, "N"] | None = None
) -> float:
    """Mean over voxels of the R^2 of a model's predictions; constant voxels are left out.

    The model is on the machine's device; ``total`` are the squared deviations of the responses from their mean,
    where they are known.
    """
    total = (_total(images, batch_size) if total is None else total).to(machine.device)
    selection, residual = model.select(), torch.zeros_like(total)
    rows = torch.arange(len(images)).split(batch_size)
    for tokens, responses in Feed(images, machine.device).batches(rows):
        with machine.autocast():
            predictions = model(tokens, selection)
        residual += (responses - predictions).square().sum(dim=0)
    return float((1 - residual / total)[total > 0].mean())


def _total(images: Examples, batch_size: int) -> Float[Tensor, "N"]:
    """Squared deviations of the responses from their mean, voxel by voxel; exactly 0 where they are constant.

    The mean of equal numbers need not be that number; that of their differences from one is.
    """
    parts = torch.arange(len(images)).split(batch_size)
    first = images.responses[parts[0][:1]]
    mean = sum((images.responses[rows] - first).sum(dim=0) for rows in parts) / len(images)
    return torch.stack([(images.responses[rows] - first - mean).square().sum(dim=0) for rows in parts]).sum(dim=0)


def _optimiser(model: FactorTopy, settings: FitSettings) -> torch.optim.AdamW:
    selectors = dict(model.selectors.named_parameters())
    # Selectors that are learnt in part stand one level deeper: "learnt.space".
    space = [value for name, value in selectors.items() if "space" in name.split(".")]
    others = [value for name, value in selectors.items() if "space" not in name.split(".")]
    groups = [
        (list(model.align.parameters()), settings.learning_rate, settings.align_decay, False),
        ([model.channels], settings.learning_rate, settings.channel_decay, False),
        ([model.bias], settings.learning_rate, settings.bias_decay, False),
        (space, settings.space_learning_rate, settings.selector_decay, True),
        (others, settings.selector_learning_rate, settings.selector_decay, True),
    ]
    device = model.bias.device
    recorded = device.type == "cuda"  # then rates stand on the device too
    return torch.optim.AdamW(
        [
            {"params": params, "lr": torch.tensor(rate, device=device) if recorded else rate}
            | {"weight_decay": decay, "selects": selects}
            for params, rate, decay, selects in groups
            if params
        ],
        fused=device.type in ("cpu", "cuda"),
        capturable=recorded,
    )


def _rate(step: int, settings: FitSettings) -> float:
    """Factor of the learning rates after ``step`` steps."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if not settings.cosine:
        return 1.0
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * done))


def _released(step: int, settings: FitSettings) -> float:
    """Factor of the selectors' learning rates: 0 at first, then rising to 1 over as many steps."""
    hold = min(settings.hold_steps, settings.steps // 4)
    return min(1.0, max(0.0, (step + 1) / hold - 1)) if hold else 1.0


def _shuffled(count: int, settings: FitSettings) -> Iterator[Int[Tensor, "batch"]]:
    """Endless batches; every image comes once before any comes again."""
    generator = torch.Generator().manual_seed(settings.seed_of("order of images"))
    while True:
        order = torch.randperm(count, generator=generator)
        full = count - count % min(settings.batch_size, count)
        yield from order[:full].split(settings.batch_size)
