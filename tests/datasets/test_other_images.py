"""A mapping scored beyond its own images, on the command line: NSD-synthetic after NSD, protocols of LAION-fMRI."""

import io
import json

import nibabel as nib
import numpy as np
import pandas
import pytest
from laion_fixture import write_laion
from nsd_synthetic_fixture import write_nsd_synthetic
from typer.testing import CliRunner

import factortopy as ft
from factortopy.cli import app
from factortopy.errors import DataError

FEW = ("--set", "steps=3", "--set", "components=8", "--bootstrap", 20, "-q")
EXPERIMENT = "nsddata/experiments/nsdsynthetic"


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def extract(images, tokens):
    run("extract", "timm/test_vit", images, tokens, "--untrained", "--grid", 2, "-q")


@pytest.fixture(scope="module")
def nsd(tmp_path_factory):
    """NSD with NSD-synthetic, tokens of both, and a mapping of the first."""
    root = tmp_path_factory.mktemp("nsd")
    write_nsd_synthetic(root, 1, space="func1pt8mm", sessions=(1, 2), planned=2, trials=36, nsd=None, grid=(5, 4, 3))
    extract(root, root / "tokens")
    extract(root / EXPERIMENT, root / "synthetic")
    run("fit", root / "tokens", root, root / "mapping", "--subject", 1, *FEW)
    return root


@pytest.fixture(scope="module")
def laion(tmp_path_factory):
    """LAION-fMRI and its tokens."""
    root = tmp_path_factory.mktemp("laion")
    write_laion(root, 1)
    extract(root, root / "tokens")
    return root


def test_scores_on_both_sets_of_images_stand_side_by_side(nsd):
    command = ("score", nsd / "mapping", "--on", nsd / EXPERIMENT, "--tokens", nsd / "synthetic")
    found = json.loads(run(*command, "--json").stdout)
    own = {(row["roi"], row["images"]): row for row in found["rois"]}
    sets = ("held out, nsd-subj01", "nsd-synthetic-subj01")
    mapping = ft.Mapping.load(nsd / "mapping")
    other = ft.load_nsd_synthetic(nsd, 1, space="func1pt8mm", progress=False)
    place = {vertex: column for column, vertex in enumerate(other.voxels.vertex)}
    columns = [place[vertex] for vertex in mapping.dataset["vertex"].values]
    store = ft.TokenStore.open(nsd / "synthetic")
    rows = [store.image_ids.index(image) for image in other.image_ids]
    predicted = ft.load_model(mapping)(store.read(rows)).detach().numpy().astype(float)
    measured = other.responses[:, columns].astype(float)
    measured = (measured - measured.mean(axis=0)) / measured.std(axis=0)
    r2 = 1 - ((measured - predicted) ** 2).sum(axis=0) / (measured**2).sum(axis=0)
    r = np.array([np.corrcoef(*pair)[0, 1] for pair in zip(measured.T, predicted.T, strict=True)])
    ceiling = other.noise_ceiling[columns]
    share = (r * np.abs(r) / ceiling)[ceiling >= 0.05]
    expected = {"r2": r2.mean(), "r": r.mean(), "ceiling": ceiling.mean(), "share": share.mean()}
    row = own["all voxels", sets[1]]
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert row["r2_low"] <= row["r2"] <= row["r2_high"]
    held_out = own["all voxels", sets[0]]
    assert held_out["r2"] == pytest.approx(float(np.nanmean(mapping.dataset["r2"])))
    assert held_out["r2"] != row["r2"]
    text = run(*command).stdout
    for line in (*sets, "2 to 10 repeats", "z-scored by themselves", "analysis of variance of repeats"):
        assert line in text


def test_kept_scores_stand_in_every_table_and_are_never_mixed(nsd):
    command = ("score", nsd / "mapping", "--on", nsd / EXPERIMENT, "--tokens", nsd / "synthetic")
    found = json.loads(run(*command, "--output", nsd / "both", "--json").stdout)["rois"]
    own, both = (ft.Mapping.load(nsd / name) for name in ("mapping", "both"))
    # The held-out scores are what they were.
    for name in ("r2", "r"):
        np.testing.assert_array_equal(own.dataset[name].values, both.dataset[name].values)
    sets = ("held out, nsd-subj01", "nsd-synthetic-subj01")
    again = json.loads(run("score", nsd / "both", "--json").stdout)
    assert again["by_set_of_images"] == found
    assert again["rois"] == json.loads(run("score", nsd / "mapping", "--json").stdout)["rois"]
    printed = pandas.read_csv(io.StringIO(run("score", nsd / "both", "--csv").stdout))
    assert list(printed["images"]) == [row["images"] for row in found]
    run("report", nsd / "both", nsd / "report.html", "-q")
    page = (nsd / "report.html").read_text(encoding="utf-8")
    assert "By set of images" in page
    assert sets[1] in page
    run("compare", nsd / "both", nsd / "mapping", nsd / "compared", "--name", "both", "--name", "own", "-q")
    table = pandas.read_csv(nsd / "compared" / "image_sets.csv")
    assert set(table["mapping"]) == {"both"}
    whole = {row["images"]: row["r2"] for row in found if row["roi"] == "all voxels"}
    of_table = table[table["roi"] == "all voxels"].set_index("images")["r2"]
    assert of_table.to_dict() == pytest.approx(whole)
    assert sets[1] in (nsd / "compared" / "ranking.html").read_text(encoding="utf-8")


