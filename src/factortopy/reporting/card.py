"""The model card of a mapping: what it is of, how well it predicts what, what it is not for, and how to use it."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.analysis import (
    above_chance,
    estimate,
    findings,
    image_set_table,
    record_of,
    records_of,
    regions_of,
    text_in_row,
)
from factortopy.cortex import VERTICES
from factortopy.exchange import berg_names, export_berg, export_brain_score, share, subject_number
from factortopy.mapping import Mapping, facts
from factortopy.networks import find_entry
from factortopy.plot import scores
from factortopy.provenance import package_versions
from factortopy.reporting.pages import inlined, limits_note, render, text
from factortopy.storage import write_text

ONE_BRAIN = (
    "It predicts one person's measured responses, as they were prepared; other people's brains have their functional "
    "areas elsewhere.",
    "Scores are of photographs like those of the training; for other kinds (drawings, patterns, text) they say little.",
    "Voxels whose R² is not above chance are predicted no better than by their mean: leave them out.",
    "Which layer or place a voxel reads is a property of this fit, not proof of a mechanism in the brain.",
)
SIMULATED = (
    "The responses were SIMULATED from network features: this is no model of a brain, but a test of the program."
)
HEADINGS = {"r2": "R²", "ceiling": "noise ceiling", "normalised": "R² / ceiling"}
USE = """import factortopy as ft

mapping = ft.load_mapping({source!r})
responses = ft.predict(mapping, ft.open_images("photographs"))
responses.roi_means()
"""


def model_card(mapping: Mapping) -> dict[str, Any]:
    """What stands in a model card, ready for YAML: data, split, network, licences, scores by ROI with ceilings, limits.

    Args:
        mapping: of a fit.

    Example:
        >>> ft.reporting.model_card(mapping)["scores"][-1]["roi"]
        'all voxels'
    """
    data, said = mapping.dataset, facts(mapping.dataset)
    tokens, subject = mapping.provenance.get("tokens", {}), mapping.provenance.get("subject", {})
    network = str(data.attrs.get("network", "unnamed"))
    entry = find_entry(tokens.get("architecture") or network)
    limits = [*([SIMULATED] if mapping.simulated else []), *findings(mapping), *ONE_BRAIN]
    return {
        "name": f"{network} on {data.attrs.get('subject', 'a subject')}",
        "simulated": mapping.simulated,
        "network": {
            "name": network,
            "weights": tokens.get("description", "unknown"),
            "weights_sha256": tokens.get("weights_hash", "unknown"),
            "pretrained": tokens.get("pretrained", "unknown"),
            "layers": list(mapping.layers),
            "photographs_shown": data.attrs.get("preprocessing", "unknown"),
        },
        "data": {
            "subject": said["subject"],
            "data_set": subject.get("kind", "own arrays"),
            "surface": data.attrs.get("surface") or "a volume",
            "voxels": int(data.sizes["voxel"]),
            "scores_of": said["scores_of"],
        },
        "split": {"sha256": data.attrs.get("split", "unknown"), "images": said["images"], "seed": said["seed"]},
        "licence": {
            "mapping": "that of the data set it was fitted to; ask its owners before it is given away",
            "weights_of_the_network": entry.licence if entry else "that of the network's source",
            "program": "BSD-3-Clause",
        },
        "fit": {"recipe": said["recipe"], "settings": dict(mapping.settings), "versions": package_versions()},
        "scores": [_score(mapping, region) for region in regions_of(mapping)],
        "scores_by_set_of_images": records_of(image_set_table([mapping])),
        "limits_are": limits_note(mapping) or "no limits are known",
        "limitations": limits,
        "how_to_use": USE.format(source="."),
        "how_to_cite": "Yang, Gee and Shi, Brain Decodes Deep Nets, CVPR 2024 (arXiv 2312.01280), and factortopy",
    }


def write_card(mapping: Mapping, folder: Path, *, berg: bool = False, brain_score: bool = False) -> list[Path]:
    """Write a mapping to be shared: the mapping with digests, ``card.yaml``, ``README.md`` and ``card.html``.

    Args:
        mapping: of a fit.
        folder: where all goes.
        berg: also as a model of BERG, into ``berg``.
        brain_score: also as a plugin of Brain-Score, into ``brain_score``.

    Returns:
        The files and folders.

    Raises:
        DataError: if the folder cannot be written, or the mapping has what an export needs not.
    """
    import yaml

    card, (model_id, dataset) = model_card(mapping), berg_names(mapping)
    dumped = yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=110)
    written = [
        share(mapping, folder),
        write_text(folder / "card.yaml", dumped),
        write_text(folder / "README.md", _markdown(card)),
        write_text(folder / "card.html", _page(mapping, card)),
    ]
    if berg:
        text_of = yaml.safe_dump(_berg_card(card, model_id, dataset, mapping), sort_keys=False, allow_unicode=True)
        written += export_berg(mapping, folder / "berg", text_of, (model_id, dataset))
    if brain_score:
        written += export_brain_score(mapping, folder / "brain_score", re.sub(r"\W", "_", model_id))
    return written


def _score(mapping: Mapping, region: str) -> dict[str, Any]:
    inside = regions_of(mapping)[region]
    counts = {"voxels": int(inside.sum()), "above_chance": int((inside & above_chance(mapping)).sum())}
    numbers = {quantity: estimate(mapping, quantity, region) for quantity in ("r2", "ceiling", "normalised")}
    return record_of({"roi": region, **counts, **numbers})


def _rows(card: dict[str, Any]) -> list[dict[str, str]]:
    """Scores as they are printed."""
    return [
        {
            "ROI": row["roi"],
            "voxels": text(row["voxels"]),
            "above chance": text(row["above_chance"]),
            **{heading: text_in_row(row, name) for name, heading in HEADINGS.items()},
        }
        for row in card["scores"]
    ]


def _parts(card: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What stands in the tables of facts, by their titles."""
    titles = {"network": "Network", "data": "Data", "split": "Split", "licence": "Licences"}
    return {
        title: {
            name.replace("_", " "): ", ".join(value) if isinstance(value, list) else str(value)
            for name, value in card[part].items()
        }
        for part, title in titles.items()
    }


