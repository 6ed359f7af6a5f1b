"""LAION-fMRI's published splits by name: their images, the hash of their file, and what is refused."""

import hashlib
import json
import shutil

import pytest
from laion_fixture import OUTSIDE, image_names, write_laion

from factortopy.datasets import laion_protocol, laion_split, load_laion
from factortopy.errors import DataError, UnknownNameError

NAMES = ("tau", "ood", "cluster_k5_0", "cluster_k5_4", "random_2")


@pytest.fixture(scope="module")
def laion(tmp_path_factory):
    """The folder of a subject, and the subject."""
    root = write_laion(tmp_path_factory.mktemp("laion"), 5, stimuli=False).root
    return root, load_laion(root, 5, voxels="V1", progress=False)


@pytest.fixture
def copy(laion, tmp_path):
    return shutil.copytree(laion[0], tmp_path / "laion")


def published(root, pool, name):
    file = root / "splits" / pool / f"{name}.json"
    variant = json.loads(file.read_text())["variants"][0]
    return file, set(variant["train_ids"]), set(variant["test_ids"])


@pytest.mark.parametrize("pool", ["sub-05", "shared"])
@pytest.mark.parametrize("name", NAMES)
def test_images_and_hash(laion, pool, name):
    root, subject = laion
    split = laion_split(root, subject, name if pool == "sub-05" else f"shared/{name}")
    file, train, test = published(root, pool, name)
    assert set(split.test) == test
    assert set(split.train) | set(split.validation) == train
    assert len(split.validation) == pytest.approx(0.1 * len(train), abs=1)
    assert split.source["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (split.source["name"], split.source["pool"]) == (name, pool)
    assert split.source["train_not_seen"] == split.source["test_not_seen"] == 0


def test_validation_follows_the_seed_and_test_images_do_not(laion):
    splits = [laion_split(*laion, "tau", seed=seed) for seed in (0, 1)]
    assert splits[0].test == splits[1].test
    assert splits[0].validation != splits[1].validation


@pytest.mark.parametrize("kind", OUTSIDE)
def test_one_type_of_images_outside_of_the_distribution(laion, kind):
    split = laion_split(*laion, f"ood_{kind}")
    assert {image.split("_")[3] for image in split.test} == {kind}
    assert len(split.test) == 2
    assert set(split.train) == set(laion_split(*laion, "ood").train)


def test_images_that_were_not_seen_are_left_out_and_counted(copy):
    for session in (2, 3):
        shutil.rmtree(copy / f"derivatives/glmsingle-tedana/sub-05/ses-0{session}")
    subject = load_laion(copy, 5, voxels="V1", progress=False)
    split = laion_split(copy, subject, "cluster_k5_1")
    _, train, test = published(copy, "sub-05", "cluster_k5_1")
    seen = set(subject.image_ids)
    assert (train | test) - seen
    assert set(split.test) == test & seen
    assert split.source["train_not_seen"] == len(train - seen)
    assert split.source["test_not_seen"] == len(test - seen)


@pytest.mark.parametrize("folder", ["splits/data", "laion_fmri/splits/data"])
def test_files_where_the_package_has_them(laion, copy, folder):
    (copy / folder).parent.mkdir(parents=True, exist_ok=True)
    for pool in ("shared", "sub-05"):
        (copy / folder).mkdir(parents=True, exist_ok=True)
        shutil.move(copy / "splits" / pool, copy / folder / pool)
    assert laion_split(copy, laion[1], "tau").source == laion_split(*laion, "tau").source


def test_missing_files_and_unknown_names(laion, copy):
    shutil.rmtree(copy / "splits")
    with pytest.raises(DataError, match=r"splits/sub-05/tau\.json is missing; copy laion_fmri/splits/data"):
        laion_split(copy, laion[1], "tau")
    with pytest.raises(UnknownNameError, match="did you mean"):
        laion_split(*laion, "cluster_k5")
    with pytest.raises(UnknownNameError, match="gabor"):
        laion_split(*laion, "ood_faces")
    with pytest.raises(DataError, match="of the images of sub-03; the subject is sub-05"):
        laion_split(*laion, "sub-03/tau")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda content: content | {"n_test": 99}, "and says 24 and 99|and says \\d+ and 99"),
        (lambda content: content | {"pool": "sub-03"}, "says it is 'tau' of 'sub-03'"),
        (lambda content: content | {"variants": content["variants"] * 2}, "holds 2 variants"),
        (lambda content: {"train": [], "test": []}, "no split of LAION-fMRI"),
        (lambda content: content | {"n_train": content["n_train"] + 1, "variants": [twice(content)]}, "an image twice"),
    ],
)
def test_damaged_files(laion, copy, change, text):
    file = copy / "splits/sub-05/tau.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(DataError, match=text) as error:
        laion_split(copy, laion[1], "tau")
    assert str(file) in str(error.value)


def twice(content):
    variant = content["variants"][0]
    return variant | {"train_ids": [*variant["train_ids"], variant["test_ids"][0]]}


def test_a_split_of_another_subject_s_images_is_refused(laion, copy):
    other = [name for names in image_names(6).values() for name in names if "p02" in name]
    file = copy / "splits/sub-05/tau.json"
    content = json.loads(file.read_text())
    variant = {"variant_id": 0, "train_ids": other[1:], "test_ids": other[:1]}
    file.write_text(json.dumps(content | {"variants": [variant], "n_train": len(other) - 1, "n_test": 1}))
    with pytest.raises(DataError, match="has 0 training and 0 test images"):
        laion_split(copy, laion[1], "tau")


def test_protocol(laion):
    protocol = laion_protocol(laion[0], 5, "ood", voxels="V1", progress=False)
    assert protocol.split == laion_split(*laion, "ood")
    assert protocol.subject.repeats.max() == 12
    for number in ("r^2 / NC", "(median r)^2 / median sqrt(NC12)"):
        assert number in protocol.score
