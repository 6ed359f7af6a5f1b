"""Hierarchy beyond the line: against SciPy, scikit-learn, explicit loops and planted orders."""

from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import linregress, spearmanr
from sklearn.isotonic import IsotonicRegression

from factortopy.analysis import fit_hierarchy, orders_of, parse_order
from factortopy.analysis.hierarchy.orders_fit import _standard_ranks, shuffle_layers
from factortopy.errors import DataError, ShapeError, UnknownNameError
from factortopy.mapping import Mapping

VOXELS, LAYERS, DRAWS = 120, 5, 400
INDEX = np.arange(VOXELS)
BORDERS = {"V1": (0, 30), "V2": (30, 50), "V3": (50, 60), "V4": (60, 100), "EBA": (95, 110)}
ROIS = {name: (start <= INDEX) & (end > INDEX) for name, (start, end) in BORDERS.items()}
ORDER = parse_order("V1,V2+V3,V4")


def shares(seed=0, slope=0.6):
    """Shares around a depth that rises with the index, some negative."""
    rng = np.random.default_rng(seed)
    depth = 0.2 + slope * INDEX / VOXELS + 0.1 * rng.normal(size=VOXELS)
    early = np.stack([1 - depth, *np.zeros((LAYERS - 2, VOXELS)), depth], axis=1)
    noise = 0.1 * rng.normal(size=(VOXELS, LAYERS))
    return early + noise - noise.mean(axis=1, keepdims=True)


def mapping_of(share, drawn=None, rois=ROIS):
    variables = {
        "space": (("voxel", "axis"), np.zeros((len(share), 2))),
        "layer": (("voxel", "layer"), np.full(share.shape, 1 / share.shape[1])),
        "scale": ("voxel", np.zeros(len(share))),
        "r2": ("voxel", np.zeros(len(share))),
        "layer_share": (("voxel", "layer"), share),
    }
    coordinates = {f"roi_{name}": ("voxel", inside) for name, inside in rois.items()}
    if drawn is not None:
        variables["drawn_depth"] = (("draw", "region"), drawn)
        coordinates["region"] = [*rois, "all voxels"]
    return Mapping(xr.Dataset(variables, coordinates, {"rois": list(rois)}))


def by_hand(share, rois=("V1", "V2", "V3", "V4"), levels=(0, 0.5, 0.5, 1)):
    """Level and depth of every voxel, ROI by ROI."""
    position = np.linspace(0, 1, share.shape[1])
    x = np.concatenate([np.full(ROIS[name].sum(), level) for name, level in zip(rois, levels, strict=True)])
    y = np.concatenate([share[ROIS[name]] @ position for name in rois])
    return x, y


def test_line_rank_correlation_and_monotone_fit_equal_scipy_and_scikit_learn():
    share = shares()
    share[70:100] = share[70:100, ::-1]  # V4 falls back, so the monotone fit is no chain of means
    found = fit_hierarchy(mapping_of(share), ORDER)
    x, y = by_hand(share)
    line = linregress(x, y)
    assert (found.slope.value, found.b0.value) == pytest.approx((line.slope, line.intercept))
    assert found.b1.value == pytest.approx(line.slope + line.intercept)
    assert found.r2_line == pytest.approx(line.rvalue**2)
    assert found.spearman == pytest.approx(spearmanr(x, y).statistic)
    isotonic = IsotonicRegression().fit(x, y)
    assert [level.monotone for level in found.levels] == pytest.approx(isotonic.predict([0, 0.5, 1]).tolist())
    assert found.r2_monotone == pytest.approx(isotonic.score(x, y))
    assert [level.depth.value for level in found.levels] == pytest.approx([y[x == at].mean() for at in (0, 0.5, 1)])
    assert found.levels[1].monotone == pytest.approx(found.levels[2].monotone)
    assert found.r2_line < found.r2_levels
    assert found.r2_monotone < found.r2_levels


def test_how_far_layers_differ_does_not_matter_to_what_is_explained():
    """All shares a thousandth as far from their mean: the line is that much flatter, what it explains is the same."""
    share = shares()
    near = fit_hierarchy(mapping_of(share.mean() + 1e-3 * (share - share.mean())), ORDER)
    far = fit_hierarchy(mapping_of(share), ORDER)
    assert near.slope.value == pytest.approx(1e-3 * far.slope.value)
    for name in ("r2_line", "r2_monotone", "r2_levels", "spearman"):
        assert getattr(near, name) == pytest.approx(getattr(far, name), rel=1e-5)
    assert (near.slope_p, near.spearman_p) == pytest.approx((far.slope_p, far.spearman_p))


@pytest.mark.parametrize("level", [0.1, 0.3])
def test_of_depths_that_are_equal_but_for_rounding_nothing_is_explained(level):
    found = fit_hierarchy(mapping_of(np.tile([1 - level, 0, 0, 0, level], (VOXELS, 1))), ORDER)
    assert found.slope.value == pytest.approx(0, abs=1e-9)
    assert np.isnan([found.r2_line, found.r2_monotone, found.r2_levels]).all()