def _markdown(card: dict[str, Any]) -> str:
    """The card as hubs show it: what their search reads on top, then the page."""
    import yaml

    front = {"library_name": "factortopy", "license": "other", "tags": ["fmri", "encoding-model", "vision"]}
    rows = _rows(card)
    lines = ["---", yaml.safe_dump(front, sort_keys=False).strip(), "---", "", f"# {_cell(card['name'])}", ""]
    lines += [f"**{SIMULATED}**", ""] if card["simulated"] else []
    for title, part in _parts(card).items():
        lines += [f"## {title}", "", "| | |", "| --- | --- |"]
        lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in part.items()] + [""]
    lines += ["## Scores", "", f"R² on held-out images, raw. {card['limits_are']}", ""]
    lines += [f"| {' | '.join(rows[0])} |", f"| {' | '.join('---' for _ in rows[0])} |"]
    lines += [f"| {' | '.join(map(_cell, row.values()))} |" for row in rows]
    lines += ["", "## Limitations", "", *(f"- {_cell(one)}" for one in card["limitations"]), ""]
    lines += ["## How to use", "", "```python", card["how_to_use"].strip(), "```", ""]
    return "\n".join([*lines, "## How to cite", "", card["how_to_cite"], ""])


def _cell(value: str) -> str:
    """A text inside a table of Markdown, where names given by users mean nothing."""
    return "".join(f"\\{letter}" if letter in "|<>`*[]" else letter for letter in " ".join(value.split()))


def _page(mapping: Mapping, card: dict[str, Any]) -> str:
    shown = mapping.dataset.attrs.get("surface") in VERTICES and np.isfinite(mapping.dataset["r2"].values).any()
    figures = [inlined(scores(mapping), 110, "Held-out R² of every vertex, beside its noise ceiling.")] if shown else []
    return render("card.html.j2", card=card, parts=_parts(card), rows=_rows(card), figures=figures)


def _berg_card(card: dict[str, Any], model_id: str, dataset: str, mapping: Mapping) -> dict[str, Any]:
    """The card in BERG's fields."""
    on_surface = mapping.dataset.attrs.get("surface") in VERTICES
    shape = "([image, lh_vertices], [image, rh_vertices])" if on_surface else "[image, voxel]"
    vertices = {"type": "numpy.ndarray", "description": "163,842 zeros and ones; not used where roi is given."}
    selection: dict[str, Any] = {"roi": {"type": "str", "valid_values": list(mapping.rois)}}
    selection |= {"lh_vertices": vertices, "rh_vertices": dict(vertices)} if on_surface else {}
    return {
        "model_id": model_id,
        "modality": "fMRI",
        "training_dataset": dataset,
        "species": "Human",
        "stimuli": "Images",
        "model_type": f"FactorTopy on {card['network']['name']}",
        "creator": "written by factortopy; put your name here",
        "description": " ".join([card["name"] + ".", card["split"]["images"] + ".", *card["limitations"]]),
        "input": {"type": "numpy.ndarray", "shape": ["image", 3, "side", "side"], "constraints": ["uint8, 0 to 255"]},
        "output": {"type": "numpy.ndarray, z-scored; NaN where no vertex was measured", "shape": shape},
        "parameters": {
            "subject": {"type": "int", "required": True, "valid_values": [subject_number(mapping)]},
            "selection": {"type": "dict", "required": False, "properties": selection},
            "device": {"type": "str", "required": False, "valid_values": ["auto", "cpu", "cuda"], "default": "auto"},
        },
        "performance": {"metric": "R2 on held-out images, raw", "scores": card["scores"]},
        "references": [card["how_to_cite"]],
    }
