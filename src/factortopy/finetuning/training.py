"""The training loop of a fine-tuning: all layers and a new classifier, AdamW, cross-entropy, checkpoints."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import cast

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from factortopy.errors import DataError
from factortopy.finetuning.labelled import LabelledImages, split_classes
from factortopy.images import default_workers
from factortopy.machine import autocast, choose_precision, seeded
from factortopy.networks import Network
from factortopy.progress import progress_bar
from factortopy.settings import Settings
from factortopy.storage import Checkpoint, ResumableTraining, read_ahead

STATE = "finetuning"
VALIDATION_BATCH = 16
AHEAD = 3
"""Batches that are decoded ahead of the network."""

Batch = tuple[Float[Tensor, "B 3 H W"], Int[Tensor, "B"]]


class FinetuneSettings(Settings):
    """How a network is fine-tuned; the numbers are the paper's (section 4.4) where it gives them.

    Attributes:
        per_class: training images of each class.
        validation_per_class: validation images of each class, at most.
        steps: optimisation steps.
        batch_size: images per step.
        learning_rate: of all parameters (AdamW), constant.
        weight_decay: of all parameters (AdamW, per unit of learning rate).
        validate_every: steps between two looks at the validation images.
        seed: of the split, the head and the order of images.
    """

    per_class: int = Field(default=50, ge=1)
    validation_per_class: int = Field(default=50, ge=1)
    steps: int = Field(default=3_000, ge=1)
    batch_size: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=3e-5, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    validate_every: int = Field(default=250, ge=1)
    seed: int = Field(default=0, ge=0)


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

    The network's weights stay its own; those of the map are random, of a seed.
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


class Trainer(ResumableTraining):
    """A fine-tuning between two steps.

    The network stays in eval mode: no dropout, and batch normalisation keeps the statistics it was trained
    with, as batches of four are too small for their own.

    Args:
        network: on the device where it is trained.
        images: images with a class each; those of the split are read.
        settings: how to train.
        precision: of the matrix products, ``"bf16"`` or ``"fp32"``; bf16 where computed natively if None.
        progress: show a bar while images are read.

    Raises:
        UnavailableError: if the network's weights cannot be trained.
        DataError: if a class has too few images, or images are broken.
    """

    def __init__(
        self,
        network: Network,
        images: LabelledImages,
        settings: FinetuneSettings,
        precision: str | None = None,
        progress: bool = True,
    ) -> None:
        self.device, self.precision = network.device, choose_precision(network.device, precision)
        self.model = Classifier(network, len(images.classes), settings.seed).to(self.device)
        trained = self.model.trained()  # says at once if there is nothing to train
        optimiser = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=settings.weight_decay)
        super().__init__(optimiser, network=network.module, linear=self.model.linear)
        sizes = settings.per_class, settings.validation_per_class
        self.split = split_classes(images, *sizes, seed=settings.seed, progress=progress)
        self.images, self.settings, self.history = images, settings, FinetuneHistory()

    def run(self, checkpoint: Checkpoint, *, progress: bool = True) -> FinetuneHistory:
        """Train to the last step, from the checkpoint's state where there is one.

        Raises:
            DataError: if the loss is no longer finite, or the checkpoint is another training's.
        """
        kept = checkpoint.load(STATE)
        if kept is not None:
            self.resume(kept)
            self.history = FinetuneHistory(**kept.facts["history"])
        started, before = time.perf_counter(), self.history.seconds
        if not self.history.step:
            self.look()
        batches = self.batches(self.training_order())
        total = self.settings.steps
        with progress_bar("Fine-tuning", total, show=progress, done=self.step) as advance:
            for pixels, labels in batches:
                self.advance(pixels, labels)
                looks = self.step % self.settings.validate_every == 0 or self.step == total
                if looks:
                    self.look()
                self.history.seconds = before + time.perf_counter() - started
                if checkpoint.due or self.step == total:
                    checkpoint.save(STATE, self.state(asdict(self.history)))
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
        loss = self.take_loss() if self.step else None
        if loss is not None and not math.isfinite(loss):
            raise DataError(f"the fine-tuning diverged before step {self.step}: lower learning_rate")
        self.history.step.append(self.step)
        self.history.loss.append(loss)
        self.history.accuracy.append(self.accuracy())

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

    def batches(self, order: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Preprocessed images and labels; the next batches are decoded meanwhile."""

        def decode(index: int) -> Tensor:
            return self.model.network.preprocessing(self.images.images.image(index))

        with ThreadPoolExecutor(default_workers()) as pool:

            def read(indices: Sequence[int]) -> Batch:
                labels = torch.tensor([self.images.labels[index] for index in indices])
                return torch.stack(list(pool.map(decode, indices))), labels

            yield from read_ahead(read, order, AHEAD, workers=AHEAD)


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
    """Indices in their order, some at a time, for runs without gradients."""
    return (indices[i : i + VALIDATION_BATCH] for i in range(0, len(indices), VALIDATION_BATCH))
