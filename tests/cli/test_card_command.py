"""``factortopy card``: a folder to be shared, and what reads it."""

import zipfile

import numpy as np

from factortopy.exchange import load_mapping
from factortopy.mapping import Mapping


def test_card_writes_what_predict_reads(run, mapping, photographs, tmp_path):
    result = run("card", mapping, tmp_path / "shared", "--zip", "--berg", "--brain-score")
    assert result.exit_code == 0, result.stderr
    for name in ("mapping", "card.yaml", "README.md", "card.html", "berg", "brain_score"):
        assert (tmp_path / "shared" / name).exists()
        assert str(tmp_path / "shared" / name) in result.stdout
    assert all(name.startswith("shared/") for name in zipfile.ZipFile(tmp_path / "shared.zip").namelist())
    own = Mapping.load(mapping).dataset["r2"].values
    np.testing.assert_array_equal(load_mapping(tmp_path / "shared.zip").dataset["r2"].values, own)
    again = run("card", tmp_path / "shared.zip", tmp_path / "shared")
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    (tmp_path / "other.zip").write_bytes(b"mine")
    beside = run("card", mapping, tmp_path / "other", "--zip")
    assert (beside.exit_code, beside.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "other.zip").read_bytes() == b"mine"
    assert not (tmp_path / "other").exists()
    without_commit = run("predict", "hf://lab/brain", photographs, tmp_path / "r.npy")
    assert (without_commit.exit_code, without_commit.stderr.count("\n")) == (2, 1)
    assert "COMMIT" in without_commit.stderr
