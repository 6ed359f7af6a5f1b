"""The demo from end to end with a tiny network of random weights: its record, its numbers, its refusals."""

import json
import tomllib
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import r2_score

from factortopy import demo
from factortopy.errors import DataError, UnavailableError
from factortopy.images import Split
from factortopy.mapping import Mapping
from factortopy.networks import load_network
from factortopy.simulation import simulate_subject
from factortopy.tokens import TokenStore, extract

KEYS = [
    "seconds",
    "r2",
    "oracle_r2",
    "ceiling_r2",
    "slope_found",
    "slope_planted",
    "depth_r",
    "space_x_r",
    "space_y_r",
    "scale_r",
    "report",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    patch = pytest.MonkeyPatch()
    few = ["blocks.0", "blocks.2", "blocks.5"]
    patch.setattr(demo, "load_network", lambda name: load_network("timm/test_vit", untrained=True, layers=few))
    patch.setattr(demo, "extract", partial(extract, grid=(4, 4)))
    short = demo.fit_settings

    def few_steps(**changes):
        return short(**changes, steps=20, validate_every=10, width=8, patches=False)

    patch.setattr(demo, "fit_settings", few_steps)
    patch.setattr("factortopy.plot.style.DPI", 60)  # most of the time would go into drawing
    result = demo.run_demo(folder, network="tiny", images=120, progress=False)
    patch.undo()
    return folder, result


def test_the_result_has_the_promised_keys(run):
    folder, result = run
    assert list(result.as_dict()) == KEYS
    assert all(np.isfinite(value) for key, value in result.as_dict().items() if key != "report")
    assert result.report == folder / "report.html"
    assert json.loads(json.dumps(result.as_dict())) == result.as_dict()


def test_the_ceiling_is_what_the_noise_leaves(run):
    folder, result = run
    tokens = TokenStore.open(next((folder / "tokens").iterdir()))
    subject = simulate_subject(tokens, planted_channels=demo.PLANTED_CHANNELS, progress=False)
    everything = Split((), (), subject.image_ids)
    by_scikit_learn = r2_score(subject.responses, subject.truth.signal, multioutput="uniform_average")
    assert demo.ceiling_score(subject, everything) == pytest.approx(by_scikit_learn, abs=1e-4)
    assert by_scikit_learn == pytest.approx(float(subject.noise_ceiling.mean()), abs=0.03)
    assert result.r2 < result.ceiling_r2
    assert result.oracle_r2 < result.ceiling_r2


def test_everything_is_written_and_says_simulated(run):
    folder, _ = run
    assert tomllib.loads((folder / "settings.toml").read_text())["simulated"] is True
    record = json.loads((folder / "provenance.json").read_text())
    assert record["simulated"] is True
    assert record["versions"]["torch"]
    assert "SIMULATED" in (folder / "report.html").read_text()
    assert Mapping.load(folder / "mapping").simulated
    names = {path.name for path in (folder / "figures").iterdir()}
    for name in ("layers", "space", "space_dots", "scale", "scores", "rois", "hierarchy", "recovery", "training"):
        assert {f"{name}.png", f"{name}.svg"} <= names
    assert all("SIMULATED" in path.read_text() for path in (folder / "figures").glob("*.svg"))


def test_no_scene_stands_on_two_sides(run):
    folder, _ = run
    record = Mapping.load(folder / "mapping").dataset.attrs
    sides = [record[f"images_{side}"] for side in ("train", "validation", "test")]
    assert sum(sides) == 120
    assert min(sides) >= 6


def test_too_few_images_leave_nothing_behind(tmp_path):
    with pytest.raises(DataError, match="at least 100 images"):
        demo.run_demo(tmp_path / "run", images=5)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_had_are_never_random(tmp_path, monkeypatch):
    def unavailable(name):
        raise UnavailableError(f"the weights of {name} cannot be had")

    monkeypatch.setattr(demo, "load_network", unavailable)
    with pytest.raises(UnavailableError, match="clip-b16-openai cannot be had"):
        demo.run_demo(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
