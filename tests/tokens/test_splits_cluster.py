"""Splits by cluster, with given test images, and from files: nothing similar, and no image, on two sides."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.errors import DataError
from factortopy.images import Split, read_split, split_with_test
from factortopy.networks import Tokens
from factortopy.tokens import split_clusters
from factortopy.tokens.clusters import cluster_images

CLUSTERS, EACH = 12, 10


class PlantedTokens:
    """Global tokens of images in planted clusters, far apart; earlier layers and local tokens are noise."""

    path = "planted"

    def __init__(self, scenes=False):
        random = np.random.default_rng(0)
        self.cluster = random.permutation(np.repeat(np.arange(CLUSTERS), EACH))
        centres = random.normal(0, 5, (CLUSTERS, 6))
        features = centres[self.cluster] + random.normal(0, 0.3, (len(self.cluster), 6))
        # One channel is huge for all images, as in CLIP: it must not decide.
        features[:, 0] = 1e3 + 50 * random.standard_normal(len(features))
        self.features = torch.from_numpy(features).half()
        self.image_ids = tuple(f"image{number:03d}" for number in range(len(features)))
        self.image_groups = tuple(f"scene{number // 2}" for number in range(len(features))) if scenes else None

    def read(self, rows):
        noise = torch.randn(len(rows), 6)
        local = torch.randn(len(rows), 6, 2, 2)
        return Tokens((local, local), (noise, self.features[rows]))


def sides(split):
    return [set(ids) for ids in split.to_dict().values()]


def test_whole_planted_clusters_are_held_out():
    tokens = PlantedTokens()
    split = split_clusters(tokens, clusters=CLUSTERS, progress=False)
    cluster = dict(zip(tokens.image_ids, tokens.cluster.tolist(), strict=True))
    groups_of_sides = [{cluster[image] for image in side} for side in sides(split)]
    assert sum(len(side) for side in groups_of_sides) == CLUSTERS == len(set.union(*groups_of_sides))
    assert set.union(*sides(split)) == set(tokens.image_ids)
    assert [len(side) for side in groups_of_sides] == [10, 1, 1]


def test_some_images_in_another_order():
    tokens = PlantedTokens()
    ids = tokens.image_ids[60:10:-1]
    split = split_clusters(tokens, ids, clusters=4, progress=False)
    assert set.union(*sides(split)) == set(ids)


def test_scenes_stay_whole():
    tokens = PlantedTokens(scenes=True)
    split = split_clusters(tokens, clusters=5, progress=False)
    scene = dict(zip(tokens.image_ids, tokens.image_groups, strict=True))
    groups_of_sides = [{scene[image] for image in side} for side in sides(split)]
    assert sum(map(len, groups_of_sides)) == len(set(tokens.image_groups))


def test_seed_decides_and_repeats():
    tokens = PlantedTokens()
    first, again, other = (split_clusters(tokens, clusters=12, seed=s, progress=False) for s in (1, 1, 2))
    assert first == again
    assert first.digest != other.digest


def test_too_few_or_unknown_images():
    tokens = PlantedTokens()
    with pytest.raises(DataError, match="cannot make 40 clusters"):
        split_clusters(tokens, tokens.image_ids[:9], progress=False)
    with pytest.raises(DataError, match="cannot make 2 clusters"):
        cluster_images(np.ones((9, 2)), list("abcdefghi"), 2)
    with pytest.raises(DataError, match="1 images have no tokens in planted"):
        split_clusters(tokens, ["elsewhere"], progress=False)


@settings(max_examples=50, deadline=None)
@given(
    groups=st.lists(st.integers(0, 9).map(str), min_size=6, max_size=60).filter(lambda g: len(set(g)) >= 5),
    seed=st.integers(0, 99),
)
def test_given_test_images_stand_alone_and_their_groups_nowhere_else(groups, seed):
    ids = [f"image{number}" for number in range(len(groups))]
    test_ids = ids[:2]
    split = split_with_test(ids, test_ids, groups, seed=seed)
    assert list(split.test) == test_ids
    group = dict(zip(ids, groups, strict=True))
    train, validation, test = ({group[image] for image in side} for side in sides(split))
    assert len(train | validation | test) == len(train) + len(validation) + len(test)
    left = {image for image in ids if group[image] not in {group[image] for image in test_ids}}
    assert set(split.train) | set(split.validation) == left


def test_shared_images_as_test():
    ids = [f"nsd-{number:05d}" for number in range(100)]
    split = split_with_test(ids, iter(ids[90:]), validation=0.2)
    assert split.test == tuple(ids[90:])
    assert [len(split.train), len(split.validation)] == [72, 18]
    with pytest.raises(DataError, match=r"1 of 2 test images are not among the 100 images \(first: 'x'\)"):
        split_with_test(ids, ["x", ids[0]])
    with pytest.raises(DataError, match="no of 0 test images"):
        split_with_test(ids, [])
    with pytest.raises(DataError, match="cannot be split"):
        split_with_test(ids, ids[1:])
    with pytest.raises(DataError, match="between 0 and 1"):
        split_with_test(ids, ids[:3], validation=1.5)
    with pytest.raises(DataError, match="more than once"):
        split_with_test([*ids, ids[0]], ids[:3])


def test_a_split_from_a_file(tmp_path):
    split = Split(("a", "b"), ("c",), ("d",))
    path = tmp_path / "split.json"
    path.write_text(json.dumps(split.to_dict()))
    assert read_split(path) == split
    assert read_split(path).digest == split.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read .*give a split"),
        ("[" * 100_000, "cannot read .*give a split"),
        ("[]", "is no split"),
        ('{"train": "ab", "validation": ["c"], "test": ["d"]}', "is no split"),
        ('{"train": ["a"], "test": ["d"]}', "train, validation, test"),
        ('{"train": ["a"], "validation": ["b"], "test": ["a"]}', "stands on train and again on test"),
        ('{"train": [1], "validation": ["b"], "test": ["a"]}', "list of image ids"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_split(path)
    with pytest.raises(DataError, match=r"other.json"):
        read_split(tmp_path / "other.json")
