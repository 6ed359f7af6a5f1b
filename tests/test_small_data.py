"""Few images are told the truth: no limits of two test images, folds instead; one picture is never on two sides."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.errors import DataError
from factortopy.fitting import default_split, fit_settings, split_examples
from factortopy.images import ImageSet, Split
from factortopy.mapping import Mapping
from factortopy.networks import load_network
from factortopy.subjects import load_arrays
from factortopy.tokens import extract
from factortopy.workflow import fit_model

IMAGES, VOXELS = 20, 6
FAST = ["--set", "steps=4", "--set", "validate_every=2", "--set", "width=4", "--set", "components=4", "-q"]


def store(folder, pictures, groups=None):
    images = ImageSet("pictures", tuple(pictures), lambda name: Image.fromarray(pictures[name]), groups)
    torch.manual_seed(0)
    return extract(load_network("timm/test_vit", untrained=True), images, folder, grid=(4, 4), progress=False)


def noise(count, seed=0):
    random = np.random.default_rng(seed)
    return {f"image-{i:02d}": random.integers(0, 255, (32, 32, 3), dtype=np.uint8) for i in range(count)}


def subject_of(ids, **options):
    random = np.random.default_rng(1)
    responses = random.normal(size=(len(ids), VOXELS)).astype(np.float32)
    return load_arrays(responses, ids, random.uniform(0, 100, size=(VOXELS, 3)), name="few", **options)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return store(tmp_path_factory.mktemp("few") / "tokens", noise(IMAGES))


@pytest.fixture(scope="module")
def run():
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words], env={"COLUMNS": "300"})


def test_two_test_images_have_no_limits_and_folds_have(tokens, run, tmp_path):
    """Five trials of each of twenty pictures: 8:1:1 tests two of them, folds all."""
    ids = [name for name in tokens.image_ids for _ in range(5)]
    subject = subject_of(ids, single_trials=True).save(tmp_path / "s")
    done = run("fit", tokens.path, subject, tmp_path / "one", *FAST[:-1])
    assert done.exit_code == 0, done.output
    assert "no limits: 2 distinct test images, 10 or more are needed; fit folds (--split 1/5 to 5/5)" in done.output
    scored = json.loads(run("score", tmp_path / "one", "--json").stdout)
    assert scored["limits"].startswith("no limits: 2 distinct test images")
    assert all(row["r2_low"] is None and row["r2_high"] is None for row in scored["rois"])
    unlimited = Mapping.load(tmp_path / "one")
    assert not [name for name in unlimited.dataset if name.endswith(("_low", "_high"))]

    unlimited.dataset["r2"] = unlimited.dataset["r2"] * 0 + 0.2  # something was found
    unlimited.save(tmp_path / "found")
    faded = run("plot", tmp_path / "found", "-f", "scale", "--fade", "-q")
    assert (faded.exit_code, "2 distinct test images" in faded.output) == (2, True)

    folds = [tmp_path / f"fold{number}" for number in range(1, 4)]
    for number, folder in enumerate(folds, start=1):
        done = run("fit", tokens.path, subject, folder, "--split", f"{number}/3", *FAST)
        assert done.exit_code == 0, done.output
    means = json.loads(run("score", *folds, "--json").stdout)
    (row,) = [row for row in means["rows"] if (row["quantity"], row["region"]) == ("r2", "all voxels")]
    each = [float(Mapping.load(folder).dataset["r2"].mean()) for folder in folds]
    assert row["mean"] == pytest.approx(np.mean(each), abs=1e-5)
    assert (row["fits"], row["limits"]) == (3, "folds")
    assert row["mean_low"] < row["mean"] < row["mean_high"]
    twice = run("score", folds[0], folds[0])
    assert twice.exit_code == 2
    bad = run("fit", tokens.path, subject, tmp_path / "x", "--split", "6/5", *FAST)
    assert (bad.exit_code, "there is no fold 6 of 5" in bad.output) == (2, True)


def test_one_picture_under_two_names_stands_on_one_side(tmp_path):
    pictures = noise(12)
    pictures |= {"copy-a": pictures["image-03"], "copy-b": pictures["image-03"], "copy-c": pictures["image-07"]}
    tokens = store(tmp_path / "tokens", pictures)
    subject = subject_of(list(pictures))
    same = [{"image-03", "copy-a", "copy-b"}, {"image-07", "copy-c"}]
    for seed in range(20):
        sides = [set(side) for side in default_split(tokens, subject, seed).to_dict().values()]
        assert all(any(group <= side for side in sides) for group in same)
    names = list(pictures)
    names.remove("copy-b")
    split = Split(tuple(names[:-3]), (names[-3],), (*names[-2:],))
    with pytest.raises(DataError, match=r"'image-03' \(train\) and 'copy-a' \(test\) of the split are the same"):
        split_examples(tokens, subject, split)
    with pytest.raises(DataError, match="put both on one side, or leave one out"):
        fit_model(tokens, subject, fit_settings("default"), split=split, progress=False)


def test_equal_pictures_join_scenes_and_others_keep_their_split(tokens, tmp_path):
    pictures = noise(12)
    pictures["image-11"] = pictures["image-00"]
    scenes = tuple(f"scene-{number // 3}" for number in range(12))
    joined = store(tmp_path / "tokens", pictures, scenes)
    subject = subject_of(list(pictures))
    ends = {f"image-{number:02d}" for number in (0, 1, 2, 9, 10, 11)}
    for seed in range(10):
        assert any(ends <= set(side) for side in default_split(joined, subject, seed).to_dict().values())
    # Where all pictures differ, nothing has changed: the split is that of the ids alone.
    from factortopy.images import split_images

    assert default_split(tokens, subject_of(list(tokens.image_ids)), 3) == split_images(tokens.image_ids, seed=3)


@pytest.mark.parametrize("where", [[(1.0, 2.0, 3.0)], [(1.0, 2.0, 3.0)] * 9, None])
def test_one_voxel_or_one_place_or_test_images_without_response_end_no_fit(tokens, where):
    """The limits' simulated responses have nothing to plant there."""
    split = Split(tokens.image_ids[:8], tokens.image_ids[8:10], tokens.image_ids[10:])
    responses = np.random.default_rng(1).normal(size=(IMAGES, 9 if where is None else len(where))).astype(np.float32)
    if where is None:
        where = [(float(number), 0.0, 0.0) for number in range(9)]
        responses[10:] = 0.1
    subject = load_arrays(responses, tokens.image_ids, np.array(where), name="few")
    settings = fit_settings(steps=2, validate_every=1, width=4, components=4)
    found = fit_model(tokens, subject, settings, split=split, bootstrap=20, progress=False).mapping.dataset["r2"].values
    assert np.isnan(found).all() == (responses[10:] == 0.1).all()


def test_responses_that_never_vary_are_refused(tokens):
    for coordinates in (np.arange(9.0).reshape(3, 3), None):
        subject = load_arrays(np.full((IMAGES, 3), 0.1, np.float32), tokens.image_ids, coordinates, name="few")
        with pytest.raises(DataError, match="constant in every voxel: there is nothing to learn"):
            fit_model(tokens, subject, fit_settings(steps=2), progress=False)
