"""Both recipes learn a planted subject; training is repeatable and stops where validation is best."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from factortopy.analysis import shares
from factortopy.errors import DataError
from factortopy.fitting import (
    Examples,
    build_default_model,
    build_paper_model,
    build_selectors,
    fit_settings,
    measure_reduction,
    train_model,
)
from factortopy.fitting.build import pool_models
from factortopy.fitting.recipes import _train_paper
from factortopy.fitting.training import _released, _Run, mean_r2
from factortopy.machine import Machine
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, FreeSelectors, Selection
from factortopy.networks import Tokens

LAYERS, CHANNELS, IMAGES, VOXELS = 3, 6, 400, 300
BOUNDS = torch.tensor([[0.0, 0, 0], [100, 0, 0]])


@pytest.fixture(scope="module")
def planted():
    """Neighbours read alike through channels that have nothing in common."""
    return plant(smooth=False)


def plant(smooth):
    """Voxels on a line whose place moves right and whose layer deepens; noise-free in the model class."""
    generator = torch.Generator().manual_seed(0)
    tokens = Tokens(
        tuple(torch.randn(IMAGES, CHANNELS, 4, 4, generator=generator) for _ in range(LAYERS)),
        tuple(torch.randn(IMAGES, CHANNELS, generator=generator) for _ in range(LAYERS)),
    )
    along = torch.linspace(0, 1, VOXELS)
    space = torch.stack([along - 0.5, torch.full((VOXELS,), 0.2)], dim=1)
    layer = torch.exp(-((torch.arange(LAYERS) - (LAYERS - 1) * along[:, None]) ** 2) / 0.5)
    selection = Selection(space, layer / layer.sum(dim=1, keepdim=True), 0.2 + 0.6 * along)
    projections = torch.randn(2, LAYERS, 2, CHANNELS, generator=generator)
    weights = torch.randn(VOXELS, 2, generator=generator)
    if smooth:
        weights = torch.stack([(4 * along).cos(), (4 * along).sin()], dim=1)
    parts = torch.zeros(2, LAYERS, IMAGES, VOXELS)
    for number in range(LAYERS):
        place = space.expand(IMAGES, 1, VOXELS, 2)
        here = torch.nn.functional.grid_sample(tokens.local[number], place, align_corners=False)[:, :, 0]
        local = torch.einsum("kc,bcn,nk->bn", projections[0, number], here, weights)
        whole = torch.einsum("kc,bc,nk->bn", projections[1, number], tokens.global_[number], weights)
        parts[0, number] = selection.layer[:, number] * (1 - selection.scale) * local
        parts[1, number] = selection.layer[:, number] * selection.scale * whole
    responses = parts.sum(dim=(0, 1))
    centred = responses - responses.mean(dim=0)
    covariance = ((parts - parts.mean(dim=2, keepdim=True)) * centred).sum(dim=2)
    planted_shares = covariance / centred.square().sum(dim=0)
    responses /= responses.std(dim=0)
    coordinates = torch.stack([100 * along, 0 * along, 0 * along], dim=1)
    return tokens, responses, coordinates, selection, planted_shares


def sides(planted):
    tokens, responses, *_ = planted
    parts = [slice(0, 300), slice(300, 350), slice(350, 400)]
    return [Examples(lambda rows, part=part: tokens[part][rows], responses[part]) for part in parts]


def score(model, images):
    model.cpu()  # wherever it was trained
    with torch.no_grad():
        predicted = torch.cat([model(tokens) for tokens in images.batches(50)])
    residual = (images.responses - predicted).square().sum(dim=0)
    return float((1 - residual / (images.responses - images.responses.mean(dim=0)).square().sum(dim=0)).mean())


def run(planted, recipe="default", selectors=None, **changes):
    training, validation, test = sides(planted)
    settings = fit_settings(recipe, **changes)
    model, history, *_ = train_model(settings, training, validation, planted[2], BOUNDS, selectors, progress=False)
    return model, history, score(model, test)


def test_default_recipe_finds_what_was_planted(planted):
    model, _, r2 = run(planted, width=8)
    assert r2 > 0.75
    space = model.select().space.detach()
    assert np.corrcoef(space[:, 0], planted[3].space[:, 0])[0, 1] > 0.95
    # Like with like: raw layer and scale selectors are not identified, their shares are.
    test = sides(planted)[2]
    found, by_kind = shares(model, [model.align(batch) for batch in test.batches(50)]), planted[4]
    depth = torch.arange(LAYERS).float()
    assert np.corrcoef(found.layer @ depth, depth @ by_kind.sum(dim=0))[0, 1] > 0.9
    assert np.corrcoef(found.scale, by_kind[1].sum(dim=0))[0, 1] > 0.9


def test_without_topology_it_still_predicts(planted):
    _, _, r2 = run(planted, width=8, topology=False)
    assert r2 > 0.6


def test_paper_recipe_learns(planted):
    model, history, r2 = run(
        planted, "paper", width=16, steps=400, batch_size=32, validate_every=100, softness_steps=100
    )
    assert r2 > 0.3
    assert history.validation_r2[-1] > history.validation_r2[0]
    assert model.factor == 1 / 16


def test_given_selectors_stay_as_given(planted):
    model, _, r2 = run(planted, selectors=FixedSelectors(planted[3]), width=8)
    assert r2 > 0.9
    assert all(torch.equal(a, b) for a, b in zip(model.select()[:3], planted[3][:3], strict=True))


def test_several_starts_select_their_mean_and_predict_as_their_mean_would(planted):
    tokens, settings = planted[0], fit_settings(width=4, components=5)
    reduction = measure_reduction(sides(planted)[0], 5, settings.damping)
    models = []
    for seed, place in enumerate((-0.5, 0.25)):
        selection = planted[3]._replace(space=torch.full((VOXELS, 2), place))
        model = build_default_model(
            settings.model_copy(update={"seed": seed}), FixedSelectors(selection), VOXELS, reduction
        )
        model.channels.data.normal_(generator=torch.Generator().manual_seed(seed))
        models.append(model)
    pooled = pool_models(settings, models)
    torch.testing.assert_close(pooled.select().space, torch.full((VOXELS, 2), -0.125))
    pooled.channels.data.copy_(torch.cat([model.channels for model in models], dim=1) / 2)
    with torch.no_grad():
        reduced, there = reduction.apply(tokens[:20]), pooled.select()
        mean = torch.stack([model(reduced, there) for model in models]).mean(dim=0)
        torch.testing.assert_close(pooled(reduced), mean, atol=1e-5, rtol=1e-4)
    few = {"width": 8, "steps": 60, "patches": False}
    one, _, alone = run(planted, **few)
    two, _, together = run(planted, starts=2, **few)
    assert two.channels.shape == (VOXELS, 16)
    assert together > alone + 0.05
    assert not torch.equal(two.select().space, one.select().space)


@pytest.mark.parametrize(("recipe", "changes"), [("paper", {}), ("default", {"closed_form": False})])
def test_several_starts_need_channels_in_closed_form(recipe, changes):
    with pytest.raises(DataError, match="leave it at 1"):
        fit_settings(recipe, starts=2, **changes)


def test_every_random_start_has_numbers_of_its_own(planted):
    """With one seed for all, the first layer of the place and the first channel map were the same numbers."""
    coordinates, settings = planted[2], fit_settings("paper", width=8, seed=3)
    selectors = build_selectors(settings, coordinates, BOUNDS, LAYERS)
    model = build_paper_model(settings, selectors, VOXELS, (CHANNELS,) * LAYERS)
    drawn = {name: value.detach().flatten()[:40] for name, value in model.named_parameters() if value.std() > 0}
    assert {"selectors.space.0.weight", "align.local.0.weight", "channels"} <= drawn.keys()
    alike = np.abs(np.corrcoef(torch.stack(list(drawn.values())))) - np.eye(len(drawn))
    assert alike.max() < 0.7
    assert len({settings.seed_of(purpose) for purpose in ("selectors", "channels", "order of images")}) == 3
    assert settings.seed_of("channels") != fit_settings("paper", seed=4).seed_of("channels")


@pytest.mark.parametrize(("recipe", "decay"), [("paper", 0.01), ("default", 0.0)])
def test_the_authors_recipe_decays_the_bias_too(planted, recipe, decay):
    """As AdamW's default does, which their program takes for all parameters."""
    settings = fit_settings(recipe, width=4)
    selectors = FreeSelectors(VOXELS, LAYERS)
    model = build_paper_model(settings, selectors, VOXELS, (CHANNELS,) * LAYERS)
    groups = _Run(model, settings, Machine.choose("cpu")).optimiser.param_groups
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decays[id(model.bias)] == decay
    if recipe == "paper":
        assert {decays[id(parameter)] for parameter in model.parameters()} == {0.01}


