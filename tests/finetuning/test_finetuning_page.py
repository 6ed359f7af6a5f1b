"""docs/finetuning.md: its imports, commands and options exist, its recipe is that of the settings."""

import re
from pathlib import Path

import pytest
import typer

from factortopy.cli import app
from factortopy.finetuning import FinetuneSettings

PAGE = Path(__file__).parents[2] / "docs" / "finetuning.md"


@pytest.fixture(scope="module")
def page():
    if not PAGE.is_file():
        pytest.skip("the pages do not lie beside the tests (an sdist)")
    return PAGE.read_text(encoding="utf-8")


def test_imports_work(page):
    imports = re.findall(r"^from factortopy\S* import .*$", page, flags=re.MULTILINE)
    assert imports
    for line in imports:
        exec(line, {})


def test_commands_and_options_exist(page):
    commands = typer.main.get_command(app).commands
    used = re.findall(r"^factortopy (\S+) (.*)$", page, flags=re.MULTILINE)
    assert {"finetune", "extract", "fit", "compare"} == {name for name, _ in used}
    for name, rest in used:
        known = {option for item in commands[name].params for option in item.opts}
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", rest)) <= known
    both = {option for name in ("finetune", "fit") for item in commands[name].params for option in item.opts}
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= both


def test_the_recipe_is_that_of_the_settings(page):
    settings = FinetuneSettings()
    table = page[page.index("## The recipe") : page.index("## Labelled images")]
    for text in (
        "learning rate 3e-5, weight decay 0.01",
        f"{settings.steps:,} of {settings.batch_size} images",
        f"{settings.per_class} a class",
        f"up to {settings.validation_per_class} others",
    ):
        assert text in table
    named = re.search(r"changes a setting \((.*?)\)", table, flags=re.DOTALL)
    assert set(re.findall(r"`(.*?)`", named[1])) <= set(type(settings).model_fields)
