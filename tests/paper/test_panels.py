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
    maps = [axes for axes in figure.axes if any(image.get_gid() == "cortex" for image in axes.images)]
    assert [axes.get_title() for axes in maps] == ["layers", "shares", "score"]
    assert len(figure.axes) == len(maps) + 2
    assert "SIMULATED SUBJECT" in texts(figure)
    boxes = [axes.get_position() for axes in maps]
    assert boxes[0].x0 == pytest.approx(boxes[2].x0)
    assert boxes[0].x0 < boxes[1].x0
    assert boxes[2].y1 <= boxes[0].y0 + 1e-6
    assert all(box.x0 >= 0 and box.x1 <= 1 and box.y0 >= 0 and box.y1 <= 1 for box in boxes)


def test_brightness_of_layers_is_confidence_on_an_absolute_scale(mapping):
    """A map of soft selectors is dark, however soft the others of the figure are."""
    count, layers = mapping.dataset["layer"].shape
    soft = np.full((count, layers), 0.98 / layers)
    soft[:, 1] += 0.02
    alone = map_grid("Soft", [Panel("soft", mapping, soft)])
    among = map_grid(
        "Soft and sure", [Panel("soft", mapping, soft), Panel("sure", mapping, np.eye(layers)[[1] * count])]
    )
    shown = [next(axes.images[0].get_array() for axes in figure.axes if axes.images) for figure in (alone, among)]
    strongest = [np.ptp(np.asarray(one)[np.asarray(one)[..., 3] > 0.99][:, :3], axis=1).max() for one in shown]
    (key,) = [image for axes in alone.axes for image in axes.images if image.get_gid() == "key"]
    assert tuple(key.get_extent()[2:]) == (0, 1)
    assert strongest[0] == pytest.approx(strongest[1], abs=0.01)
    assert strongest[0] < np.ptp(np.asarray(key.get_array())[-1, 1, :3]) / 2


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
