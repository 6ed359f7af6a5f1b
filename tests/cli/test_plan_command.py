"""``factortopy plan`` from a table with planted numbers."""

import json

import pytest

from factortopy.analysis.planted.forecast import FORMAT


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four cases; more images help, a higher ceiling helps more."""
    facts = {
        "network": "some-network", "kind": "smooth", "recipe": "default", "voxels": 400, "channels": 32,
        "budget": "300 x 64", "photographs": "some-views", "seeds": [0, 1], "scale_r": 0.5, "space_r": 0.5,
        "r2_of_oracle": None, "r2_of_ceiling": 0.25,
    }  # fmt: skip
    rows = [
        facts | {"images": images, "ceiling": ceiling, "slope_error": 0.3, "depth_r": depth}
        for images, ceiling, depth in ((500, 0.1, 0.2), (5_000, 0.1, 0.4), (500, 0.4, 0.6), (5_000, 0.4, 0.8))
    ]
    file = tmp_path_factory.mktemp("plan") / "table.json"
    file.write_text(json.dumps({"format": FORMAT, "rows": rows}))
    return file


def plan(run, table, *words):
    return run("plan", "--table", table, *words)


def test_json_holds_the_interpolated_numbers_and_what_they_are_of(run, table):
    # The geometric means of both edges: the middle of the grid.
    result = plan(run, table, "--images", 1_581, "--ceiling", 0.2, "--json")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["simulated"] is True
    assert printed["network"] == "some-network"
    assert printed["asked"]["inside"] is True
    assert printed["asked"]["measures"]["depth_r"] == pytest.approx(0.5, abs=1e-3)
    assert printed["asked"]["measures"]["r2_of_oracle"] is None
    assert printed["grid"]["images"] == [500, 5_000]


def test_text_names_network_plant_and_simulation(run, table):
    result = plan(run, table, "--images", 1_581, "--ceiling", 0.2, "--repeats", 2, "--voxels", 9_000)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    for word in ("SIMULATED", "some-network", "'smooth'", "some-views", "0.50", "9,000 were asked for"):
        assert word in text
    assert "790 images x 4 would be better" in text
    assert "of twice the time, more repeats would make the most" in text


def test_outside_the_grid_no_number_stands_as_expected(run, table):
    result = plan(run, table, "--images", 100, "--ceiling", 0.2)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "OUTSIDE what was measured" in text
    assert text.count("not measured") >= 6
    assert "no change can be compared" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--images", 100, "--ceiling", 20), "divide percentages"),
        (("--images", 100, "--ceiling", 0.2, "--planted", "sharp"), "known: smooth"),
        (("--images", 100, "--ceiling", 0.2, "--network", "other"), "unknown network"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, table, words, message):
    result = plan(run, table, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
