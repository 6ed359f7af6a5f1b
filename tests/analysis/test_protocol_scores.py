"""Scores of protocols against their formulas, written out, on made-up correlations and ceilings."""

import numpy as np
import pytest
from tiny_mappings import VOXELS, tiny_mapping

from factortopy.analysis import brain_scores, image_set_scores, image_set_table, other_image_sets, with_image_set
from factortopy.errors import DataError
from factortopy.mapping import Mapping

AREA = {"V1": np.arange(VOXELS) < 25, "IT": np.arange(VOXELS) >= 25}
REPEATS = 3


def laion_mapping(name="sub-01", split="tau", pool="shared", seed=0, **provenance):
    """A mapping of made-up correlations, as if of averages of three repeats, ceilings of which reach from 0 to 0.9."""
    rng = np.random.default_rng(seed)
    facts = {"subject": {"kind": "LAION-fMRI", "ceiling_repeats": 12}, "split_source": {"name": split, "pool": pool}}
    mapping = tiny_mapping(0.1, provenance=facts | provenance, subject=name, repeats_test=[0, 0, 30])
    r = rng.uniform(-0.2, 0.9, VOXELS)
    r[3] = np.nan
    areas = {f"roi_{name}": ("voxel", inside) for name, inside in AREA.items()}
    data = mapping.dataset.drop_vars([f"roi_{name}" for name in mapping.rois]).assign_coords(areas)
    data = data.assign(r=("voxel", r), ceiling=("voxel", rng.uniform(0, 0.9, VOXELS)))
    return Mapping(data.assign_attrs(rois=list(AREA)), provenance=mapping.provenance)


def by_hand(mapping, area):
    """Voxels kept, voxels left out, the three numbers; a ceiling v / (v + s / 3) says what v / (v + s / 12) is."""
    kept, left_out = [], 0
    for voxel in np.flatnonzero(AREA[area]):
        r, ceiling = float(mapping.dataset["r"][voxel]), float(mapping.dataset["ceiling"][voxel])
        if np.isnan(r):
            continue
        signal_to_noise = ceiling / (1 - ceiling) / REPEATS
        at_twelve = signal_to_noise / (signal_to_noise + 1 / 12)
        if at_twelve >= 0.3:
            kept.append((r, ceiling, at_twelve))
        else:
            left_out += 1
    r, ceiling, at_twelve = np.array(kept).T
    share = np.sign(r) * r**2 / ceiling
    return len(kept), left_out, np.median(r), np.median(share), np.median(r) ** 2 / np.median(np.sqrt(at_twelve))


def test_numbers_of_an_area_are_the_formulas_of_its_voxels():
    mapping = laion_mapping()
    table = brain_scores([mapping])
    assert list(table["area"]) == list(AREA)  # of one mapping no mean is told
    for row in table.itertuples():
        found = row.voxels, row.left_out, row.r, row.r2_over_nc, row.brain_score
        assert found == pytest.approx(by_hand(mapping, row.area), rel=1e-5)
        assert row.left_out > 0


def test_a_voxel_right_at_the_limit_stays_in():
    """Ceilings are kept in single precision; of 12 repeats this one is 0.3."""
    ratio, mapping = 0.3 / 0.7 / 12, laion_mapping()
    ceiling = mapping.dataset["ceiling"].values.copy()

    def kept(value):
        ceiling[30] = np.float32(value)
        return brain_scores([mapping.with_variables({"ceiling": ("voxel", ceiling)})])["voxels"][1]

    at = ratio / (ratio + 1 / REPEATS)
    assert kept(0.9) == kept(at) == kept(0.9999 * at) + 1


def test_folds_count_alike_within_a_subject_and_subjects_alike():
    """Two folds of one subject and one of another: the mean is of two subjects, not of three mappings."""
    folds = [("sub-01", 0), ("sub-01", 1), ("sub-03", 0)]
    mappings = [laion_mapping(name, f"cluster_k5_{fold}", seed=seed) for seed, (name, fold) in enumerate(folds)]
    table = brain_scores(mappings)
    first, second, other = (by_hand(mapping, "IT")[4] for mapping in mappings)
    (mean,) = (row for row in table.itertuples() if row.subject.startswith("mean of 2 subjects") and row.area == "IT")
    assert mean.brain_score == pytest.approx(((first + second) / 2 + other) / 2)
    assert mean.subject == "mean of 2 subjects, 1.5 folds"
    assert (mean.protocol, mean.pool) == ("cluster_k5", "shared")
    assert len(table) == 8
    tau = brain_scores([laion_mapping(), laion_mapping("sub-03", pool="own")])
    means = tau[tau["subject"] == "mean of 1 subject"]
    assert list(means["pool"]) == ["shared"] * 2 + ["each subject's"] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subject": {"kind": "NSD", "ceiling_repeats": 12}}, "no subject of LAION-fMRI"),
        ({"subject": {"kind": "LAION-fMRI", "ceiling_repeats": 4}}, "no noise ceiling of 12 repeats"),
        ({"split_source": {}}, "not fitted with a published split"),
    ],
)
def test_other_mappings_are_refused(changes, said):
    with pytest.raises(DataError, match=said):
        brain_scores([laion_mapping(**changes)])


