"""The ranking page and the folder of a comparison: whole, in order, with the numbers of the tables."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth, with_limits

from factortopy.analysis import compare
from factortopy.errors import UnknownNameError
from factortopy.reporting import find_results, ranked, write_comparison
from factortopy.reporting.ranking import ranking

NAMES = ("worse", "better", "<b>best</b>")


@pytest.fixture(scope="module")
def comparison():
    """R^2 of .1, .2 and .3 everywhere; on no surface, so that nothing is painted."""
    mappings = []
    for name, r2 in zip(NAMES, (0.1, 0.2, 0.3), strict=True):
        mapping, _ = fake_mapping_and_truth(network=name, split="ab" * 32, surface="")
        mappings.append(mapping.with_variables({"r2": ("voxel", np.full(mapping.dataset.sizes["voxel"], r2))}))
    return compare(mappings)


@pytest.fixture(scope="module")
def results(comparison):
    return find_results(comparison, progress=False)


@pytest.fixture(scope="module")
def folder(comparison, results, tmp_path_factory):
    place = tmp_path_factory.mktemp("comparison")
    write_comparison(comparison, results, place, quantities=["depth", "x"], progress=False)
    return place


def test_networks_are_ranked_by_r2(results):
    assert [row["mapping"] for row in ranked(results.regions, "V1")] == list(NAMES[::-1])


def test_the_page_is_whole_escaped_and_self_contained(folder):
    page = (folder / "ranking.html").read_text(encoding="utf-8")
    open_tags = []

    class Check(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img"):
                open_tags.append(tag)
            for name, value in attrs:
                assert name not in ("src", "href") or value.startswith("data:")

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Check().feed(page)
    assert not open_tags
    assert "SIMULATED" in page
    assert "72 test images" in page
    assert "<b>best</b>" not in page
    assert "&lt;b&gt;best&lt;/b&gt;" in page
    order = [page.index(f'<th scope="row">{name}') for name in ("&lt;b&gt;best", "better", "worse")]
    assert order == sorted(order)
    assert "0.300" in page
    assert "+0.200" in page
    assert page.count("<img") == len(list(folder.glob("*.png")))


def said(mappings, place):
    """The page's words about limits."""
    compared = compare(mappings, labels=[f"network {number}" for number in range(1, len(mappings) + 1)])
    page = ranking(compared, find_results(compared, progress=False), place / "page.html")
    return re.search("same test images. (.*) Differences are from", page.read_text(encoding="utf-8"))[1]


def test_the_page_says_what_limits_are_over_in_whatever_order(tmp_path):
    """Depth's have the training in them; one of the mappings was fitted without a bootstrap."""
    bare = fake_mapping_and_truth(split="ab" * 32, surface="")[0]
    told = with_limits(fake_mapping_and_truth(split="ab" * 32, surface="", training_told=1)[0])
    words = (
        "Numbers in brackets are 95 % limits over test images, those of depth and of the hierarchy line over test "
        "images and training"
    )
    assert said([told, told], tmp_path).startswith(f"{words}; those of differences")
    assert said([bare, told], tmp_path).startswith(f"{words} (none of network 1); those of differences")
    assert said([told, bare], tmp_path).startswith(f"{words} (none of network 2); those of differences")


def test_the_page_says_why_there_are_no_limits(tmp_path):
    bare = fake_mapping_and_truth(split="ab" * 32, surface="")[0]
    few = fake_mapping_and_truth(split="ab" * 32, surface="", no_limits="no limits: 7 distinct test images")[0]
    assert said([bare, bare], tmp_path) == "There are no limits: the mappings were fitted without a bootstrap."
    assert said([few, few], tmp_path) == "There are no limits: 7 distinct test images."


def test_tables_on_disk_hold_the_same_numbers(folder, comparison):
    content = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert content["mappings"] == list(NAMES)
    assert content["simulated"] is True
    with (folder / "regions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["regions"]) == len(NAMES) * len(comparison.regions)
    last = rows[-1]
    assert (last["mapping"], last["roi"]) == (NAMES[2], "all voxels")
    assert float(last["difference"]) == pytest.approx(0.2)
    assert last["r2_low"] == ""
    names = {row["quantity"] for row in content["differences"]}
    assert names == {"depth", "x"}
    assert {row["quantity"] for row in content["similarity"]} == {"depth", "layer", "scale", "space", "r2"}
    assert not (folder / "variance.csv").exists()


def test_charts_are_drawn_where_nothing_can_be_painted(folder):
    names = {path.stem for path in folder.glob("*.png")}
    assert {"ranking", "ranking-normalised", "hierarchy", "similarity"} == names
    assert {path.stem for path in folder.glob("*.svg")} == names


def test_an_unknown_quantity_is_refused_before_anything_is_written(comparison, results, tmp_path):
    with pytest.raises(UnknownNameError, match="quantity"):
        write_comparison(comparison, results, tmp_path / "out", quantities=["dept"], progress=False)
    assert not (tmp_path / "out").exists()


def test_every_voxel_has_its_winner_and_margin(folder, comparison):
    with (folder / "voxels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == comparison.dataset.sizes["voxel"]
    assert {row["best"] for row in rows} == {NAMES[2]}
    assert {float(row["margin"]) for row in rows} == {0.1}
    assert rows[0]["hemisphere"] in ("left", "right")
    assert "margin_low" not in rows[0]


def test_the_page_can_be_written_without_figures(comparison, results, tmp_path):
    page = ranking(comparison, results, tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search("<img", page)
