"""Pictures of the paper's items: every map, every number where it should be, and the mark of simulations."""

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth

from factortopy.paper.pictures import Panel, map_grid, numbers_chart
from factortopy.plot import Header


@pytest.fixture(scope="module")
def mapping():
    return fake_mapping_and_truth()[0]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [text.get_text() for text in figure.texts]


def test_each_panel_is_a_map_with_its_title_and_each_kind_has_one_key(mapping):
    data = mapping.dataset
    panels = [
        Panel("layers", mapping, data["layer"].values),
        Panel("shares", mapping, data["layer_share"].values),
        Panel("score", mapping, data["r2"].values, "score"),
    ]
    figure = map_grid("Three maps", panels, columns=2)
    maps = [axes for axes in figure.axes if any(image.get_gid() == "flatmap" for image in axes.images)]
    assert [axes.get_title() for axes in maps] == ["layers", "shares", "score"]
    assert len(figure.axes) == len(maps) + 2
    assert "SIMULATED SUBJECT" in texts(figure)
    boxes = [axes.get_position() for axes in maps]
    assert boxes[0].x0 == boxes[2].x0 < boxes[1].x0
    assert boxes[2].y1 <= boxes[0].y0 + 1e-6
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in boxes)


def test_the_header_says_what_mappings_share_and_counts_what_they_do_not(mapping):
    from dataclasses import replace

    other = replace(mapping, dataset=mapping.dataset.assign_attrs(network="another", images_test=9))
    facts = Header.of([mapping, other]).dataset.attrs
    assert facts["network"] == "2 in all"
    assert facts["subject"] == mapping.dataset.attrs["subject"]
    assert facts["images_test"] == f"{mapping.dataset.attrs['images_test']} / 9"
    assert Header.of([mapping]).dataset.attrs["images_test"] == mapping.dataset.attrs["images_test"]


def test_our_number_and_the_paper_s_stand_on_one_line(mapping):
    rows = [
        {"label": "one", "r2": 0.10, "r2_low": 0.05, "r2_high": 0.2, "r2_paper": 0.13},
        {"label": "two", "r2": 0.07, "r2_paper": None},
    ]
    figure = numbers_chart("Numbers", rows, {"r2": "R²"}, [mapping])
    lines = {line.get_gid(): line for line in figure.axes[0].lines if line.get_gid() == "paper"}
    assert lines["paper"].get_xydata().tolist() == [[0.13, 0]]
    ours = [line.get_xydata()[0].tolist() for line in figure.axes[0].lines if line.get_gid() == "ours"]
    assert ours == [[0.10, 0], [0.07, 1]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "two"]
    low, high = figure.axes[0].get_ylim()
    assert low > high, "the first row is on top"
    assert np.isfinite(figure.axes[0].get_xlim()).all()
