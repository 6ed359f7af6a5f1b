"""Rankings and contrasts of photographs, against planted responses and plain formulas."""

from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from scipy import stats

from factortopy.analysis import above_chance, contrast, rank_images, region_errors
from factortopy.analysis.predicted import contrast as contrasting
from factortopy.analysis.predicted import ranking as ranking_module
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.mapping import Mapping, mapping_dataset

VOXELS = 40
RNG = np.random.default_rng(0)
KIND = {f"face-{i}": RNG.normal(size=VOXELS) + (np.arange(VOXELS) < 10) for i in range(30)}
KIND |= {f"house-{i}": RNG.normal(size=VOXELS) for i in range(25)}
USED = np.arange(VOXELS) % 4 != 3
"""Voxels above chance: all but every fourth."""


@pytest.fixture
def mapping():
    rois = {"FFA": np.arange(VOXELS) < 10, "PPA": np.arange(VOXELS) >= 30, "dead": np.arange(VOXELS) == 3}
    values = {
        "space": np.zeros((VOXELS, 2)),
        "layer": np.full((VOXELS, 2), 0.5),
        "scale": np.zeros(VOXELS),
        "r2": np.where(np.arange(VOXELS) == 7, 0.1, np.where(USED, 0.3, -0.1)),
        "r2_low": np.where(USED, 0.1, -0.2),
        "response_mean": np.zeros(VOXELS),
        "response_spread": np.ones(VOXELS),
        "hemisphere": np.repeat("left", VOXELS),
        "vertex": np.arange(VOXELS),
        "region": np.array([*rois, "all voxels"]),
        "region_error": np.array([0.5, 0.25, np.nan, 0.1]),
    }
    return Mapping(mapping_dataset(values, ["a", "b"], rois, {"surface": "fsaverage5", "network": "planted"}))


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    """Responses are looked up by the name of the image, and come in batches of seven."""

    def run(images, take, *, first=0, progress=True):
        for start in range(0, len(images), 7):
            batch = images.ids[start : start + 7]
            take(np.stack([KIND[name] for name in batch]).astype(np.float32), [])

    predictor, asked = SimpleNamespace(run=run, network=None), []
    for module in (contrasting, ranking_module):
        of = SimpleNamespace(of=lambda *_, **options: asked.append(options) or predictor)
        monkeypatch.setattr(module, "Predictor", of)
    return asked


def images(kind):
    names = tuple(name for name in KIND if name.startswith(kind))
    return ImageSet(kind, names, lambda name: None)


def test_a_voxel_is_above_chance_by_its_lower_limit_or_by_itself(mapping):
    np.testing.assert_array_equal(above_chance(mapping), USED)
    without = Mapping(mapping.dataset.drop_vars("r2_low"))
    np.testing.assert_array_equal(above_chance(without), USED | (np.arange(VOXELS) == 7))


def test_ranking_is_of_the_mean_of_the_voxels_above_chance(mapping):
    ranking = rank_images(mapping, images(""), "FFA", progress=False)
    means = {name: values[:10][USED[:10]].mean() for name, values in KIND.items()}
    assert list(ranking.table["image"]) == sorted(means, key=lambda name: -means[name])
    assert list(ranking.table["rank"]) == list(range(1, 56))
    assert list(ranking.table)[:2] == ["rank", "image"]
    assert (ranking.voxels, ranking.left_out) == (8, 2)
    assert ranking.table["response"][0] == pytest.approx(max(means.values()), abs=1e-6)
    half = (ranking.table["response_high"] - ranking.table["response_low"]) / 2
    np.testing.assert_allclose(half, stats.norm.ppf(0.975) * 0.5, rtol=1e-5)


def test_responses_are_z_scored_where_the_mapping_knows_their_mean(mapping, planted):
    bare = Mapping(mapping.dataset.drop_vars(["response_mean", "response_spread"]))
    for held in (mapping, bare):
        rank_images(held, images("face"), "FFA", progress=False, device="cpu")
        contrast(held, images("face"), images("house"), progress=False, device="cpu")
    assert [options["z_scored"] for options in planted] == [True, True, False, False]
    assert all(options["device"] == "cpu" for options in planted)


