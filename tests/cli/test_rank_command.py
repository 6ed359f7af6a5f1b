"""``factortopy rank``: tables and figures of which photographs drive a region, and of two sets of them."""

import json

import nibabel
import numpy as np
import pandas
import pytest
from PIL import Image

from factortopy.mapping import Mapping


@pytest.fixture(scope="module")
def sure(mapping, tmp_path_factory):
    """The mapping, as if half of its voxels were predicted."""
    loaded = Mapping.load(mapping)
    count = loaded.dataset.sizes["voxel"]
    low = np.where(np.arange(count) % 2, 0.1, -0.1)
    values = {"r2": low + 0.1, "r2_low": low, "region_error": np.full(loaded.dataset.sizes["region"], 0.5)}
    known = loaded.with_variables({name: (loaded.dataset[name].dims, value) for name, value in values.items()})
    return known.save(tmp_path_factory.mktemp("sure") / "mapping")


def test_rank_writes_table_and_contact_sheet(run, sure, photographs, tmp_path):
    result = run("rank", sure, photographs, tmp_path, "--roi", "V1", "--count", 6, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["left_out"] + facts["voxels"] == Mapping.load(sure).rois["V1"].sum()
    table = pandas.read_csv(tmp_path / "ranking.csv")
    assert len(table) == 40
    assert table["response"].is_monotonic_decreasing
    assert (table["response_low"] < table["response"]).all()
    text = (tmp_path / "contact_sheet.svg").read_text()
    for name in [*table["image"][:6], *table["image"][-6:]]:
        assert name in text
    assert Image.open(tmp_path / "contact_sheet.png").size[0] > 1000


def test_contrast_writes_a_t_map(run, sure, photographs, tmp_path):
    names = sorted(path.name for path in photographs.iterdir())
    for kind, some in (("one", names[:20]), ("other", names[20:])):
        (tmp_path / kind).mkdir()
        for name in some:
            (tmp_path / kind / name).symlink_to(photographs / name)
    result = run("rank", sure, tmp_path / "one", tmp_path / "out", "--against", tmp_path / "other", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "75 voxels left out" in result.stdout
    table = pandas.read_csv(tmp_path / "out" / "contrast.csv")
    assert table["t"].notna().sum() == 75
    t = nibabel.load(tmp_path / "out" / "lh.t_map.gii").darrays[0].data
    np.testing.assert_allclose(t[table["vertex"]], table["t"], rtol=1e-5)
    assert (tmp_path / "out" / "t_map.png").is_file()


def test_one_line_where_nothing_is_above_chance_or_nothing_was_asked(run, mapping, photographs, tmp_path):
    loaded = Mapping.load(mapping)
    low = np.full(loaded.dataset.sizes["voxel"], -0.1)
    folder = loaded.with_variables({"r2_low": (("voxel",), low)}).save(tmp_path / "mapping")
    for words, said in ((("--roi", "V1"), "above chance"), ((), "--roi")):
        result = run("rank", folder, photographs, tmp_path / "out", *words, "--quiet")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert said in result.stderr
    assert not (tmp_path / "out").exists()
