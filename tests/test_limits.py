"""Limits of a fit to a planted subject: they hold what was planted, and say what they are over."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from factortopy import estimate, fit, hierarchy_slope, load_network, sample_views, score_images, simulate_subject
from factortopy.analysis import layer_position, other_image_sets, roi_scores, with_image_set
from factortopy.fitting import Examples, fit_settings
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection
from factortopy.networks import Tokens
from factortopy.plot import hierarchy
from factortopy.reporting import headline, limits_note
from factortopy.subjects import load_arrays
from factortopy.tokens import extract
from factortopy.workflow import _fit, parametric_bootstrap
from factortopy.workflow.parametric_bootstrap import _planted, planted_half

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


def test_scores_of_few_images_have_none_of_the_limits_of_the_fit(fitted, tokens, subject):
    few = replace(
        subject,
        name="few",
        responses=subject.responses[:6],
        image_ids=subject.image_ids[:6],
        provenance={},
        repeats=None,
    )
    scored = score_images(fitted, tokens, few, bootstrap=200)
    left = [name for name in scored.dataset if name.startswith("drawn_") or name.endswith(("_low", "_high"))]
    assert not left
    assert not {"bootstrap", "confidence"} & set(scored.dataset.attrs)
    assert np.isnan(roi_scores(scored)[["r2_low", "r2_high"]]).all(axis=None)
    again = score_images(scored, tokens, replace(subject, name="again", provenance={}), bootstrap=200)
    assert "no_limits" in scored.dataset.attrs
    assert "no_limits" not in again.dataset.attrs
    kept = other_image_sets(with_image_set(fitted, scored, "few"))["few"]
    assert kept.dataset.attrs["no_limits"] == scored.dataset.attrs["no_limits"]
    assert not [name for name in kept.dataset if name.endswith(("_low", "_high"))]


@pytest.mark.parametrize("placed", [True, False])
def test_other_maps_are_planted_in_the_half_that_limits_take_for_it(monkeypatch, placed):
    """Where some of the voxels are simulated: of one hemisphere, longest along another axis than those that are."""
    count, layers, width = 9_000, 2, 3
    random = np.random.default_rng(0)
    where = random.uniform(size=(count, 3)) * [80, 79, 40]
    responses = random.normal(size=(3, count)).astype(np.float32)
    voxels = load_arrays(responses, ["a", "b", "c"], where if placed else None, name="one side").voxels
    generator = torch.Generator().manual_seed(0)
    place = torch.rand(count, 2, generator=generator) - 0.5
    selectors = FixedSelectors(Selection(place, torch.full((count, layers), 0.5), torch.full((count,), 0.5)))
    align = ChannelAlign(*([ChannelMap(4, width) for _ in range(layers)] for _ in range(2)))
    model = FactorTopy(align, selectors, torch.randn(count, width, generator=generator), 1.0)
    read = Tokens((torch.randn(30, 4, 2, 2),) * layers, (torch.randn(30, 4),) * layers)
    examples = Examples(lambda rows: read[rows], torch.randn(30, count))
    planted = []
    monkeypatch.setattr(parametric_bootstrap, "_planted", lambda *given: planted.append(own := _planted(*given)) or own)

    def train(part, settings, sides):
        return SimpleNamespace(model=planted[0])

    sides = dict.fromkeys(("train", "validation", "test"), examples)
    found = parametric_bootstrap.fit_simulated(model, sides, voxels, fit_settings(width=width), train)
    some = np.flatnonzero(np.isfinite(found["bootstrap_depth"]))
    changed = (planted[0].select().space != place[parametric_bootstrap.simulated_voxels(voxels)]).any(dim=1).numpy()
    assert 600 < len(some) < 900
    np.testing.assert_array_equal(changed, planted_half(voxels)[some])
