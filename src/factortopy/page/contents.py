"""What the page holds of a mapping: numbers of every voxel, what can be shown of them, and its regions."""

import base64
import io
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.analysis import estimate, layer_position, region_names
from factortopy.cortex import ALL_VOXELS, HEMISPHERES, Surface
from factortopy.errors import DataError
from factortopy.mapping import Mapping, best_layer, facts_line, layer_confidence
from factortopy.page.codec import Blob, parents_among, parents_of
from factortopy.plot import certainty, flat_sheet, label_anchor, round_up

if TYPE_CHECKING:
    from PIL.Image import Image

KEPT = {
    "r2": (12, 0.001),
    "cluster": (12, 1.0),
    "best": (12, 1.0),
    "r2_low": (9, 0.01),
    "r2_high": (9, 0.01),
    "sure": (9, 0.01),
    "size": (9, 0.01),
    "profile": (8, 0.01),
}
"""Bits of a number of a voxel, and the coarsest steps: those in which it is printed. Of all others ``OTHERS``."""
OTHERS = (10, 0.01)
SCALARS = ("r2", "r2_low", "r2_high", "ceiling", "scale", "scale_share", "size")
"""Variables of one number a voxel that are taken where the mapping has them."""
WEIGHTS = {"share": "layer_share", "selector": "layer"}
TABLE = ("r2", "ceiling", "normalised", "depth", "scale")
"""Numbers of a region."""
SIDE = 320
"""Longest side of an example image, pixels."""


def write_mapping(
    mapping: Mapping, surface: Surface, blob: Blob, image: "Image | None" = None, clusters: np.ndarray | None = None
) -> dict[str, Any]:
    """Write the numbers of a mapping's voxels; returns what the page needs to read and to show them."""
    data, attributes = mapping.dataset, mapping.dataset.attrs
    voxel, position = _measured(mapping, surface)
    parents = parents_among(parents_of(surface.name), position)
    everywhere = np.zeros(2 * surface.left.vertices, dtype=bool)
    everywhere[position] = True
    scalars = {name: data[name].values for name in SCALARS if name in data}
    with suppress(DataError):  # without limits of R^2 nothing is known of it
        scalars["sure"] = certainty(mapping)
    scalars |= {axis: data["space"].values[:, number] for number, axis in enumerate("xy")}
    limits = _limits(scalars)
    if clusters is not None:
        scalars["cluster"] = np.where(clusters > 0, clusters, np.nan)
    written = {name: blob.values(values[voxel], parents, *KEPT.get(name, OTHERS)) for name, values in scalars.items()}
    sources = {source: data[name].values for source, name in WEIGHTS.items() if name in data}
    weights = {
        # Profiles are of shares where there are some.
        source: _weights(values[voxel], parents, blob, profile=source == next(iter(sources)))
        for source, values in sources.items()
    }
    return {
        "network": str(attributes.get("network", "unnamed")),
        "subject": str(attributes.get("subject", "unnamed")),
        "facts": facts_line(data),
        "simulated": mapping.simulated,
        "token": str(attributes.get("global_token", "global")),
        "layers": list(mapping.layers),
        "clusters": int(np.nan_to_num(scalars.get("cluster", np.zeros(1))).max()),
        "measured": blob.bits(everywhere),
        "values": written,
        "weights": weights,
        "limits": limits,
        "rois": _regions(mapping, surface, voxel, blob),
        "table": [_numbers(mapping, name) for name in region_names(mapping.rois)],
        "image": None if image is None else _inlined(image),
    }