def test_statsmodels_gives_the_same_line():
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed; SciPy's line is tested")
    share = shares()
    x, y = by_hand(share)
    expected = api.OLS(y, api.add_constant(x)).fit()
    found = fit_hierarchy(mapping_of(share), ORDER)
    assert (found.b0.value, found.slope.value) == pytest.approx(tuple(expected.params))
    assert found.r2_line == pytest.approx(expected.rsquared)


def test_voxels_of_two_levels_count_twice_and_those_without_a_share_not_at_all():
    share = shares()
    share[3] = np.nan
    found = fit_hierarchy(mapping_of(share), parse_order("V1=0,V4=0.4,EBA=1"))
    x, y = by_hand(share, ("V1", "V4", "EBA"), (0, 0.4, 1))
    kept = np.isfinite(y)
    line = linregress(x[kept], y[kept])
    assert (found.slope.value, found.b0.value) == pytest.approx((line.slope, line.intercept))
    assert [level.voxels for level in found.levels] == [29, 40, 15]


def test_limits_are_those_of_lines_through_every_draw():
    """Draws are made voxel by voxel and fitted voxel by voxel; the mapping keeps only means of ROIs."""
    share, rng = shares(), np.random.default_rng(1)
    depth = share @ np.linspace(0, 1, LAYERS) + 0.05 * rng.normal(size=(DRAWS, 1)) * (1 + INDEX / 20)
    drawn = np.stack([depth[:, inside].mean(axis=1) for inside in [*ROIS.values(), INDEX >= 0]], axis=1)
    found = fit_hierarchy(mapping_of(share, drawn), ORDER, confidence=0.9)
    parts = ("V1", "V2", "V3", "V4")
    x = by_hand(share)[0]
    lines = [linregress(x, np.concatenate([row[ROIS[name]] for name in parts])) for row in depth]
    slopes = [line.slope for line in lines]
    assert (found.slope.low, found.slope.high) == pytest.approx(tuple(np.quantile(slopes, [0.05, 0.95])))
    ends = [line.slope + line.intercept for line in lines]
    assert (found.b1.low, found.b1.high) == pytest.approx(tuple(np.quantile(ends, [0.05, 0.95])))
    middle = depth[:, ROIS["V2"] | ROIS["V3"]].mean(axis=1)
    level = found.levels[1]
    assert (level.depth.low, level.depth.high) == pytest.approx(tuple(np.quantile(middle, [0.05, 0.95])))
    first, last = (depth[:, ROIS[name]].mean(axis=1) for name in ("V1", "V4"))
    assert found.in_order == pytest.approx(((first < middle) & (middle < last)).mean())
    assert 0 < found.in_order <= 1


@pytest.mark.parametrize(("source", "distance"), [("layer", None), ("layer_share", np.arange(LAYERS))])
def test_draws_of_share_and_index_say_nothing_of_selectors_or_distances(source, distance):
    drawn = np.random.default_rng(0).random((10, len(ROIS) + 1))
    found = fit_hierarchy(mapping_of(shares(), drawn), ORDER, source, distance=distance)
    assert not found.slope.limited
    assert not found.levels[0].depth.limited
    assert np.isnan(found.in_order)


def test_levels_of_overlapping_rois_have_no_limits():
    drawn = np.random.default_rng(0).random((10, len(ROIS) + 1))
    found = fit_hierarchy(mapping_of(shares(), drawn), parse_order("V1,V4+EBA"))
    assert found.levels[1].voxels == 50  # the union, not the sum
    assert not found.slope.limited


def test_levels_of_rois_that_were_not_drawn_have_no_limits():
    drawn = np.random.default_rng(0).random((10, len(ROIS) + 1))
    mapping = mapping_of(shares(), drawn)
    renamed = mapping.dataset.assign_coords(region=["V1", "V2", "V3", "elsewhere", "EBA", "all voxels"])
    found = fit_hierarchy(Mapping(renamed), ORDER)
    assert not found.slope.limited
    assert fit_hierarchy(Mapping(renamed), parse_order("V1,V2+V3")).slope.limited