def test_same_seed_same_model_and_the_callers_random_numbers_are_untouched(planted):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    first, _, _ = run(planted, width=4, steps=8)
    assert torch.equal(torch.rand(3), expected)
    second, _, _ = run(planted, width=4, steps=8)
    other, _, _ = run(planted, width=4, steps=8, seed=1, patches=False)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert not torch.equal(first.channels, other.channels)


def test_training_stops_early_and_keeps_the_best_step_on_validation_images(planted):
    """At a rate so high that the fit gets worse again after its best step."""
    changes = {"steps": 500, "batch_size": 16, "validate_every": 5, "patience": 3}
    model, history, _ = run(planted, width=8, learning_rate=6.0, cosine=False, closed_form=False, **changes)
    assert history.step[-1] < 500
    assert history.step[-1] - history.best_step == 15
    best = int(np.argmax(history.validation_r2))
    assert history.best_step == history.step[best]
    assert history.validation_r2[best] - history.validation_r2[-1] > 0.05
    assert score(model, sides(planted)[1]) == pytest.approx(history.validation_r2[best], abs=5e-3)


@pytest.mark.parametrize("value", [0.1, -0.7])
def test_voxels_that_are_constant_over_the_validation_images_choose_no_step(planted, value):
    """The mean of equal numbers is not that number, so that their R^2 would be -1e13."""
    tokens, responses, _, selection, _ = planted
    maps = [[ChannelMap(CHANNELS, 4) for _ in range(LAYERS)] for _ in range(2)]
    model = FactorTopy(ChannelAlign(*maps), FixedSelectors(selection), torch.randn(VOXELS, 4), 0.5)
    changed, others = responses[:50].clone(), torch.arange(VOXELS) != 7
    changed[:, 7] = value
    images = Examples(lambda rows: tokens[rows], changed)
    with torch.no_grad():
        expected = r2_score(changed[:, others], model(tokens[:50])[:, others])
    assert mean_r2(model, images, Machine.choose("cpu"), 16) == pytest.approx(
        expected, abs=1e-3
    )  # bf16 where it is fast


