import sys
from pathlib import Path

import pytest

# The mapping without a fit is shared with the tests of the figures.
sys.path.insert(0, str(Path(__file__).parents[1] / "plot"))

from fake_mapping import fake_mapping_and_truth


@pytest.fixture(scope="session")
def mapping():
    return fake_mapping_and_truth()[0]
