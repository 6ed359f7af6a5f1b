"""``factortopy nulls``: could a slope, or the likeness of two maps, come from smoothness alone?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factortopy.cli.options import Json, Quiet
from factortopy.cli.tables import print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from factortopy.analysis import NullTest
    from factortopy.mapping import Mapping

MAPS = {"r2": "R² raw", "depth": "depth (layer share)", "scale": "scale share"}


def nulls(
    mapping: Annotated[Path, typer.Argument(help="Folder that [bold]fit[/bold] wrote.")],
    other: Annotated[
        Path | None,
        typer.Argument(metavar="[OTHER]", help="Another one, of the same voxels: are their maps alike?"),
    ] = None,
    *,
    surrogates: Annotated[int, typer.Option(min=19, help="Random maps to compare with.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the random maps.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test the hierarchy slope of a mapping, or the likeness of two, against random maps just as smooth.

    Voxels next to each other are alike, so counting them as independent makes almost anything significant.
    Moran spectral randomisation; it suits a cortex measured in part.
    """
    from factortopy.mapping import Mapping, facts_line

    loaded = [Mapping.load(folder) for folder in (mapping, other) if folder is not None]
    found = _slope(loaded[0], surrogates, seed) if other is None else _alike(loaded, surrogates, seed, not quiet)
    if as_json:
        rows = [{"quantity": name, **asdict(test)} for name, test in found.items()]
        typer.echo(json.dumps({"mappings": [facts_line(held.dataset) for held in loaded], "rows": rows}))
        return
    _print(loaded, found)


def _print(mappings: "list[Mapping]", found: "dict[str, NullTest]") -> None:
    from factortopy.mapping import facts_line

    what = "Hierarchy slope" if len(mappings) == 1 else "Correlation of maps"
    simulated = ", SIMULATED responses" if any(held.simulated for held in mappings) else ""
    rows = [
        [name, f"{test.value:.3f}", f"{test.p:.4f}", f"{test.low:.3f} to {test.high:.3f}",
         f"{test.surrogates:,}", f"{test.voxels:,}"]
        for name, test in found.items()
    ]  # fmt: skip
    print_table(
        f"{what} against spatial nulls{simulated}",
        ["", "observed", "p", "95 % of surrogates", "surrogates", "voxels used"],
        rows,
        note="\n".join(
            [
                *(facts_line(held.dataset) for held in mappings),
                "p is two-sided and does not count voxels as independent.",
            ]
        ),
    )


def _slope(mapping: "Mapping", surrogates: int, seed: int) -> "dict[str, NullTest]":
    from factortopy.analysis import slope_test, voxel_values

    rois = mapping.rois
    depth = voxel_values(mapping, "depth")
    return {"slope (layer share)": slope_test(depth, rois, _places(mapping), count=surrogates, seed=seed)}


def _alike(mappings: "list[Mapping]", surrogates: int, seed: int, progress: bool) -> "dict[str, NullTest]":
    import numpy as np

    from factortopy.analysis import correlation_test, voxel_values
    from factortopy.progress import progress_bar

    places = _places(mappings[0])
    if not np.array_equal(places, _places(mappings[1])):
        raise DataError("the two mappings are of other voxels; give mappings of one subject's voxels")
    found = {}
    with progress_bar("Surrogates", len(MAPS), show=progress) as advance:
        for quantity, name in MAPS.items():
            left, right = (voxel_values(held, quantity) for held in mappings)
            found[name] = correlation_test(left, right, places, count=surrogates, seed=seed)
            advance()
    return found


def _places(mapping: "Mapping") -> "np.ndarray":
    if "coordinates" not in mapping.dataset:
        raise DataError("this mapping does not hold its voxels' coordinates; fit it again with this version")
    places: np.ndarray = mapping.dataset["coordinates"].values
    return places
