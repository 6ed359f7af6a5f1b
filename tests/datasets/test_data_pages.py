"""The examples of ``docs/nsd.md`` and ``docs/laion.md`` run as they stand."""

import re
from pathlib import Path

import pytest
from laion_fixture import write_laion
from nsd_fixture import write_nsd

DOCS = Path(__file__).parents[2] / "docs"


def run_example(name):
    """The names that the one example of a page leaves behind."""
    page = DOCS / name
    if not page.is_file():
        pytest.skip("docs/ is not part of this copy")
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(example, names)
    return names


def test_nsd(tmp_path, monkeypatch):
    write_nsd(tmp_path / "nsd")
    monkeypatch.chdir(tmp_path)
    names = run_example("nsd.md")
    single, split = names["single"], names["split"]
    assert len(single.image_ids) == 12
    sides = (*split.train, *split.validation, *split.test)
    assert sorted(sides) == sorted(set(single.image_ids))


def test_laion(tmp_path, monkeypatch):
    write_laion(tmp_path / "laion")
    monkeypatch.chdir(tmp_path)
    names = run_example("laion.md")
    assert names["images"].ids == names["subject"].image_ids
    assert names["split"].source["name"] == "tau"
    assert all("_OOD_" in image for image in names["protocol"].split.test)
