"""Items from end to end with tiny networks: files, resume, what cannot be had, and what fails."""

import csv
import json

import pytest
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.errors import DataError, MissingExtraError
from factortopy.machine import Cost
from factortopy.mapping import Mapping
from factortopy.paper import ITEMS, Item, Study, StudyPlan, costs, find_item, paper_table, run_items
from factortopy.paper import study as study_module
from factortopy.paper.item import Result
from factortopy.paper.members import STAND_INS, base_members, diffusion_steps, members_of

ALL = ["figure3", "figure4", "table1", "figure5", "table2", "figure6", "figure7", "table3", "figure8", "figure9"]


def test_every_figure_and_table_of_the_paper_is_there_by_name():
    assert list(ITEMS) == ALL
    with pytest.raises(LookupError, match="figure3"):
        find_item("figure33")


def test_the_paper_s_networks_stand_in_the_paper_s_items():
    assert [m.network for m in members_of("table1", False)] == [
        row.network for row in paper_table("table1").rows if row.network
    ]
    assert len(members_of("table2", False)) == 18
    assert not any("diffusion" in member.network for member in base_members(False))
    assert [m.network for m in diffusion_steps((25, 40), simulated=False)] == [
        "stable-diffusion-1.5@t=25",
        "stable-diffusion-1.5@t=40",
    ]


def test_a_network_of_one_s_own_has_no_number_of_the_paper_beside_it():
    mine, clip = members_of("table2", False, ("timm/mine", "clip-b16-datacomp-l"))
    assert (mine.stands_for, clip.stands_for) == ("", "clip-b16-datacomp-l")


@pytest.fixture(scope="module")
def outcome(plan):
    return run_items([ITEMS["table2"]], Study(plan))


