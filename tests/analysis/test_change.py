"""Before and after fine-tuning: planted losses and moves come out; what is no pair is refused."""

import csv
import json

import numpy as np
import pytest
from scipy.stats import linregress
from tiny_mappings import LEVELS, ROIS, VOXELS, tiny_mapping

from factortopy.analysis import change, forgetting_index
from factortopy.errors import DataError

DEPTH = np.linspace(0.1, 0.9, VOXELS)


def before_and_after():
    """V1 loses half of its R^2, OPA gains a quarter, EBA was never predicted; V1 moves up by 0.3."""
    before, after, moved = np.full(VOXELS, 0.4), np.full(VOXELS, 0.4), DEPTH.copy()
    after[ROIS["V1"]], after[ROIS["OPA"]] = 0.2, 0.5
    before[ROIS["EBA"]], after[ROIS["EBA"]] = -0.05, -0.1
    moved[ROIS["V1"]] += 0.3
    return tiny_mapping(before), tiny_mapping(after, depth=moved, network="net-finetuned-digits")


def rows():
    return {row.roi: row for row in change(*before_and_after()).regions.itertuples()}


def test_score_lost_and_forgetting_index():
    found = rows()
    assert found["V1"].r2_change == pytest.approx(-0.2)
    assert found["V1"].forgetting == pytest.approx(0.5)
    assert found["OPA"].forgetting == pytest.approx(-0.25)
    assert found["V2V3"].forgetting == pytest.approx(0)
    assert np.isnan(found["EBA"].forgetting)
    before, after = 20 * 0.4 + 25 * 0.4 - 15 * 0.05, 20 * 0.2 + 15 * 0.4 + 10 * 0.5 - 15 * 0.1
    assert change(*before_and_after()).forgetting.value == pytest.approx(1 - after / before)


def test_limits_are_of_the_ratio_in_pairs():
    """The draws of both mappings have the same noise, so the difference has none and the ratio little."""
    before, after = before_and_after()
    row = rows()["V1"]
    assert row.r2_change_low == pytest.approx(row.r2_change_high) == pytest.approx(-0.2)
    one, other = (held.dataset["drawn_r2"].sel(region="V1").values for held in (before, after))
    low, high = np.percentile((one - other) / one, (2.5, 97.5))
    assert (row.forgetting_low, row.forgetting_high) == (pytest.approx(low), pytest.approx(high))
    assert row.limits == "test images"
    plain = [tiny_mapping(0.4, drawn=False), tiny_mapping(0.3, drawn=False)]
    alone = change(*plain).regions.iloc[-1]
    assert alone.forgetting == pytest.approx(0.25)
    assert np.isnan(alone.forgetting_low)
    assert alone.limits == "none"


def test_no_index_where_the_score_before_is_in_doubt():
    """R^2 of 0.015 with draws of a deviation of 0.01: the lower limit is below 0."""
    assert forgetting_index(tiny_mapping(0.015), tiny_mapping(0.01), "V1").text() == "–"
    assert forgetting_index(tiny_mapping(0.03), tiny_mapping(0.015), "V1").value == pytest.approx(0.5)


def test_an_index_has_limits_only_from_draws_in_pairs():
    before, after, bare = tiny_mapping(0.4), tiny_mapping(0.2), tiny_mapping(0.2, drawn=False)
    fewer = type(after)(after.dataset.isel(draw=slice(0, 100)))
    for one, other in ((before, bare), (before, fewer)):
        found = forgetting_index(one, other, "V1")
        assert found.value == pytest.approx(0.5)
        assert not found.limited
    assert not forgetting_index(bare, before, "V1").limited
    assert forgetting_index(before, after, "V1").over == "test images"
    # A draw in which nothing was predicted before has no index.
    draws = [held.dataset["drawn_r2"].values.copy() for held in (before, after)]
    draws[0][:9], draws[1][0] = 0, 0
    pair = [
        held.with_variables({"drawn_r2": (("draw", "region"), own)})
        for held, own in zip((before, after), draws, strict=True)
    ]
    ratio = 1 - draws[1][9:, 0] / draws[0][9:, 0]
    found = forgetting_index(*pair, "V1")
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(ratio, (2.5, 97.5))))
    assert not forgetting_index(tiny_mapping(0.0, drawn=False), bare, "V1").known


