"""Averages over subjects: vertex by vertex over those that have it, with counts and Student's limits."""

import numpy as np
import pytest
from scipy import stats
from tiny_mappings import LEVELS, ROIS, VOXELS, tiny_mapping

from factortopy.analysis import (
    compare,
    estimate,
    hierarchy_slope,
    paired_difference,
    region_table,
    seed_average,
    subject_average,
    winners,
)
from factortopy.errors import DataError
from factortopy.mapping import Mapping, facts_line
from factortopy.plot import layers

R2 = (0.1, 0.2, 0.6)


def three(network="net", more=0.0):
    """Three subjects; the second lies 10 vertices further."""
    return [
        tiny_mapping(
            value + more, subject=f"s{number}", split=f"{number}" * 64, network=network,
            vertex=np.arange(VOXELS) + (10 if number == 1 else 0),
        )
        for number, value in enumerate(R2)
    ]  # fmt: skip


def test_each_vertex_is_averaged_over_the_subjects_that_have_it():
    average = subject_average(three()).dataset
    assert average.sizes["voxel"] == VOXELS + 10
    codes = {
        (side, vertex): place
        for place, (side, vertex) in enumerate(zip(average["hemisphere"].values, average["vertex"].values, strict=True))
    }
    assert len(codes) == VOXELS + 10
    expected = {0: (2, (R2[0] + R2[2]) / 2), 20: (3, np.mean(R2)), VOXELS + 8: (1, R2[1])}
    for vertex, (count, mean) in expected.items():
        place = codes["left", vertex]
        assert average["subjects"].values[place] == count
        assert average["r2"].values[place] == pytest.approx(mean, abs=1e-6)
    sides = average["hemisphere"].values
    assert list(sides) == sorted(sides)


def test_limits_are_students():
    average = subject_average(three()).dataset
    where = {count: np.flatnonzero(average["subjects"].values == count)[0] for count in (1, 2, 3)}
    for count, values in ((2, (R2[0], R2[2])), (3, R2)):
        expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        found = [average[f"r2_{side}"].values[where[count]] for side in ("low", "high")]
        assert found == pytest.approx(list(expected))
    assert np.isnan(average["r2_low"].values[where[1]])


def test_that_one_of_them_reads_patches_is_kept():
    points, said = three(), "shares alone tell"
    size = ("voxel", np.full(points[0].dataset.sizes["voxel"], 0.3))
    mixed = [points[0].with_variables({"size": size}), *points[1:]]
    assert said in facts_line(subject_average(mixed).dataset, "layer selector")
    assert said not in facts_line(subject_average(points).dataset, "layer selector")


def test_vertices_that_few_subjects_have_can_be_left_out():
    average = subject_average(three(), fewest=3).dataset
    assert average.sizes["voxel"] == VOXELS - 10
    assert (average["subjects"].values == 3).all()


def test_regions_and_line_are_of_subjects():
    mappings = three()
    average = subject_average(mappings)
    found = estimate(average, "r2", "V1")
    expected = stats.t.interval(0.95, 2, np.mean(R2), stats.sem(R2))
    assert found.value == pytest.approx(np.mean(R2))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.over == "subjects"
    assert estimate(average, "slope").value == pytest.approx(hierarchy_slope(mappings[0]).slope)
    assert estimate(average, "normalised", "V1").value == pytest.approx(np.mean(R2) / 0.8)


