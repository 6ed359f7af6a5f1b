"""The Python of docs/brain.md runs as it stands, one block after the other."""

import re
from pathlib import Path

import numpy as np
import pytest

import factortopy as ft

PAGE = Path(__file__).parents[2] / "docs" / "brain.md"


@pytest.fixture
def blocks():
    if not PAGE.is_file():
        pytest.skip("docs/ is not part of this copy")
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_page_runs(blocks, mapping, photographs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted(photographs.iterdir())
    for name, some in (("photographs", files), ("faces", files[:20]), ("houses", files[20:])):
        (tmp_path / name).mkdir()
        for file in some:
            (tmp_path / name / file.name).symlink_to(file)
    loaded = ft.Mapping.load(mapping)
    sure = loaded.with_variables({name: (("voxel",), np.full(150, 0.2)) for name in ("r2", "r2_low")})
    ft.reporting.write_card(sure, tmp_path / "shared")
    ft.exchange.zip_folder(tmp_path / "shared", tmp_path / "shared.zip")
    names = {"ft": ft, "mapping": sure}
    assert len(blocks) == 3
    for block in blocks:
        exec(block, names)
    assert names["found"].images == (20, 20)
    assert names["ranking"].region == "FFA"
    assert len(names["responses"].roi_means()) == 40
    assert (tmp_path / "lh.responses.mgz").is_file()
    assert names["mapping"].layers == sure.layers
