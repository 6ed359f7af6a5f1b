"""Items of planted mappings: what is planted stands in their tables, and every map in their figures."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth, with_limits
from matplotlib.text import Text
from scipy.stats import entropy

from factortopy.analysis import hierarchy_slope
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError
from factortopy.images import sample_views
from factortopy.paper import Job, Member, StudyPlan, fine_tuned, network_tables, single_networks
from factortopy.paper.members import STAND_INS

LOST, MOVED = 0.1, 2
"""R^2 that fine-tuning takes of every voxel, and layers that these move up."""


@dataclass
class PlantedStudy:
    """Fits that are planted: ``made(job)`` gives a mapping."""

    plan: StudyPlan
    made: object
    subjects: int = 1

    def images(self):
        return sample_views(self.plan.views)

    def fit(self, job):
        return self.made(job)

    def fits(self, members, index=0):
        return {member: self.fit(Job(member, index)) for member in members}

    def fine_tuned(self, member, source):
        return Member(f"{member.network}-tuned", f"{member.label}, after {source}")


@pytest.fixture(scope="module")
def mapping():
    whole = fake_mapping_and_truth()[0]
    return replace(whole, dataset=whole.dataset.isel(voxel=slice(0, None, 7)))


@pytest.fixture
def plan(tmp_path):
    return StudyPlan(work=tmp_path, simulated=True, views=100)


def maps(figure):
    """Titles of the figure's maps."""
    drawn = (axes for axes in figure.axes if any(image.get_gid() == "cortex" for image in axes.images))
    return [axes.get_title() for axes in drawn]


def rearranged(mapping):
    """The same selectors at other voxels: as sure, and smooth nowhere."""
    order = np.random.default_rng(0).permutation(mapping.dataset.sizes["voxel"])
    return mapping.with_variables({"layer": (("voxel", "layer"), mapping.dataset["layer"].values[order])})


def test_figure_3_tells_smooth_selectors_from_others(plan):
    whole = fake_mapping_and_truth()[0]
    result = single_networks.make_selectors(
        PlantedStudy(plan, lambda job: whole if job.topology else rearranged(whole))
    )
    smooth, other = result.tables["figure3"]
    weights = whole.dataset["layer"].values
    expected = 1 - entropy(weights, axis=1, base=weights.shape[1]).mean()
    assert smooth["confidence"] == pytest.approx(expected)
    assert other["confidence"] == pytest.approx(expected)
    assert other["roughness"] > 5 * smooth["roughness"]
    assert smooth["r2"] == pytest.approx(whole.dataset["r2"].values.mean())
    assert [row["layer"] for row in result.tables["figure3_layers"]] == list(whole.layers)
    for index, row in enumerate(result.tables["figure3_layers"]):
        assert row["V1"] == pytest.approx(weights[whole.rois["V1"], index].mean())
    kinds = [
        f"{kind}, {name}" for name in ("with topology", "without topology") for kind in ("layer", "space", "scale")
    ]
    assert maps(result.figures["figure3"]) == kinds
    assert maps(result.figures["figure3_layers"])[1] == f"layer 2: {whole.layers[1]}"
    assert len(maps(result.figures["figure3_layers"])) == len(whole.layers)
    assert result.figures["figure3_dots"].axes


def test_figure_6_says_where_each_roi_reads_blocks_and_time_steps(plan, mapping):
    study, places = PlantedStudy(plan, None), {}

    def made(job):
        places[job.member.label] = place = 0.2 + 0.3 * len(places)
        weights = np.zeros(mapping.dataset["layer"].shape)
        weights[:, 0], weights[:, -1] = 1 - place, place
        return mapping.with_variables({"layer": (("voxel", "layer"), weights)})

    study.made = made
    result = single_networks.make_diffusion(study)
    rows = result.tables["figure6"]
    assert (
        [row["label"] for row in rows]
        == list(places)
        == [job.member.label for job in single_networks.diffusion_jobs(study)]
    )
    for row in rows:
        place = places[row["label"]]
        assert row["V1 position"] == pytest.approx(place)
        assert row["EBA confidence"] == pytest.approx(1 - entropy([place, 1 - place], base=len(mapping.layers)))
        assert row["layers"] == len(mapping.layers)
    assert len(maps(result.figures["figure6"])) == 3