def test_a_fit_that_diverges_says_so(planted):
    tokens, responses, *others = planted
    broken = responses.clone()
    broken[:, 3] = float("inf")
    with pytest.raises(DataError, match=r"diverged before step 2 at learning rate .* and at step 2 at"):
        run((tokens, broken, *others), "paper", width=4, steps=4, validate_every=2)


def test_a_fit_that_diverges_once_goes_on_from_its_best_parameters_at_a_lower_rate(planted, monkeypatch):
    usual, done, rates = _Run.advance, [], []

    def advance(self, batch):
        usual(self, batch)
        done.append(self.step)
        rates.append(float(self.optimiser.param_groups[0]["lr"]))
        if len(done) == 7:  # a fault that does not come again
            with torch.no_grad():
                self.model.channels.fill_(float("nan"))

    monkeypatch.setattr(_Run, "advance", advance)
    changes = {"width": 4, "steps": 10, "validate_every": 2, "cosine": False, "warmup_steps": 0}
    model, history, _ = run(planted, "paper", **changes)
    assert history.diverged == {"step": 8, "rate": rates[0]}
    assert done[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert done[8] - 1 in (2, 4, 6)
    assert done[8:] == list(range(done[8], 11))
    assert rates[8:] == [rates[0] / 4] * len(rates[8:])
    assert history.step == [2, 4, 6, 8, 10]
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("again", [False, True])
def test_places_that_all_leap_to_the_edge_go_back_and_on_at_a_lower_rate(planted, monkeypatch, again):
    """There no gradient leads back; what is predicted from global tokens alone may look better nevertheless.

    Where they leap again, the fit ends with its best parameters: of noise alone, places may be anywhere.
    """
    usual, done = _Run.advance, []

    def advance(self, batch):
        usual(self, batch)
        done.append(self.step)
        if len(done) == 7 or (again and len(done) > 7):
            with torch.no_grad():
                self.model.selectors.space.fill_(20.0)

    monkeypatch.setattr(_Run, "advance", advance)
    changes = {"topology": False, "steps": 10, "validate_every": 2, "patches": False}
    model, history, _ = run(planted, width=4, **changes)
    assert history.diverged["step"] == 8
    assert done[8:] == list(range(done[8], 11))
    assert again or model.select().space.abs().mean() < 0.6


def test_places_that_start_at_the_edge_may_stay_there(planted):
    edge = FixedSelectors(planted[3]._replace(space=torch.full((VOXELS, 2), 0.999)))
    _, history, _ = run(planted, selectors=edge, width=4, steps=10, validate_every=2)
    assert history.diverged is None


def test_selectors_keep_their_start_until_channels_are_learnt(planted):
    tokens, responses, *_ = planted
    settings = fit_settings(width=8, steps=24, hold_steps=6)
    model = build_paper_model(settings, FreeSelectors(VOXELS, LAYERS), VOXELS, (CHANNELS,) * LAYERS)
    start = {name: value.detach().clone() for name, value in model.named_parameters()}
    training = _Run(model, settings, Machine.choose("cpu", "fp32"))
    for _ in range(6):
        training.advance((tokens[:32], responses[:32]))
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, start[name])}
    assert moved == {name for name in start if not name.startswith("selectors.")}
    training.advance((tokens[:32], responses[:32]))
    assert all(not torch.equal(value, start[name]) for name, value in model.named_parameters())


