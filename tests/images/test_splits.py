"""Splits: nothing on two sides, groups whole, fractions met."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.errors import DataError
from factortopy.images import Split, read_split, split_as_authors, split_folds, split_images, split_with_test


def ids(count):
    return [f"image{number:04d}" for number in range(count)]


def test_fractions_are_met_by_image():
    split = split_images(ids(720))
    assert [len(side) for side in (split.train, split.validation, split.test)] == [576, 72, 72]
    assert sorted(split.train + split.validation + split.test) == ids(720)
    assert list(split.train) == sorted(split.train)  # the order of the given ids


def test_the_authors_split():
    """9,000 of 9,841 at random; the others validate, and scores are of them."""
    names = ids(9_841)
    split = split_as_authors(names, seed=1)
    assert (len(split.train), len(split.validation)) == (9_000, 841)
    assert sorted(split.train + split.validation) == names
    assert split.test == split.validation
    # At random: about as many of the first half as of the second.
    assert abs(sum(name < names[len(names) // 2] for name in split.validation) - 420) < 80
    assert split_as_authors(names, seed=2).train != split.train
    with pytest.raises(DataError, match="stands on validation and again on test"):
        Split(split.train, split.validation, split.test)
    with pytest.raises(DataError, match="stands on validation and again on test"):
        Split(("a",), ("b", "c"), ("c",), tests_validation=True)
    with pytest.raises(DataError, match="cannot be split"):
        split_as_authors(["a", "b"])


def test_the_authors_split_is_read_again(tmp_path):
    split = split_as_authors(ids(100))
    (tmp_path / "split.json").write_text(json.dumps(split.to_dict()))
    for again in (Split.from_dict(split.to_dict()), read_split(tmp_path / "split.json")):
        assert again == split
        assert again.tests_validation
    with pytest.raises(DataError, match="stands on validation and again on test"):
        Split.from_dict({"train": ["a"], "validation": ["b", "c"], "test": ["c"]})


def test_numbers_stand_for_their_texts():
    numbers, texts = np.arange(40), [str(number) for number in range(40)]
    scenes = numbers // 4
    assert split_images(numbers, scenes) == split_images(texts, [str(scene) for scene in scenes])
    assert split_as_authors(numbers) == split_as_authors(texts)
    assert split_folds(numbers, 3, scenes) == split_folds(texts, 3, [str(scene) for scene in scenes])
    assert split_with_test(numbers, [7]) == split_with_test(texts, ["7"])


def test_seed_decides():
    assert split_images(ids(50), seed=1) == split_images(ids(50), seed=1)
    assert split_images(ids(50), seed=1) != split_images(ids(50), seed=2)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 12).map(str), min_size=3, max_size=120).filter(lambda g: len(set(g)) >= 3),
    seed=st.integers(0, 1000),
)
def test_groups_never_leak(groups, seed):
    names = ids(len(groups))
    split = split_images(names, groups, fractions=(0.6, 0.2, 0.2), seed=seed)
    group_of = dict(zip(names, groups, strict=True))
    sides = [{group_of[name] for name in side} for side in (split.train, split.validation, split.test)]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert sorted(split.train + split.validation + split.test) == sorted(names)


def test_unequal_groups_come_near_the_fractions():
    sizes = np.random.default_rng(0).integers(1, 30, 80)
    groups = np.repeat([f"scene{number}" for number in range(80)], sizes).tolist()
    split = split_images(ids(len(groups)), groups)
    shares = [len(side) / len(groups) for side in (split.train, split.validation, split.test)]
    np.testing.assert_allclose(shares, (0.8, 0.1, 0.1), atol=0.01)


def test_digest_names_the_split_and_not_its_order():
    split = Split(("a", "b"), ("c",), ("d",))
    assert split.digest == Split(("b", "a"), ("c",), ("d",)).digest
    assert split.digest != Split(("a",), ("b", "c"), ("d",)).digest
    assert split.digest != Split(("a", "b"), ("d",), ("c",)).digest
    assert Split.from_dict(split.to_dict()) == split


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Split(("a",), ("b",), ("a",)), "'a' stands on train and again on test"),
        (lambda: Split(("a", "a"), ("b",), ("c",)), "stands on train and again on train"),
        (lambda: split_images(["a", "b"]), "at least three"),
        (lambda: split_images(ids(9), ["x", "y", "x"] * 3), "2 groups cannot stand on three sides"),
        (lambda: split_images(ids(9), fractions=(0.8, 0.1, 0.2)), "sum to 1"),
        (lambda: split_images(ids(9), fractions=(1.0, 0.0, 0.0)), "positive"),
        (lambda: split_images(ids(9), ["x"]), "9 images but 1 groups"),
        (lambda: split_images(["a", "a", "b", "c"]), "more than once"),
        (lambda: Split.from_dict({"train": ["a"], "test": ["b"]}), "train, validation, test"),
        (lambda: Split.from_dict({"train": "abc", "validation": ["b"], "test": ["d"]}), "list of image ids"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(DataError, match=message):
        call()


@settings(max_examples=30, deadline=None)
@given(
    groups=st.lists(st.integers(0, 12).map(str), min_size=4, max_size=60).filter(lambda g: len(set(g)) >= 4),
    folds=st.integers(2, 4),
    seed=st.integers(0, 100),
)
def test_each_image_is_tested_in_one_fold(groups, folds, seed):
    names = ids(len(groups))
    splits = split_folds(names, folds, groups, seed=seed) if len(set(groups)) >= folds + 2 else ()
    group_of = dict(zip(names, groups, strict=True))
    for split in splits:
        sides = [{group_of[name] for name in side} for side in (split.train, split.validation, split.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides)), "a group stands on one side"
        assert sorted(split.train + split.validation + split.test) == names
    assert sorted(name for split in splits for name in split.test) == (names if splits else [])


def test_a_large_group_leaves_two_groups_beside_each_fold():
    """By size alone one fold would test all of the small groups, and one group would be left to train and validate."""
    folds = split_folds(ids(6), 2, list("000123"))
    assert [len(fold.train) > 0 and len(fold.validation) > 0 for fold in folds] == [True, True]
    assert sorted(name for fold in folds for name in fold.test) == ids(6)


def test_folds_are_of_one_size_and_need_images():
    assert [len(split.test) for split in split_folds(ids(20))] == [4] * 5
    for folds in (1, 0, 21):
        with pytest.raises(DataError, match="20 images in 20 groups cannot be split in"):
            split_folds(ids(20), folds)
    with pytest.raises(DataError, match=r"occur more than once; split the distinct ones \(distinct_image_ids\)"):
        split_folds(["a", "a", "b", "c"], 2)