@pytest.fixture
def tuned(plan, mapping):
    """Fine-tuning takes as much R^2 of every voxel, and moves all of the layers up."""
    data = mapping.dataset
    layers = {name: np.roll(data[name].values, MOVED, axis=1) for name in ("layer", "layer_share")}
    after = mapping.with_variables(
        {"r2": ("voxel", data["r2"].values - LOST)} | {name: (("voxel", "layer"), own) for name, own in layers.items()}
    )
    return PlantedStudy(plan, lambda job: after if job.member.network.endswith("tuned") else mapping)


def test_table_3_has_what_fine_tuning_took(tuned, mapping):
    result = fine_tuned.make_table(tuned)
    data = mapping.dataset
    labels = [STAND_INS[1].label, STAND_INS[3].label]
    assert [row["label"] for row in result.tables["table3"]] == [f"{name}, after sklearn/digits" for name in labels]
    rolled = np.roll(data["layer_share"].values, MOVED, axis=1)
    for row in result.tables["table3"]:
        assert row["drop"] == pytest.approx(LOST)
        assert row["r2_before"] - row["r2_after"] == pytest.approx(LOST)
        moved = data["layer_share"].values.argmax(axis=1) != rolled.argmax(axis=1)
        assert row["layer_changed"] == pytest.approx(moved.mean())
    by_roi = {row["roi"]: row for row in result.tables["table3_rois"] if row["label"].startswith(labels[0])}
    v1 = data["r2"].values[mapping.rois["V1"]].mean()
    assert by_roi["V1"]["forgetting"] == pytest.approx(1 - (v1 - LOST) / v1)
    assert set(by_roi) == {*mapping.rois, ALL_VOXELS}


def with_training_told(mapping):
    return replace(mapping, dataset=with_limits(mapping).dataset.assign_attrs(training_told=1))


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_figures_of_tables_2_and_3_say_what_their_limits_are_over_and_what_is_less_what(tuned, mapping):
    before, moved = map(with_training_told, (mapping, tuned.made(Job(tuned.fine_tuned(STAND_INS[1], "")))))
    tuned.made = lambda job: moved if job.member.network.endswith("tuned") else before
    by_share = network_tables.make_table2(tuned).figures["table2_shares"]
    assert "95 % over test images and training" in words(by_share)
    result = fine_tuned.make_table(tuned)
    row, said = result.tables["table3"][0], words(result.figures["table3"])
    assert (row["limits"], row["share_limits"]) == ("test images", "test images and training")
    assert row["slope_change"] == pytest.approx(hierarchy_slope(moved).slope - hierarchy_slope(before).slope)
    assert "drop and forgetting: 95 % over test images; slope by share: 95 % over test images and training" in said
    assert "slope after less before" in said
    assert "before less after" not in said


def test_figure_7_has_maps_before_and_after_each_data_set(tuned):
    tuned.plan = replace(tuned.plan, labelled=("one", "two"))
    result = fine_tuned.make_maps(tuned)
    expected = [
        title
        for member in (STAND_INS[1], STAND_INS[3])
        for title in (f"{member.label}, before", f"{member.label}, after one", f"{member.label}, after two")
    ]
    assert maps(result.figures["figure7"]) == expected
    assert fine_tuned.fine_tuned(tuned) == 4
    assert len(result.tables["figure7"]) == 4


def test_fine_tuning_of_measured_data_needs_labelled_images(plan):
    with pytest.raises(DataError, match="--labelled"):
        fine_tuned.sources(PlantedStudy(replace(plan, simulated=False), None))


def test_the_paper_s_figure_7_leaves_moco_out(plan):
    networks = [member.network for member in fine_tuned.members(PlantedStudy(replace(plan, simulated=False), None))]
    assert networks
    assert "mocov3-b" not in networks
    own = PlantedStudy(replace(plan, simulated=False, networks=("mine", "mocov3-b")), None)
    assert [member.network for member in fine_tuned.members(own)] == ["mine", "mocov3-b"]
