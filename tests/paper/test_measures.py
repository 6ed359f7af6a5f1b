"""The formulas of the tables against SciPy, scikit-learn and counting by hand."""

from dataclasses import replace

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth, with_limits
from scipy.stats import linregress, t
from sklearn.metrics import root_mean_squared_error

from factortopy.cortex import load_surface
from factortopy.errors import DataError
from factortopy.paper import Member
from factortopy.paper.members import STAND_INS
from factortopy.paper.network_tables import subject_rows, table1_rows, table2_rows
from factortopy.paper.numbers import distance_to_max, hierarchy_row, limits_text, max_model, roi_mean, roughness

LEVELS = {"V1": 0.0, "V2V3": 0.33, "OPA": 0.66, "EBA": 1.0}


@pytest.fixture(scope="module")
def mapping():
    return fake_mapping_and_truth()[0]


@pytest.fixture(scope="module")
def other(mapping):
    """Another network on the same voxels: other scores, flatter layers, one voxel without a score."""
    data, random = mapping.dataset, np.random.default_rng(1)
    scores = data["r2"].values + random.normal(0, 0.1, data.sizes["voxel"])
    scores[3] = np.nan
    layer = 0.5 * data["layer"].values + 0.5 / data.sizes["layer"]
    return mapping.with_variables({"r2": ("voxel", scores), "layer": (("voxel", "layer"), layer)})


