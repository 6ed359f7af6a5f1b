"""``finetune``: a network and labelled images in, a folder with the fine-tuned network out."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas
import tomli_w
import torch
from safetensors.torch import save_file
from torch import Tensor

from factortopy.errors import DataError
from factortopy.finetuning.labelled import LabelledImages, LabelledSplit, split_classes
from factortopy.finetuning.settings import FinetuneSettings, finetune_settings
from factortopy.finetuning.training import Classifier, FinetuneHistory, Trainer
from factortopy.machine import choose_device, choose_precision
from factortopy.networks import FINETUNED_SETTINGS, FINETUNED_WEIGHTS, Network, read_weights
from factortopy.provenance import provenance
from factortopy.storage import Checkpoint, atomic_path, check_writable, remove, sha256_text, write_table

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
    settings, output = finetune_settings(**changes), Path(output)
    target = network.device if device is None else choose_device(device)
    precision = choose_precision(target, precision)
    model = Classifier(network.to(target), len(images.classes), settings.seed).to(target)
    model.trained()  # says at once if there is nothing to train
    split = split_classes(
        images, settings.per_class, settings.validation_per_class, seed=settings.seed, progress=progress
    )
    made_of = _made_of(network, images, split, settings, target, precision)
    identity = sha256_text(json.dumps(made_of, sort_keys=True))
    done = _finished(output, identity)
    if done is None:
        check_writable(output.parent)
        checkpoint = Checkpoint(output.with_name(f"{output.name}.checkpoint"), identity)
        history = Trainer(model, images, split, settings, precision).run(checkpoint, progress=progress)
        description = f"fine-tuned on {images.images.name}, {settings.steps} steps; before: {network.description}"
        network.mark_changed(f"{network.name}-finetuned-{images.images.name}", description)
        record = _record(network, images, split, made_of, identity, history)
        _write(output, model, settings, record)
        remove(checkpoint.folder)
        return Finetuned(network, history, len(images.classes), output, record)
    network.module.load_state_dict(read_weights(output / FINETUNED_WEIGHTS))
    network.mark_changed(done["network"], done["description"])
    return Finetuned(network, FinetuneHistory(**done["training"]), len(images.classes), output, done)


def _made_of(
    network: Network,
    images: LabelledImages,
    split: LabelledSplit,
    settings: FinetuneSettings,
    device: torch.device,
    precision: str,
) -> dict[str, Any]:
    """What decides the result, JSON-ready."""
    frozen = [name for name, value in network.module.named_parameters() if not value.requires_grad]
    return {
        "before": network.name,
        "weights_hash_before": network.weights_hash,
        "layers": list(network.layers),
        "frozen": sha256_text(*frozen),
        "images": images.images.name,
        "split": split.digest,
        "settings": settings.model_dump(),
        "device": device.type,
        "precision": precision,
    }


def _finished(output: Path, identity: str) -> dict[str, Any] | None:
    """The record of a fine-tuning that is complete; None if there is nothing yet.

    Raises:
        DataError: if the folder holds something else.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    try:
        record: dict[str, Any] = json.loads((output / PROVENANCE).read_text(encoding="utf-8"))
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


def _record(
    network: Network,
    images: LabelledImages,
    split: LabelledSplit,
    made_of: Mapping[str, Any],
    identity: str,
    history: FinetuneHistory,
) -> dict[str, Any]:
    ids = images.images.ids
    return provenance(
        identity=identity,
        network=network.name,
        description=network.description,
        weights_hash=network.weights_hash,
        made_of=dict(made_of),
        classes=list(images.classes),
        training_ids=[ids[index] for index in split.training],
        validation_ids=[ids[index] for index in split.validation],
        left_out_of_validation=list(split.twins),
        training=asdict(history),
    )


def _write(output: Path, model: Classifier, settings: FinetuneSettings, record: dict[str, Any]) -> None:
    network = model.network
    facts = {"name": network.name, "description": network.description}
    if network.architecture is not None:
        facts["architecture"] = network.architecture
    text = {"network": facts, "classes": record["classes"], "training": settings.model_dump()}
    with atomic_path(output, sign=FINETUNED_WEIGHTS) as folder:
        folder.mkdir()
        save_file(_plain(network.module.state_dict()), folder / FINETUNED_WEIGHTS)
        save_file(_plain(model.linear.state_dict()), folder / CLASSIFIER)
        (folder / FINETUNED_SETTINGS).write_text(tomli_w.dumps(text), encoding="utf-8")
        columns = {"step": "step", "training_loss": "loss", "validation_accuracy": "accuracy"}
        history = pandas.DataFrame({name: record["training"][key] for name, key in columns.items()})
        write_table(folder / HISTORY, history)
        (folder / PROVENANCE).write_text(json.dumps(record, indent=2, sort_keys=True), encoding="utf-8")


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, no two tensors in one memory, as safetensors wants them."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
