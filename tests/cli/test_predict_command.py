"""``factortopy predict``: files by the ending of the name, and one line where it cannot be done."""

import json

import nibabel
import numpy as np
import pandas
import zarr


def test_predict_writes_what_the_ending_says_and_goes_on(run, mapping, photographs, tmp_path):
    result = run("predict", mapping, photographs, tmp_path / "r.npy", "--json", "--device", "cpu", "--quiet")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["images"], facts["units"]) == (40, "training responses")
    values = np.load(tmp_path / "r.npy")
    means = pandas.read_csv(tmp_path / "r.npy.rois.csv")
    np.testing.assert_allclose(means["all voxels"], values.mean(axis=1), rtol=1e-4, atol=1e-5)
    assert not list(tmp_path.glob("*.unfinished"))
    shown = run("predict", mapping, photographs, tmp_path / "r.zarr", "--z-scored", "--device", "cpu")
    assert shown.exit_code == 0, shown.stderr
    assert "z-scored: standard deviations" in shown.stdout
    assert zarr.open_group(tmp_path / "r.zarr", mode="r")["responses"].shape == values.shape
    again = run("predict", mapping, photographs, tmp_path / "r.zarr", "--device", "cpu", "--quiet")
    assert again.exit_code == 2
    assert again.stderr.count("\n") == 1
    assert run("predict", mapping, photographs, tmp_path / "r.mgz", "--device", "cpu", "--quiet").exit_code == 0
    assert nibabel.load(tmp_path / "lh.r.mgz").shape == (10_242, 1, 1, 40)


def test_one_line_for_a_wrong_ending_and_a_dry_run_writes_nothing(run, mapping, photographs, tmp_path):
    wrong = run("predict", mapping, photographs, tmp_path / "r.csv")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    dry = run("predict", mapping, photographs, tmp_path / "r.npy", "--dry-run", "--device", "cpu", "--quiet")
    assert dry.exit_code == 0, dry.stderr
    assert "nothing was written" in dry.stdout
    assert not list(tmp_path.iterdir())