def test_max_model_takes_the_larger_score_and_ignores_what_is_missing(mapping, other):
    left, right = mapping.dataset["r2"].values, other.dataset["r2"].values
    expected = [max(a, b) if np.isfinite(b) else a for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(max_model([mapping, other]), expected)


def test_max_model_refuses_other_voxels(mapping):
    with pytest.raises(DataError, match="same voxels"):
        max_model([mapping, fewer(mapping)])


def fewer(mapping):
    return replace(mapping, dataset=mapping.dataset.isel(voxel=slice(1, None)))


def test_distance_is_scikit_learns_root_mean_squared_error(mapping, other):
    best = max_model([mapping, other])
    inside = mapping.rois["EBA"]
    own = mapping.dataset["r2"].values
    expected = root_mean_squared_error(best[inside], own[inside])
    assert distance_to_max(best, own, inside) == pytest.approx(expected)
    assert distance_to_max(best, own, np.zeros(len(best), bool)) is None


def test_table_1_has_the_best_first_and_each_distance_with_the_paper_beside(mapping, other):
    rows = table1_rows({STAND_INS[0]: mapping, Member("mine", "mine"): other})
    best = max_model([mapping, other])
    assert [row["label"] for row in rows] == ["max", STAND_INS[0].label, "mine"]
    for roi in ("V1", "V2V3", "OPA", "EBA", "FFA", "PPA"):
        inside = mapping.rois[roi]
        assert rows[0][roi] == pytest.approx(np.nanmean(best[inside]))
        own = np.where(inside, mapping.dataset["r2"].values, best)
        squares = ((best - own) ** 2).sum() / inside.sum()
        assert rows[1][roi] == pytest.approx(np.sqrt(squares))
        assert rows[1][f"{roi}_difference"] == pytest.approx(rows[1][roi] - rows[1][f"{roi}_paper"])
        assert rows[2][f"{roi}_paper"] is None
    assert rows[1]["V1_paper"] == 0.032
    assert rows[0]["V1_paper"] == 0.237


def scipy_line(mapping, variable):
    depth = mapping.dataset[variable].values @ np.linspace(0, 1, mapping.dataset.sizes["layer"])
    x = np.concatenate([np.full(mapping.rois[name].sum(), level) for name, level in LEVELS.items()])
    return linregress(x, np.concatenate([depth[mapping.rois[name]] for name in LEVELS]))


def test_hierarchy_row_is_scipys_line_by_selector_and_by_share(other):
    row = hierarchy_row(other)
    for prefix, variable in (("", "layer"), ("share_", "layer_share")):
        line = scipy_line(other, variable)
        assert row[f"{prefix}slope"] == pytest.approx(line.slope)
        assert row[f"{prefix}b0"] == pytest.approx(line.intercept)
        assert row[f"{prefix}b1"] == pytest.approx(line.slope + line.intercept)
    assert row["r2"] == pytest.approx(np.nanmean(other.dataset["r2"].values))


def test_hierarchy_row_takes_the_selectors_as_trained_where_they_are_kept(mapping, other):
    kept = mapping.with_variables({"layer_raw": (("voxel", "layer"), other.dataset["layer"].values)})
    assert hierarchy_row(kept)["slope"] == pytest.approx(scipy_line(other, "layer").slope)


def test_limits_are_percentiles_of_the_draws(mapping):
    drawn = np.random.default_rng(0).normal(0.5, 0.1, 400)
    row = hierarchy_row(mapping.with_variables({"drawn_slope": ("draw", drawn)}))
    assert row["share_slope_low"] == pytest.approx(np.percentile(drawn, 2.5), abs=0.01)
    assert row["share_slope_high"] == pytest.approx(np.percentile(drawn, 97.5), abs=0.01)


def test_limits_say_what_each_quantity_s_are_over(mapping):
    limited = with_limits(mapping)
    trained = replace(limited, dataset=limited.dataset.assign_attrs(training_told=1))
    rows = [hierarchy_row(one) for one in (mapping, limited, trained)]
    assert [row["limits"] for row in rows] == ["none", "test images", "test images"]
    assert [row["share_limits"] for row in rows] == ["none", "test images", "test images and training"]
    assert limits_text(rows[:1], "limits") == "no limits"
    assert limits_text(rows[2:], "share_limits") == "95 % over test images and training"


def test_table_2_puts_the_paper_beside_its_own_network(mapping):
    rows = table2_rows({STAND_INS[0]: mapping, Member("mine", "mine"): mapping})
    assert (rows[0]["slope_paper"], rows[0]["b0_paper"], rows[0]["r2_paper"]) == (0.50, 0.38, 0.131)
    assert rows[0]["slope_difference"] == pytest.approx(rows[0]["slope"] - 0.50)
    assert rows[1]["slope_paper"] is None


def test_mean_over_subjects_has_students_interval(mapping, other):
    row = subject_rows({STAND_INS[0]: [mapping, other], STAND_INS[1]: [mapping]})
    assert len(row) == 1
    slopes = [scipy_line(held, "layer").slope for held in (mapping, other)]
    reach = t.ppf(0.975, 1) * np.std(slopes, ddof=1) / np.sqrt(2)
    assert row[0]["slope"] == pytest.approx(np.mean(slopes))
    assert row[0]["slope_high"] == pytest.approx(np.mean(slopes) + reach)


def test_subjects_in_whom_nothing_was_found_are_not_counted(mapping, other):
    nothing = other.with_variables({"predicted": ("voxel", np.zeros(other.dataset.sizes["voxel"], np.float32))})
    rows = subject_rows({STAND_INS[0]: [mapping, other, nothing], STAND_INS[1]: [mapping, nothing]})
    assert [(row["label"], row["subjects"]) for row in rows] == [(STAND_INS[0].label, 2)]
    for name, variable in (("slope", "layer"), ("share_slope", "layer_share")):
        slopes = [scipy_line(held, variable).slope for held in (mapping, other)]
        assert rows[0][name] == pytest.approx(np.mean(slopes))


def test_roi_mean_leaves_out_what_is_missing(mapping, other):
    inside = mapping.rois["V1"]
    scores = np.where(np.arange(len(inside)) == np.flatnonzero(inside)[0], np.nan, 2.0)
    assert roi_mean(scores, mapping, "V1") == 2.0
    assert roi_mean(scores, mapping, "no such ROI") is None


def with_layers(mapping, position):
    """A mapping whose voxels lie between its first and last layer."""
    weights = np.zeros(mapping.dataset["layer"].shape)
    weights[:, 0], weights[:, -1] = 1 - position, position
    return mapping.with_variables({"layer": (("voxel", "layer"), weights)})


def test_roughness_by_walking_along_the_triangles(mapping):
    data, surface = mapping.dataset, load_surface()
    position = np.random.default_rng(0).random(data.sizes["voxel"])
    voxel = {
        (side, int(vertex)): place
        for place, (side, vertex) in enumerate(zip(data["hemisphere"].values, data["vertex"].values, strict=True))
    }
    edges = set()
    for half in surface.hemispheres:
        for triangle in half.white.faces:
            places = [voxel.get((half.name, int(vertex))) for vertex in triangle]
            for one, two in ((0, 1), (1, 2), (2, 0)):
                if places[one] is not None and places[two] is not None:
                    edges.add(tuple(sorted((places[one], places[two]))))
    expected = np.mean([abs(position[one] - position[two]) for one, two in edges])
    assert roughness(with_layers(mapping, position)) == pytest.approx(expected)
    assert roughness(with_layers(mapping, np.full(len(position), 0.4))) == 0