def test_the_voxels_that_were_fitted_are_read(tmp_path):
    write_nsd_synthetic(
        tmp_path, 1, space="func1pt8mm", sessions=(1, 2), planned=2, trials=36, nsd=None, grid=(5, 4, 3)
    )
    labels = tmp_path / "nsddata/ppdata/subj01/func1pt8mm/roi"
    image = nib.load(labels / "prf-visualrois.nii.gz")
    mine = np.asarray(image.dataobj) > 0
    nib.save(nib.Nifti1Image(mine.astype(np.int32) * 2, image.affine), labels / "own.nii.gz")
    given = {"space": "func1pt8mm", "progress": False}
    store = ft.convert_nsd(tmp_path, 1, tmp_path / "all", rois=["own"], **given)
    fewer = ft.convert_nsd(tmp_path, 1, tmp_path / "fewer", voxels="nsdgeneral", **given)
    for fitted in (
        ft.load_betas(store, voxels="nsdgeneral", progress=False),
        ft.load_betas(store, voxels="own-2", progress=False),
        ft.load_betas(fewer, progress=False),
        ft.load_nsd(tmp_path, 1, rois=["own"], voxels="own-2", **given),
    ):
        other = ft.datasets.load_like(tmp_path / EXPERIMENT, fitted.provenance, progress=False)
        np.testing.assert_array_equal(other.voxels.vertex, fitted.voxels.vertex)
        assert len(other.voxels) < mine.size


def test_scores_are_kept_with_as_many_draws_as_the_mapping_has_and_replace_nothing(nsd):
    own = ft.Mapping.load(nsd / "mapping")
    regions = len(own.dataset["region"])
    own.with_variables({"drawn_r2": (("draw", "region"), np.zeros((50, regions)))}).save(nsd / "drawn")
    command = ("score", nsd / "drawn", "--on", nsd / EXPERIMENT, "--tokens", nsd / "synthetic", "--output")
    run(*command, nsd / "kept")
    assert ft.Mapping.load(nsd / "kept").dataset["other_drawn_r2"].shape == (1, 50, regions)
    assert "exists" in run(*command, nsd / "mapping", code=2).stderr
    assert "other_r2" not in ft.Mapping.load(nsd / "mapping").dataset


def test_voxels_that_one_recording_lacks_have_no_score(nsd):
    mapping, store = ft.Mapping.load(nsd / "mapping"), ft.TokenStore.open(nsd / "synthetic")
    other = ft.load_nsd_synthetic(nsd, 1, space="func1pt8mm", progress=False)
    fewer = other.select(np.arange(3, len(other.voxels)))
    scored = ft.score_images(mapping, store, fewer, bootstrap=0)
    whole = ft.score_images(mapping, store, other, bootstrap=0)
    lacking = ~np.isin(mapping.dataset["vertex"].values, fewer.voxels.vertex)
    assert scored.dataset.attrs["voxels_not_measured"] == lacking.sum() > 0
    assert np.isnan(scored.dataset["r2"].values[lacking]).all()
    np.testing.assert_allclose(scored.dataset["r2"].values[~lacking], whole.dataset["r2"].values[~lacking], atol=1e-5)
    rows = ft.image_set_scores({"fewer": scored, "whole": whole}).set_index(["roi", "images"])
    assert rows.loc[("all voxels", "whole"), "voxels"] - rows.loc[("all voxels", "fewer"), "voxels"] == lacking.sum()


