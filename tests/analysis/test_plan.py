"""Plans against planted grids: a plane is interpolated exactly, and nothing is extrapolated."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from factortopy.analysis import forecast_recovery, load_recovery_table
from factortopy.analysis.planted.forecast import FORMAT, MeasuredCase
from factortopy.errors import DataError, UnknownNameError

IMAGES, CEILINGS = (500, 1_000, 2_300, 9_000), (0.05, 0.2, 0.6)


def surface(images, ceiling):
    """Planted measures, linear in log images and log ceiling; the ceiling counts three times as much."""
    good = 0.1 * np.log(images / 500) / np.log(18) + 0.3 * np.log(ceiling / 0.05) / np.log(12)
    return {
        "slope_error": 0.5 - good,
        "depth_r": 0.5 + good,
        "space_r": 0.4 + good,
        "scale_r": 0.3 + good,
        "r2_of_oracle": 0.2 + good,
        "r2_of_ceiling": 0.1 + good,
    }


def case(images, ceiling, **changes):
    facts = {
        "network": "net", "kind": "smooth", "recipe": "default", "images": images, "ceiling": ceiling,
        "voxels": 400, "channels": 32, "budget": "300 x 64", "photographs": "views", "seeds": [0],
    }  # fmt: skip
    return MeasuredCase(**{**facts, **surface(images, ceiling), **changes})


@pytest.fixture
def table():
    return tuple(case(images, ceiling) for images in IMAGES for ceiling in CEILINGS)


@pytest.mark.parametrize(("images", "ceiling"), [(3_000, 0.2), (700, 0.07), (8_000, 0.5), (500, 0.05), (9_000, 0.3)])
def test_a_plane_in_logarithms_is_interpolated_exactly(table, images, ceiling):
    found = forecast_recovery(images, ceiling, table=table).asked
    assert found.inside
    for name, value in surface(images, ceiling).items():
        assert found.measures[name] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("images", "ceiling", "nearest"),
    [(100, 0.2, (500, 0.2)), (50_000, 0.9, (9_000, 0.6)), (2_300, 0.01, (2_300, 0.05))],
)
def test_outside_the_grid_nothing_is_extrapolated(table, images, ceiling, nearest):
    found = forecast_recovery(images, ceiling, table=table).asked
    assert not found.inside
    assert found.nearest == nearest
    for name, value in surface(*nearest).items():
        assert found.measures[name] == pytest.approx(value)


def test_far_from_every_case_is_said(table):
    assert not forecast_recovery(900, 0.2, table=table).asked.far
    few = tuple(item for item in table if item.images in (500, 9_000))
    found = forecast_recovery(2_000, 0.2, table=few).asked  # four times 500, and 9,000 is four and a half times it
    assert found.inside
    assert found.far
    assert forecast_recovery(1_250, 0.2, table=few).asked.far
    assert not forecast_recovery(1_000, 0.2, table=few).asked.far  # just twice


def test_cases_on_one_line_span_nothing(table):
    line = tuple(item for item in table if item.ceiling == 0.2)
    assert forecast_recovery(2_300, 0.2, table=line).asked.inside
    assert not forecast_recovery(2_000, 0.2, table=line).asked.inside
    assert not forecast_recovery(2_000, 0.2, table=line[:1]).asked.inside


def test_repeats_change_the_ceiling_by_its_formula(table):
    made = forecast_recovery(4_000, 0.3, repeats=2, table=table)
    trial = 0.3 / (0.3 + 2 * 0.7)  # S / (S + N), from S / (S + N / 2) = 0.3
    expected = {
        (8_000, 1): trial,
        (2_000, 4): trial / (trial + (1 - trial) / 4),
        (8_000, 2): 0.3,
        (4_000, 4): trial / (trial + (1 - trial) / 4),
    }
    found = {(item.images, item.repeats): item.ceiling for item in (*made.same_time, *made.twice_the_time)}
    assert found == pytest.approx(expected)
    # In this grid the ceiling counts more than images: the fewest images and most repeats are best.
    assert (made.best_in_time.images, made.best_in_time.repeats) == (2_000, 4)


@pytest.mark.parametrize(("repeats", "others"), [(1, {2}), (2, {1, 4}), (3, {1, 6}), (4, {1, 2, 8}), (6, {1, 3, 12})])
def test_once_half_and_twice_the_repeats_are_tried_in_the_same_time(table, repeats, others):
    made = forecast_recovery(1_200, 0.2, repeats=repeats, table=table)
    assert {item.repeats: item.images for item in made.same_time} == {each: 1_200 * repeats // each for each in others}
    longer = {(item.images, item.repeats) for item in made.twice_the_time}
    assert longer == {(2_400, repeats), (1_200, 2 * repeats)}


def test_one_image_is_the_fewest_and_a_ceiling_of_1_the_highest(table):
    assert not forecast_recovery(1, 1.0, table=table).asked.inside
    assert [(item.images, item.repeats) for item in forecast_recovery(2, 0.2, table=table).same_time] == [(1, 2)]
    assert forecast_recovery(1, 0.2, table=table).same_time == ()
    assert forecast_recovery(2_300, 0.2, table=table) == forecast_recovery(2_300, 0.2, repeats=1, table=table)


def test_shortfall_is_the_mean_distance_from_the_best(table):
    """An error of the slope is best at 0, all else at 1; R^2 against the ceiling does not count."""
    found = forecast_recovery(2_300, 0.2, table=table).asked
    good = surface(2_300, 0.2)["depth_r"] - 0.5
    assert found.shortfall == pytest.approx(np.mean([0.5 - good, 0.5 - good, 0.6 - good, 0.7 - good, 0.8 - good]))


@pytest.mark.parametrize(("better", "advised"), [(0.008, 1), (0.012, 2)])
def test_a_change_that_hardly_helps_is_not_advised(better, advised):
    """Twice the repeats of half the images are better by so much in all measures."""
    ceiling = 0.3 / (0.3 + 0.7 / 2)
    flat = dict.fromkeys(surface(1, 1), 0.5)
    much = {name: 0.5 + (-better if name == "slope_error" else better) for name in flat}
    both = (case(2_000, 0.3, **flat), case(1_000, ceiling, **much))
    assert forecast_recovery(2_000, 0.3, table=both).best_in_time.repeats == advised


def test_a_plan_as_json_holds_the_grid_it_is_from(table):
    made = forecast_recovery(3_000, 0.2, repeats=3, table=table).as_dict()
    assert made["grid"]["images"] == [500, 9_000]
    assert made["grid"]["ceiling"] == [0.05, 0.6]
    assert sorted(made["grid"]["cases"]) == [[images, ceiling] for images in IMAGES for ceiling in CEILINGS]
    assert (made["network"], made["kind"], made["voxels"]) == ("net", "smooth", 400)
    assert made["asked"]["images"] == 3_000


def test_where_only_images_count_they_are_advised(table):
    flat = tuple(case(item.images, item.ceiling, **surface(item.images, 0.2)) for item in table)
    best = forecast_recovery(3_000, 0.5, repeats=3, table=flat).best_in_time
    assert (best.images, best.repeats) == (9_000, 1)


def test_a_variant_outside_the_grid_is_never_the_best(table):
    made = forecast_recovery(600, 0.3, repeats=1, table=table)
    assert [item.inside for item in made.same_time] == [False]
    assert made.best_in_time is made.asked


def test_cases_of_the_nearest_number_of_voxels_network_and_recipe_are_taken(table):
    others = tuple(case(item.images, item.ceiling, voxels=2_000, depth_r=0.0) for item in table)
    paper = tuple(case(item.images, item.ceiling, recipe="paper", depth_r=-1.0) for item in table[:5])
    both = table + others + paper
    assert forecast_recovery(2_300, 0.2, table=both, voxels=1_500).asked.measures["depth_r"] == 0
    assert forecast_recovery(2_300, 0.2, table=both, voxels=300).asked.measures["depth_r"] > 0.5
    assert forecast_recovery(1_000, 0.2, table=both, recipe="paper").asked.measures["depth_r"] == -1
    with pytest.raises(UnknownNameError, match="known: smooth"):
        forecast_recovery(2_300, 0.2, table=both, kind="zebra")
    with pytest.raises(UnknownNameError, match="network"):
        forecast_recovery(2_300, 0.2, table=both, network="other")


def test_a_measure_that_is_missing_stays_missing(table):
    holes = tuple(case(i.images, i.ceiling, r2_of_oracle=None) if i.ceiling == 0.05 else i for i in table)
    assert forecast_recovery(2_300, 0.1, table=holes).asked.measures["r2_of_oracle"] is None
    assert forecast_recovery(2_300, 0.2, table=holes).asked.measures["r2_of_oracle"] is not None
    assert np.isfinite(forecast_recovery(2_300, 0.1, table=holes).asked.shortfall)


@pytest.mark.parametrize(
    ("images", "ceiling", "repeats"), [(0, 0.2, 1), (10, 20, 1), (10, 1.5, 1), (10, 0, 1), (10, 0.2, 0)]
)
def test_numbers_out_of_range_are_refused(table, images, ceiling, repeats):
    with pytest.raises(DataError, match="divide percentages"):
        forecast_recovery(images, ceiling, repeats=repeats, table=table)


def test_tables_are_read_or_refused_in_one_line(table, tmp_path):
    file = tmp_path / "table.json"
    file.write_text(json.dumps({"format": FORMAT, "rows": [asdict(item) | {"more": 1} for item in table]}))
    assert load_recovery_table(file) == table
    for text, words in (
        ("[", "no table of recovery"),
        ('{"format": "other"}', "format 'other'"),
        (json.dumps({"format": FORMAT, "rows": [{}]}), "no table of recovery"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=words):
            load_recovery_table(file)
    with pytest.raises(DataError, match="no table"):
        load_recovery_table(tmp_path / "missing.json")


def test_the_packages_own_table_makes_a_plan():
    cases = load_recovery_table()
    assert all(0 < item.ceiling <= 1 and item.images > 0 and item.seeds for item in cases)
    made = forecast_recovery(cases[0].images, cases[0].ceiling)
    assert json.loads(json.dumps(made.as_dict()))["simulated"] is True