def test_a_region_without_voxels_above_chance_or_that_is_not_there_is_refused(mapping):
    with pytest.raises(DataError, match="none of the 1 voxels of dead"):
        rank_images(mapping, images("face"), "dead", progress=False)
    with pytest.raises(UnknownNameError):
        rank_images(mapping, images("face"), "FFB", progress=False)
    nothing = mapping.with_variables({"r2_low": (("voxel",), np.full(VOXELS, -0.1))})
    with pytest.raises(DataError, match="all voxels"):
        contrast(nothing, images("face"), images("house"), progress=False)


def adjusted(p):
    """Benjamini and Hochberg's adjusted p, by their own words: the least m p_(j) / j of all j from a rank on."""
    order = np.argsort(p)
    ranked = [min(len(p) * p[order[j]] / (j + 1) for j in range(i, len(p))) for i in range(len(p))]
    return np.minimum(np.array(ranked), 1)[np.argsort(order)]


def test_contrast_is_welchs_t_with_control_of_false_discoveries(mapping):
    found = contrast(mapping, images("face"), images("house"), progress=False)
    faces, houses = (np.stack([KIND[name] for name in images(kind).ids])[:, USED] for kind in ("face", "house"))
    t, p = stats.ttest_ind(faces, houses, equal_var=False)
    np.testing.assert_allclose(found.t[USED], t, rtol=1e-4)
    np.testing.assert_allclose(found.q[USED], adjusted(p), rtol=1e-3)
    assert np.isnan(found.t[~USED]).all()
    assert (found.images, found.left_out) == ((30, 25), 10)
    # What was planted: the first ten voxels respond more to faces.
    assert found.significant[:10][USED[:10]].mean() > 0.7
    assert found.significant[10:].mean() < 0.1
    regions = found.regions().set_index("roi")
    assert regions.loc["FFA", "more"] == (found.significant & (found.t > 0))[:10].sum()
    assert regions.loc["dead", "voxels"] == 0
    for roi, inside in {**mapping.rois, "all voxels": np.ones(VOXELS, bool)}.items():
        kept = (faces.mean(axis=0) - houses.mean(axis=0))[inside[USED]]
        row = regions.loc[roi]
        assert row["voxels"] == len(kept)
        assert row["difference"] == pytest.approx(kept.mean() if len(kept) else np.nan, nan_ok=True, abs=1e-5)
        assert row["more"] == ((adjusted(p) <= 0.05) & (t > 0) & inside[USED]).sum()
    turned = contrast(mapping, images("house"), images("face"), progress=False).regions().set_index("roi")
    np.testing.assert_array_equal(turned["less"], regions["more"])
    np.testing.assert_array_equal(turned["more"], regions["less"])
    assert regions.loc["FFA", "more"] > 0


def test_a_contrast_is_written_voxel_by_voxel_and_roi_by_roi(mapping, tmp_path):
    found = contrast(mapping, images("face"), images("house-1"), progress=False)
    assert [path.name for path in found.save(tmp_path)] == ["contrast.csv", "regions.csv"]
    voxels = pandas.read_csv(tmp_path / "contrast.csv")
    assert list(voxels["vertex"]) == list(range(VOXELS))
    assert set(voxels["hemisphere"]) == {"left"}
    np.testing.assert_allclose(voxels["difference"], found.difference, rtol=1e-5)
    assert list(pandas.read_csv(tmp_path / "regions.csv")["roi"]) == ["FFA", "PPA", "dead", "all voxels"]


def test_contrast_needs_two_of_either(mapping):
    with pytest.raises(DataError, match="second set"):
        contrast(mapping, images("face"), images("house-24"), progress=False)
    two = images("face").subset(images("face").ids[:2])
    assert contrast(mapping, two, images("house"), progress=False).images == (2, 25)


def test_error_of_a_regions_mean():
    observed, used = RNG.normal(size=(50, 6)), np.array([True, True, False, True, False, False])
    predicted = observed + RNG.normal(size=(50, 6))
    regions = [np.array([True, True, True, False, False, False]), np.array([False] * 4 + [True] * 2)]
    errors = region_errors(observed, predicted, used, regions)
    assert errors[0] == pytest.approx(np.sqrt(np.mean(((predicted - observed)[:, :2].mean(axis=1)) ** 2)), rel=1e-5)
    assert np.isnan(errors[1])
