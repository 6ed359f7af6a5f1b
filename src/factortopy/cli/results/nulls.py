"""``factortopy score --nulls``: could a slope, or the likeness of two maps, come from smoothness alone?"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from factortopy.cli.tables import Answer, Rows
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.mapping import Mapping

MAPS = {"r2": "R² raw", "depth": "depth (layer share)", "scale": "scale share"}
COLUMNS = {
    "quantity": "",
    "value": "observed",
    "p": "p",
    "surrogate_values": "95 % of surrogates",
    "surrogates": "surrogates",
    "voxels": "voxels used",
}


def null_answer(mappings: "list[Mapping]", count: int, seed: int, progress: bool) -> Answer:
    """The hierarchy slope of a mapping, or the likeness of two, against random maps just as smooth.

    Voxels next to each other are alike, so counting them as independent makes almost anything significant.
    Moran spectral randomisation suits a cortex measured in part.

    Args:
        mappings: one, or two of the same voxels.
        count: random maps.
        seed: of the random maps.
        progress: whether to show a progress bar.

    Raises:
        DataError: if there are more mappings, two of other voxels, or too few voxels.
    """
    from factortopy.mapping import facts_line

    if len(mappings) > 2:
        raise DataError(f"--nulls takes one mapping, or two whose maps are compared, got {len(mappings)}")
    what, find = ("Hierarchy slope", _slope) if len(mappings) == 1 else ("Correlation of maps", _likeness)
    rows = find(mappings, count, seed, progress)
    simulated = ", SIMULATED responses" if any(mapping.simulated for mapping in mappings) else ""
    lines = [facts_line(mapping.dataset) for mapping in mappings]
    table = Rows(
        f"{what} against spatial nulls{simulated}",
        [row | {"surrogate_values": f"{row['low']:.3f} to {row['high']:.3f}"} for row in rows],
        COLUMNS,
        "\n".join([*lines, "p is two-sided and does not count voxels as independent."]),
        {"p": ".4f"},
    )
    return Answer({"mappings": lines, "rows": rows}, rows, [table])


def _slope(mappings: "list[Mapping]", count: int, seed: int, _progress: bool) -> list[dict[str, Any]]:
    from factortopy.analysis import slope_test, voxel_values

    (mapping,) = mappings
    depth, coordinates = voxel_values(mapping, "depth"), mapping.voxels.coordinates
    test = slope_test(depth, mapping.rois, coordinates, count=count, seed=seed)
    return [{"quantity": "slope (layer share)", **asdict(test)}]


def _likeness(mappings: "list[Mapping]", count: int, seed: int, progress: bool) -> list[dict[str, Any]]:
    import numpy as np

    from factortopy.analysis import correlation_test, voxel_values
    from factortopy.progress import progress_bar

    coordinates, others = (mapping.voxels.coordinates for mapping in mappings)
    if not np.array_equal(coordinates, others):
        raise DataError("the two mappings are of other voxels; give mappings of one subject's voxels")
    rows = []
    with progress_bar("Surrogates", len(MAPS), show=progress) as advance:
        for quantity, name in MAPS.items():
            left, right = (voxel_values(mapping, quantity) for mapping in mappings)
            test = correlation_test(left, right, coordinates, count=count, seed=seed)
            rows.append({"quantity": name, **asdict(test)})
            advance()
    return rows
