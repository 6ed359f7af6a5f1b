"""All methods one after another on the same data; what is done is kept and not fitted again."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from factortopy.analysis import draw_roi_r2, r_squared
from factortopy.baselines.features import Features, measure_features
from factortopy.baselines.linear import fit_linear
from factortopy.baselines.methods import METHODS, UNTRAINED, BaselineScores, is_linear, variant
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError, UnknownNameError
from factortopy.fitting import (
    COMPONENTS,
    Examples,
    FitSettings,
    default_split,
    image_of_rows,
    split_examples,
    unseen_sides,
)
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.storage import Checkpoint, Part, remove, sha256_text
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import ceiling_on_test, fit_facts, fit_identity, fit_model, fit_options

RESAMPLES = 1_000


def run_baselines(
    tokens: TokenStore,
    subject: Subject,
    output: str | PathLike[str],
    *,
    which: Sequence[str] | None = None,
    split: Split | None = None,
    features: int = COMPONENTS,
    untrained: TokenStore | None = None,
    progress: bool = True,
    **options: Any,
) -> BaselineScores:
    """Compare FactorTopy with baselines, ablations and controls on the same tokens, split and test images.

    Responses are z-scored by the training images and every method is scored on the test images. FactorTopy trains on
    training images and chooses its best step by the validation images; linear baselines choose by cross-validation on
    both and are then fitted to both. Each result is written to ``output/methods`` as it is done, and a
    run that was stopped goes on after the last one.

    Args:
        tokens: tokens of (at least) the subject's images.
        subject: responses to images.
        output: folder of the results.
        which: names of ``METHODS``; if None all that can be fitted, the untrained network where its tokens
            are given.
        split: which images train, choose and test; by default 8:1:1, scenes kept whole where known.
        features: principal components of each layer and kind of token that linear baselines start from, at most.
        untrained: tokens of the same images in the network with random weights.
        progress: whether to show progress bars.
        options: recipe, seed, device, precision, memory_gb and settings of FactorTopy, as for :func:`factortopy.fit`.

    Raises:
        UnknownNameError: if a method or a setting does not exist.
        DataError: if the untrained network is wanted and has no tokens, tokens do not fit the subject, or
            ``output`` holds the results of something else.

    Example:
        >>> which = ["fwrf", "factortopy"]
        >>> scores = ft.run_baselines(tokens, subject, "baselines", which=which, steps=3, progress=False)
        >>> scores.methods
        ['fwrf', 'factortopy']
    """
    settings, machine = fit_options(**options)
    names = check_methods(which, tokens, untrained)
    if features < 1:
        raise DataError(f"features are {features}; give the components of each layer, 1 or more")
    split = split or default_split(tokens, subject, settings.seed)
    run = _MethodsRun(tokens, subject, settings, split, features, untrained, machine, Path(output), progress)
    parts = [run.result(name, f"{number}/{len(names)} {name}") for number, name in enumerate(names, start=1)]
    scores = BaselineScores(run.dataset(names, parts))
    scores.save(output)
    return scores


def check_methods(which: Sequence[str] | None, tokens: TokenStore, untrained: TokenStore | None) -> list[str]:
    """Names of the methods to fit, in their order, after proof that they can be; see :func:`run_baselines`."""
    for name in which or ():
        if name not in METHODS:
            raise UnknownNameError("method", name, METHODS)
    wanted = [name for name in METHODS if (name in which if which else name != UNTRAINED or untrained is not None)]
    if UNTRAINED in wanted and untrained is None:
        raise DataError(
            "the untrained network needs tokens of the same images with random weights: extract them with "
            "--untrained and give their folder (--untrained-tokens)"
        )
    if untrained is not None and untrained.weights_hash == tokens.weights_hash:
        raise DataError(
            f"{untrained.path} has the weights of {tokens.path}; give tokens of an untrained network",
            path=untrained.path,
        )
    if untrained is not None and untrained.preprocessing != tokens.preprocessing:
        raise DataError(
            f"{untrained.path} was shown photographs as {untrained.preprocessing}, {tokens.path} as "
            f"{tokens.preprocessing}; extract both with the same preprocessing",
            path=untrained.path,
        )
    return wanted


@dataclass(frozen=True, eq=False)
class _MethodsRun:
    """What all methods share."""

    tokens: TokenStore
    subject: Subject
    settings: FitSettings
    split: Split
    count: int
    untrained: TokenStore | None
    machine: Machine
    output: Path
    progress: bool

    @cached_property
    def sides(self) -> dict[str, Examples]:
        return unseen_sides(split_examples(self.tokens, self.subject, self.split), self.split)

    @cached_property
    def observed(self) -> Float[np.ndarray, "row voxel"]:
        """Z-scored responses to the test images."""
        return self.sides["test"].all_responses().numpy()

    @cached_property
    def features(self) -> Features:
        # Apple's GPUs have no eigenvectors.
        device = torch.device("cpu") if self.machine.device.type == "mps" else self.machine.device
        scenes = self.tokens.image_groups
        return measure_features(self.sides, self.count, self.settings, scenes, device, self.progress)

    @cached_property
    def rois(self) -> dict[str, np.ndarray]:
        """ROIs that have voxels, then all voxels."""
        rois = {name: mask for name, mask in self.subject.voxels.rois.items() if mask.any()}
        return {**rois, ALL_VOXELS: np.ones(len(self.subject.voxels), bool)}

    def result(self, name: str, description: str) -> Part:
        """Scores of a method, read where they were kept, else fitted and kept."""
        folder = self.output / "methods"
        checkpoint, state = Checkpoint(folder, self.identity(name)), folder / f"{name}.state"
        kept = checkpoint.load(name)
        if kept is not None:
            return kept
        started, tensors, edge = time.perf_counter(), {}, None
        bar: dict[str, Any] = {"progress": self.progress, "description": description}
        if is_linear(name):
            fitted = fit_linear(name, self.features, seed=self.settings.seed, **bar)
            predictions, tensors["chosen"], edge = fitted.predictions, fitted.chosen, fitted.at_edge()
        else:
            made_of = variant(name, self.tokens, self.subject, self.settings, self.split, self.untrained)
            predictions = fit_model(
                *made_of, split=self.split, bootstrap=0, yardstick=False, machine=self.machine, checkpoint=state, **bar
            ).predictions
        rows = image_of_rows(self.subject, self.split.test)
        tensors["r2"] = r_squared(self.observed, predictions)
        tensors["resampled"] = draw_roi_r2(self.observed, predictions, rows, self.rois, RESAMPLES)
        facts = {"seconds": round(time.perf_counter() - started, 1), "penalties_at_edge": edge}
        part = Part({key: torch.from_numpy(value) for key, value in tensors.items()}, facts)
        checkpoint.save(name, part)
        remove(state)
        return part

    def identity(self, name: str) -> str:
        """Digest of what decides the result of a method."""
        made_of = fit_identity(self.tokens, self.subject, self.split, self.settings, None, self.machine)
        rois = [f"{roi} {np.packbits(mask).tobytes().hex()}" for roi, mask in self.rois.items()]
        own = self.untrained.weights_hash if self.untrained is not None and name == UNTRAINED else ""
        return sha256_text(name, json.dumps(made_of), *rois, str(self.count) if is_linear(name) else own)

    def dataset(self, names: list[str], parts: list[Part]) -> xr.Dataset:
        """All results with what the tables and figures say about them."""

        def stacked(key: str) -> np.ndarray:
            return np.stack([part.tensors[key].numpy() for part in parts])

        variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
            "r2": (("method", "voxel"), stacked("r2")),
            "resampled": (("method", "resample", "roi"), stacked("resampled")),
            "member": (("roi", "voxel"), np.stack(list(self.rois.values()))),
        }
        if self.subject.noise_ceiling is not None:
            variables["ceiling"] = (("voxel",), ceiling_on_test(self.subject, self.split))
        attributes = {
            **fit_facts(self.tokens, self.subject, self.split, self.settings),
            "simulated": bool(self.subject.simulated),
            "features": self.count,
            "resamples": RESAMPLES,
            "score": "R^2 on test images, raw, mean over voxels; 95 % intervals over resampled test images",
            **{
                fact: {name: part.facts.get(fact) for name, part in zip(names, parts, strict=True)}
                for fact in ("seconds", "penalties_at_edge")
            },
        }
        return xr.Dataset(variables, {"method": names, "roi": list(self.rois)}, attributes)
