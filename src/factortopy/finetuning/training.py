"""The training loop of a fine-tuning: all layers and a new classifier, AdamW, cross-entropy, checkpoints."""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from factortopy.errors import DataError
from factortopy.finetuning.labelled import LabelledImages, LabelledSplit
from factortopy.finetuning.settings import FinetuneSettings
from factortopy.images import default_workers
from factortopy.machine import autocast, seeded
from factortopy.networks import Network
from factortopy.progress import progress_bar
from factortopy.storage import Checkpoint, Part, load_optimiser, named, of_kind, optimiser_tensors

STATE = "finetuning"
VALIDATION_BATCH = 16
AHEAD = 3
"""Batches that are decoded ahead of the network."""

Batch = tuple[Float[Tensor, "B 3 H W"], Int[Tensor, "B"]]


@dataclass
class FinetuneHistory:
    """What was seen while training.

    Attributes:
        step: steps at which the validation images were looked at; the first is 0, before any training.
        loss: mean training loss since the look before, nats; None at step 0.
        accuracy: part of the validation images that were classified rightly.
        seconds: that training took, looks included.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float | None] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Classifier(nn.Module):
    """A network's classes from the global token of its last layer: standardised, then one linear map.

    Args:
        network: whose tokens are read; its weights stay its own.
        classes: number of classes.
        seed: of the random weights.
    """

    def __init__(self, network: Network, classes: int, seed: int = 0) -> None:
        super().__init__()
        self.network = network
        with seeded(seed):
            self.linear = nn.Linear(network.channels[-1], classes)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B classes"]:
        """Logits of preprocessed images."""
        token = self.network.tokens(images).global_[-1]
        return cast(Tensor, self.linear(functional.layer_norm(token, token.shape[-1:])))

    def trained(self) -> list[nn.Parameter]:
        """The network's parameters that are not frozen, then the linear map's."""
        own = [parameter for parameter in self.network.module.parameters() if parameter.requires_grad]
        return [*own, *self.linear.parameters()]


class Trainer:
    """A fine-tuning between two steps: all that the next step depends on.

    The network stays in eval mode: no dropout, and batch normalisation keeps the statistics it was trained
    with, as batches of four are too small for their own.

    Args:
        model: the network with its classifier, on the device.
        images: images with a class each.
        split: which of them train and validate.
        settings: how to train.
        precision: of the matrix products, ``"bf16"`` or ``"fp32"``.
    """

    def __init__(
        self,
        model: Classifier,
        images: LabelledImages,
        split: LabelledSplit,
        settings: FinetuneSettings,
        precision: str,
    ) -> None:
        self.model, self.images, self.split, self.settings = model, images, split, settings
        self.device, self.precision = model.network.device, precision
        self.optimiser = torch.optim.AdamW(
            model.trained(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.step, self.history = 0, FinetuneHistory()
        self.losses: list[Tensor] = []

    def run(
        self, checkpoint: Checkpoint | None = None, *, progress: bool = True, description: str = "Fine-tuning"
    ) -> FinetuneHistory:
        """Train to the last step, from a checkpoint's state where there is one.

        Args:
            checkpoint: where states are written and found.
            progress: show a bar.
            description: what the bar calls this.

        Raises:
            DataError: if the loss is no longer finite, or the checkpoint is another training's.
        """
        if checkpoint is not None:
            self._resume(checkpoint.load(STATE))
        started, before = time.perf_counter(), self.history.seconds
        if not self.history.step:
            self.look()
        batches = self.batches(self.training_order())
        total = self.settings.steps
        with progress_bar(description, total, show=progress, done=self.step) as advance:
            for pixels, labels in batches:
                self.advance(pixels, labels)
                looks = self.step % self.settings.validate_every == 0 or self.step == total
                if looks:
                    self.look()
                self.history.seconds = before + time.perf_counter() - started
                if checkpoint is not None and (checkpoint.due or self.step == total):
                    checkpoint.save(STATE, self._state())
                advance(note=f"accuracy {self.history.accuracy[-1]:.3f}" if looks else "")
        return self.history

    def advance(self, pixels: Float[Tensor, "B 3 H W"], labels: Int[Tensor, "B"]) -> None:
        """One optimisation step."""
        with autocast(self.device, self.precision):
            logits = self.model(pixels.to(self.device))
        loss = functional.cross_entropy(logits.float(), labels.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.losses.append(loss.detach())
        self.step += 1

    def look(self) -> None:
        """Note the training loss and the accuracy on the validation images."""
        loss = float(torch.stack(self.losses).mean()) if self.losses else None
        if loss is not None and not math.isfinite(loss):
            raise DataError(f"the fine-tuning diverged before step {self.step}: lower learning_rate")
        self.history.step.append(self.step)
        self.history.loss.append(loss)
        self.history.accuracy.append(self.accuracy())
        self.losses = []

    @torch.no_grad()
    def accuracy(self, indices: Sequence[int] | None = None) -> float:
        """Part of the validation images, or of the images of some indices, that are classified rightly."""
        indices = self.split.validation if indices is None else indices
        right = 0
        for pixels, labels in self.batches(in_batches(indices)):
            with autocast(self.device, self.precision):
                predicted = self.model(pixels.to(self.device)).argmax(dim=1).cpu()
            right += int((predicted == labels).sum())
        return right / len(indices)

    def training_order(self) -> Iterator[Sequence[int]]:
        """Indices of the images of every step that is left; every image comes once before any comes again."""
        size = min(self.settings.batch_size, len(self.split.training))
        return islice(_shuffled(self.split.training, size, self.settings.seed), self.step, self.settings.steps)

    def batches(self, order: Iterator[Sequence[int]]) -> Iterator[Batch]:
        """Preprocessed images and labels; the next batches are decoded meanwhile."""

        def decode(index: int) -> Tensor:
            return self.model.network.preprocessing(self.images.images.image(index))

        waiting: deque[tuple[Sequence[int], list[Future[Tensor]]]] = deque()
        with ThreadPoolExecutor(default_workers()) as pool:
            while True:
                for indices in islice(order, max(0, AHEAD - len(waiting))):
                    waiting.append((indices, [pool.submit(decode, index) for index in indices]))
                if not waiting:
                    return
                indices, jobs = waiting.popleft()
                labels = torch.tensor([self.images.labels[index] for index in indices])
                yield torch.stack([job.result() for job in jobs]), labels

    def _state(self) -> Part:
        """Everything as tensors by name and JSON-ready facts."""
        tensors = named("network", self.model.network.module.state_dict()) | optimiser_tensors(self.optimiser)
        tensors |= named("linear", self.model.linear.state_dict())
        if self.losses:
            tensors["losses"] = torch.stack(self.losses)
        # Tensors that share memory, such as tied weights, are written each for itself.
        copies = {name: value.detach().clone() for name, value in tensors.items()}
        return Part(copies, {"step": self.step, "history": asdict(self.history)})

    def _resume(self, state: Part | None) -> None:
        """Go on from a state; from the start if there is none."""
        if state is None:
            return
        self.step, self.history = state.facts["step"], FinetuneHistory(**state.facts["history"])
        self.losses = list(state.tensors.get("losses", torch.empty(0)))
        self.model.network.module.load_state_dict(of_kind("network", state.tensors))
        self.model.linear.load_state_dict(of_kind("linear", state.tensors))
        load_optimiser(self.optimiser, state.tensors)


def _shuffled(indices: Sequence[int], size: int, seed: int) -> Iterator[Sequence[int]]:
    """Endless batches of a size; what is left of a pass begins the next one's first batch."""
    generator = torch.Generator().manual_seed(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += [indices[index] for index in torch.randperm(len(indices), generator=generator)]
        yield waiting[:size]
        waiting = waiting[size:]


def in_batches(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    """Places in their order, some at a time, for runs without gradients."""
    return (indices[i : i + VALIDATION_BATCH] for i in range(0, len(indices), VALIDATION_BATCH))
