"""``factortopy convert`` on a tiny NSD folder."""

import sys
from pathlib import Path

import numpy as np
import pytest

from factortopy.datasets import load_betas, load_nsd

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from nsd_fixture import write_nsd


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_nsd(tmp_path_factory.mktemp("nsd"), 5, stimuli=False).root


def test_converts(run, folder, tmp_path):
    result = run("convert", folder, tmp_path / "betas", "--subject", 5)
    assert result.exit_code == 0, result.stderr
    assert str(tmp_path / "betas") in result.stdout.replace("\n", "")
    expected = load_nsd(folder, 5, progress=False)
    betas = load_betas(tmp_path / "betas", voxels="nsdgeneral", progress=False)
    np.testing.assert_array_equal(betas.responses, expected.responses)


def test_dry_run_writes_nothing(run, folder, tmp_path):
    result = run("convert", folder, tmp_path / "betas", "--subject", 5, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "3 of 40 published" in result.stdout
    assert "4 kB" in result.stdout  # 18 trials x 60 vertices x 4 bytes
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--subject", 4], "subj04"),
        (["--subject", 5, "--space", "fsavrage"], "did you mean 'fsaverage'"),
        (["--subject", 5, "--mask", "nsdgenral"], "did you mean 'nsdgeneral'"),
    ],
)
def test_bad_input_is_one_line(run, folder, tmp_path, words, text):
    result = run("convert", folder, tmp_path / "betas", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert text in result.stderr
    assert list(tmp_path.iterdir()) == []
