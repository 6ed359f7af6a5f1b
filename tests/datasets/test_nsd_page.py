"""The examples of ``docs/nsd.md`` run as they stand."""

import re
from pathlib import Path

import pytest
from nsd_fixture import write_nsd

PAGE = Path(__file__).parents[2] / "docs" / "nsd.md"


def test_examples(tmp_path, monkeypatch):
    if not PAGE.is_file():
        pytest.skip("docs/ is not part of this copy")
    write_nsd(tmp_path / "nsd")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(example, names)
    single, split = names["single"], names["split"]
    assert len(single.image_ids) == 12
    sides = (*split.train, *split.validation, *split.test)
    assert sorted(sides) == sorted(set(single.image_ids))