@pytest.mark.parametrize("gone", ["r", "ceiling"])
def test_a_mapping_without_correlations_or_ceilings_is_refused(gone):
    mapping = laion_mapping()
    with pytest.raises(DataError, match="no noise ceiling of 12 repeats"):
        brain_scores([Mapping(mapping.dataset.drop_vars(gone), provenance=mapping.provenance)])
    single = Mapping(mapping.dataset.assign_attrs(trials_test=90), provenance=mapping.provenance)
    with pytest.raises(DataError, match="single trials"):
        brain_scores([single])


def test_sets_of_images_stand_side_by_side_with_shares_of_what_reaches_the_threshold():
    one, other = laion_mapping(seed=1), laion_mapping(seed=2)
    ceiling = one.dataset["ceiling"].values
    ceiling[:3] = 0.25, 0.2499, 0.0
    r2 = np.linspace(-0.1, 0.5, VOXELS)
    r2[7] = np.nan
    one = one.with_variables({"ceiling": ("voxel", ceiling), "r2": ("voxel", r2)})
    table = image_set_scores({"photographs": one, "noise": other}, threshold=0.25)
    assert list(table["images"]) == ["photographs", "noise"] * 3
    rows = {(row.roi, row.images): row for row in table.itertuples()}
    r = one.dataset["r"].values
    for roi, inside in {**AREA, "all voxels": np.ones(VOXELS, bool)}.items():
        row, known = rows[roi, "photographs"], inside & np.isfinite(r2)
        assert row.voxels == known.sum()
        assert row.r2 == pytest.approx(r2[known].mean())
        assert row.r == pytest.approx(np.nanmean(r[known]))
        assert row.ceiling == pytest.approx(ceiling[known].mean())
        shares = [np.sign(r[i]) * r[i] ** 2 / ceiling[i] for i in np.flatnonzero(known) if ceiling[i] >= 0.25]
        assert row.share == pytest.approx(np.nanmean(shares))


def test_scores_on_other_sets_of_images_come_back_as_they_were_put_in():
    r2 = np.linspace(0, 0.5, VOXELS)
    own = laion_mapping(seed=1)
    one = laion_mapping("one", seed=2).with_variables({"r2": ("voxel", r2)})
    one.dataset.attrs |= {"voxels_not_measured": np.int64(3), "repeats_test": np.array([0, 5])}
    bare = laion_mapping("bare", seed=3).with_variables({"r2": ("voxel", r2[::-1])})
    bare = Mapping(bare.dataset.drop_vars("ceiling").assign_attrs(images_test=12))
    both = with_image_set(with_image_set(own, one, "one"), bare, "bare")
    assert other_image_sets(own) == {}
    assert list(other_image_sets(both)) == ["one", "bare"]
    for variable in ("r2", "r", "ceiling", "drawn_r2"):
        np.testing.assert_array_equal(both.dataset[variable], own.dataset[variable])
    for name, put in (("one", one), ("bare", bare)):
        found = other_image_sets(both)[name].dataset
        for variable in ("r2", "r", "ceiling", "drawn_r2"):
            assert (variable in found) == (variable in put.dataset)
            if variable in found:
                np.testing.assert_allclose(found[variable], put.dataset[variable])
        facts = ("subject", "images_test", "voxels_not_measured")
        assert [found.attrs.get(fact) for fact in facts] == [put.dataset.attrs.get(fact) for fact in facts]
        assert list(found.attrs["repeats_test"]) == list(put.dataset.attrs["repeats_test"])
        assert "layer_share" in found
        assert not [known for known in found.variables if str(known).startswith("other")]
    # A set of the same name takes the place of the other one; draws are kept where all are as many.
    fewer = Mapping(bare.dataset.isel(draw=slice(0, 100)))
    again = other_image_sets(with_image_set(both, fewer, "one"))
    assert list(again) == ["one", "bare"]
    np.testing.assert_allclose(again["one"].dataset["r2"], r2[::-1])
    assert not any("drawn_r2" in found.dataset for found in again.values())
    assert "drawn_r2" not in other_image_sets(with_image_set(own, fewer, "fewer"))["fewer"].dataset
    undrawn = Mapping(one.dataset.drop_vars("drawn_r2"))
    assert "drawn_r2" not in other_image_sets(with_image_set(both, undrawn, "undrawn"))["one"].dataset
    with pytest.raises(DataError, match="own voxels"):
        with_image_set(own, Mapping(one.dataset.isel(voxel=slice(5))), "fewer")


def test_a_table_of_sets_is_of_the_mappings_that_hold_some():
    own = laion_mapping(seed=1)
    other = laion_mapping("sub-09", seed=2)
    both = with_image_set(own, other, "other")
    assert image_set_table([own]).empty
    table = image_set_table([own, both], ["own", "both"])
    assert list(table.columns[:3]) == ["mapping", "roi", "images"]
    assert set(table["mapping"]) == {"both"}
    assert list(table["images"]) == ["held out, sub-01", "other"] * 3
    by_hand = image_set_scores({"held out, sub-01": own, "other": other})
    np.testing.assert_allclose(table["share"], by_hand["share"])
    assert list(image_set_table([both, both]).index) == list(range(12))
    assert image_set_table([both], threshold=0.5)["share"][0] != table["share"][0]


def test_a_mapping_with_none_of_the_areas_is_refused():
    mapping = laion_mapping("sub-03")
    renamed = mapping.dataset.rename(roi_V1="roi_FFA", roi_IT="roi_EBA").assign_attrs(rois=["FFA", "EBA"])
    with pytest.raises(DataError, match="'sub-03' has none of the ROIs V1, V2, V4, IT"):
        brain_scores([mapping, Mapping(renamed, provenance=mapping.provenance)])
