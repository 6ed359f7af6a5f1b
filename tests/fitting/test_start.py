"""The closed-form start: its scores against scikit-learn's regressions, and planted selections found."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from factortopy.fitting.solved import scan as scan_module
from factortopy.fitting.solved.scan import FOLDS, RIDGES, Scores, measure_noise, ridge_at_edge, scan
from factortopy.fitting.start import _smooth, start_selection, start_selectors
from factortopy.model import FreeSelectors, PositionEncoding, Selection, TopologicalSelectors
from factortopy.networks import Tokens

LAYERS, COMPONENTS, IMAGES, VOXELS = 3, 5, 300, 60


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(0)
    return Tokens(
        tuple(torch.randn(IMAGES, COMPONENTS, 4, 4, generator=generator) for _ in range(LAYERS)),
        tuple(torch.randn(IMAGES, COMPONENTS, generator=generator) for _ in range(LAYERS)),
    )


@pytest.fixture
def planted(tokens):
    """Voxels on a line: the place moves right, the layer deepens in three steps, the scale grows."""
    rng = np.random.default_rng(0)
    along = np.linspace(0, 1, VOXELS)
    columns = (along * 3.999).astype(int)
    layers = (along * (LAYERS - 1e-9)).astype(int)
    scale = 0.1 + 0.8 * along
    responses = np.zeros((IMAGES, VOXELS), np.float32)
    for i in range(VOXELS):
        weight = rng.normal(size=COMPONENTS)
        local = tokens.local[layers[i]][:, :, 1, columns[i]].numpy() @ weight
        responses[:, i] = (1 - scale[i]) * local + scale[i] * (tokens.global_[layers[i]].numpy() @ weight)
    responses += 0.3 * responses.std(axis=0) * rng.normal(size=responses.shape).astype(np.float32)
    coordinates = torch.tensor(np.stack([100 * along, 0 * along, 0 * along], axis=1)).float()
    return torch.from_numpy(responses), coordinates, columns, layers, scale


def test_scores_equal_cross_validated_ridge_regressions(tokens, planted):
    """With scikit-learn's ridge regression, fitted to all folds but one and scored on that one."""
    few = 31
    responses = planted[0][:few, :2]
    scores = scan(tokens[:few], responses, 0.7, progress=False)
    place = tokens.local[1][:few, :, 2, 3].numpy()
    whole = tokens.global_[1][:few].numpy()
    cases = {"local": place, "both": np.concatenate([place, whole], axis=1), "global_": whole}
    fold = np.arange(few) % FOLDS
    for name, design in cases.items():
        centred = design - design.mean(axis=0)
        penalty = 0.7 * np.square(centred).sum(axis=0).mean()
        for voxel in range(2):
            # Columns and responses are centred once, on all images.
            y = responses[:, voxel].numpy() - responses[:, voxel].numpy().mean()
            residual = np.empty(few)
            for left_out in range(FOLDS):
                keep = fold != left_out
                model = Ridge(alpha=penalty, fit_intercept=False).fit(centred[keep], y[keep])
                residual[~keep] = y[~keep] - model.predict(centred[~keep])
            expected = 1 - np.square(residual).sum() / np.square(y).sum()
            table = getattr(scores, name)
            found = table[1, voxel] if name == "global_" else table[1, 2 * 4 + 3, voxel]
            assert float(found) == pytest.approx(expected, abs=1e-4), name


def test_planted_selection_is_found(tokens, planted):
    responses, coordinates, columns, layers, scale = planted
    found = start_selection(
        scan(tokens, responses, 0.5, progress=False), coordinates, coordinates, (4, 4), neighbours=3
    )
    assert np.corrcoef(found.space[:, 0], columns)[0, 1] > 0.9
    assert found.space[:, 1].mean() == pytest.approx(-0.25, abs=0.15)  # row 1 of 4
    assert (found.layer.argmax(dim=1).numpy() == layers).mean() > 0.9
    assert np.corrcoef(found.scale, scale)[0, 1] > 0.9
    assert torch.allclose(found.layer.sum(dim=1), torch.ones(VOXELS))


def test_layers_start_flatter_than_those_that_place_and_scale_are_read_in():
    """A layer that is four fifths as good keeps a quarter of the weight, and moves neither place nor scale."""
    local, both = torch.zeros(2, 4, 1), torch.zeros(2, 4, 1)
    both[0, 0], both[1, 3], local[0, 0] = 0.50, 0.40, 0.32  # the better layer reads above and left, the other not
    start = start_selection(Scores(local, both, torch.zeros(2, 1)), *2 * [torch.zeros(1, 3)], (2, 2), neighbours=1)
    assert start.layer[0].tolist() == pytest.approx([1 / (1 + 0.8**5), 0.8**5 / (1 + 0.8**5)])
    assert start.space[0].tolist() == pytest.approx([-0.5, -0.5], abs=0.01)
    # Local tokens add .50 to the global one, which adds .18 to them.
    assert float(start.scale[0]) == pytest.approx(np.sqrt(0.18) / (np.sqrt(0.18) + np.sqrt(0.50)), abs=0.01)


def test_voxels_that_were_not_scored_follow_their_neighbours(tokens, planted):
    responses, coordinates, columns, layers, _ = planted
    some = slice(None, None, 2)
    scores = scan(tokens, responses[:, some], 0.5, progress=False)
    found = start_selection(scores, coordinates[some], coordinates, (4, 4), neighbours=3)
    assert np.corrcoef(found.space[:, 0], columns)[0, 1] > 0.9
    assert (found.layer.argmax(dim=1).numpy() == layers).mean() > 0.85


