"""NSD's shared images against counting the presentations of the file read by SciPy."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from factortopy.datasets import nsd_shared_images
from factortopy.errors import DataError
from factortopy.images import split_with_test

sys.path.insert(0, str(Path(__file__).parent))
from nsd_fixture import write_design

PLANNED, TRIALS = 40, 6
SESSIONS = (40, 40, 32, 30, 40, 32, 40, 30)


@pytest.fixture
def root(tmp_path):
    write_design(tmp_path, 1, PLANNED, TRIALS)
    return tmp_path


def design_file(root):
    return root / "nsddata" / "experiments" / "nsd" / "nsd_expdesign.mat"


def test_all_shared_images_are_named_from_0(root):
    shared = loadmat(design_file(root))["sharedix"].ravel()
    assert nsd_shared_images(root) == tuple(f"nsd-{int(number) - 1:05d}" for number in sorted(shared))


def test_images_that_all_saw_three_times(tmp_path):
    sizes = set()
    for seed in range(4):
        root = tmp_path / str(seed)
        write_design(root, 1, PLANNED, TRIALS, seed)
        variables = loadmat(design_file(root))
        order, shown = variables["masterordering"].ravel(), variables["subjectim"]
        expected = {int(number) for number in variables["sharedix"].ravel()}
        for row, sessions in enumerate(SESSIONS):
            seen = Counter(int(shown[row, position - 1]) for position in order[: sessions * TRIALS])
            expected &= {number for number, count in seen.items() if count >= 3}
        names = nsd_shared_images(root, three_times=True)
        assert names == tuple(f"nsd-{number - 1:05d}" for number in sorted(expected))
        sizes.add(len(names))
    assert len(sizes) > 1, "the sessions that a subject lacks must tell"


def test_they_become_the_test_images_of_a_split(root):
    shared = nsd_shared_images(root)
    others = [f"nsd-{number:05d}" for number in range(100, 140)]
    ids = [*others, *shared[:5]]
    split = split_with_test(list(dict.fromkeys(ids)), set(shared) & set(ids))
    assert set(split.test) == set(shared) & set(ids)


def test_a_file_without_them_is_one_clear_line(root):
    variables = {name: value for name, value in loadmat(design_file(root)).items() if not name.startswith("_")}
    savemat(design_file(root), {name: np.asarray(value) for name, value in variables.items() if name != "sharedix"})
    with pytest.raises(DataError, match="has no sharedix"):
        nsd_shared_images(root)
