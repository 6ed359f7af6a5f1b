"""``factortopy hierarchy``: does depth follow an order of visual areas, and how sure is that?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import Json, Quiet, check_place
from factortopy.cli.tables import print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.analysis import HierarchyFit, RepresentationalDepth
    from factortopy.mapping import Mapping

Mappings = Annotated[list[Path], typer.Argument(metavar="MAPPING...", help="Folders that [bold]fit[/bold] wrote.")]
Orders = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROI,ROI,...",
        help="An order of ROIs, evenly spaced, or with levels: V1=0,V2+V3=0.33,EBA=1. May be repeated. "
        "[dim]\\[default: the paper's, V1 to V4, and the three streams][/dim]",
    ),
]
Stores = Annotated[
    list[Path] | None,
    typer.Option(metavar="STORE", help="Tokens of a mapping's network: also depth by distance from pixels."),
]
Photographs = Annotated[Path | None, typer.Option(help="The photographs of these tokens, as for [bold]extract[/bold].")]
SplitFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Distances on the test images of this split, not on random ones."),
]
Permutations = Annotated[int, typer.Option(min=1, help="Orders of the layers that the null tries.")]
Seed = Annotated[int, typer.Option(min=0, help="Of these orders, and of the random images.")]
FigureFile = Annotated[
    Path | None,
    typer.Option(help="Write a figure here (PNG and SVG); of several mappings, FIGURE-1, FIGURE-2, ..."),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print a table, a row a level of an order.")]


def hierarchy(
    mappings: Mappings,
    *,
    rois: Orders = None,
    tokens: Stores = None,
    images: Photographs = None,
    split: SplitFile = None,
    permutations: Permutations = 1_000,
    seed: Seed = 0,
    figure: FigureFile = None,
    as_csv: Csv = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Slope, rank correlation and monotone fit of depth along orders of ROIs, with limits and a null.

    Depth is by layer share and by the selector. Limits are over test images; p is against shuffled layers.
    """
    if as_csv and as_json:
        raise DataError("give --json or --csv, not both")
    if figure is not None:
        check_place(figure)
    from factortopy.analysis import parse_order
    from factortopy.mapping import Mapping

    asked = [parse_order(text) for text in rois or ()]
    loaded = [Mapping.load(folder) for folder in mappings]
    distances = _distances(loaded, tokens or [], images, split, seed, quiet)
    found = []
    for mapping in loaded:
        distance = distances.get(_network(mapping))
        found.append((mapping, _fits(mapping, asked, distance, permutations, seed), distance))
    if figure is not None:
        _draw(found, figure)
    _show(mappings, found, as_csv, as_json)


def _show(paths: list[Path], found: list[Any], as_csv: bool, as_json: bool) -> None:
    """Print JSON, CSV or tables."""
    facts = [_facts(path, *result) for path, result in zip(paths, found, strict=True)]
    if as_json:
        typer.echo(json.dumps({"mappings": facts}))
    elif as_csv:
        typer.echo(_csv(facts), nl=False)
    else:
        for path, (mapping, fits, _) in zip(paths, found, strict=True):
            _print(path, mapping, fits)


def _network(mapping: "Mapping") -> tuple[str, tuple[str, ...]]:
    return str(mapping.dataset.attrs.get("network")), mapping.layers


def _distances(
    mappings: "list[Mapping]",
    stores: list[Path],
    images: Path | None,
    split: Path | None,
    seed: int,
    quiet: bool,
) -> "dict[tuple[str, tuple[str, ...]], RepresentationalDepth]":
    """Distances from the pixels by network and layers."""
    if not stores:
        if images is not None or split is not None:
            raise DataError("--images and --split are for distances from pixels; give --tokens STORE as well")
        return {}
    if images is None:
        raise DataError("distances from pixels need the photographs; give --images as well as --tokens")
    from factortopy.analysis import representational_depth
    from factortopy.datasets import open_images
    from factortopy.images import read_split
    from factortopy.tokens import TokenStore

    ids = None if split is None else read_split(str(split)).test
    photographs, found = open_images(images), {}
    for path in stores:
        store = TokenStore.open(path)
        if (store.network, store.layers) not in map(_network, mappings):
            raise DataError(f"{path} holds layers of {store.network}, which no mapping here is of; leave it out")
        found[store.network, store.layers] = representational_depth(
            store, photographs, ids=ids, seed=seed, progress=not quiet
        )
    return found


def _fits(
    mapping: "Mapping",
    asked: list[Any],
    distance: "RepresentationalDepth | None",
    permutations: int,
    seed: int,
) -> "list[HierarchyFit]":
    from factortopy.analysis import DEPTH_SOURCES, fit_hierarchy, orders_of

    orders = asked or orders_of(mapping.rois)
    if not orders:
        held = ", ".join(mapping.rois) or "none"
        raise DataError(f"no known order of ROIs fits this mapping (its ROIs: {held}); name one with --rois")
    sources = [source for source in DEPTH_SOURCES if source in mapping.dataset]
    axes = [None] if distance is None else [None, distance.distance]
    return [
        fit_hierarchy(mapping, order, source, distance=axis, permutations=permutations, seed=seed)
        for order in orders
        for axis in axes
        for source in sources
    ]


def _draw(found: list[Any], stem: Path) -> None:
    from factortopy.plot import hierarchy_orders, save

    for number, (mapping, fits, distance) in enumerate(found, start=1):
        path = stem if len(found) == 1 else stem.with_name(f"{stem.name}-{number}")
        save(hierarchy_orders(mapping, fits, distance), path)


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


def _csv(facts: list[dict[str, Any]]) -> str:
    from factortopy.analysis import csv_of, table_of

    rows = []
    for mapping in facts:
        shared = {name: mapping.get(name) for name in ("mapping", "network", "subject", "recipe", "simulated")}
        for fit in mapping["orders"]:
            own = {name: value for name, value in fit.items() if name != "levels"}
            rows += [shared | own | level for level in fit["levels"]]
    return csv_of(table_of(rows))


def _print(path: Path, mapping: "Mapping", fits: "list[HierarchyFit]") -> None:
    from factortopy.analysis import Estimate
    from factortopy.mapping import facts_line
    from factortopy.reporting import percent

    rows = [
        (
            fit.order,
            f"{fit.source.replace('_', ' ')}{'' if fit.axis == 'layer index' else ', distance'}",
            fit.slope.text(2),
            f"{fit.slope_p:.3f}",
            f"{fit.spearman:.2f}",
            f"{fit.spearman_p:.3f}",
            ", ".join(Estimate(value).text(2) for value in (fit.r2_line, fit.r2_monotone)),
            percent(fit.in_order),
        )
        for fit in fits
    ]
    columns = ("order", "depth by", "slope", "p", "rank r", "p", "R² line, monotone", "rises")
    print_table(
        f"{path}" + (", SIMULATED responses" if mapping.simulated else ""),
        columns,
        rows,
        note="Limits: 95 % of draws of test images. p: against shuffled layers, two-sided. R²: of "
        "depth over voxels. Rises: share of draws in which depth rises at every step.\n"
        f"{facts_line(mapping.dataset)}",
    )