def test_a_subject_in_whom_nothing_was_found_counts_in_scores_alone():
    """Two subjects on a line of slope 0.8, and a third whose flat depth is of predictions that miss."""
    level = np.concatenate([np.full(some.stop - some.start, LEVELS[name]) for name, some in ROIS.items()])
    told = {"depth": 0.1 + 0.8 * level}, {"depth": 0.1 + 0.8 * level}, {"depth": np.full(VOXELS, 0.95)}
    scale = (0.2, 0.4, 0.9)
    mappings = [
        tiny_mapping(R2[number], subject=f"s{number}", **own).with_variables(
            {
                "predicted": ("voxel", np.full(VOXELS, float(number < 2))),
                "depth": ("voxel", own["depth"]),
                "scale_share": ("voxel", np.full(VOXELS, scale[number])),
            }
        )
        for number, own in enumerate(told)
    ]
    average = subject_average(mappings)
    assert estimate(average, "slope").value == pytest.approx(0.8)
    assert estimate(average, "depth", "V1").value == pytest.approx(0.1)
    assert estimate(average, "scale", "EBA").value == pytest.approx(0.3)
    assert estimate(average, "r2", "V1").value == pytest.approx(np.mean(R2))
    data = average.dataset
    np.testing.assert_allclose(data["depth"].values[data["roi_EBA"].values], 0.9, atol=1e-6)
    np.testing.assert_allclose(data["layer_share"].values[data["roi_EBA"].values, -1], 0.9, atol=1e-6)
    np.testing.assert_allclose(data["r2"], np.mean(R2), atol=1e-6)
    assert (data["subjects"] == 3).all()
    np.testing.assert_allclose(data["persons_slope"], [0.8, 0.8, np.nan])


def test_where_nothing_was_found_in_anyone_maps_are_drawn_and_no_depth_is_told():
    none = [mapping.with_variables({"predicted": ("voxel", np.zeros(VOXELS))}) for mapping in three()]
    average = subject_average(none)
    assert not any(estimate(average, name).known for name in ("depth", "scale", "slope"))
    assert estimate(average, "r2").value == pytest.approx(np.mean(R2))
    layers(average)


def test_ceilings_are_of_voxels_that_have_a_score():
    """Dead voxels have neither an R² nor anything to be explained: R² / ceiling is 0.2 / 0.8 and 0.4 / 0.8."""
    dead = np.arange(VOXELS) % 4 == 0
    pair = [
        tiny_mapping(np.where(dead, np.nan, r2), subject=str(r2)).with_variables(
            {"ceiling": ("voxel", np.where(dead, 0, 0.8))}
        )
        for r2 in (0.2, 0.4)
    ]
    assert estimate(pair[0], "ceiling", "V1").value == pytest.approx(0.8)
    assert estimate(pair[0], "normalised", "V1").value == pytest.approx(0.25)
    average = subject_average(pair)
    np.testing.assert_allclose(average.dataset["persons_ceiling"], 0.8)
    assert estimate(average, "normalised").value == pytest.approx(0.3 / 0.8)


def test_a_region_is_where_most_subjects_have_it():
    average = subject_average(three()).dataset
    vertex, count = average["vertex"].values, average["subjects"].values
    inside = average["roi_V1"].values
    # Subjects 0 and 2 have V1 at vertices 0-19, subject 1 at 10-29: two of three, or two of two.
    assert set(vertex[inside]) == set(range(20))
    assert count[inside].min() == 2


def test_averages_of_two_networks_are_compared_in_pairs_of_subjects():
    noise = (0.03, 0.05, 0.04)
    one = subject_average(three("A"))
    other = subject_average(
        [
            mapping.with_variables({"r2": ("voxel", mapping.dataset["r2"].values + extra)})
            for mapping, extra in zip(three("B"), noise, strict=True)
        ]
    )
    comparison = compare([one, other])
    assert comparison.labels == ("A", "B")
    row = region_table(comparison, winners(comparison)).iloc[1]
    expected = stats.t.interval(0.95, 2, np.mean(noise), stats.sem(noise))
    assert row.difference == pytest.approx(np.mean(noise))
    assert (row.difference_low, row.difference_high) == pytest.approx(expected)
    assert row.limits == "subjects"
    assert paired_difference(other, one, "slope").value == pytest.approx(0)


