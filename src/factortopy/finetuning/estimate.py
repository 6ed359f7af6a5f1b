"""What a fine-tuning will take, from running some of its steps."""

import time

import torch

from factortopy.finetuning.labelled import LabelledImages, split_classes
from factortopy.finetuning.settings import FinetuneSettings
from factortopy.finetuning.training import VALIDATION_BATCH, Classifier, Trainer
from factortopy.machine import Cost, choose_precision
from factortopy.networks import Network, peak_memory

TIMED_STEPS = 3


def estimate_finetuning(
    network: Network,
    images: LabelledImages,
    settings: FinetuneSettings,
    *,
    precision: str | None = None,
    progress: bool = True,
) -> Cost:
    """Run some steps and one batch of validation images, and scale their time up.

    Args:
        network: on the device where it would be trained; the steps change it, so load it for this alone. Its
            weights may be random.
        images: images with a class each.
        settings: of the fine-tuning.
        precision: of the matrix products; bf16 where computed natively if None.
        progress: show a bar while images are read.

    Raises:
        UnavailableError: if the network's weights cannot be trained.
        DataError: if a class has too few images, or images are broken.
    """
    device = network.device
    model = Classifier(network, len(images.classes), settings.seed).to(device)
    split = split_classes(
        images, settings.per_class, settings.validation_per_class, seed=settings.seed, progress=progress
    )
    short = settings.model_copy(update={"steps": TIMED_STEPS + 1})
    trainer = Trainer(model, images, split, short, choose_precision(device, precision))
    with peak_memory() as peak:
        moments = []
        for batch in trainer.batches(trainer.training_order()):
            trainer.advance(*batch)
            float(trainer.losses[-1])  # waits for the device
            moments.append(time.perf_counter())
        some = trainer.split.validation[:VALIDATION_BATCH]
        started = time.perf_counter()
        trainer.accuracy(some)
        look = (time.perf_counter() - started) * len(split.validation) / len(some)
    # The first step is slower than the others.
    step = (moments[-1] - moments[0]) / TIMED_STEPS
    looks = 2 + (settings.steps - 1) // settings.validate_every
    moments_of = trainer.optimiser.state_dict()["state"].values()
    trained = sum(value["exp_avg"].numel() for value in moments_of)
    parameters = sum(value.numel() for value in network.module.parameters())
    weights = sum(value.nbytes for value in network.module.state_dict().values())
    moved = sum(value.numel() * 8 for value in model.trained() if value.grad is not None)
    counts = f"{len(split.training):,} training, {len(split.validation):,} validation"
    return Cost(
        seconds=step * settings.steps + look * looks,
        memory=peak[0],
        disk=weights,
        device_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
        temporary=weights + moved,
        facts={
            "images": f"{counts}; {len(images.classes)} classes",
            "parameters": f"{trained:,} trained of {parameters:,}",
        },
    )
