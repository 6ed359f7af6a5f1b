"""The methods that are compared, by name; what ablations and controls are fitted to; the scores of all."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas
import xarray as xr

from factortopy.analysis import Estimate, finite_mean, normalised, percentiles, records_of, table_of
from factortopy.fitting import FitSettings
from factortopy.images import ImageSet, Split
from factortopy.networks import Tokens, load_network
from factortopy.storage import write_table, write_text
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
UNTRAINED = "untrained-network"
MEAN = "training-mean"
"""The method that predicts the mean response: what is worse has learnt less than nothing."""

METHODS: dict[str, Method] = {
    MEAN: Method("training mean", "linear baseline"),
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
    UNTRAINED: Method("untrained network", "control"),
    "shuffled-images": Method("shuffled images", "control"),
}


def is_linear(name: str) -> bool:
    """Whether a method is a linear baseline; the others are fits of FactorTopy."""
    return METHODS[name].family == "linear baseline"


class _MeanTokens(TokenStore):
    """A token store whose local maps are their means over positions: nothing of where is left to read."""

    def __init__(self, store: TokenStore) -> None:
        self.__dict__.update(vars(store))
        # Components that are stored are of places: means are of the tokens that they stand for.
        self.grid, self.basis = (1, 1), None
        self._store = store

    def read(self, indices: Sequence[int] | np.ndarray | None = None) -> Tokens:
        """Tokens of some images; see :meth:`TokenStore.read`."""
        tokens = self._store.read(indices)
        local = (layer.float().mean(dim=(2, 3), keepdim=True).half() for layer in tokens.local)
        return Tokens(tuple(local), tokens.global_)


def variant(
    name: str, tokens: TokenStore, subject: Subject, settings: FitSettings, split: Split, untrained: TokenStore | None
) -> tuple[TokenStore, Subject, FitSettings]:
    """Tokens, subject and settings of FactorTopy or of one of its variants, which differ by what it lacks."""
    if name == "without-space":
        tokens = _MeanTokens(tokens)
    elif name == UNTRAINED and untrained is not None:
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
    network = load_network(name, list(tokens.layers), untrained=True, preprocessing=tokens.preprocessing)
    return extract(
        network,
        images,
        folder,
        tokens.grid,
        precision=tokens.precision,
        mask_outliers=tokens.outliers != "kept",
        components=None if tokens.basis is None else tokens.basis.count,
        progress=progress,
    )


def shuffled(subject: Subject, split: Split, seed: int) -> Subject:
    """The subject with the responses to its training images permuted over these images."""
    rows = np.flatnonzero(np.isin(subject.image_ids, split.train))
    responses = subject.responses.copy()
    responses[rows] = responses[np.random.default_rng(seed).permutation(rows)]
    return replace(subject, responses=responses)


@dataclass(frozen=True, eq=False)
class BaselineScores:
    """Methods on the same data of one subject.

    Attributes:
        dataset: ``r2`` (method, voxel); ``resampled`` (method, resample, roi); ``member`` (roi, voxel);
            ``ceiling`` (voxel) where known; attributes say what was compared and how.
    """

    dataset: xr.Dataset

    @property
    def simulated(self) -> bool:
        """Whether the responses were simulated."""
        return bool(self.dataset.attrs["simulated"])

    @property
    def methods(self) -> list[str]:
        """Names of the methods that were fitted."""
        return [str(name) for name in self.dataset["method"].values]

    @property
    def rois(self) -> list[str]:
        """Names of the ROIs; the last one is all voxels."""
        return [str(name) for name in self.dataset["roi"].values]

    def table(self) -> pandas.DataFrame:
        """Score of each method in each ROI, method by method.

        Returns:
            Columns ``method``, ``label`` (its name in figures), ``family`` (linear baseline, FactorTopy, ablation or
            control), ``roi``, ``voxels``; ``r2``, the mean over voxels of raw R^2 on the test images, and
            ``difference``, that from FactorTopy's R^2 in pairs, with ``_low`` and ``_high`` over draws of test
            images; ``ceiling``, mean noise ceiling; ``normalised``, mean of R^2 over ceiling, voxels of ceiling
            below 0.05 left out. NaN what is not known.
        """
        return table_of(self._row(method, roi) for roi in self.rois for method in self.methods)

    def worse_than_the_mean(self) -> list[str]:
        """Labels of methods whose mean R^2 over all voxels lies below that of the training mean by its limits."""
        if MEAN not in self.methods:
            return []
        draws = self.dataset["resampled"].sel(roi=self.rois[-1])
        below = draws - draws.sel({"method": MEAN})
        others = [name for name in self.methods if name != MEAN]
        return [METHODS[name].label for name in others if percentiles(below.sel({"method": name}).values)[1] < 0]

    def save(self, folder: str | PathLike[str]) -> tuple[Path, Path]:
        """Write ``baselines.csv`` and ``baselines.json`` to a folder; returns their paths.

        Raises:
            DataError: if they cannot be written.
        """
        return (
            write_table(Path(folder) / "baselines.csv", self.table()),
            write_text(Path(folder) / "baselines.json", json.dumps(self.to_dict(), indent=1) + "\n"),
        )

    def to_dict(self) -> dict[str, Any]:
        """What was compared, and the table; JSON-ready."""
        return {**self.dataset.attrs, "rows": records_of(self.table())}

    def _row(self, method: str, roi: str) -> dict[str, object]:
        inside = self.dataset["member"].sel(roi=roi).values

        def of(name: str) -> tuple[np.ndarray, np.ndarray]:
            """R^2 of the ROI's voxels, and draws of their mean."""
            # By a dictionary, as ``sel(method=...)`` would mean a method of interpolation.
            own = self.dataset.sel({"method": name, "roi": roi})
            return own["r2"].values[inside], own["resampled"].values

        r2, draws = of(method)
        row: dict[str, object] = {
            "method": method,
            "label": METHODS[method].label,
            "family": METHODS[method].family,
            "roi": roi,
            "voxels": int(inside.sum()),
            "r2": Estimate.of_draws(finite_mean(r2), draws),
            "ceiling": math.nan,
            "normalised": math.nan,
            "difference": Estimate(),
        }
        if "ceiling" in self.dataset:
            ceiling = self.dataset["ceiling"].values[inside]
            row |= {"ceiling": finite_mean(ceiling), "normalised": finite_mean(normalised(r2, ceiling).values)}
        if REFERENCE in self.methods and method != REFERENCE:
            reference, redrawn = of(REFERENCE)
            row["difference"] = Estimate.of_draws(finite_mean(r2 - reference), draws - redrawn)
        return row