def test_an_item_writes_pictures_and_numbers(outcome, work):
    assert outcome.failed == {}
    names = {path.name for path in outcome.done["table2"]}
    assert {"table2.png", "table2.svg", "table2.csv", "table2.json", "table2_shares.png"} <= names
    facts = json.loads((work / "table2" / "table2.json").read_text())
    assert facts["simulated"] is True
    assert any("SIMULATED" in note for note in facts["notes"])
    assert "SIMULATED" in (work / "table2" / "table2.svg").read_text()
    rows = facts["tables"]["table2"]
    with (work / "table2" / "table2.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["label"] for line in lines] == [row["label"] for row in rows]
    assert float(lines[0]["slope"]) == pytest.approx(rows[0]["slope"], rel=1e-4)
    assert float(lines[0]["slope_paper"]) == 0.50
    assert lines[0]["r2_low"] <= lines[0]["r2"] or float(lines[0]["r2"]) < 0


def test_a_network_that_cannot_be_had_is_left_out_and_named(outcome, work):
    facts = json.loads((work / "table2" / "table2.json").read_text())
    assert list(facts["left_out"]) == ["SqueezeNet 1.1"]
    assert "cannot be had" in facts["left_out"]["SqueezeNet 1.1"]
    assert len(facts["tables"]["table2"]) == len(STAND_INS) - 1


def test_a_second_run_fits_nothing_and_gives_the_same_numbers(outcome, plan, work, monkeypatch):
    before = (work / "table2" / "table2.csv").read_bytes()

    def never(*_words, **_options):
        raise AssertionError("nothing is fitted or extracted twice")

    monkeypatch.setattr("factortopy.workflow.folder.fit_model", never)
    monkeypatch.setattr(study_module, "extract", never)
    again = run_items([ITEMS["table2"]], Study(plan))
    assert again.failed == {}
    assert (again.fitted, again.reused > 0) == (0, True)
    assert (work / "table2" / "table2.csv").read_bytes() == before


def test_channels_of_the_same_fit_are_shown_as_clusters_and_as_images(outcome, plan, work):
    shown = run_items([ITEMS["figure8"], ITEMS["figure9"]], Study(plan))
    assert (shown.failed, shown.fitted) == ({}, 0)
    names = {path.name for paths in shown.done.values() for path in paths}
    pictures = ("figure8", "figure8_gauge_free", "figure9", "figure9_response")
    assert {f"{name}.{kind}" for name in pictures for kind in ("png", "svg")} <= names
    facts = json.loads((work / "figure8" / "figure8.json").read_text())
    mapping = Study(plan).fit(ITEMS["figure8"].jobs(Study(plan))[0])
    for table in ("figure8", "figure8_gauge_free"):
        assert sum(row["voxels"] for row in facts["tables"][table]) == mapping.dataset.sizes["voxel"]
    rows = json.loads((work / "figure9" / "figure9.json").read_text())["tables"]["figure9"]
    large = [name for name in ("V1", "V4", "FFA") if mapping.rois[name].sum() > 3]
    assert [row["roi"] for row in rows] == large
    assert large
    assert all(0 < row["variance of three components"] <= 1 for row in rows)


def test_other_settings_are_other_fits(outcome, plan, study):
    from dataclasses import replace

    job = ITEMS["table2"].jobs(study)[0]
    held = study.fit(job)
    other = Study(replace(plan, changes={**plan.changes, "width": 5}))
    assert isinstance(other.fit(job), Mapping)
    assert (study.fitted, other.fitted) == (0, 1)
    assert held.settings["width"] == 4


def make_bad(error):
    def make(_study):
        raise error

    return make


def test_an_item_that_fails_does_not_stop_the_others(plan, work):
    def good(_study):
        return Result({}, {"good": [{"label": "x", "value": 1.5}]})

    items = [
        Item("bad", "fails", lambda _: [], make_bad(DataError("no such ROI"))),
        Item("broken", "is a fault", lambda _: [], make_bad(ZeroDivisionError("by zero"))),
        Item("extra", "is missing", lambda _: [], make_bad(MissingExtraError("diffusion", "x needs y"))),
        Item("good", "works", lambda _: [], good),
    ]
    outcome = run_items(items, Study(plan))
    assert outcome.failed == {"bad": "no such ROI", "broken": "ZeroDivisionError: by zero"}
    assert list(outcome.skipped) == ["extra"]
    assert (work / "good" / "good.csv").read_text() == "label,value\nx,1.5\n"
    summary = outcome.as_dict()
    assert (summary["done"], summary["failed"], summary["skipped"]) == (1, 2, 1)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_lists_and_refuses(tmp_path):
    listed = run("paper", "list").stdout
    assert all(name in listed for name in ALL)
    neither = run("paper", "figure3", "-w", tmp_path / "run")
    assert neither.exit_code == 2
    assert "--simulated" in neither.stderr
    unknown = run("paper", "figure99", "--simulated", "-w", tmp_path / "run")
    assert unknown.exit_code == 2
    assert "figure9" in unknown.stderr
    few = run("paper", "figure3", "--simulated", "--images", 5, "-w", tmp_path / "run")
    assert few.exit_code == 2
    assert "100 views" in few.stderr
    assert not list(tmp_path.iterdir())


def test_the_command_ends_with_counts_and_fails_where_an_item_fails(tmp_path):
    words = ("--data", tmp_path / "missing", "-w", tmp_path / "run", "--json", "-q")
    result = run("paper", "figure8", *words)
    assert result.exit_code == 2
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["done"], last["failed"]) == (0, 1)
    assert "missing" in last["reasons"]["figure8"]


def test_a_dry_run_states_its_needs_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "reckon_fit", lambda *_: Cost(seconds=120.0, memory=3e9, disk=50e6))
    monkeypatch.setattr(costs, "_speed", lambda *_: 10.0)
    monkeypatch.chdir(tmp_path)
    result = run("paper", "figure3", "--dry-run", "-w", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    for word in ("CLIP", "memory", "3.0 GB", "disk", "37,984 voxels", "1 subjects", "16 min 40 s", "4 min 0 s"):
        assert word in result.stdout, word
    assert not list(tmp_path.iterdir())


def test_a_plan_knows_its_subjects(tmp_path):
    two = tuple(tmp_path / name for name in ("a", "b"))
    assert StudyPlan(work=tmp_path, data=two).subject_sources == ((two[0], None), (two[1], None))
    assert [number for _, number in StudyPlan(work=tmp_path, simulated=True).subject_sources] == [1, 2]
    assert [number for _, number in StudyPlan(work=tmp_path).subject_sources] == [1, 2, 3]
    assert StudyPlan(work=tmp_path).settings().recipe == "paper"
    assert StudyPlan(work=tmp_path, simulated=True).settings().recipe == "default"
