"""``factortopy score``: what it prints equals the mapping's own numbers."""

import csv
import io
import json

import numpy as np
import pytest

from factortopy.analysis import hierarchy_slope
from factortopy.mapping import Mapping
from factortopy.subjects import load_subject_folder


@pytest.fixture
def with_ceiling(mapping, tmp_path):
    loaded = Mapping.load(mapping)
    ceiling = np.linspace(0.0, 0.6, loaded.dataset.sizes["voxel"])
    loaded.dataset.attrs["repeats_test"] = [1, 0, 3]
    loaded.with_variables({"ceiling": ("voxel", ceiling)}).save(tmp_path / "mapping")
    return tmp_path / "mapping"


def test_json_holds_raw_ceiling_and_normalised(run, with_ceiling):
    result = run("score", with_ceiling, "--normalised", "--threshold", 0.1, "--json")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    data = Mapping.load(with_ceiling).dataset
    r2, ceiling = data["r2"].values, data["ceiling"].values
    everything = printed["rois"][-1]
    assert everything["roi"] == "all voxels"
    assert everything["r2"] == pytest.approx(r2.mean())
    assert everything["masked"] == (ceiling < 0.1).sum() > 0
    assert everything["normalised"] == pytest.approx((r2[ceiling >= 0.1] / ceiling[ceiling >= 0.1]).mean())
    first = printed["rois"][0]
    assert first["r2"] == pytest.approx(r2[data[f"roi_{first['roi']}"].values].mean())
    low, high = np.quantile(data["drawn_r2"].values[:, -1], (0.025, 0.975))
    assert (everything["r2_low"], everything["r2_high"]) == pytest.approx((low, high))
    assert (printed["recipe"], printed["seed"], printed["network"]) == ("default", "0", data.attrs["network"])
    assert data.attrs["split"].startswith(printed["split"])
    assert printed["scores_of"] == "own means of 1 to 3 repeats a test image, 2.5 on average"
    assert printed["test_responses_by_trials_averaged"] == {"1": 1, "3": 3}
    assert printed["masked_where_ceiling_below"] == 0.1


def test_table_says_the_formula_and_how_many_are_masked(run, with_ceiling):
    result = run("score", with_ceiling, "--normalised")
    assert result.exit_code == 0, result.stderr
    facts = ("recipe: default", "seed: 0", "split: ", "test images", "scores_of: own means of 1 to 3", "raw")
    facts = (*facts, "limits: 95 % limits")
    for text in ("R² / ceiling", "masked", "all voxels", "masked_where_ceiling_below: 0.05", *facts):
        assert text in result.stdout
    raw = run("score", with_ceiling)
    assert "masked" not in raw.stdout
    assert "ceiling" in raw.stdout


def test_csv_has_a_row_an_roi_and_the_line_stands_below_the_table(run, with_ceiling):
    result = run("score", with_ceiling, "--csv")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    loaded = Mapping.load(with_ceiling)
    assert [row["roi"] for row in rows] == [*loaded.rois, "all voxels"]
    assert float(rows[-1]["r2"]) == pytest.approx(loaded.dataset["r2"].values.mean())
    line = f"hierarchy_line: slope {hierarchy_slope(loaded).slope:.3f}"
    assert (line in run("score", with_ceiling).stdout) == loaded.told_of.any()  # none where nothing was found


def test_what_cannot_be_normalised_is_one_line(run, mapping, with_ceiling):
    for words, text in (
        ((mapping, "--normalised"), "no noise ceiling"),
        ((with_ceiling, "--normalised", "--threshold", 0), "above 0"),
        ((mapping.parent / "none",), "no mapping"),
        ((mapping, mapping, "--normalised"), "of one mapping"),
    ):
        result = run("score", *words)
        assert result.exit_code == 2
        assert text in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert run("score", mapping).exit_code == 0


def test_split_by_cluster_and_from_a_file(run, tokens, subject, tmp_path):
    few = ("--set", "steps=2", "--set", "components=8", "--quiet")
    result = run("fit", tokens, subject, tmp_path / "a", "--split", "cluster", *few)
    assert result.exit_code == 0, result.stderr
    made = Mapping.load(tmp_path / "a").dataset.attrs
    assert sum(made[f"images_{side}"] for side in ("train", "validation", "test")) == 40
    ids = load_subject_folder(subject).image_ids
    sides = {"train": ids[:30], "validation": ids[30:35], "test": ids[35:]}
    (tmp_path / "split.json").write_text(json.dumps(sides))
    result = run("fit", tokens, subject, tmp_path / "b", "--split", tmp_path / "split.json", *few)
    assert result.exit_code == 0, result.stderr
    assert Mapping.load(tmp_path / "b").dataset.attrs["images_test"] == 5


def test_scores_above_their_ceiling_are_flagged_and_not_clipped(run, mapping, tmp_path):
    loaded = Mapping.load(mapping)
    inside = loaded.rois["V1"]
    ceiling = np.where(inside, 1e-3, 1.0)
    r2 = np.where(inside, 0.7, 0.1)
    loaded.with_variables({"ceiling": ("voxel", ceiling), "r2": ("voxel", r2)}).save(tmp_path / "above")
    result = run("score", tmp_path / "above", "--json")
    printed = json.loads(result.stdout)
    scores = {row["roi"]: row["r2"] for row in printed["rois"]}
    assert scores["V1"] == pytest.approx(0.7)
    assert printed["above_ceiling"].startswith("V1")
    assert "all voxels" not in printed["above_ceiling"].split(":")[0]
    assert "above_ceiling: V1" in " ".join(run("score", tmp_path / "above").stdout.split())
    assert json.loads(run("score", mapping, "--json").stdout)["above_ceiling"] is None