def test_selectors_are_held_for_a_quarter_of_few_steps():
    few, many = fit_settings(steps=8), fit_settings(steps=300)
    assert [_released(step, few) for step in range(8)] == [0, 0, 0.5, 1, 1, 1, 1, 1]
    assert [_released(step, many) for step in (0, 39, 59, 79, 299)] == [0, 0, 0.5, 1, 1]
    assert _released(0, fit_settings("paper")) == 1


def test_noisy_responses_are_fitted_with_stronger_decay(planted):
    """Where there is nothing but noise, little is predicted: less than with the decay of clean responses."""
    tokens, responses, *others = planted
    noise = torch.randn(responses.shape, generator=torch.Generator().manual_seed(1))
    changes = {"width": 8, "steps": 200, "validate_every": 200, "closed_form": False, "components": 16}
    spread = {}
    for by_noise in (True, False):
        model, history, _ = run((tokens, noise, *others), decay_by_noise=by_noise, **changes)
        with torch.no_grad():
            spread[by_noise] = float(model(tokens).std())
    assert history.ridge is not None
    assert history.ridge > 2
    assert spread[True] < 0.5 * spread[False]
    _, clean, _ = run(planted, width=8, steps=1, patches=False)
    assert clean.ridge is not None
    assert clean.ridge < 0.5


