"""``finetune``: a network and labelled images in, a folder with the fine-tuned network out; and what it will take."""

import json
import time
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas
import tomli_w
import torch

from factortopy.errors import DataError
from factortopy.finetuning.labelled import LabelledImages
from factortopy.finetuning.training import VALIDATION_BATCH, FinetuneHistory, FinetuneSettings, Trainer
from factortopy.machine import Cost, choose_device
from factortopy.networks import FINETUNED_SETTINGS, FINETUNED_WEIGHTS, Network, peak_memory, read_weights
from factortopy.provenance import provenance
from factortopy.storage import (
    Checkpoint,
    atomic_path,
    check_writable,
    read_text,
    sha256_text,
    write_table,
    write_tensors,
)

TIMED_STEPS = 3
CLASSIFIER, HISTORY, PROVENANCE = "classifier.safetensors", "history.csv", "provenance.json"


@dataclass(frozen=True, eq=False)
class Finetuned:
    """A fine-tuned network.

    Attributes:
        network: with the trained weights, under its new name.
        history: validation accuracy and training loss by step.
        classes: number of classes.
        folder: where it is kept; ``load_network(folder)`` reads it.
        provenance: what it was made of.
    """

    network: Network
    history: FinetuneHistory
    classes: int
    folder: Path
    provenance: dict[str, Any]

    @property
    def accuracy(self) -> float:
        """On the validation images, after the last step."""
        return self.history.accuracy[-1]


def finetune(
    network: Network,
    images: LabelledImages,
    output: str | PathLike[str],
    *,
    device: str | torch.device | None = None,
    precision: str | None = None,
    progress: bool = True,
    **changes: Any,
) -> Finetuned:
    """Fine-tune all layers of a network to classify images, in the paper's way (section 4.4), and write it.

    A linear classifier reads the global token of the last layer, standardised. It and every parameter before
    it that is not frozen (``requires_grad``) are trained with AdamW on the cross-entropy; what gives no
    tokens, such as the network's own classifier, stays. The weights of the last step are kept. A run that
    was stopped goes on from ``OUTPUT.checkpoint`` when called again, and on a CPU ends as one that was not
    stopped, bit for bit; one that is complete is read at once.

    Args:
        network: trained in place, then renamed ``NAME-finetuned-IMAGES``. Load it once more for what it was.
        images: images with a class each.
        output: folder for ``weights.safetensors``, ``classifier.safetensors``, ``settings.toml``,
            ``history.csv`` and ``provenance.json``.
        device: where to train; the network's own if None.
        precision: of the matrix products, ``"bf16"`` or ``"fp32"``; bf16 where computed natively if None.
        progress: show bars.
        changes: settings that differ from the paper's; see ``FinetuneSettings``.

    Raises:
        UnavailableError: if the network's weights cannot be trained (a function, a diffusion model).
        UnknownNameError: if a setting does not exist.
        DataError: if a class has too few images, images are broken, the training diverges, or ``output``
            or its checkpoint holds something else.

    Example:
        >>> labelled = ft.open_labelled("labelled")
        >>> few = {"steps": 2, "per_class": 4, "validation_per_class": 2}
        >>> tuned = ft.finetune(network, labelled, "tuned", **few, progress=False)
        >>> ft.load_network("tuned").layers == network.layers
        True
    """
    settings, output = FinetuneSettings.checked(**changes), Path(output)
    if device is not None:
        network.to(choose_device(device))
    trainer = Trainer(network, images, settings, precision, progress)
    made_of = _made_of(trainer)
    identity = sha256_text(json.dumps(made_of, sort_keys=True))
    done = _finished(output, identity)
    if done is not None:
        network.module.load_state_dict(read_weights(output / FINETUNED_WEIGHTS))
        network.mark_changed(done["network"], done["description"])
        return Finetuned(network, FinetuneHistory(**done["training"]), len(images.classes), output, done)
    check_writable(output.parent)
    checkpoint = Checkpoint(output.with_name(f"{output.name}.checkpoint"), identity)
    history = trainer.run(checkpoint, progress=progress)
    description = f"fine-tuned on {images.images.name}, {settings.steps} steps; before: {network.description}"
    network.mark_changed(f"{network.name}-finetuned-{images.images.name}", description)
    record = _write(output, trainer, made_of, identity)
    checkpoint.remove()
    return Finetuned(network, history, len(images.classes), output, record)


