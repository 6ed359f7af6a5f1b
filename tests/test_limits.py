"""Limits of a fit to a planted subject: they hold what was planted, and say what they are over."""

from dataclasses import replace

import numpy as np
import pytest

from factortopy import estimate, fit, hierarchy_slope, load_network, sample_views, score_images, simulate_subject
from factortopy.analysis import layer_position
from factortopy.plot import hierarchy
from factortopy.reporting import headline, limits_note
from factortopy.tokens import extract
from factortopy.workflow import _fit
from factortopy.workflow.parametric_bootstrap import planted_half

BOTH, ALONE = "test images and training", "test images"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    network = load_network("timm/test_vit", untrained=True)
    folder = tmp_path_factory.mktemp("limits") / "tokens"
    return extract(network, sample_views(260), folder, grid=(4, 4), progress=False)


@pytest.fixture(scope="module")
def subject(tokens):
    planted = simulate_subject(tokens, planted_channels=3, noise_ceiling=0.4, progress=False)
    return planted.select(np.linspace(0, len(planted.voxels) - 1, 240).astype(int))


@pytest.fixture(scope="module")
def fitted(tokens, subject, checkpoint):
    return fit(tokens, subject, steps=60, bootstrap=200, checkpoint=checkpoint, progress=False)


@pytest.fixture(scope="module")
def other(tokens):
    """Another planted subject and its fit: voxels of one smooth map err together, so that one subject tells little."""
    planted = simulate_subject(tokens, planted_channels=3, noise_ceiling=0.4, seed=1, progress=False)
    subject = planted.select(np.linspace(0, len(planted.voxels) - 1, 240).astype(int))
    return subject, fit(tokens, subject, steps=60, bootstrap=200, patches=False, progress=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tmp_path_factory.mktemp("limits") / "checkpoint"


@pytest.fixture(scope="module")
def over_images(tokens, subject, fitted, checkpoint):
    """The same fit, from its last state, without a parametric bootstrap."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fit, "fit_simulated", lambda *_: {})
        return fit(tokens, subject, steps=60, bootstrap=200, checkpoint=checkpoint, progress=False)


def held(mapping, name, truth):
    """The part of the voxels with limits whose limits hold the truth."""
    low, high = (mapping.dataset[f"{name}_{end}"].values for end in ("low", "high"))
    known = np.isfinite(low)
    assert known.sum() > 100
    return ((low <= truth) & (truth <= high))[known].mean()


def test_limits_hold_what_was_planted_and_those_over_test_images_alone_do_not(fitted, over_images, subject, other):
    depth, scale = layer_position(subject.truth.layer_share), subject.truth.scale_share
    both = (fitted, depth), (other[1], layer_position(other[0].truth.layer_share))
    assert np.mean([held(mapping, "depth", planted) for mapping, planted in both]) > 0.8
    assert held(fitted, "scale_share", scale) > 0.8
    assert held(other[1], "scale_share", other[0].truth.scale_share) > 0.8
    assert held(over_images, "depth", depth) < 0.6
    assert held(over_images, "scale_share", scale) < 0.6
    np.testing.assert_array_equal(fitted.dataset["depth"], over_images.dataset["depth"])
    np.testing.assert_array_equal(fitted.dataset["r2_low"], over_images.dataset["r2_low"])


def test_what_is_planted_for_the_limits_is_found(fitted, subject):
    """Other maps than the fit's are planted in one half: the scale found there is theirs, not that of the responses."""
    found, planted = (fitted.dataset[name].values for name in ("bootstrap_scale", "bootstrap_scale_planted"))
    some = planted_half(subject.voxels) & np.isfinite(found) & np.isfinite(planted)
    assert some.sum() > 20
    assert np.corrcoef(found[some], planted[some])[0, 1] > 0.4  # .7 is found, .1 where responses are the fit's own


def test_the_planted_slope_lies_within_its_limits(fitted, subject):
    told = np.isfinite(fitted.dataset["depth"].values)
    share = np.where(told[:, None], subject.truth.layer_share, np.nan)
    planted = hierarchy_slope(fitted.with_variables({"layer_share": (("voxel", "layer"), share)})).slope
    found = estimate(fitted, "slope")
    assert found.low < planted < found.high


def test_estimates_tables_and_figures_say_which_limits_they_are(fitted, over_images):
    for quantity in ("depth", "scale", "slope"):
        assert estimate(fitted, quantity).over == BOTH
        assert estimate(over_images, quantity).over == ALONE
    assert estimate(fitted, "r2").over == ALONE
    assert BOTH in limits_note(fitted)
    assert "leave the training out" in limits_note(over_images)
    texts = [text.get_text() for text in hierarchy(fitted).texts]
    assert any(BOTH in text for text in texts)


def test_what_is_not_predicted_has_no_depth(fitted):
    data = fitted.dataset
    missed = data["r2"].values <= 0
    assert 0 < missed.sum() < len(missed)
    for name in ("depth", "depth_low", "scale_share", "scale_share_high"):
        assert np.isnan(data[name].values[missed]).all(), name
        assert np.isfinite(data[name].values[~missed]).all(), name
    assert np.isnan(fitted.found("layer_share")[missed]).all()
    kept = layer_position(data["layer_share"].values.astype(float))[~missed].mean()
    assert estimate(fitted, "depth").value == pytest.approx(kept)


def test_another_recording_is_scored_with_the_same_bootstrap(fitted, tokens, subject, other):
    parts = []
    for first, mapping in ((subject, fitted), other):
        again = replace(first, name="again", responses=first.responses + 0.01, provenance={})
        scored = score_images(mapping, tokens, again, bootstrap=200)
        assert estimate(scored, "depth").over == BOTH
        parts.append(held(scored, "depth", layer_position(first.truth.layer_share)))
    assert np.mean(parts) > 0.8
    assert headline(scored)