def test_what_cannot_be_scored_is_refused(nsd, tmp_path):
    mapping, store = ft.Mapping.load(nsd / "mapping"), ft.TokenStore.open(nsd / "synthetic")
    fitted = ft.load_nsd(nsd, 1, space="func1pt8mm", progress=False)
    with pytest.raises(DataError, match="is what the mapping was fitted to"):
        ft.score_images(mapping, store, fitted)
    other = ft.load_nsd_synthetic(nsd, 1, space="func1pt8mm", progress=False)
    with pytest.raises(DataError, match="have no tokens"):
        ft.score_images(mapping, ft.TokenStore.open(nsd / "tokens"), other)
    write_nsd_synthetic(tmp_path, 2, space="func1pt8mm", stimuli=False)
    stranger = ft.load_nsd_synthetic(tmp_path, 2, space="func1pt8mm", progress=False)
    with pytest.raises(DataError, match="is subject 2, the mapping is of subject 1"):
        ft.score_images(mapping, store, stranger)
    write_nsd_synthetic(tmp_path / "surface", 1, space="nativesurface", stimuli=False)
    elsewhere = ft.load_nsd_synthetic(tmp_path / "surface", 1, space="nativesurface", progress=False)
    with pytest.raises(DataError, match="are not those of the mapping"):
        ft.score_images(mapping, store, elsewhere)
    assert "once --tokens" in run("score", nsd / "mapping", "--on", nsd / EXPERIMENT, code=2).stderr


def test_protocols_of_laion_with_their_formulas(laion):
    names = ("tau", "ood", "cluster_k5_0", "cluster_k5_1")
    for name in names:
        run("fit", laion / "tokens", laion, laion / name, "--subject", 1, "--split", name, *FEW)
    text = run("score", laion / "tau", "--protocol").stdout
    for formula in ("Pearson's r", "r |r| / NC", "(median r)^2 / median sqrt(NC12)", "SHA-256", "ridge"):
        assert formula in text
    rows = json.loads(run("score", *(laion / name for name in names), "--protocol", "--json").stdout)["areas"]
    means = {(row["protocol"], row["area"]): row for row in rows if row.get("split") is None}
    assert {protocol for protocol, _ in means} == {"tau", "ood", "cluster_k5"}
    single = {(row["split"], row["area"]): row for row in rows if row.get("split") is not None}
    for area in ("V1", "V2", "V4", "IT"):
        folds = [single[f"cluster_k5_{fold}", area]["brain_score"] for fold in (0, 1)]
        assert means["cluster_k5", area]["brain_score"] == pytest.approx(np.mean(folds))
    mapping = ft.Mapping.load(laion / "ood")
    assert mapping.provenance["split_source"]["name"] == "ood"
    assert "(ood of sub-01)" in ft.mapping.facts(mapping.dataset)["split"]
    check_by_hand(laion, mapping, single)


def check_by_hand(laion, mapping, single):
    """The three numbers from the definition in words, out of what was planted and the mapping's predictions."""
    subject = ft.load_laion(laion, 1, progress=False)
    test = [image for image in subject.image_ids if "_OOD_" in image]
    rows = [subject.image_ids.index(image) for image in test]
    store = ft.TokenStore.open(laion / "tokens")
    predicted = ft.load_model(mapping)(store.read([store.image_ids.index(image) for image in test])).detach().numpy()
    r = np.array([np.corrcoef(*pair)[0, 1] for pair in zip(subject.responses[rows].T, predicted.T, strict=True)])
    import nibabel as nib

    file = next((laion / "derivatives/glmsingle-tedana/sub-01").glob("*Noiseceiling12rep*"))
    percent = nib.load(file).get_fdata().reshape(-1)[subject.voxels.vertex]
    ratio = percent / (100 - percent) / 12  # signal over the noise of one trial
    ceiling = ratio / (ratio + np.mean(1 / subject.repeats[rows]))
    for area in ("V1", "V4", "IT"):
        kept = subject.voxels.rois[area] & (percent >= 30)
        row = single["ood", area]
        assert row["voxels"] == kept.sum()
        assert row["left_out"] == (subject.voxels.rois[area] & (percent < 30)).sum()
        expected = {
            "r": np.median(r[kept]),
            "r2_over_nc": np.median(np.sign(r[kept]) * r[kept] ** 2 / ceiling[kept]),
            "brain_score": np.median(r[kept]) ** 2 / np.median(np.sqrt(percent[kept] / 100)),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_protocols_are_refused_where_they_mean_nothing(nsd, laion):
    assert "no subject of LAION-fMRI" in run("score", nsd / "mapping", "--protocol", code=2).stderr
    run("fit", laion / "tokens", laion, laion / "own", "--subject", 1, *FEW)
    assert "--split tau" in run("score", laion / "own", "--protocol", code=2).stderr
    result = run("fit", nsd / "tokens", nsd, nsd / "other", "--subject", 1, "--split", "tau", *FEW, code=2)
    assert "has no published splits" in result.stderr
