"""``factortopy score --order``: does depth follow an order of visual areas, and how sure is that?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from factortopy.cli.tables import Answer, Rows
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.analysis import HierarchyFit, RepresentationalDepth
    from factortopy.mapping import Mapping

ALL = "all"
"""What ``--order`` says for every known order that the ROIs allow."""
COLUMNS = {
    "order": "order",
    "by": "depth by",
    "slope": "slope",
    "slope_p": "p",
    "spearman": "rank r",
    "spearman_p": "p",
    "r2": "R² line, monotone",
    "in_order": "rises",
}
FORMATS = {"slope": ".2f", "spearman": ".2f", "in_order": ".0%"}
LEGEND = (
    "Limits: 95 % of draws of test images. p: against shuffled layers, two-sided. R²: of "
    "depth over voxels. Rises: share of draws in which depth rises at every step."
)


def hierarchy_answer(
    paths: list[Path],
    mappings: "list[Mapping]",
    orders: list[str],
    distances: "dict[tuple[str, ...], RepresentationalDepth]",
    permutations: int,
    seed: int,
    drawing: Path | None,
) -> Answer:
    """Slope, rank correlation and monotone fit of depth along orders of ROIs, with limits and a null.

    Args:
        paths: of the mappings.
        mappings: any.
        orders: as the user gave them.
        distances: distances from the pixels by network and layers, see :func:`read_distances`.
        permutations: orders of the layers that the null tries.
        seed: of these orders.
        drawing: where a figure goes; of several mappings, one each.

    Raises:
        DataError: if an order cannot be read, or a mapping allows none.
    """
    from factortopy.analysis import parse_order
    from factortopy.mapping import facts_line
    from factortopy.plot import hierarchy_orders, save

    asked = [parse_order(text) for text in orders if text != ALL]
    records, tables = [], []
    for number, (path, mapping) in enumerate(zip(paths, mappings, strict=True), start=1):
        distance = distances.get(_layers_of(mapping))
        fits = _fits(mapping, asked, ALL in orders, distance, permutations, seed)
        records.append(_facts(path, mapping, fits, distance))
        tables.append(_table(records[-1], facts_line(mapping.dataset)))
        if drawing is not None:
            stem = drawing if len(paths) == 1 else drawing.with_name(f"{drawing.name}-{number}")
            save(hierarchy_orders(mapping, fits, distance), stem)
    return Answer({"mappings": records}, [row for facts in records for row in _rows(facts)], tables)


def read_distances(
    mappings: "list[Mapping]",
    stores: list[Path],
    photographs: Path | None,
    split: Path | None,
    seed: int,
    progress: bool,
) -> "dict[tuple[str, ...], RepresentationalDepth]":
    """Distances from the pixels by network and layers.

    Args:
        mappings: of these networks.
        stores: tokens of the networks.
        photographs: what the tokens are of.
        split: whose test images are taken; None for random ones.
        seed: of random images.
        progress: whether to show progress bars.

    Raises:
        DataError: if tokens, photographs and mappings do not go together.
    """
    if not stores:
        if photographs is not None or split is not None:
            raise DataError("--photographs and --split are for distances from pixels; give --tokens STORE as well")
        return {}
    if photographs is None:
        raise DataError("distances from pixels need the photographs; give --photographs as well as --tokens")
    from factortopy.analysis import representational_depth
    from factortopy.datasets import open_images
    from factortopy.images import read_split
    from factortopy.tokens import TokenStore

    ids = None if split is None else read_split(str(split)).test
    images, distances = open_images(photographs), {}
    for path in stores:
        store = TokenStore.open(path)
        layers = (store.network, *store.layers)
        if layers not in map(_layers_of, mappings):
            raise DataError(f"{path} holds layers of {store.network}, which no mapping here is of; leave it out")
        distances[layers] = representational_depth(store, images, ids=ids, seed=seed, progress=progress)
    return distances


def _layers_of(mapping: "Mapping") -> tuple[str, ...]:
    """Network and layers, by which tokens are told apart."""
    return str(mapping.dataset.attrs.get("network")), *mapping.layers


def _fits(
    mapping: "Mapping",
    asked: list[Any],
    every: bool,
    distance: "RepresentationalDepth | None",
    permutations: int,
    seed: int,
) -> "list[HierarchyFit]":
    from factortopy.analysis import DEPTH_SOURCES, fit_hierarchy, orders_of

    orders = asked + (list(orders_of(mapping.rois)) if every else [])
    if not orders:
        rois = ", ".join(mapping.rois) or "none"
        raise DataError(f"no known order of ROIs fits this mapping (its ROIs: {rois}); name one with --order")
    return [
        fit_hierarchy(mapping, order, source, distance=axis, permutations=permutations, seed=seed)
        for order in orders
        for axis in ([None] if distance is None else [None, distance.distance])
        for source in DEPTH_SOURCES
        if source in mapping.dataset
    ]


def _facts(
    path: Path, mapping: "Mapping", fits: "list[HierarchyFit]", distance: "RepresentationalDepth | None"
) -> dict[str, Any]:
    from factortopy.analysis import record_of

    attributes = mapping.dataset.attrs
    names = ("network", "subject", "recipe", "seed", "split", "images_test", "bootstrap")
    facts = {name: attributes[name] for name in names if name in attributes}
    facts = {"mapping": str(path), **facts, "simulated": mapping.simulated}
    if distance is not None:
        values = dict(zip(distance.layers, distance.distance.tolist(), strict=True))
        facts["distance_from_pixels"] = {"images": distance.images, "layers": values}
    return facts | {"orders": [record_of(fit) for fit in fits]}


def _rows(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a level of an order."""
    shared = {name: facts.get(name) for name in ("mapping", "network", "subject", "recipe", "simulated")}
    return [
        shared | {name: value for name, value in fit.items() if name != "levels"} | level
        for fit in facts["orders"]
        for level in fit["levels"]
    ]


def _table(facts: dict[str, Any], line: str) -> Rows:
    from factortopy.analysis import text_in_row

    rows = [
        fit
        | {
            "by": fit["source"].replace("_", " ") + ("" if fit["axis"] == "layer index" else ", distance"),
            "r2": ", ".join(text_in_row(fit, name, ".2f") for name in ("r2_line", "r2_monotone")),
        }
        for fit in facts["orders"]
    ]
    title = facts["mapping"] + (", SIMULATED responses" if facts["simulated"] else "")
    return Rows(title, rows, COLUMNS, f"{LEGEND}\n{line}", FORMATS)
