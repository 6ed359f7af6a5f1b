"""The gallery shows items by commands that exist, in pictures that are small."""

import re
from pathlib import Path

from PIL import Image

from factortopy.paper import ITEMS

DOCS = Path(__file__).parents[2] / "docs"
LARGEST = 300_000


def test_each_picture_has_the_command_that_makes_it_and_says_simulated():
    page = (DOCS / "gallery.md").read_text()
    shown = re.findall(r"\(images/paper-(\w+)\.webp\)", page)
    assert shown
    assert shown == [name for name in ITEMS if name in shown]
    assert re.findall(r"^factortopy paper (\w+) --simulated$", page, re.MULTILINE) == shown
    assert page.count("; SIMULATED]") == len(shown)


def test_pictures_are_those_of_the_page_and_small():
    page = (DOCS / "gallery.md").read_text()
    pictures = sorted((DOCS / "images").glob("paper-*.webp"))
    assert [path.name for path in pictures] == sorted(set(re.findall(r"paper-\w+\.webp", page)))
    for path in pictures:
        assert path.stat().st_size < LARGEST, path.name
        with Image.open(path) as picture:
            assert picture.width >= 900


def test_the_page_of_items_names_every_one():
    page = (DOCS / "paper.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ITEMS)
