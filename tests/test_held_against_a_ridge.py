"""Every fit is held against a plain ridge and the training mean, and says in one line what that means."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from factortopy import plot
from factortopy.analysis import estimate, findings, nothing_found, r_squared, yardstick_table
from factortopy.cli import app
from factortopy.fitting import fit_settings
from factortopy.images import Split
from factortopy.mapping import Mapping
from factortopy.reporting import headline, report, yardstick_rows
from factortopy.subjects import load_arrays
from factortopy.workflow import fit, fit_model, yardstick

IMAGES, VOXELS = 160, 40
SPLIT = {"train": (0, 110), "validation": (110, 130), "test": (130, 160)}
FAST = {"steps": 4, "width": 8, "components": 20, "batch_size": 40, "validate_every": 2, "hold_steps": 0}
BEATEN = {**FAST, "closed_form": False}
"""Channels as four steps leave them: a ridge predicts better."""


@pytest.fixture(scope="module")
def tokens(tokens_of_noise):
    return tokens_of_noise(IMAGES, (4, 4))


@pytest.fixture(scope="module")
def split(tokens):
    return Split(**{side: tokens.image_ids[slice(*ends)] for side, ends in SPLIT.items()})


def subject_of(tokens, responses):
    vertex = np.arange(VOXELS)
    return load_arrays(
        responses.astype(np.float32),
        tokens.image_ids,
        hemisphere=np.full(VOXELS, "left"),
        vertex=vertex,
        surface="fsaverage5",
        rois={"V1": vertex < 25, "V2": vertex >= 25, "empty": vertex < 0},
        name="held",
    )


@pytest.fixture(scope="module")
def noise(tokens):
    return subject_of(tokens, np.random.default_rng(1).normal(size=(IMAGES, VOXELS)))


@pytest.fixture(scope="module")
def even(tokens):
    """Responses that read all channels of a layer, at all places alike: linear, so that a ridge finds all of them."""
    read = tokens.read().local[2].float().mean(dim=(2, 3)).numpy()
    read = np.linalg.svd(read - read.mean(axis=0), full_matrices=False)[0][:, :12]
    rng = np.random.default_rng(2)
    signal = read @ rng.normal(size=(12, VOXELS))
    return subject_of(tokens, signal / signal.std(axis=0) + 0.3 * rng.normal(size=signal.shape))


@pytest.fixture(scope="module")
def of_noise(tokens, noise, split):
    return fit(tokens, noise, split=split, bootstrap=200, progress=False, **FAST)


@pytest.fixture(scope="module")
def of_even(tokens, even, split):
    return fit(tokens, even, split=split, bootstrap=200, progress=False, **BEATEN)


def test_a_fit_of_noise_says_that_nothing_was_found(of_noise):
    assert nothing_found(of_noise)
    line = findings(of_noise)[0]
    assert line.startswith("Nothing was found: held-out R² -0.")
    assert "is not above 0; the training mean has -0.0" in line
    for quantity in ("depth", "scale", "slope"):
        assert estimate(of_noise, quantity).text() == "–"
    assert np.isnan(of_noise.dataset["depth_low"]).all()


def test_the_training_mean_is_that_of_its_formula(of_noise, noise, split):
    rows = {image: row for row, image in enumerate(noise.image_ids)}
    fitted, held_out = ([rows[image] for image in side] for side in ((*split.train, *split.validation), split.test))
    mean, observed = noise.responses[fitted].mean(axis=0), noise.responses[held_out]
    deviation = np.square(observed - observed.mean(axis=0)).sum(axis=0)
    expected = -len(held_out) * np.square(observed.mean(axis=0) - mean) / deviation
    np.testing.assert_allclose(of_noise.dataset["mean_r2"], expected, atol=1e-5)
    about = -(1 / len(held_out) + 1 / len(fitted))
    assert float(of_noise.dataset["mean_r2"].mean()) == pytest.approx(about, rel=0.5)


def test_the_map_is_faded_where_nothing_was_found(of_noise, of_even, tokens, even, split):
    assert "pale where" in plot.space(of_noise).get_label()
    assert "pale where" not in plot.space(of_noise, fade=False).get_label()
    known = Mapping(of_even.dataset.assign(drawn_r2=of_even.dataset["drawn_r2"] * 0 + 0.5))
    assert "pale where" not in plot.draw("layers", known).get_label()
    without_limits = Mapping(of_noise.dataset.drop_vars(["r2_low", "drawn_r2"]))
    assert "pale where" in plot.space(without_limits).get_label()


def test_where_a_ridge_wins_a_line_says_so(of_even, even, split):
    row = yardstick_table(of_even).iloc[-1]
    assert row["voxels"] == VOXELS
    assert row["ridge"] > 0.25
    assert row["margin_high"] < 0
    line = next(line for line in findings(of_even) if "ridge" in line)
    assert line.startswith(f"A ridge regression on all layers predicts better than this fit: R² {row['ridge']:.3f} to ")
    assert f"on the same {VOXELS} voxels, -" in line
    assert "V1 (-" in line
    assert "V2 (-" in line


def test_draws_are_those_of_the_fit(of_even, of_noise):
    """Same test images in every draw, so that R^2 of the fit is ridge and margin together."""
    for mapping in (of_even, of_noise):
        data = mapping.dataset
        np.testing.assert_allclose(data["drawn_ridge"] + data["drawn_margin"], data["drawn_r2"], atol=1e-5)
        row = yardstick_table(mapping).iloc[-1]
        assert row["margin"] == pytest.approx(float((data["r2"] - data["ridge_r2"]).mean()), abs=1e-6)
        assert row["margin_low"] < row["margin"] < row["margin_high"]


def test_the_terminal_the_score_and_the_report_show_it(tokens, even, split, tmp_path):
    sides = tmp_path / "split.json"
    sides.write_text(json.dumps(split.to_dict()))
    folder = even.save(tmp_path / "subject")
    words = ["fit", str(tokens.path), str(folder), str(tmp_path / "map"), "--split", str(sides), "--bootstrap", "50"]
    said = CliRunner().invoke(
        app, [*words, *(part for name, value in BEATEN.items() for part in ("--set", f"{name}={value}"))]
    )
    assert said.exit_code == 0, said.output
    assert "Beside a plain ridge" in said.output
    assert "A ridge regression on all layers predicts better than this fit" in said.output
    loaded = Mapping.load(tmp_path / "map")
    assert [row["ROI"] for row in yardstick_rows(loaded)] == ["V1", "V2", "all voxels"]
    scored = json.loads(CliRunner().invoke(app, ["score", str(tmp_path / "map"), "--json"]).output)
    assert scored["beside_a_ridge"][-1]["ridge"] > 0.25
    assert "predicts better" in scored["findings"]
    page = report([loaded], tmp_path / "report.html", figures=[{}]).read_text(encoding="utf-8")
    assert "Beside a plain ridge" in page
    assert "predicts better than this fit" in page


def test_validation_images_that_are_the_test_images_are_not_fitted(tokens, noise):
    ids = tokens.image_ids
    split = Split(ids[:120], ids[120:], ids[120:], tests_validation=True)
    found = fit(tokens, noise, split=split, bootstrap=0, progress=False, **FAST)
    mean, observed = noise.responses[:120].mean(axis=0), noise.responses[120:]
    expected = r_squared(observed, np.broadcast_to(mean, observed.shape))
    np.testing.assert_allclose(found.dataset["mean_r2"], expected, atol=1e-5)
    assert float(found.dataset["ridge_r2"].mean()) < 0.01


def test_a_mapping_without_it_is_read_as_not_measured(of_even, tmp_path):
    names = ["mean_r2", "ridge_r2", "drawn_ridge", "drawn_margin"]
    old = Mapping.load(Mapping(of_even.dataset.drop_vars(names), provenance={}).save(tmp_path / "old"))
    assert yardstick_rows(old) == []
    assert not any("ridge" in line for line in findings(old))
    assert headline(old)["Ridge, all layers"] == "–"
    said = CliRunner().invoke(app, ["score", str(tmp_path / "old"), "--json"])
    assert "beside_a_ridge" not in json.loads(said.output)


def test_a_ridge_that_fails_fails_no_fit(tokens, noise, split, monkeypatch):
    def never(*arguments):
        raise RuntimeError("out of memory\nand so on")

    monkeypatch.setattr(yardstick, "fit_yardstick", never)
    mapping = fit(tokens, noise, split=split, bootstrap=20, progress=False, **FAST)
    assert findings(mapping)[-1] == "The ridge was not fitted: out of memory"
    assert "ridge_r2" not in mapping.dataset
    assert "mean_r2" in mapping.dataset


def test_a_fit_that_was_stopped_finds_its_ridge(tokens, even, split, of_even, tmp_path, monkeypatch):
    folder = tmp_path / "state"
    settings = fit_settings(**FAST)

    def stop(*arguments):
        raise KeyboardInterrupt

    def r_squared_once(*pair):
        return stop() if (folder / "ridge.safetensors").exists() else r_squared(*pair)

    with monkeypatch.context() as patched:
        patched.setattr(yardstick, "r_squared", r_squared_once)
        with pytest.raises(KeyboardInterrupt):
            fit_model(tokens, even, settings, split=split, checkpoint=folder, bootstrap=0, progress=False)
    monkeypatch.setattr(yardstick, "fit_yardstick", stop)
    again = fit_model(tokens, even, settings, split=split, checkpoint=folder, bootstrap=0, progress=False).mapping
    np.testing.assert_array_equal(again.dataset["ridge_r2"], of_even.dataset["ridge_r2"])


def test_a_ridge_kept_for_other_voxels_is_fitted_again(tokens, even, split, of_even, tmp_path, monkeypatch):
    """Which of many voxels it is fitted to follows from the ROIs, and these may change before a fit goes on."""
    options = {"split": split, "checkpoint": tmp_path / "state", "bootstrap": 0, "progress": False}
    for part in (slice(0, 12), slice(12, 24)):
        monkeypatch.setattr(yardstick, "sample_voxels", lambda rois, count, seed, part=part: np.arange(count)[part])
        found = fit_model(tokens, even, fit_settings(**FAST), **options).mapping.dataset["ridge_r2"].values
        np.testing.assert_allclose(found[part], of_even.dataset["ridge_r2"].values[part], atol=1e-5)
        assert np.isfinite(found).sum() == 12
