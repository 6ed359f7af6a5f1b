"""What docs/compare.md names is there: imports, functions, modules and options."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compare.md"


@pytest.fixture(scope="module")
def page():
    if not PAGE.is_file():
        pytest.skip("the pages do not lie beside the tests (an sdist)")
    return PAGE.read_text(encoding="utf-8")


def test_imports_and_functions_of_the_page_exist(page):
    import factortopy

    imports = re.findall(r"^(?:from factortopy\S* import .*|import factortopy.*)$", page, flags=re.MULTILINE)
    assert len(imports) == 2
    for line in imports:
        exec(line, {})
    for name in ("predict_held_out", "paired_winners", "partition_variance"):
        assert f"`{name}`" in page
        assert name in factortopy.__all__
    for module in re.findall(r"`(factortopy\.plot\.\w+)`", page):
        importlib.import_module(module)


def test_options_of_the_page_exist(page, run):
    shown = run("compare", "--help").stdout
    others = {"--normalised"}  # of `score`, which the page names for comparison
    options = set(re.findall(r"--[a-z][a-z-]+", page)) - others
    assert {"--tokens", "--data", "--average-subjects", "--name", "--quantity"} <= options
    for option in options:
        assert option in shown, option
