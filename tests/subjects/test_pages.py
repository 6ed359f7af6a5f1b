"""The names that the pages on ceilings and surfaces tell users to import are there."""

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["ceilings.md", "surfaces.md"])
def test_imports_of_the_page_work(page):
    if not PAGES.is_dir():
        pytest.skip("the pages do not lie beside the tests (an sdist)")
    text = (PAGES / page).read_text(encoding="utf-8")
    imports = re.findall(r"^from factortopy\S* import .*$", text, flags=re.MULTILINE)
    assert imports
    for line in imports:
        exec(line, {})


def test_functions_named_on_the_page_of_ceilings_are_public():
    if not PAGES.is_dir():
        pytest.skip("the pages do not lie beside the tests (an sdist)")
    from factortopy import images, subjects, tokens

    text = (PAGES / "ceilings.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(noise_ceiling_\w+|repeat_\w+|split_\w+|read_split)\(", text))
    assert len(named) >= 8
    assert named <= {*images.__all__, *subjects.__all__, *tokens.__all__}
