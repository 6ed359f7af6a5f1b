"""What all tests share."""

import resource
import signal
from contextlib import contextmanager

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from factortopy.images import ImageSet
from factortopy.networks import load_network
from factortopy.tokens import extract

# The same examples in every run: what fails here fails for whoever looks into it. Others are drawn, to search for
# faults, with --hypothesis-profile=default.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


class Late(BaseException):
    """A reader took too long; no reader may catch it."""


@pytest.fixture
def full_disk():
    """``with full_disk()``: files may have 2 kB, and whatever writes more is told by the system that it cannot."""

    @contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def within():
    """``with within(seconds, what)``: fails where a reader hangs."""

    def ring(*_):
        raise Late

    @contextmanager
    def limited(seconds, what):
        signal.alarm(seconds)
        try:
            yield
        except Late:
            pytest.fail(f"{what} took more than {seconds} s")
        finally:
            signal.alarm(0)

    before = signal.signal(signal.SIGALRM, ring)
    yield limited
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session", autouse=True)
def limit_threads():
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


@pytest.fixture(scope="session")
def tokens_of_noise(tmp_path_factory):
    """Tokens of so many pictures of noise, ``image-00`` on, in a tiny network with random weights."""

    def made(count, grid, groups=None, network="timm/test_vit"):
        rng, digits = np.random.default_rng(0), max(2, len(str(count - 1)))
        pictures = {f"image-{i:0{digits}d}": rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for i in range(count)}
        images = ImageSet("noise", tuple(pictures), lambda name: Image.fromarray(pictures[name]), groups)
        folder = tmp_path_factory.mktemp("tokens") / "store"
        return extract(load_network(network, untrained=True), images, folder, grid=grid, progress=False)

    return made
