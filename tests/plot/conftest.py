import pytest
from fake_mapping import fake_mapping_and_truth

from factortopy.cortex import load_surface


@pytest.fixture(scope="session")
def fake():
    """A mapping on the visual cortex and the truth behind it."""
    return fake_mapping_and_truth()


@pytest.fixture(scope="session")
def mapping(fake):
    return fake[0]


@pytest.fixture(scope="session")
def truth(fake):
    return fake[1]


@pytest.fixture(scope="session")
def surface():
    return load_surface()
