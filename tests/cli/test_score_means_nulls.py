"""``factortopy score`` of several mappings, and ``score --nulls``: numbers that can be made another way."""

import json

import numpy as np
import pytest

from factortopy.analysis import hierarchy_slope
from factortopy.mapping import Mapping


@pytest.fixture(scope="module")
def seeds(mapping, tmp_path_factory):
    """Three seeds of a mapping in which something was found: scores moved by known amounts."""
    folder, fitted = tmp_path_factory.mktemp("seeds"), Mapping.load(mapping)
    # Responses by hand follow no image, so that a fit of them finds nothing and has no line.
    loaded = fitted.with_variables({"predicted": ("voxel", np.ones(len(fitted.dataset["r2"])))})
    loaded.save(folder / "0")
    for seed in (1, 2):
        moved = loaded.with_variables({"r2": ("voxel", loaded.dataset["r2"].values + 0.1 * seed)})
        moved.dataset.attrs["seed"] = seed
        moved.save(folder / str(seed))
    return folder / "0", folder / "1", folder / "2"


def test_seeds_are_summarised_and_averaged(run, seeds, tmp_path):
    result = run("score", *seeds, "--json", "-o", tmp_path / "average")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    row = next(row for row in printed["rows"] if (row["quantity"], row["region"]) == ("r2", "all voxels"))
    r2 = Mapping.load(seeds[0]).dataset["r2"].values.mean()
    assert row["mean"] == pytest.approx(r2 + 0.1)
    assert row["sd"] == pytest.approx(0.1)
    assert (printed["seed"], printed["recipe"]) == ("0, 1, 2", "default")
    assert "seeds" in printed["limits"]
    assert Mapping.load(tmp_path / "average").dataset["r2"].values.mean() == pytest.approx(r2 + 0.1)
    table = run("score", *seeds).stdout
    for words in ("all voxels", "slope", "split: ", "seed: 0, 1, 2", "raw", "images: ", "scores_of: "):
        assert words in table


def test_what_cannot_be_summarised_is_one_line(run, seeds, tmp_path):
    for words, text in (((seeds[0], "-o", tmp_path / "one"), "two mappings"), ((seeds[0], seeds[0]), "twice")):
        result = run("score", *words)
        assert result.exit_code == 2
        assert text in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_nulls_of_a_slope_and_of_two_maps(run, seeds):
    result = run("score", seeds[0], "--nulls", 19, "--json")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    (row,) = printed["rows"]
    assert row["value"] == pytest.approx(hierarchy_slope(Mapping.load(seeds[0])).slope, abs=1e-6)
    assert "seed 0" in printed["mappings"][0]
    result = run("score", *seeds[:2], "--nulls", 19, "--json", "-q")
    assert result.exit_code == 0, result.stderr
    rows = {row["quantity"]: row for row in json.loads(result.stdout)["rows"]}
    assert rows["R² raw"]["value"] == pytest.approx(1)  # moved by a constant
    assert rows["R² raw"]["p"] == pytest.approx(1 / 20)
    assert "p is two-sided" in run("score", seeds[0], "--nulls", 19).stdout


def test_percentiles_of_surrogates_are_no_limits_of_what_was_observed(run, seeds):
    """R² of the second seed is that of the first, moved by a constant: 1 to the last digit."""
    table = run("score", *seeds[:2], "--nulls", 19, "-q").stdout
    (row,) = (line for line in table.splitlines() if "R² raw" in line)
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["1.000", "0.0500"]
    assert " to " in row
    cells = "".join(line for line in table.splitlines() if line.startswith("│"))
    assert "[" not in cells  # limits would be folded into further lines


def test_a_map_that_does_not_vary_has_a_dash_and_null_in_json(run, seeds, tmp_path):
    for number, folder in enumerate(seeds[:2]):
        loaded = Mapping.load(folder)
        even = np.full(len(loaded.dataset["r2"]), 0.1)
        loaded.with_variables({"scale_share": ("voxel", even)}).save(tmp_path / str(number))
    words = ("score", tmp_path / "0", tmp_path / "1", "--nulls", 19, "-q")
    (row,) = (line for line in run(*words).stdout.splitlines() if "scale share" in line)
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["–", "–", "–"]
    result = run(*words, "--json")
    assert "NaN" not in result.stdout
    row = next(row for row in json.loads(result.stdout)["rows"] if row["quantity"] == "scale share")
    assert (row["value"], row["p"], row["low"], row["high"]) == (None, None, None, None)


def test_of_a_fit_in_which_nothing_was_found_the_tests_of_depth_say_so(run, seeds, tmp_path):
    loaded = Mapping.load(seeds[0])
    voxels, draws = len(loaded.dataset["r2"]), loaded.dataset["drawn_r2"]
    missed = {
        "r2": ("voxel", np.full(voxels, -0.05)),
        "drawn_r2": (draws.dims, np.full(draws.shape, -0.05)),
        "predicted": ("voxel", np.zeros(voxels)),
    }
    folder, few = loaded.with_variables(missed).save(tmp_path / "nothing"), ("--permutations", 5)
    for words in (("--nulls", 19), ("--order", "V1,EBA", *few)):
        assert "Nothing was found: held-out R² -0.050" in " ".join(run("score", folder, *words).stdout.split())
    found = json.loads(run("score", folder, "--order", "V1,EBA", *few, "--json").stdout)["mappings"][0]["findings"]
    assert found.startswith("Nothing was found")
    (found,) = json.loads(run("score", folder, "--nulls", 19, "--json").stdout)["findings"]
    assert found.startswith("Nothing was found")
