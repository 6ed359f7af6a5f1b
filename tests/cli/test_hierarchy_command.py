"""``factortopy score --order`` from mappings on disk to table, CSV, JSON and figure."""

import csv
import io
import json
from itertools import permutations

import numpy as np
import pytest
import xarray as xr

from factortopy.mapping import Mapping

LAYERS, VOXELS = 6, 60
INDEX = np.arange(VOXELS)
NAMES = ("V1", "V2", "V3", "V4", "OPA", "EBA")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A mapping in which each ROI of ten voxels reads the layer of its number, with draws of ROI means."""
    share = np.eye(LAYERS)[INDEX // 10]
    drawn = np.linspace(0, 1, LAYERS) + 0.01 * np.random.default_rng(0).normal(size=(200, LAYERS))
    variables = {
        "space": (("voxel", "axis"), np.zeros((VOXELS, 2))),
        "layer": (("voxel", "layer"), share[::-1].copy()),
        "scale": ("voxel", np.zeros(VOXELS)),
        "r2": ("voxel", np.zeros(VOXELS)),
        "layer_share": (("voxel", "layer"), share),
        "drawn_depth": (("draw", "region"), np.pad(drawn, ((0, 0), (0, 1)))),
    }
    coordinates = {f"roi_{name}": ("voxel", index == INDEX // 10) for index, name in enumerate(NAMES)}
    coordinates |= {"region": [*NAMES, "all voxels"], "network_layer": ("layer", [f"l{n}" for n in range(LAYERS)])}
    facts = {"network": "planted", "subject": "by hand", "recipe": "default", "rois": list(NAMES)}
    folder = tmp_path_factory.mktemp("hierarchy") / "mapping"
    return Mapping(xr.Dataset(variables, coordinates, {**facts, "simulated": 1})).save(folder)


def test_orders_of_the_user_are_fitted_by_share_and_selector(run, planted):
    order = "V1=0,V2+V3=0.3,V4=0.6,EBA=1"
    result = run("score", planted, "--order", order, "--json", "-q")
    assert result.exit_code == 0, result.stderr
    (facts,) = json.loads(result.stdout)["mappings"]
    share, selector = facts["orders"]
    assert facts["simulated"] is True
    assert (share["source"], selector["source"]) == ("layer_share", "layer")
    measured, levels = [0, 1, 2, 3, 5], [0, 0.3, 0.3, 0.6, 1]  # ROIs of ten voxels each, and their levels
    # Means of the ROIs, each of ten voxels: 0, 0.3, 0.6 and 1; V2+V3 has twenty.
    assert (share["slope"], share["b0"]) == pytest.approx((1, 0))
    assert selector["slope"] == pytest.approx(-1)
    assert share["slope_low"] < 1 < share["slope_high"]
    assert share["in_order"] == 1
    every = [np.polyfit(levels, np.array(order)[measured], 1)[0] for order in permutations(np.arange(6) / 5)]
    assert share["slope_p"] == pytest.approx(np.mean(np.abs(every) >= 1 - 1e-9))
    assert selector["slope_low"] is None
    assert [level["rois"] for level in share["levels"]] == ["V1", "V2+V3", "V4", "EBA"]


def test_known_orders_are_the_default_and_csv_has_a_row_a_level(run, planted):
    result = run("score", planted, planted, "--order", "all", "--csv", "--permutations", "20")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 2 * 2 * 4  # mappings, sources, levels of V1 to V4: V2V3 is missing for the others
    assert {row["order"] for row in rows} == {"V1 to V4"}
    assert {row["subject"] for row in rows} == {"by hand"}
    assert float(rows[3]["depth"]) == pytest.approx(0.6)


def test_figure_is_written_and_the_table_says_simulated(run, planted, tmp_path):
    result = run("score", planted, planted, "--order", "all", "--draw", tmp_path / "hierarchy", "--permutations", "5")
    assert result.exit_code == 0, result.stderr
    assert "SIMULATED" in result.stdout
    assert "V1 to V4" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        f"hierarchy-{number}.{kind}" for number in (1, 2) for kind in ("png", "svg")
    }
    text = (tmp_path / "hierarchy-1.svg").read_text()
    assert "SIMULATED SUBJECT" in text
    assert text.count("fitted-line") == 2


def test_distances_are_those_of_the_mappings_network(run, mapping, tokens, photographs):
    given = ("--tokens", tokens, "--photographs", photographs, "--order", "V1,EBA", "--permutations", "5")
    result = run("score", mapping, *given, "--json", "-q")
    assert result.exit_code == 0, result.stderr
    (facts,) = json.loads(result.stdout)["mappings"]
    distance = facts["distance_from_pixels"]
    assert distance["images"] == 40
    assert list(distance["layers"]) == list(Mapping.load(mapping).layers)
    axes = [order["axis"] for order in facts["orders"]]
    assert axes == ["layer index"] * 2 + ["distance from the pixels"] * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--order", "V1,PPA"), "unknown ROI 'PPA'"),
        (("--order", "V1"), "two or more"),
        (("--order", "all", "--photographs", "x"), "give --tokens"),
        (("--order", "all", "--tokens", "x"), "give --photographs"),
        (("--order", "all", "--csv", "--json"), "not both"),
        (("--draw", "x"), "give --order all"),
        (("--order", "all", "--nulls", "19"), "give one of them"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line(run, planted, words, told):
    result = run("score", planted, *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_tokens_of_another_network_are_refused(run, planted, tokens, photographs):
    result = run("score", planted, "--order", "all", "--tokens", tokens, "--photographs", photographs)
    assert result.exit_code == 2
    assert "no mapping here" in result.stderr
