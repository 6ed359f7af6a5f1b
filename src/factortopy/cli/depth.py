"""``factortopy score --order`` and ``--nulls``: does depth follow an order of areas, beyond what smoothness gives?"""

from pathlib import Path
from typing import Any

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import Answer, Rows
from factortopy.errors import DataError

ALL = "all"
"""What ``--order`` says for every order in the package that the ROIs allow."""
ORDERS = {
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
    "Limits: 95 %. p: against shuffled layers, two-sided. R²: of "
    "depth over voxels. Rises: share of draws in which depth rises at every step."
)
MAPS = {"r2": "R² raw", "depth": "depth (layer share)", "scale": "scale share"}
NULLS = {
    "quantity": "",
    "observed": "observed",
    "p": "p",
    "surrogate_values": "95 % of surrogates",
    "surrogates": "surrogates",
    "voxels": "voxels used",
}


def order_answer(
    paths: list[Path],
    mappings: "list[ft.Mapping]",
    orders: list[str],
    distances: "dict[tuple[str, ...], ft.analysis.RepresentationalDepth]",
    permutations: int,
    seed: int,
    drawing: Path | None,
) -> Answer:
    """Slope, rank correlation and monotone fit of depth along orders of ROIs, with limits and a null.

    Orders are as the user gave them, distances as of :func:`read_distances`; the null tries ``permutations`` orders
    of the layers; of several mappings, each has its figure beside ``drawing``.

    Raises:
        DataError: if an order cannot be read, or a mapping allows none.
    """
    parsed = [ft.analysis.parse_order(text) for text in orders if text != ALL]
    records, tables = [], []
    for number, (path, mapping) in enumerate(zip(paths, mappings, strict=True), start=1):
        distance = distances.get(_layers_of(mapping))
        wanted = parsed + (list(ft.analysis.orders_of(mapping.rois)) if ALL in orders else [])
        if not wanted:
            rois = ", ".join(mapping.rois) or "none"
            raise DataError(f"no known order of ROIs fits this mapping (its ROIs: {rois}); name one with --order")
        fits = [
            ft.analysis.fit_hierarchy(mapping, order, source, distance=axis, permutations=permutations, seed=seed)
            for order in wanted
            for axis in ([None] if distance is None else [None, distance.distance])
            for source in ft.analysis.DEPTH_SOURCES
            if source in mapping.dataset
        ]
        said = ft.analysis.findings(mapping)
        records.append(_order_facts(path, mapping, fits, distance) | {"findings": " ".join(said) or None})
        tables.append(_order_table(records[-1], [ft.mapping.facts_line(mapping.dataset), *said]))
        if drawing is not None:
            stem = drawing if len(paths) == 1 else drawing.with_name(f"{drawing.name}-{number}")
            ft.plot.save(ft.plot.hierarchy_orders(mapping, fits, distance), stem)
    return Answer({"mappings": records}, [row for facts in records for row in _order_rows(facts)], tables)


def read_distances(
    mappings: "list[ft.Mapping]",
    stores: list[Path],
    photographs: Path | None,
    split: Path | None,
    seed: int,
    progress: bool,
) -> "dict[tuple[str, ...], ft.analysis.RepresentationalDepth]":
    """Distances from the pixels by network and layers, on the test images of a split, else on random ones.

    Raises:
        DataError: if tokens, photographs and mappings do not go together.
    """
    if not stores:
        if photographs is not None or split is not None:
            raise DataError("--photographs and --split are for distances from pixels; give --tokens STORE as well")
        return {}
    if photographs is None:
        raise DataError("distances from pixels need the photographs; give --photographs as well as --tokens")
    sides = opt.read_split(split)
    ids = None if sides is None else sides.test
    images, distances = ft.open_images(photographs), {}
    for path in stores:
        store = ft.TokenStore.open(path)
        layers = (store.network, *store.layers)
        if layers not in map(_layers_of, mappings):
            raise DataError(f"{path} holds layers of {store.network}, which no mapping here is of; leave it out")
        distances[layers] = ft.analysis.representational_depth(store, images, ids=ids, seed=seed, progress=progress)
    return distances


def _layers_of(mapping: "ft.Mapping") -> tuple[str, ...]:
    """Network and layers, by which tokens are told apart."""
    return str(mapping.dataset.attrs.get("network")), *mapping.layers


