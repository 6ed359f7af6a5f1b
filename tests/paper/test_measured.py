"""Measured data from their own folder: two subjects of Algonauts 2023, each with photographs of its own."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from factortopy.machine import choose_device, choose_precision
from factortopy.networks import load_network
from factortopy.paper import ITEMS, Study, StudyPlan, members, run_items
from factortopy.paper.members import Member

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


def write_own(folder, seed):
    """A subject whose photographs have the same names whatever they show; their pixels."""
    random, names = np.random.default_rng(seed), [f"{number}.png" for number in range(4)]
    pixels = random.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    (folder / "images").mkdir(parents=True)
    for name, picture in zip(names, pixels, strict=True):
        Image.fromarray(picture).save(folder / "images" / name)
    np.save(folder / "responses.npy", random.normal(size=(4, 3)).astype(np.float32))
    (folder / "image_ids.txt").write_text("\n".join(names))
    (folder / "subject.toml").write_text(f'name = "{folder.name}"\nimages = "images"\n')
    return pixels


def test_subjects_who_saw_other_photographs_of_the_same_names_have_tokens_of_their_own(tmp_path, tiny_networks):
    data = (tmp_path / "a", tmp_path / "b")
    seen = [write_own(folder, seed) for seed, folder in enumerate(data)]
    plan = StudyPlan(work=tmp_path / "work", data=data, networks=("timm/mine",), device="cpu", progress=False)
    study = Study(plan)
    for index, pixels in enumerate(seen):
        told = study.tokens(Member("timm/mine", "mine"), index).digests
        assert list(told) == [hashlib.sha256(b"|u1(16, 16, 3)" + one.tobytes()).hexdigest() for one in pixels]


def test_tokens_of_another_precision_are_not_taken(tmp_path, tiny_networks):
    write_own(tmp_path / "a", 0)
    plan = StudyPlan(work=tmp_path / "w", data=(tmp_path / "a",), networks=("timm/mine",), device="cpu", progress=False)
    paths = {}
    for precision in ("bf16", "fp32", None):
        tokens = Study(replace(plan, precision=precision)).tokens(Member("timm/mine", "mine"))
        assert tokens.precision == (precision or choose_precision(choose_device("cpu")))
        paths.setdefault(tokens.precision, set()).add(tokens.path)
    assert [len(own) for own in paths.values()] == [1, 1]  # the processor's own choice is one of the two


@pytest.fixture
def tiny_finetuning(monkeypatch):
    tiny = {"steps": 1, "per_class": 1, "validation_per_class": 1, "validate_every": 1}
    monkeypatch.setattr("factortopy.paper.plan.SIMULATED_FINETUNING", tiny)


def test_other_labelled_images_of_the_same_names_and_other_precisions_are_fine_tuned_anew(
    tmp_path, tiny_finetuning, tiny_networks
):
    def folder_of(shade, precision="fp32"):
        for place, name in enumerate(("a/0.png", "a/1.png", "b/0.png", "b/1.png")):
            (tmp_path / "labelled" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (shade, 40 * place, 0)).save(tmp_path / "labelled" / name)
        plan = StudyPlan(work=tmp_path, simulated=True, device="cpu", precision=precision, progress=False)
        tuned = Study(plan).fine_tuned(Member("timm/test_vit", "mine"), str(tmp_path / "labelled"))
        made_of = json.loads((tuned.folder / "provenance.json").read_text())["made_of"]
        return tuned.folder, made_of["split"], made_of["precision"]

    first, again, other, half = folder_of(10), folder_of(10), folder_of(200), folder_of(200, "bf16")
    assert first == again
    assert len({first[0], other[0], half[0]}) == 3
    assert first[1] != other[1] == half[1]
    assert (other[2], half[2]) == ("fp32", "bf16")


def test_a_network_of_other_weights_is_fine_tuned_anew(tmp_path, tiny_finetuning, monkeypatch):
    monkeypatch.setattr(members, "load_network", load_network)
    network = load_network("timm/test_vit", untrained=True, device="cpu")
    weights, before = tmp_path / "weights.safetensors", []
    for _ in range(2):
        next(network.module.parameters()).data.add_(1)
        save_file({name: value.contiguous() for name, value in network.module.state_dict().items()}, weights)
        plan = StudyPlan(
            work=tmp_path, simulated=True, weights={"timm/test_vit": weights}, device="cpu", progress=False
        )
        tuned = Study(plan).fine_tuned(Member("timm/test_vit", "mine"), "sklearn/digits")
        made_of = json.loads((tuned.folder / "provenance.json").read_text())["made_of"]
        before.append(made_of["weights_hash_before"])
    assert before[0] != before[1]
