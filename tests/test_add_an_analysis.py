"""An analysis with its figure and its command is added in three files and one line: a toy one, written here.

The first three functions are what the three files hold (``analysis/``, ``plot/``, ``cli/``); the line is the last
one of the fixture. ``docs/architecture.md`` shows the same as a recipe.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas
import pytest
import typer
from typer.testing import CliRunner

from factortopy.analysis import Estimate, records_of, table_of
from factortopy.cli import app
from factortopy.cli.shared.options import Json
from factortopy.cli.shared.tables import Answer, Rows
from factortopy.mapping import Mapping
from factortopy.plot import Dot, DotPanel, Look, dot_chart, save

sys.path.insert(0, str(Path(__file__).parent / "plot"))
from fake_mapping import fake_mapping_and_truth


def eccentricity(mapping: Mapping) -> pandas.DataFrame:
    """Analysis: a row an ROI with its mean distance from the image's centre and limits over its voxels' halves."""
    distance = np.linalg.norm(mapping.dataset["space"].values, axis=1)
    return table_of(
        {"roi": name, "eccentricity": Estimate.of_sample(distance[inside], over="voxels")}
        for name, inside in mapping.rois.items()
    )


def eccentricity_chart(mapping: Mapping):
    """Figure: a dot an ROI."""
    table, look = eccentricity(mapping), Look("tab:blue")
    rows = table.to_dict("records")
    dots = [Dot(line, Estimate.in_row(row, "eccentricity"), look) for line, row in enumerate(rows)]
    labels = [str(row["roi"]) for row in rows]
    return dot_chart(mapping, "Eccentricity by ROI", [DotPanel("mean distance from the centre", dots)], labels)


def toy_eccentricity(
    mapping: Annotated[Path, typer.Argument(help="Folder of a mapping.")],
    draw: Annotated[Path | None, typer.Option("--draw", help="Figure.")] = None,
    as_json: Json = False,
) -> None:
    """Print how far from the centre each ROI looks."""
    loaded = Mapping.load(mapping)
    rows = records_of(eccentricity(loaded))
    if draw:
        save(eccentricity_chart(loaded), draw)
    table = Rows("Eccentricity", rows, {"roi": "ROI", "eccentricity": "mean"})
    Answer({"rows": rows}, rows, [table]).print(as_json, False)


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    app.command("eccentricity", rich_help_panel="Results")(toy_eccentricity)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_the_toy_analysis_prints_draws_and_gives_json(run, tmp_path):
    mapping, _ = fake_mapping_and_truth()
    folder = mapping.save(tmp_path / "mapping")
    result = run("eccentricity", folder, "--draw", tmp_path / "chart.png", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["roi"]: row for row in json.loads(result.stdout)["rows"]}
    assert set(rows) == set(mapping.rois)
    inside = mapping.rois["V1"]
    expected = np.hypot(*mapping.dataset["space"].values[inside].T).mean()
    assert rows["V1"]["eccentricity"] == pytest.approx(expected, rel=1e-6)
    assert rows["V1"]["eccentricity_low"] < expected < rows["V1"]["eccentricity_high"]
    assert (tmp_path / "chart.png").stat().st_size > 10_000
    assert "V1" in run("eccentricity", folder).stdout
    assert "eccentricity" in run("--help").stdout


def test_what_it_is_given_wrongly_ends_in_one_line(run, tmp_path):
    result = run("eccentricity", tmp_path / "missing")
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