def test_many_images_are_gone_through_as_often_as_few(planted):
    """300 training images, twice, in steps of 30; steps that are asked for stay as they are."""
    changes = {"width": 4, "batch_size": 30, "validate_every": 2, "patience": None, "patches": False, "components": 8}
    assert run(planted, steps=4, passes=2.0, **changes)[1].step[-1] == 20
    assert run(planted, steps=4, **changes)[1].step[-1] == 4
    training, validation, _ = sides(planted)
    twice = replace(training, image=np.arange(300) // 2)  # two trials of each of 150
    settings = fit_settings(steps=4, passes=2.0, **changes)
    of_trials = train_model(settings, twice, validation, planted[2], BOUNDS, progress=False).history
    assert of_trials.step[-1] == 10
    usual = fit_settings()
    assert [usual.for_data(images).steps for images in (100, 1_600, 1_601, 9_000)] == [300, 300, 301, 1_688]
    assert [usual.for_data(images).gradient_clip for images in (1_600, 1_601)] == [None, 0.5]
    # Patience is a number of looks: a third of the steps, however many these are.
    assert [usual.for_data(images).validate_every for images in (1_600, 3_200, 9_000)] == [25, 50, 141]
    assert fit_settings(gradient_clip=2.0, validate_every=10).for_data(9_000).gradient_clip == 2
    assert fit_settings(gradient_clip=2.0, validate_every=10).for_data(9_000).validate_every == 10
    assert fit_settings(steps=50).for_data(9_000).steps == 50
    assert fit_settings("paper").for_data(9_000) == fit_settings("paper")


def test_parcels_of_fewer_than_four_voxels_are_not_trained_on():
    tokens, responses, *others = plant(True)
    noisy = responses + 3 * torch.randn(responses.shape, generator=torch.Generator().manual_seed(4))
    found = {
        parcels: run((tokens, noisy, *others), width=8, steps=8, parcels=parcels, patches=False)[1].validation_r2
        for parcels in (0, VOXELS // 4, VOXELS // 4 + 1, 1_024)
    }
    assert found[1_024] == found[VOXELS // 4 + 1] == found[0] != found[VOXELS // 4]


@pytest.mark.parametrize("smooth", [True, False])
def test_selectors_learn_from_parcels_only_where_neighbours_have_something_in_common(smooth):
    tokens, responses, *others = plant(smooth)
    noisy = responses + 3 * torch.randn(responses.shape, generator=torch.Generator().manual_seed(4))
    solved, history, _ = run((tokens, noisy, *others), width=8, steps=60, parcels=VOXELS // 4, patches=False)
    trained, voxels, _ = run((tokens, noisy, *others), width=8, steps=60, closed_form=False)
    assert solved.channels.shape == trained.channels.shape == (VOXELS, 8)
    assert (history.validation_r2[-1] > 1.25 * voxels.validation_r2[-1]) == smooth
    assert (history.validation_r2 == voxels.validation_r2) == (not smooth)
    assert (history.units, voxels.units) == ("parcels" if smooth else "voxels", "voxels")
    assert history.solved_r2 is not None
    # Noise bounds what can be predicted of single voxels, a tenth of whose variance is signal.
    assert 0.02 < history.solved_r2 < 0.1
    assert voxels.solved_r2 is None
    clean = sides((tokens, responses))[2]
    assert score(solved, clean) > (0.4 if smooth else 0.15)


def test_of_many_voxels_some_are_trained_on_and_all_are_solved(planted, monkeypatch):
    """Selectors are functions of the place: what some voxels teach holds for those between them."""
    changes = {"width": 8, "steps": 150, "patches": False, "parcels": VOXELS // 4}
    _, of_all, r2 = run(planted, **changes)
    monkeypatch.setattr("factortopy.fitting.grain.TRAINED_VOXELS", 100)
    model, of_some, of_sample = run(planted, **changes)
    assert of_some.validation_r2 != of_all.validation_r2
    assert (of_some.units, of_all.units) == ("some voxels", "voxels")
    assert model.channels.shape == (VOXELS, 8)
    assert of_sample > 0.97 * r2 > 0.7
    space = model.select().space.detach()
    assert np.corrcoef(space[:, 0], planted[3].space[:, 0])[0, 1] > 0.95
    monkeypatch.setattr("factortopy.fitting.grain.TRAINED_VOXELS", VOXELS)
    assert run(planted, **changes)[1].validation_r2 == of_all.validation_r2


def test_trainable_selectors_that_are_given_are_trained_on_voxels(planted):
    tokens, responses, *others = planted
    noisy = responses + 3 * torch.randn(responses.shape, generator=torch.Generator().manual_seed(4))
    given = FreeSelectors(VOXELS, LAYERS)
    model, *_ = run((tokens, noisy, *others), selectors=given, width=8, steps=30)
    assert float(model.select().space.detach().abs().max()) > 0


def test_a_fit_that_runs_out_of_a_gpus_memory_holds_less_and_goes_on(planted, monkeypatch, capsys):
    whole, shares = _train_paper, []

    def cramped(task):
        shares.append(task.machine.share)
        if len(shares) < 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(task)

    monkeypatch.setattr("factortopy.fitting.recipes._train_paper", cramped)
    _, history, _ = run(planted, "paper", width=4, steps=2, validate_every=2)
    assert shares == [0.5, 0.25, 0.125]
    assert history.step == [2]
    assert "tokens may now take 12%" in capsys.readouterr().err


def test_noise_asks_for_more_decay_and_slower_places():
    usual = fit_settings()
    noisy, quiet = usual.for_noise(1.5), usual.for_noise(0.375)
    assert noisy.align_decay == 4 * usual.align_decay
    assert noisy.channel_decay == 4 * usual.channel_decay
    assert noisy.space_learning_rate == usual.space_learning_rate / 2
    assert quiet.align_decay == usual.align_decay / 4
    assert quiet.space_learning_rate == usual.space_learning_rate
    assert noisy.learning_rate == quiet.learning_rate == usual.learning_rate
    for recipe in ("default", "paper"):
        as_it_is = fit_settings(recipe, decay_by_noise=False)
        assert as_it_is.for_noise(3.0) == as_it_is
