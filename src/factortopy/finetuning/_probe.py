"""How well a network's features still do a task that it could do before: the original task's accuracy."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from factortopy.finetuning.labelled import LabelledImages
from factortopy.finetuning.training import FinetuneSettings, Trainer, in_batches
from factortopy.machine import autocast
from factortopy.networks import Network
from factortopy.progress import progress_bar


@dataclass(frozen=True)
class Probe:
    """A linear classifier on a network's features, which stay as they are.

    Attributes:
        accuracy: part of the validation images that it classifies rightly.
        chance: accuracy of always naming the most frequent class.
        training: number of images that it was fitted to.
        validation: number of images that it was scored on.
    """

    accuracy: float
    chance: float
    training: int
    validation: int


def probe(
    network: Network,
    images: LabelledImages,
    settings: FinetuneSettings,
    *,
    precision: str | None = None,
    progress: bool = True,
) -> Probe:
    """Accuracy of a logistic regression on the global token of a network's last layer.

    The network is not changed. Before and after a fine-tuning, with the images of the task it was made for,
    it tells how much of that task was forgotten.

    Args:
        network: on the device where it runs.
        images: images of the task, with a class each.
        settings: of the fine-tuning, for the numbers of images and the seed.
        precision: ``"bf16"`` or ``"fp32"``; bf16 where computed natively if None.
        progress: show bars.

    Raises:
        UnavailableError: if the network's weights cannot be seen.
        DataError: if a class has too few images, or images are broken.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    reader = Trainer(network, images, settings, precision, progress)
    training, validation = reader.split.training, reader.split.validation
    features, labels = _features(reader, [*training, *validation], progress), np.asarray(images.labels)
    count = len(training)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    model.fit(features[:count], labels[list(training)])
    expected = labels[list(validation)]
    return Probe(
        accuracy=float((model.predict(features[count:]) == expected).mean()),
        chance=float(np.bincount(expected).max() / len(expected)),
        training=count,
        validation=len(expected),
    )


def probe_before_and_after(
    before: Network, after: Network, images: LabelledImages, settings: FinetuneSettings, **options: Any
) -> dict[str, Any]:
    """Accuracy of a task by :func:`probe` before and after a fine-tuning for another one: what was forgotten.

    Args:
        before: the network with its weights before.
        after: the same network with those after.
        images, settings, options: as for :func:`probe`.

    Returns:
        ``before``, ``after`` and ``drop``, ``chance``, ``training``, ``validation`` and ``images``; JSON-ready.
    """
    old, new = (probe(network, images, settings, **options) for network in (before, after))
    shared = {name: value for name, value in asdict(old).items() if name != "accuracy"}
    drop = old.accuracy - new.accuracy
    return {"images": images.images.name, "before": old.accuracy, "after": new.accuracy, "drop": drop, **shared}


@torch.no_grad()
def _features(reader: Trainer, indices: list[int], progress: bool) -> Float[np.ndarray, "image channel"]:
    """Global tokens of the last layer."""
    network, features = reader.model.network, []
    with progress_bar("Features", len(indices), show=progress) as advance:
        for pixels, _ in reader.batches(in_batches(indices)):
            with autocast(network.device, reader.precision):
                token = network.tokens(pixels.to(network.device)).global_[-1]
            features.append(token.float().cpu().numpy())
            advance(len(pixels))
    return np.concatenate(features)
