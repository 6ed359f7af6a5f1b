"""The page docs/zoo.md from the zoo's data. To write it anew: python tests/networks/zoo_page.py"""

from itertools import groupby
from pathlib import Path

from factortopy.networks import list_networks

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"
START, END = ("<!-- the tables below are written by tests/networks/zoo_page.py -->\n", "<!-- end of the tables -->\n")
HEADINGS = ("name", "what it is", "source and checkpoint", "input", "global token", "paper's table", "weights")


def tables():
    """A table a family of networks."""
    parts = []
    for group, members in groupby(list_networks(), key=lambda entry: entry.group):
        entries = list(members)
        parts.append(f"\n### {group}\n\nLearnt: {entries[0].learnt}.\n\n| {' | '.join(HEADINGS)} |")
        parts.append(f"|{' --- |' * len(HEADINGS)}")
        parts += [f"| {' | '.join(row(entry))} |" for entry in entries]
    return "\n".join(parts) + "\n\n"


def row(entry):
    also = "".join(f", `{alias}`" for alias in entry.aliases)
    checkpoint = "" if entry.checkpoint in entry.source else f"; {entry.checkpoint}"
    return (
        f"`{entry.name}`{also}",
        entry.description,
        f"`{entry.source}`{checkpoint}",
        f"{entry.input_size}",
        entry.global_token,
        entry.paper,
        f"{entry.weights}; {entry.licence}",
    )


def page(text):
    """The page with its tables as they are today."""
    before, _, rest = text.partition(START)
    return before + START + tables() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