def on_one_scale(written: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same colours for the same values in all mappings of a page: every limit is the widest of theirs."""
    for source in WEIGHTS:
        weights = [mapping["weights"][source] for mapping in written if source in mapping["weights"]]
        for name in ("largest", "highest"):
            widest = max((own[name] for own in weights), default=1.0)
            for own in weights:
                own[name] = widest
    for name in {name for mapping in written for name in mapping["limits"]}:
        lows, highs = zip(*(mapping["limits"][name] for mapping in written if name in mapping["limits"]), strict=True)
        for mapping in written:
            if name in mapping["limits"]:
                mapping["limits"][name] = (min(lows), max(highs))
    return written


def _measured(mapping: Mapping, surface: Surface) -> tuple[Int[np.ndarray, "voxel"], Int[np.ndarray, "voxel"]]:
    """Voxels that lie on the surface, and their vertices counted over both hemispheres, in rising order."""
    hemisphere, vertex = mapping.dataset["hemisphere"].values, mapping.dataset["vertex"].values
    count = surface.left.vertices
    inside = np.flatnonzero(np.isin(hemisphere, HEMISPHERES) & (vertex < count))
    position, first = np.unique(vertex[inside] + count * (hemisphere[inside] == HEMISPHERES[1]), return_index=True)
    return inside[first], position


def _weights(
    chosen: Float[np.ndarray, "voxel layer"], parents: np.ndarray, blob: Blob, *, profile: bool
) -> dict[str, Any]:
    """The largest layer's number and its confidence, and all weights, all from the mapping's exact numbers."""
    confidence = layer_confidence(chosen)
    best = best_layer(chosen) * max(chosen.shape[1] - 1, 1)
    known = confidence[np.isfinite(confidence)]
    kept = {"best": np.rint(best), "confidence": confidence}
    if profile:
        kept |= {"profile": chosen, "position": layer_position(chosen)}
    return {
        **{name: blob.values(values, parents, *KEPT.get(name, OTHERS)) for name, values in kept.items()},
        "largest": 1.0,  # confidence at full brightness
        "highest": round_up(float(np.nanpercentile(chosen, 99.5)), least=0.1) if len(known) else 1.0,
    }


def _limits(scalars: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Values of the first and the last colour; scores share theirs, as in the figures."""
    scores = [scalars[name] for name in ("r2", "ceiling") if name in scalars and np.isfinite(scalars[name]).any()]
    score = round_up(max((float(np.nanpercentile(values, 99)) for values in scores), default=0.0), least=0.05)
    limits = dict.fromkeys(("r2", "ceiling"), (0.0, score))
    limits |= dict.fromkeys(("scale", "scale_share"), (0.0, 1.0))
    if "ceiling" in scalars:
        limits["normalised"] = (0.0, 1.0)
    if "size" in scalars:
        limits["size"] = (0.0, round_up(float(np.nanpercentile(scalars["size"], 99)), least=0.1))
    return {name: pair for name, pair in limits.items() if name in scalars or name == "normalised"}


def _regions(mapping: Mapping, surface: Surface, voxel: np.ndarray, blob: Blob) -> list[dict[str, Any]]:
    """Regions with their voxels, and in each hemisphere the vertex at which the name stands best."""
    vertex, hemisphere = mapping.dataset["vertex"].values, mapping.dataset["hemisphere"].values
    sheets = {half.name: flat_sheet(half) for half in surface.hemispheres}
    written = []
    for name, members in mapping.rois.items():
        anchors: list[int | None] = []
        for side in HEMISPHERES:
            inside = np.zeros(surface.left.vertices, dtype=bool)
            inside[vertex[voxel[members[voxel] & (hemisphere[voxel] == side)]]] = True
            place = label_anchor(sheets[side], inside)
            distance = None if place is None else np.linalg.norm(sheets[side].points - place, axis=1)
            anchors.append(None if distance is None else int(np.nanargmin(np.where(inside, distance, np.nan))))
        written.append({"name": name, "members": blob.bits(members[voxel]), "anchors": anchors})
    return written


def _numbers(mapping: Mapping, region: str) -> dict[str, Any]:
    """The row of a region in the table: numbers with their limits, None where there are none."""
    inside = mapping.rois.get(region, np.ones(mapping.dataset.sizes["voxel"], dtype=bool))
    row: dict[str, Any] = {"region": region, "all": region == ALL_VOXELS, "voxels": int(inside.sum())}
    for quantity in TABLE if inside.any() else ():
        found = estimate(mapping, quantity, region)
        row[quantity] = [value if math.isfinite(value) else None for value in (found.value, found.low, found.high)]
    return row


def _inlined(image: "Image") -> str:
    """An example image, no larger than it is shown."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
