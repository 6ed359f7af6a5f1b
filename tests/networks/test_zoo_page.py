"""docs/zoo.md is what the zoo's data say."""

from zoo_page import END, PAGE, START, page


def test_page_is_not_stale():
    text = PAGE.read_text(encoding="utf-8")
    assert START in text
    assert END in text
    assert page(text) == text, "write it anew: PYTHONPATH=src python tests/networks/zoo_page.py"
