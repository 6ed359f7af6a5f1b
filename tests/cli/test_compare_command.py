"""``factortopy compare``: from mappings on disk to a folder of results, and what it refuses."""

import json

import numpy as np
import pytest

from factortopy.mapping import Mapping


@pytest.fixture(scope="module")
def other(run, tokens, subject, split, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "other"
    few = ("--set", "steps=8", "--set", "components=16", "--quiet")
    result = run("fit", tokens, subject, folder, "--split", split, *few)
    assert result.exit_code == 0, result.stderr
    return folder


def refused(result, *named):
    assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    for name in named:
        assert name in lines[0]


def test_two_mappings_with_tokens(run, mapping, other, tokens, subject, split, tmp_path):
    out, pair = tmp_path / "out", (tmp_path / "five", tmp_path / "eight")
    # Responses by hand follow no image, so that a fit of them finds nothing and has no line.
    for fitted, found in zip((mapping, other), pair, strict=True):
        loaded = Mapping.load(fitted)
        loaded.with_variables({"predicted": ("voxel", np.ones(len(loaded.dataset["r2"])))}).save(found)
    result = run(
        "compare", *pair, out, "--name", "five steps", "--name", "eight steps", "--quantity", "r2",
        "--tokens", tokens, "--tokens", tokens, "--data", subject, "--split", split, "--json", "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed == json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert printed["mappings"] == ["five steps", "eight steps"]
    assert "paired" in printed["limits_of_margins"]
    assert {row["part"] for row in printed["variance"]} == {
        "unique to five steps", "unique to eight steps", "shared by five steps, eight steps", "all together",
    }  # fmt: skip
    expected = {"winners", "ranking", "variance", "unique", "similarity", "hierarchy", "difference-r2-2-1"}
    assert {path.stem for path in out.glob("*.png")} == expected
    assert (out / "ranking.html").is_file()


def test_other_splits_are_refused_in_one_line(run, mapping, other, tmp_path):
    loaded = Mapping.load(other)
    loaded.dataset.attrs["split"] = "cd" * 32
    loaded.save(tmp_path / "moved")
    refused(run("compare", mapping, tmp_path / "moved", tmp_path / "out"), "differ in split", "cdcdcdcdcd")
    assert not (tmp_path / "out").exists()


def test_other_subjects_are_refused_unless_averaged(run, mapping, other, tmp_path):
    loaded = Mapping.load(other)
    loaded.dataset.attrs["subject"] = "somebody else"
    loaded.save(tmp_path / "second")
    pair = ("compare", mapping, tmp_path / "second", tmp_path / "out")
    refused(run(*pair), "subject ('by hand' and 'somebody else')")
    result = run(*pair, "--average-subjects", "--json")
    assert result.exit_code == 0, result.stderr
    average = Mapping.load(json.loads(result.stdout)["averages"][0])
    assert average.dataset["subjects"].values.max() == 2
    assert list((tmp_path / "out").glob("subjects-*.png"))


def test_wrong_words_are_refused(run, mapping, other, tokens, tmp_path):
    out = tmp_path / "out"
    refused(run("compare", mapping, out), "two mappings")
    refused(run("compare", mapping, other), "name the folder of the results last")
    refused(run("compare", mapping, other, out, "--tokens", tokens), "--data")
    refused(run("compare", mapping, other, out, "--quantity", "dept", "--quiet"), "depth")
    refused(run("compare", mapping, other, out, "--name", "one", "--quiet"), "labels")
    refused(run("compare", "--change", mapping, out), "two mappings")
    refused(run("compare", "--change", mapping, other, out, "--name", "one"), "--change takes no --name")
    assert not out.exists()
