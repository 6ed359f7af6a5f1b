"""docs/channels.md: what it imports is there, its commands and options exist, its pictures lie beside it."""

import re
from pathlib import Path

import pytest
import typer

from factortopy.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "channels.md"


@pytest.fixture(scope="module")
def page():
    if not PAGE.is_file():
        pytest.skip("the pages do not lie beside the tests (an sdist)")
    return PAGE.read_text(encoding="utf-8")


def test_imports_work(page):
    imports = re.findall(r"^from factortopy\S* import .*$", page, flags=re.MULTILINE)
    assert sum(line.count(",") + 1 for line in imports) >= 5
    for line in imports:
        exec(line, {})


def test_commands_and_options_exist(page):
    commands = typer.main.get_command(app).commands["channels"].commands
    named = set(re.findall(r"factortopy channels (cluster|images) ", page))
    assert named == {"cluster", "images"}
    known = {option for name in named for item in commands[name].params for option in item.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) <= known


def test_pictures_are_there(page):
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", page)
    assert len(pictures) == 4
    for picture in pictures:
        assert (PAGE.parent / picture).is_file()
