"""A study whose networks are tiny and untrained, so that a whole figure takes seconds."""

import sys
from pathlib import Path

import numpy as np
import pytest

from factortopy.errors import UnavailableError
from factortopy.networks import load_network
from factortopy.paper import Study, StudyPlan, members

sys.path.insert(0, str(Path(__file__).parents[1] / "plot"))  # for fake_mapping
TINY = {"steps": 2, "validate_every": 2, "width": 4, "components": 4, "patches": False}
EVERY = 24
"""Of the vertices of a simulated subject, which are fitted."""
GONE = "squeezenet-1.1"
"""A stand-in that cannot be had in these tests."""


@pytest.fixture(scope="module")
def tiny_networks():
    """Every network is timm's test_vit with random weights of a seed of its own, but one; few vertices."""

    def load(name, preprocessing=None, **_options):
        if name == GONE:
            raise UnavailableError(f"{name} cannot be had: no hub in tests")
        options = {"seed": len(name), "device": "cpu", "preprocessing": preprocessing}
        return load_network("timm/test_vit", untrained=True, layers=["blocks.0", "blocks.2", "blocks.5"], **options)

    def open_few(*arguments):
        subject = open_subject(*arguments)
        return subject.select(np.arange(0, len(subject.voxels), EVERY)) if subject.simulated else subject

    open_subject, patch = StudyPlan.open_subject, pytest.MonkeyPatch()
    patch.setattr(members, "load_network", load)
    patch.setattr(StudyPlan, "open_subject", open_few)
    patch.setattr("factortopy.plot.style.DPI", 60)  # most of the time would go into drawing
    yield
    patch.undo()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("paper")


@pytest.fixture(scope="module")
def plan(work, tiny_networks):
    return StudyPlan(work=work, simulated=True, views=100, changes=TINY, device="cpu", progress=False)


@pytest.fixture
def study(plan):
    return Study(plan)
