"""What all tests share."""

import jaxtyping
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny matrices are slower on many threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def any_shape():
    """Shapes are not checked: a test builds what is wrong on purpose, before anything can refuse it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