def _made_of(trainer: Trainer) -> dict[str, Any]:
    """What decides the result, JSON-ready."""
    network = trainer.model.network
    frozen = [name for name, value in network.module.named_parameters() if not value.requires_grad]
    return {
        "before": network.name,
        "weights_hash_before": network.weights_hash,
        "layers": list(network.layers),
        "preprocessing": vars(network.preprocessing),
        "frozen": sha256_text(*frozen),
        "images": trainer.images.images.name,
        "split": trainer.split.digest,
        "settings": trainer.settings.model_dump(),
        "device": trainer.device.type,
        "precision": trainer.precision,
    }


def _finished(output: Path, identity: str) -> dict[str, Any] | None:
    """The record of a fine-tuning that is complete; None if there is nothing yet.

    Raises:
        DataError: if the folder holds something else.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    try:
        record: dict[str, Any] = json.loads(read_text(output / PROVENANCE))
        kept = record["identity"]
    except (OSError, ValueError, KeyError):
        raise DataError(f"{output} exists and is no fine-tuned network; choose another folder", path=output) from None
    if kept != identity:
        raise DataError(
            f"{output} holds another fine-tuning (network, images, settings or precision differ); choose "
            "another folder, or delete it",
            path=output,
        )
    return record


def _write(output: Path, trainer: Trainer, made_of: dict[str, Any], identity: str) -> dict[str, Any]:
    """Write the folder of a fine-tuned network; returns the record of how it came to be."""
    network, split, ids = trainer.model.network, trainer.split, trainer.images.images.ids
    record = provenance(
        identity=identity,
        network=network.name,
        description=network.description,
        weights_hash=network.weights_hash,
        made_of=made_of,
        classes=list(trainer.images.classes),
        training_ids=[ids[index] for index in split.training],
        validation_ids=[ids[index] for index in split.validation],
        left_out_of_validation=list(split.twins),
        training=asdict(trainer.history),
    )
    facts: dict[str, Any] = {"name": network.name, "description": network.description}
    facts["preprocessing"] = vars(network.preprocessing)
    if network.architecture is not None:
        facts["architecture"] = network.architecture
    text = {"network": facts, "classes": record["classes"], "training": trainer.settings.model_dump()}
    columns = {"step": "step", "training_loss": "loss", "validation_accuracy": "accuracy"}
    history = pandas.DataFrame({name: record["training"][key] for name, key in columns.items()})
    with atomic_path(output, sign=FINETUNED_WEIGHTS) as folder:
        folder.mkdir()
        write_tensors(folder / FINETUNED_WEIGHTS, network.module.state_dict())
        write_tensors(folder / CLASSIFIER, trainer.model.linear.state_dict())
        (folder / FINETUNED_SETTINGS).write_text(tomli_w.dumps(text), encoding="utf-8")
        write_table(folder / HISTORY, history)
        (folder / PROVENANCE).write_text(json.dumps(record, indent=2, sort_keys=True), encoding="utf-8")
    return record


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
    short = settings.model_copy(update={"steps": TIMED_STEPS + 1})
    trainer = Trainer(network, images, short, precision, progress)
    device, split = network.device, trainer.split
    with peak_memory() as peak:
        moments = []
        for batch in trainer.batches(trainer.training_order()):
            trainer.advance(*batch)
            float(trainer.losses[-1])  # waits for the device
            moments.append(time.perf_counter())
        some = split.validation[:VALIDATION_BATCH]
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
    moved = sum(value.numel() * 8 for value in trainer.model.trained() if value.grad is not None)
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