def test_null_holds_every_order_of_few_layers_once():
    share, positions = shares()[:, :4], np.array([0, 0.3, 0.4, 1.0])
    levels = (INDEX // 40) / 2
    null = shuffle_layers(share, positions, levels, count=24)
    expected = [share @ np.array(order) for order in permutations(positions)]
    np.testing.assert_allclose(np.sort(null.slope), np.sort([linregress(levels, depth).slope for depth in expected]))
    ranks = [spearmanr(levels, depth).statistic for depth in expected]
    np.testing.assert_allclose(np.sort(null.spearman), np.sort(ranks))
    assert null.exact
    far = [abs(linregress(levels, depth).slope) >= 0.1 for depth in expected]
    assert null.p(0.1, 0.1)[0] == np.mean(far)
    # An order is as far from 0 as itself, whatever the last digit says.
    slopes = np.abs([linregress(levels, depth).slope for depth in expected])
    for place in np.argsort(slopes)[-3:]:
        as_far = (slopes >= slopes[place] - 1e-9).mean()
        assert null.p(slopes[place], 0.1)[0] == null.p(-slopes[place] * (1 + 1e-8), 0.1)[0] == as_far


def test_random_orders_of_many_layers_give_about_the_same_p_value_as_all_of_them():
    share, levels = np.pad(shares(), ((0, 0), (0, 1))), (INDEX // 40) / 2
    positions = np.linspace(0, 1, 6)
    every = shuffle_layers(share, positions, levels, count=720)
    some = shuffle_layers(share, positions, levels, count=600)
    assert every.exact
    assert not some.exact
    for value in (0.05, 0.2):
        assert some.p(value, 0.0)[0] == pytest.approx(every.p(value, 0.0)[0], abs=0.08)
    assert some.p(9.0, 0.0)[0] == pytest.approx(1 / 601)


def test_true_order_stands_out_and_a_map_without_order_does_not():
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.ones(12), VOXELS)
    bump = np.exp(-0.5 * (np.arange(12) - 11 * INDEX[:, None] / VOXELS) ** 2)
    planted = fit_hierarchy(mapping_of(bump / bump.sum(axis=1, keepdims=True)), ORDER)
    assert planted.slope_p < 0.02
    assert planted.spearman_p < 0.02
    assert fit_hierarchy(mapping_of(weights), ORDER).slope_p > 0.05


def test_distances_stand_for_the_index():
    share, distance = shares(), np.array([0.1, 0.2, 0.25, 0.8, 0.7])
    found = fit_hierarchy(mapping_of(share), ORDER, distance=distance)
    x = by_hand(share)[0]
    y = np.concatenate([share[ROIS[name]] @ distance for name in ("V1", "V2", "V3", "V4")])
    assert found.slope.value == pytest.approx(linregress(x, y).slope)
    assert found.axis == "distance from the pixels"
    with pytest.raises(ShapeError, match="5 layers"):
        fit_hierarchy(mapping_of(share), ORDER, distance=distance[:3])


def test_ranks_are_of_length_1_and_none_of_what_never_varies():
    ranks = _standard_ranks(np.stack([np.arange(5.0) ** 2, np.full(5, 0.3)], axis=1))
    np.testing.assert_allclose(ranks[:, 0], np.arange(-2, 3) / np.sqrt(10))
    np.testing.assert_array_equal(ranks[:, 1], np.zeros(5))


def test_orders_are_read_and_known_ones_found():
    order = parse_order(" V1 = 0, V2 + V3=0.33,EBA=1")
    assert order.steps == {"V1": ("V1",), "V2+V3": ("V2", "V3"), "EBA": ("EBA",)}
    assert list(order.levels.values()) == [0, 0.33, 1]
    assert list(parse_order("a,b,c").levels.values()) == [0, 0.5, 1]
    assert list(parse_order("a=0,b=0.5,c=0.5,d=1").levels.values()) == [0, 0.5, 0.5, 1]  # side by side
    mask = np.ones(3, bool)
    streams = dict.fromkeys(("early", "midlateral", "lateral", "V1", "V2V3", "V4", "EBA", "OPA"), mask)
    found = {order.name: list(order.steps) for order in orders_of(streams | {"V2": ~mask, "V3": ~mask})}
    assert found == {
        "paper": ["V1", "V2V3", "OPA", "EBA"],
        "V1 to V4": ["V1", "V2V3", "V4"],
        "lateral": ["early", "midlateral", "lateral"],
        "dorsal": ["V1", "V2V3", "OPA"],
    }


@pytest.mark.parametrize(
    "text", ["V1", "V1,V1", "V1,,V4", "V1=0,V4", "V1=1,V4=0", "V1=0,V4=2", "V1=a,V4=1", "V1=0,V2=nan,V4=1"]
)
def test_what_is_no_order_is_refused(text):
    with pytest.raises(DataError, match="V1"):
        parse_order(text)


def test_missing_names_and_empty_levels_are_told():
    with pytest.raises(UnknownNameError, match="unknown ROI 'PPA'"):
        fit_hierarchy(mapping_of(shares()), parse_order("V1,PPA"))
    with pytest.raises(UnknownNameError, match="source of depth"):
        fit_hierarchy(mapping_of(shares()), ORDER, "layer_raw")
    rois = ROIS | {"PPA": np.zeros(VOXELS, bool)}
    with pytest.raises(DataError, match="PPA has no voxel"):
        fit_hierarchy(mapping_of(shares(), rois=rois), parse_order("V1,PPA"))
    with pytest.raises(DataError, match="two layers"):
        fit_hierarchy(mapping_of(np.ones((VOXELS, 1))), ORDER)