def test_noise_starts_in_the_middle(tokens):
    noise = torch.randn(IMAGES, 4, generator=torch.Generator().manual_seed(5))
    places = torch.eye(4)[:, :3]
    found = start_selection(scan(tokens, 0 * noise, 0.5, progress=False), places, places, (4, 4))
    assert torch.allclose(found.space, torch.zeros(4, 2), atol=1e-6)
    assert torch.allclose(found.layer, torch.full((4, LAYERS), 1 / LAYERS))
    assert torch.allclose(found.scale, torch.full((4,), 0.5))


@pytest.mark.parametrize("topology", [True, False])
def test_selectors_are_set_to_a_selection(topology):
    along = torch.linspace(0, 1, 50)
    target = Selection(
        torch.stack([along - 0.5, 0.5 - along], dim=1), torch.stack([1 - along, along], dim=1), 0.2 + 0.6 * along
    )
    coordinates = torch.stack([100 * along, 0 * along, 0 * along], dim=1)
    torch.manual_seed(0)
    if topology:
        selectors = TopologicalSelectors(coordinates, PositionEncoding(np.array([[0.0, 0, 0], [100, 0, 0]])), 2)
    else:
        selectors = FreeSelectors(50, 2)
    start_selectors(selectors, target)
    for found, wanted in zip(selectors()[:3], target[:3], strict=True):
        assert (found - wanted).abs().mean() < (0.05 if topology else 1e-3)


def test_tokens_that_never_vary_in_a_corner_are_no_obstacle(tokens, planted):
    corner = tuple(layer.clone() for layer in tokens.local)
    for layer in corner:
        layer[..., 0, 0] = 0
    scores = scan(Tokens(corner, tokens.global_), planted[0], 0.125, progress=False)
    assert all(bool(part.isfinite().all()) for part in scores)


def test_noise_asks_for_a_larger_penalty(tokens, planted):
    responses = planted[0]
    generator = torch.Generator().manual_seed(1)
    noise = responses.std(dim=0) * torch.randn(responses.shape, generator=generator)
    found = [measure_noise(tokens, responses + times * noise, progress=False).ridge for times in (0, 2, 4)]
    assert found[0] < found[1] < found[2]
    few = measure_noise(tokens[:60], (responses + 2 * noise)[:60], progress=False).ridge
    assert few > found[1]
    assert all(RIDGES[0] <= ridge <= RIDGES[-1] for ridge in [*found, few])


def test_the_chosen_penalty_is_about_the_best_of_a_fine_grid(tokens, planted):
    responses = planted[0] + 2 * torch.randn(IMAGES, VOXELS, generator=torch.Generator().manual_seed(2))

    def quality(ridge):
        return float(scan(tokens, responses, ridge, progress=False).both.mean())

    found, score = measure_noise(tokens, responses, progress=False)
    best = max(quality(ridge) for ridge in np.geomspace(0.125, 8, 25))
    assert quality(found) > best - 0.02 * abs(best)
    nearest = min(RIDGES, key=lambda ridge: abs(np.log(ridge / found)))
    assert score == pytest.approx(float(scan(tokens, responses, nearest, progress=False).both.amax((0, 1)).mean()))


def test_a_penalty_at_the_edge_of_its_grid_is_named(tokens, planted):
    responses = planted[0]
    noise = torch.randn(responses.shape, generator=torch.Generator().manual_seed(3))
    assert "8, the largest tried" in ridge_at_edge(measure_noise(tokens, noise, progress=False).ridge)
    assert "0.125, the smallest tried" in ridge_at_edge(RIDGES[0])
    assert ridge_at_edge(measure_noise(tokens, responses + 2 * noise, progress=False).ridge) is None
    assert ridge_at_edge(None) is None


def test_equally_distant_voxels_count_alike_in_whatever_order_they_come():
    """On a regular grid most voxels have ties at the border of their neighbourhood."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.cartesian_prod(*[torch.arange(5.0)] * 3)
    scores, order = torch.randn(2, 4, 125, generator=generator), torch.randperm(125, generator=generator)
    smooth = _smooth(scores, grid, grid, 30)
    torch.testing.assert_close(_smooth(scores[..., order], grid[order], grid, 30), smooth, atol=1e-5, rtol=0)
    # One voxel by hand: those nearer than the 30th count whole, those as far as it share what is left of 30; the
    # 30th lies 2.5 standard deviations of a Gaussian away.
    away = (grid - grid[62]).norm(dim=1)
    edge = away.sort().values[29]
    inside, border = away < edge - 1e-6, (away - edge).abs() < 1e-6
    share = inside + border / border.sum() * (30 - inside.sum())
    weight = share * (-(2.5**2) * away.square() / edge**2 / 2).exp()
    torch.testing.assert_close(smooth[..., 62], scores @ weight / weight.sum(), atol=1e-5, rtol=0)


def test_voxels_at_one_position_share_the_mean_of_all():
    scores, nowhere = torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(0)), torch.zeros(50, 3)
    expected = scores.mean(dim=-1, keepdim=True).expand_as(scores)
    torch.testing.assert_close(_smooth(scores, nowhere, nowhere, 30), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("power", "best"), [(2, 8.0), (-2, 0.125)])
def test_scores_that_rise_ever_faster_end_at_the_edge(tokens, planted, monkeypatch, power, best):
    """A parabola through the last three bends upwards there and has no peak."""
    monkeypatch.setattr(
        scan_module, "explained", lambda _, products, ridge: torch.full_like(products[0][:, 0], ridge**power)
    )
    assert measure_noise(tokens, planted[0], progress=False).ridge == pytest.approx(best)
