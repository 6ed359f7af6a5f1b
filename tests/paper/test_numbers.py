"""The paper's numbers: as printed, consistent in themselves, and put beside ours with the right sign."""

import os
import re
from pathlib import Path

import pytest

from factortopy.errors import UnknownNameError
from factortopy.networks import find_entry
from factortopy.paper import paper_table
from factortopy.paper.numbers import PaperRow, beside

ROUNDING = 0.011
"""Three numbers rounded to two decimals."""


def test_the_line_of_table_2_ends_where_slope_and_start_say():
    for row in paper_table("table2").rows:
        line = row.values
        assert line["b1"] - line["b0"] == pytest.approx(line["slope"], abs=ROUNDING), row.label
        assert 0 < line["r2"] < 0.2


def test_in_table_1_no_network_is_further_from_the_best_than_the_best_is_from_0():
    table = paper_table("table1")
    best = table.rows[0]
    assert (best.label, best.network) == ("max", "")
    for row in table.rows[1:]:
        assert all(0 < row.values[roi] < best.values[roi] for roi in table.quantities), row.label


def test_every_network_of_the_tables_can_be_asked_for_by_name():
    for name, count in (("table1", 8), ("table2", 18)):
        networks = [row.network for row in paper_table(name).rows if row.network]
        assert len(set(networks)) == count
        for network in networks:
            entry = find_entry(network.partition("@")[0])
            assert entry is not None, network
            assert name[-1] in entry.paper, network


def printed_rows(heading):
    """Rows of numbers of a table in the written-out method, by their first cells."""
    folder = os.environ.get("FACTORTOPY_SHARED_DATA")
    page = Path(folder).parent / "method.md" if folder else Path("missing")
    if not page.is_file():
        pytest.skip("the written-out method is not here (FACTORTOPY_SHARED_DATA)")
    text = page.read_text().split(heading, 1)[1]
    lines = [line for line in text.splitlines() if re.match(r"\|.*\d\.\d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_table_1_is_as_the_paper_prints_it():
    rows = printed_rows("Table 1 (subject-level")[:9]
    for row, cells in zip(paper_table("table1").rows, rows, strict=True):
        assert [row.label, *(f"{value:.3f}" for value in row.values.values())] == cells


def test_table_2_is_as_the_paper_prints_it():
    rows = printed_rows("Table 2:")[:18]
    for row, cells in zip(paper_table("table2").rows, rows, strict=True):
        assert row.label.startswith(f"{cells[0]} {cells[1]}")
        assert [float(cell) for cell in cells[3:]] == list(row.values.values())


def test_ours_less_the_paper_s():
    paper = PaperRow("CLIP", "clip", {"r2": 0.13})
    row = beside({"r2": 0.10, "slope": 0.4, "b0": None}, paper)
    assert row["r2_paper"] == 0.13
    assert row["r2_difference"] == pytest.approx(-0.03)
    assert (row["slope"], row["slope_paper"], row["slope_difference"]) == (0.4, None, None)
    assert row["b0_difference"] is None
    assert beside({"r2": 0.1}, None)["r2_difference"] is None


def test_a_table_without_numbers_is_refused():
    with pytest.raises(UnknownNameError, match="table3"):
        paper_table("table3")
