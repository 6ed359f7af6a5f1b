import sys
from pathlib import Path

import pytest

# The mapping without a fit is shared with the tests of the figures.
sys.path.insert(0, str(Path(__file__).parents[1] / "plot"))

from fake_mapping import fake_mapping_and_truth, with_limits
from PIL import Image

from factortopy.page import write_page


@pytest.fixture(scope="session")
def mapping():
    return with_limits(fake_mapping_and_truth()[0])


@pytest.fixture(scope="session")
def written(mapping, tmp_path_factory):
    """A page of one mapping with an example image."""
    image = Image.linear_gradient("L").convert("RGB")
    return write_page([mapping], tmp_path_factory.mktemp("page") / "page.html", images=[image])