def test_averages_of_averages_over_seeds_are_compared_by_all_their_splits():
    def average(network, seeds):
        people = [
            [tiny_mapping(0.2, subject=name, network=network, seed=seed, split=f"{seed}" * 64) for seed in seeds]
            for name in ("s0", "s1")
        ]
        return subject_average([seed_average(own) for own in people])

    compare([average("A", (0, 1)), average("B", (0, 1))])
    with pytest.raises(DataError, match=r"differ in split \("):
        compare([average("A", (0, 1)), average("B", (0, 2))])


def test_an_average_is_a_mapping_on_disk_and_in_figures(tmp_path):
    average = subject_average(three())
    average.save(tmp_path / "average")
    loaded = Mapping.load(tmp_path / "average")
    assert loaded.rois.keys() == ROIS.keys() == LEVELS.keys()
    assert "average of 3 (s0, s1, s2)" in layers(loaded).get_label()
    assert not loaded.simulated


def test_one_simulated_subject_makes_a_simulated_average():
    mappings = three()
    mappings[1].dataset.attrs["simulated"] = 1
    assert subject_average(mappings).simulated


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"network": "other"}, "network"),
        ({"surface": "fsaverage6"}, "surface"),
        ({"layers": 7}, "layers"),
        ({"recipe": "paper"}, "recipe"),
        ({"subject": "s0"}, "each once"),
        ({"provenance": {"subject": {"noise_ceiling": "GSN"}}}, "noise ceiling"),
    ],
)
def test_what_cannot_be_averaged_is_refused(changes, named):
    other = tiny_mapping(0.3, **({"subject": "s9"} | changes))
    with pytest.raises(DataError, match=named):
        subject_average([tiny_mapping(0.3, subject="s0"), other])


def test_voxels_of_a_volume_have_no_average():
    pair = [tiny_mapping(0.3, subject=name, surface="") for name in "ab"]
    with pytest.raises(DataError, match="surface"):
        subject_average(pair)
    with pytest.raises(DataError, match="two subjects"):
        subject_average(pair[:1])


def test_half_of_the_subjects_is_no_majority():
    """Two subjects, of which the second lies ten vertices further: V1 of both is where both have it."""
    average = subject_average(three()[:2]).dataset
    inside = average["roi_V1"].values
    # Vertices 0-9 are the first one's alone; 10-19 are V1 of both, 20-29 V1 of the second and V2V3 of the first.
    assert set(average["vertex"].values[inside]) == set(range(20))


def test_numbers_of_images_are_told_as_a_range():
    pair = [tiny_mapping(0.1, subject="a", images_test=1_200), tiny_mapping(0.2, subject="b", images_test=900)]
    assert subject_average(pair).dataset.attrs["images_test"] == "900 to 1,200"
    assert subject_average(three()).dataset.attrs["images_test"] == "30"


def test_hemispheres_are_kept_apart():
    """The same numbers of vertices on both sides."""
    pair = [tiny_mapping(value, subject=str(value), vertex=np.arange(VOXELS) // 2) for value in (0.1, 0.3)]
    average = subject_average(pair).dataset
    assert average.sizes["voxel"] == VOXELS
    assert list(average["hemisphere"].values) == ["left"] * 30 + ["right"] * 30
    assert list(average["vertex"].values) == [*range(30), *range(30)]
    expected = pair[0].dataset["scale_share"].values
    np.testing.assert_allclose(average["scale_share"], np.concatenate([expected[::2], expected[1::2]]), atol=1e-6)


def test_an_roi_that_one_subject_lacks_is_of_the_others():
    one, other = (tiny_mapping(value, subject=str(value)) for value in (0.1, 0.3))
    fewer = Mapping(other.dataset.drop_vars("roi_OPA").assign_attrs(rois=["V1", "V2V3", "EBA"]))
    average = subject_average([one, fewer]).dataset
    assert average["roi_OPA"].values.sum() == 10
    row = list(average["region"].values).index("OPA")
    np.testing.assert_allclose(average["persons_r2"].values[:, row], [0.1, np.nan])
    assert "persons_slope" not in average  # the second has no line