def _order_facts(
    path: Path,
    mapping: "ft.Mapping",
    fits: "list[ft.analysis.HierarchyFit]",
    distance: "ft.analysis.RepresentationalDepth | None",
) -> dict[str, Any]:
    attributes = mapping.dataset.attrs
    names = ("network", "subject", "recipe", "seed", "split", "images_test", "bootstrap")
    facts = {name: attributes[name] for name in names if name in attributes}
    facts = {"mapping": str(path), **facts, "simulated": mapping.simulated}
    if distance is not None:
        values = dict(zip(distance.layers, distance.distance.tolist(), strict=True))
        facts["distance_from_pixels"] = {"images": distance.images, "layers": values}
    return facts | {"orders": [ft.analysis.record_of(fit) for fit in fits]}


def _order_rows(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a level of an order."""
    shared = {name: facts.get(name) for name in ("mapping", "network", "subject", "recipe", "simulated")}
    return [
        shared | {name: value for name, value in fit.items() if name != "levels"} | level
        for fit in facts["orders"]
        for level in fit["levels"]
    ]


def _order_table(facts: dict[str, Any], lines: list[str]) -> Rows:
    rows = [
        fit
        | {
            "by": fit["source"].replace("_", " ") + ("" if fit["axis"] == "layer index" else ", distance"),
            "r2": ", ".join(ft.analysis.text_in_row(fit, name, ".2f") for name in ("r2_line", "r2_monotone")),
        }
        for fit in facts["orders"]
    ]
    return Rows(facts["mapping"], rows, ORDERS, "\n".join([LEGEND, *lines]), FORMATS, facts["simulated"])


def null_answer(mappings: "list[ft.Mapping]", count: int, seed: int, progress: bool) -> Answer:
    """The hierarchy slope of a mapping, or the likeness of two, against ``count`` random maps just as smooth.

    Voxels next to each other are alike, so counting them as independent makes almost anything significant.
    Moran spectral randomisation suits a cortex measured in part.

    Raises:
        DataError: if there are more than two mappings, two of other voxels, or too few voxels.
    """
    if len(mappings) > 2:
        raise DataError(f"--nulls takes one mapping, or two whose maps are compared, got {len(mappings)}")
    if len(mappings) == 1:
        what, rows = "Hierarchy slope", [_slope(mappings[0], count, seed)]
    else:
        what, rows = "Correlation of maps", _likeness(mappings, count, seed, progress)
    lines = [ft.mapping.facts_line(mapping.dataset) for mapping in mappings]
    said = [ft.analysis.findings(mapping) for mapping in mappings]
    notes = [text for line, own in zip(lines, said, strict=True) for text in (line, *own)]
    table = Rows(
        f"{what} against spatial nulls",
        [_null_row(row) for row in rows],
        NULLS,
        "\n".join([*notes, "p is two-sided and does not count voxels as independent."]),
        {"p": ".4f"},
        any(mapping.simulated for mapping in mappings),
    )
    findings = [" ".join(own) or None for own in said]
    return Answer({"mappings": lines, "findings": findings, "rows": rows}, rows, [table])


def _null_row(row: dict[str, Any]) -> dict[str, Any]:
    """A test as it is printed: percentiles of the surrogates are no limits of what was observed."""
    printed = {name: row[name] for name in ("quantity", "p", "surrogates", "voxels")}
    ends = [row[name] for name in ("low", "high")]
    surrogates = None if None in ends else "{:.3f} to {:.3f}".format(*ends)
    return printed | {"observed": row["value"], "surrogate_values": surrogates}


def _slope(mapping: "ft.Mapping", count: int, seed: int) -> dict[str, Any]:
    depth, coordinates = ft.analysis.voxel_values(mapping, "depth"), mapping.voxels.positions[0]
    test = ft.analysis.slope_test(depth, mapping.rois, coordinates, count=count, seed=seed)
    return {"quantity": "slope (layer share)", **ft.analysis.record_of(test)}


def _likeness(mappings: "list[ft.Mapping]", count: int, seed: int, progress: bool) -> list[dict[str, Any]]:
    import numpy as np

    coordinates, others = (mapping.voxels.positions[0] for mapping in mappings)
    if not np.array_equal(coordinates, others):
        raise DataError("the two mappings are of other voxels; give mappings of one subject's voxels")
    rows = []
    with ft.progress.progress_bar("Surrogates", len(MAPS), show=progress) as advance:
        for quantity, name in MAPS.items():
            left, right = (ft.analysis.voxel_values(mapping, quantity) for mapping in mappings)
            test = ft.analysis.correlation_test(left, right, coordinates, count=count, seed=seed)
            rows.append({"quantity": name, **ft.analysis.record_of(test)})
            advance()
    return rows
