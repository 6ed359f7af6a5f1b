"""What a mapping found in sentences, its few most important numbers, and the commands that make it again."""

import json
import shlex

import numpy as np

from factortopy.analysis import QUANTITIES, Estimate, estimate, findings, nothing_found, regions_of
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import FactortopyError
from factortopy.fitting import fit_settings
from factortopy.mapping import Mapping
from factortopy.reporting.pages import Row, text

WORTH = {
    "r2": "R²",
    "normalised": "R² / ceiling",
    "slope": "Hierarchy slope",
    "depth": "Mean depth",
    "scale": "Mean scale",
}
"""Numbers that are read first."""
ENDS = {
    "r2": f"{{most}} is predicted best ({QUANTITIES['r2']} {{high:.2f}}) and {{least}} least ({{low:.2f}}).",
    "depth": "{least} reads the earliest layers (mean depth {low:.2f} of 0 to 1) and {most} the latest ({high:.2f}).",
    "scale": "{most} reads the image most as a whole (scale {high:.2f}) and {least} most locally ({low:.2f}).",
}
"""What is said of the regions at both ends of a quantity."""
FEWEST = 5
"""Vertices of a region from which on it is named in a sentence."""


def summary(mapping: Mapping) -> list[str]:
    """Sentences for a reader who reads nothing else; what the mapping does not hold is left out."""
    attributes, count = mapping.dataset.attrs, mapping.dataset.sizes["voxel"]
    network, subject = (str(attributes.get(name, f"a {name}")) for name in ("network", "subject"))
    whole = {name: estimate(mapping, name) for name in WORTH}
    said = [f"{network} was mapped onto {count:,} voxels of {subject}."]
    if whole["r2"].known:
        of_ceiling = f", {whole['normalised'].value:.0%} of what the noise allows" if whole["normalised"].known else ""
        said.append(
            f"It predicts {whole['r2'].value:.1%} of their variance on average{_within(whole['r2'], '.1%')}, "
            f"{_held_out(mapping)}{of_ceiling}."
        )
    if nothing_found(mapping):
        return [*said, *findings(mapping)]
    said += filter(None, (_ends(mapping, quantity, sentence) for quantity, sentence in ENDS.items()))
    if whole["slope"].known:
        said.append(
            f"The slope of layer depth along the visual hierarchy is {text(whole['slope'])}; 1 would mean that the "
            "network's depth follows the hierarchy, 0 that it does not."
        )
    return said


def key_numbers(mapping: Mapping) -> list[Row]:
    """The numbers to be seen at a glance, each with its limits in words of their own."""
    found = {label: estimate(mapping, name) for name, label in WORTH.items()}
    return [
        {
            "label": label,
            "value": f"{one.value:.2f}",
            "limits": f"{one.low:.3f} to {one.high:.3f}" if one.limited else "",
        }
        for label, one in found.items()
        if one.known
    ]


def commands(mapping: Mapping) -> list[str]:
    """The commands that make a mapping like this from folders of one's own; none if its settings are not known."""
    settings = dict(mapping.settings)
    recipe, seed = settings.pop("recipe", None), settings.pop("seed", 0)
    try:
        usual = fit_settings(recipe).model_dump() if recipe else {}
    except FactortopyError:
        return []
    if not usual:
        return []
    changed = {name: value for name, value in settings.items() if name in usual and usual[name] != value}
    options = [f"--set {shlex.quote(f'{name}={_value(value)}')}" for name, value in changed.items()]
    network = shlex.quote(str(mapping.dataset.attrs.get("network", "NETWORK")))
    return [
        f"factortopy extract {network} IMAGES TOKENS",
        " ".join([f"factortopy fit TOKENS SUBJECT MAPPING --recipe {recipe} --seed {seed}", *options]),
        "factortopy report MAPPING report.html",
    ]


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _held_out(mapping: Mapping) -> str:
    count = mapping.dataset.attrs.get("images_test")
    return "on held-out images" if count is None else f"on {text(count)} test images"


def _within(found: Estimate, form: str) -> str:
    return f" ({found.low:{form}} to {found.high:{form}} over {found.over})" if found.limited else ""


def _by_region(mapping: Mapping, quantity: str) -> dict[str, float]:
    """A quantity's mean of each region large enough, the largest first; none where the mapping lacks it."""
    regions = [name for name, inside in regions_of(mapping).items() if name != ALL_VOXELS and inside.sum() >= FEWEST]
    found = {name: estimate(mapping, quantity, name).value for name in regions}
    return dict(sorted(((name, one) for name, one in found.items() if np.isfinite(one)), key=lambda pair: -pair[1]))


def _ends(mapping: Mapping, quantity: str, sentence: str) -> str:
    """A sentence about the regions of the largest and of the smallest mean; empty where there are fewer than two."""
    found = _by_region(mapping, quantity)
    if len(found) < 2:
        return ""
    (most, high), *_, (least, low) = found.items()
    return sentence.format(most=most, high=high, least=least, low=low)
