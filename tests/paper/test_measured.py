"""Measured data from their own folder: two subjects of Algonauts 2023, each with photographs of its own."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from factortopy.paper import ITEMS, Study, StudyPlan, run_items

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from algonauts_fixture import write_algonauts

CLIP = "clip-b16-datacomp-l"
FEW = {"steps": 2, "validate_every": 2, "width": 4}


@pytest.fixture(scope="module")
def measured(tmp_path_factory, tiny_networks):
    root = tmp_path_factory.mktemp("algonauts")
    for number in (1, 2):
        write_algonauts(root / f"subj{number:02d}", left=60, right=55, seed=number)
    changes = {"networks": (CLIP, "timm/mine"), "changes": FEW, "device": "cpu", "progress": False}
    plan = StudyPlan(work=root / "work", data=(root,), subjects=(1, 2), **changes)
    study = Study(plan)
    return plan, study, run_items([ITEMS["table2"]], study)


def test_the_paper_s_recipe_is_fitted_to_each_subject_once(measured):
    plan, study, outcome = measured
    assert outcome.failed == {}
    assert outcome.fitted == 4  # two networks, two subjects
    assert len(list((plan.work / "tokens").iterdir())) == 4
    mapping = study.fit(ITEMS["table2"].jobs(study)[0])
    assert study.fitted == 4
    assert not mapping.simulated
    assert mapping.settings["recipe"] == "paper"
    assert "layer_raw" in mapping.dataset


def test_the_paper_s_recipe_shows_photographs_as_the_authors_did_unless_told_otherwise(measured):
    plan, study, _ = measured
    mapping = study.fit(ITEMS["table2"].jobs(study)[0])
    assert mapping.dataset.attrs["preprocessing"].startswith("the authors': 160 x 160, whole picture, bilinear")
    facts = json.loads((plan.work / "table2" / "table2.json").read_text())
    assert facts["preprocessing"] == "authors"
    assert any("as the paper's authors showed them" in note for note in facts["notes"])
    other = Study(replace(plan, preprocessing="own"))
    job = ITEMS["table2"].jobs(other)[0]
    assert other.tokens(job.member).path != study.tokens(job.member).path
    assert "the authors'" not in str(other.tokens(job.member).preprocessing)
    assert StudyPlan(work=plan.work, simulated=True).shown is None


def test_the_table_has_the_paper_s_number_and_no_word_of_simulation(measured):
    plan, _, _ = measured
    facts = json.loads((plan.work / "table2" / "table2.json").read_text())
    clip, mine = facts["tables"]["table2"]
    assert (clip["label"], clip["slope_paper"]) == ("CLIP B/16, 140M", 0.50)
    assert mine["slope_paper"] is None
    assert facts["simulated"] is False
    assert "SIMULATED" not in json.dumps(facts)
    assert "SIMULATED" not in (plan.work / "table2" / "table2.svg").read_text()
    assert {row["label"] for row in facts["tables"]["table2_subjects"]} == {"CLIP", "timm/mine"}


def test_a_subject_that_is_not_there_is_named(measured):
    plan, _, _ = measured
    outcome = run_items([ITEMS["figure8"]], Study(replace(plan, subjects=(7,))))
    assert "no subject 7" in outcome.failed["figure8"]
