"""Our numbers beside the paper's: a dot with its interval and a diamond for each network and quantity."""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import TYPE_CHECKING

from factortopy.analysis import Estimate
from factortopy.mapping import Mapping
from factortopy.paper.numbers import Row
from factortopy.plot import Dot, DotPanel, Header, Look, dot_chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS, PAPER = (
    Look("#0072b2", name="ours, with its interval where known"),
    Look("#d55e00", "D", "the paper's", filled=False, style="none"),
)


def numbers_chart(
    title: str,
    rows: Sequence[Row],
    quantities: MappingType[str, str],
    mappings: Sequence[Mapping],
    *,
    source: str = "",
    columns: int = 4,
    paper: bool = True,
) -> "Figure":
    """Every quantity in a panel, every row on a line.

    Args:
        title: of the figure.
        rows: with ``label``, and for each quantity ``<name>``, and where known ``<name>_paper``,
            ``<name>_low`` and ``<name>_high``.
        quantities: titles of the panels by name.
        mappings: what the numbers are from, for the header.
        source: what they are, for the header.
        columns: panels a row.
        paper: whether the paper has numbers beside which ours stand.
    """
    panels = []
    for name, heading in quantities.items():
        dots = []
        for line, row in enumerate(rows):
            dots.append(Dot(line, Estimate.in_row(row, f"{name}_paper"), PAPER, gid="paper"))
            dots.append(Dot(line, Estimate.in_row(row, name), OURS, gid="ours"))
        panels.append(DotPanel(heading, dots))
    return dot_chart(
        Header.of(mappings), title, panels, [str(row["label"]) for row in rows], source=source, columns=columns,
        alt=f"Dots: ours{'; diamonds: the paper' * paper}.", key=[OURS, PAPER] if paper else [OURS],
    )  # fmt: skip