def test_depth_by_share_and_by_selector():
    before, after = before_and_after()
    after = after.with_variables({"layer": before.dataset["layer"]})  # only the share moved
    found = change(before, after)
    row = next(row for row in found.regions.itertuples() if row.roi == "V1")
    assert row.depth_change == pytest.approx(0.3)
    assert row.depth_moved == pytest.approx(0.3)
    assert row.selector_depth_change == 0
    np.testing.assert_allclose(found.values("depth")[ROIS["V1"]], 0.3)
    np.testing.assert_allclose(found.values("depth")[ROIS["EBA"]], 0, atol=1e-12)
    unknown = after.with_variables({"layer_share": after.dataset["layer_share"].where(np.arange(VOXELS)[:, None] != 3)})
    known = (DEPTH + 0.3)[(DEPTH < 0.5) & (np.arange(VOXELS) < 20) & (np.arange(VOXELS) != 3)] > 0.5
    assert change(before, unknown).regions["layer_changed"][0] == pytest.approx(known.mean())
    flipped = ((DEPTH < 0.5) & (DEPTH + 0.3 > 0.5))[ROIS["V1"]]
    assert row.layer_changed == pytest.approx(flipped.mean())


def test_the_hierarchy_line_is_that_of_a_regression():
    before, after = before_and_after()
    lines = {(line.quantity, line.source): line for line in change(before, after).lines.itertuples()}
    x = np.concatenate([np.full(ROIS[name].stop - ROIS[name].start, level) for name, level in LEVELS.items()])
    moved = DEPTH.copy()
    moved[ROIS["V1"]] += 0.3
    old, new = linregress(x, DEPTH), linregress(x, moved)
    slope, b1 = lines["slope", "share"], lines["b1", "selector"]
    assert (slope.before, slope.after) == (pytest.approx(old.slope), pytest.approx(new.slope))
    assert slope.change == pytest.approx(new.slope - old.slope)
    assert b1.change == pytest.approx(new.slope + new.intercept - old.slope - old.intercept)


def test_tables_hold_what_was_found(tmp_path):
    found = change(*before_and_after())
    found.save(tmp_path)
    by_roi = list(csv.DictReader((tmp_path / "change.csv").open()))
    assert [row["roi"] for row in by_roi] == [*ROIS, "all voxels"]
    assert float(by_roi[0]["forgetting"]) == pytest.approx(0.5)
    assert by_roi[3]["forgetting"] == ""
    voxels = list(csv.DictReader((tmp_path / "voxels.csv").open()))
    assert len(voxels) == VOXELS
    assert float(voxels[0]["depth_change"]) == pytest.approx(0.3)
    assert [int(row["vertex"]) for row in voxels] == list(range(VOXELS))
    assert [row["hemisphere"] for row in voxels[:2]] == ["left", "right"]
    facts = json.loads((tmp_path / "change.json").read_text())
    assert facts["after"] == "net-finetuned-digits"
    assert facts["simulated"] is False


def test_other_networks_and_splits_are_refused_in_one_line():
    before, _ = before_and_after()
    said = r"differ in layers \(5 from block0 to block4 and 7 from block0 to block6\)"
    with pytest.raises(DataError, match=said) as caught:
        change(before, tiny_mapping(0.4, layers=7))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="global token"):
        change(before, tiny_mapping(0.4, global_token="pooled"))
    with pytest.raises(DataError, match="split"):
        change(before, tiny_mapping(0.4, split="cd" * 32))
