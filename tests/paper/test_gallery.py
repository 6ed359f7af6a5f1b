"""The gallery shows every item, by a command that exists, in pictures that are small."""

import re
from pathlib import Path

from PIL import Image

from factortopy.paper import ITEMS

DOCS = Path(__file__).parents[2] / "docs"
LARGEST = 300_000


def test_each_item_has_its_picture_and_its_command_once():
    page = (DOCS / "gallery.md").read_text()
    assert re.findall(r"^factortopy paper (\w+) --simulated$", page, re.MULTILINE) == list(ITEMS)
    assert re.findall(r"\(images/paper-(\w+)\.png\)", page) == list(ITEMS)
    assert page.count("; SIMULATED]") == len(ITEMS)


def test_pictures_are_there_and_small():
    for name in ITEMS:
        path = DOCS / "images" / f"paper-{name}.png"
        assert path.stat().st_size < LARGEST, name
        with Image.open(path) as picture:
            assert picture.width >= 900


def test_the_page_of_items_names_every_one():
    page = (DOCS / "paper.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(ITEMS)
