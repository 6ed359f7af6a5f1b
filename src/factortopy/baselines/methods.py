"""The methods that are compared, by name: linear baselines, FactorTopy, its ablations, controls; and what the
ablations and controls are fitted to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from factortopy.errors import DataError
from factortopy.fitting import FitSettings
from factortopy.images import ImageSet, Split
from factortopy.networks import Tokens, load_network
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore, extract

Family = Literal["linear baseline", "FactorTopy", "ablation", "control"]


@dataclass(frozen=True)
class Method:
    """One method of the comparison.

    Attributes:
        label: name in tables and figures.
        family: what it is there for.
        settings: settings of the fit that differ from those of FactorTopy.
    """

    label: str
    family: Family
    settings: dict[str, Any] = field(default_factory=dict)


REFERENCE = "factortopy"
"""The method that all others are compared with."""

METHODS: dict[str, Method] = {
    "ridge-best-layer": Method("ridge, best layer", "linear baseline"),
    "ridge-all-layers": Method("ridge, all layers", "linear baseline"),
    "banded-ridge": Method("banded ridge", "linear baseline"),
    "fwrf": Method("fwRF", "linear baseline"),
    REFERENCE: Method("FactorTopy", "FactorTopy"),
    "without-topology": Method("without topology", "ablation", {"topology": False}),
    "without-space": Method("without space", "ablation", {"fixed_space": (0.0, 0.0)}),
    "local-only": Method("scale 0: local only", "ablation", {"fixed_scale": 0.0}),
    "global-only": Method("scale 1: global only", "ablation", {"fixed_scale": 1.0}),
    "without-layers": Method("without layer selection", "ablation", {"uniform_layers": True}),
    "untrained-network": Method("untrained network", "control"),
    "shuffled-images": Method("shuffled images", "control"),
}


def needs_himalaya(name: str) -> bool:
    """Whether a method is computed by himalaya, an extra."""
    return is_linear(name) and name != "fwrf"


def is_linear(name: str) -> bool:
    """Whether a method is a linear baseline; the others are fits of FactorTopy."""
    return METHODS[name].family == "linear baseline"


class PlaceMeans(TokenStore):
    """A token store whose local maps are their means over places: nothing of where is left to read.

    Args:
        store: the store it reads from.
    """

    def __init__(self, store: TokenStore) -> None:
        self.__dict__.update(vars(store))
        self.grid = (1, 1)
        self._store = store

    def read(self, indices: Sequence[int] | None = None) -> Tokens:
        """Tokens of some images; see :meth:`TokenStore.read`."""
        tokens = self._store.read(indices)
        local = (layer.float().mean(dim=(2, 3), keepdim=True).half() for layer in tokens.local)
        return Tokens(tuple(local), tokens.global_)


def variant(
    name: str,
    tokens: TokenStore,
    subject: Subject,
    settings: FitSettings,
    split: Split,
    untrained: TokenStore | None,
) -> tuple[TokenStore, Subject, FitSettings]:
    """Tokens, subject and settings of FactorTopy or of one of its variants.

    Args:
        name: of ``METHODS``, no linear baseline.
        tokens: of the network.
        subject: responses.
        settings: of FactorTopy; the variant's differ by what it lacks.
        split: of the images.
        untrained: tokens of the untrained network, where it is wanted.
    """
    if name == "without-space":
        tokens = PlaceMeans(tokens)
    elif name == "untrained-network":
        if untrained is None:
            raise DataError("the untrained network has no tokens; give a store of them")
        tokens = untrained
    elif name == "shuffled-images":
        subject = shuffled(subject, split, settings.seed)
    return tokens, subject, settings.model_copy(update=METHODS[name].settings)


def extract_untrained(
    tokens: TokenStore, images: ImageSet | None, folder: Path, *, progress: bool = True
) -> TokenStore | None:
    """Tokens of the same layers of the network with random weights, made as the trained ones were.

    Args:
        tokens: of the trained network.
        images: the photographs; nothing can be done without them.
        folder: of the tokens; one left unfinished goes on.
        progress: whether to show a progress bar.

    Returns:
        None if the photographs are not known, or the tokens are of random weights already.
    """
    if images is None or not tokens.provenance.get("pretrained", True):
        return None
    name = tokens.provenance.get("architecture") or tokens.network
    network = load_network(name, list(tokens.layers), untrained=True)
    return extract(
        network,
        images,
        folder,
        tokens.grid,
        precision=tokens.precision,
        mask_outliers=tokens.outliers != "kept",
        progress=progress,
    )


def shuffled(subject: Subject, split: Split, seed: int) -> Subject:
    """The subject with the responses to its training images permuted over these images.

    Args:
        subject: responses.
        split: whose training images are meant.
        seed: of the permutation.
    """
    rows = np.flatnonzero(np.isin(subject.image_ids, split.train))
    responses = subject.responses.copy()
    responses[rows] = responses[np.random.default_rng(seed).permutation(rows)]
    return replace(subject, responses=responses)
