"""Tokens in memory and on disk are the same tokens; batches come in order; reading ahead changes nothing."""

import threading

import numpy as np
import pytest
import torch

from factortopy.errors import DataError
from factortopy.fitting import Examples, StandardisedResponses
from factortopy.fitting import token_cache as module
from factortopy.fitting.token_cache import CacheLayout, Feed, FiledTokens, cache_tokens
from factortopy.machine import Machine
from factortopy.networks import Tokens

SHAPES = ((3, 2, 4), (5, 1, 1))
IMAGES = 23


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(0)
    local = tuple(torch.randn(IMAGES, *shape, generator=generator).half() for shape in SHAPES)
    return Tokens(local, tuple(torch.randn(IMAGES, shape[0], generator=generator).half() for shape in SHAPES))


@pytest.fixture
def examples(tokens):
    responses = torch.arange(IMAGES * 2.0).view(IMAGES, 2)
    return Examples(lambda rows: tokens[rows], responses)


def cpu(memory):
    return Machine(torch.device("cpu"), "fp32", memory)


def same(left, right):
    pairs = zip((*left.local, *left.global_), (*right.local, *right.global_), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_rows_hold_all_tokens_in_a_known_order(tokens):
    layout = CacheLayout.of(tokens)
    assert layout.numbers == 3 * 8 + 5 + 3 + 5
    rows = layout.pack(tokens)
    by_place = [part[7].movedim(0, -1) for part in tokens.local]  # the channels of a place side by side
    expected = np.concatenate([part.numpy().ravel() for part in (*by_place, *(part[7] for part in tokens.global_))])
    np.testing.assert_array_equal(rows[7].numpy(), expected)
    assert same(layout.unpack(rows), tokens)


@pytest.mark.parametrize(("memory", "kind"), [(10**9, "memory"), (0, "disk")])
def test_cached_tokens_are_those_given(tokens, examples, memory, kind):
    layout = CacheLayout.of(tokens)
    cached = cache_tokens(examples.batches(4), examples, layout, cpu(memory))
    assert cached.resident == (kind == "memory")
    assert isinstance(cached.read, FiledTokens) == (kind == "disk")
    chosen = torch.tensor([22, 0, 7, 7, 3])
    assert same(cached.read(chosen), tokens[chosen])
    assert torch.equal(cached.responses[chosen], examples.responses[chosen])


def test_memory_decides_to_the_byte(tokens, examples):
    layout = CacheLayout.of(tokens)
    size = 2 * layout.numbers * IMAGES
    assert module.fits_memory(examples, layout, cpu(size))
    assert not module.fits_memory(examples, layout, cpu(size - 1))


class RoomyDevice(Machine):
    """A machine whose device has memory of its own, as a GPU."""

    def device_memory(self):
        return 10**9


def test_what_fits_on_the_device_stays_there(tokens, examples):
    cached = cache_tokens(
        examples.batches(4), examples, CacheLayout.of(tokens), RoomyDevice(torch.device("cpu"), "fp32", 0)
    )
    assert cached.resident
    assert len(cached) == IMAGES
    chosen = torch.tensor([5, 1, 5])
    assert same(cached.read(chosen), tokens[chosen])
    assert torch.equal(cached.responses[chosen], examples.responses[chosen])


@pytest.mark.parametrize(("room", "there"), [(1.0, False), (1.6, True)])
def test_training_and_validation_images_lie_on_one_device(tokens, examples, room, there):
    """They are computed with together; here a third of the images validates."""

    class Device(Machine):
        def device_memory(self):
            return int(
                self.share * 2 * room * IMAGES * (2 * CacheLayout.of(tokens).numbers + 4 * examples.responses.shape[1])
            )

    validation = Examples(lambda rows: tokens[rows], examples.responses[torch.arange(IMAGES // 3)])
    machine = Device(torch.device("cpu"), "fp32", 10**9)
    assert module.fits_device([validation], CacheLayout.of(tokens), machine)
    sides = module.cache_sides((examples, validation), lambda batch: batch, machine, "Tokens", False)
    assert [isinstance(side.responses, module._OnDevice) for side in sides] == [there, there]


def test_a_full_disk_is_one_clear_line(tokens, examples, monkeypatch):
    class Full:
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(DataError, match="No space left on device; set TMPDIR"):
        cache_tokens(examples.batches(4), examples, CacheLayout.of(tokens), cpu(0))


@pytest.mark.parametrize("resident", [True, False])
def test_batches_come_in_the_order_asked_for(tokens, examples, resident):
    readers = set()

    def read(rows):
        readers.add(threading.current_thread().name)
        return tokens[rows]

    order = [torch.tensor([3, 1]), torch.tensor([0]), torch.tensor([5, 9, 2]), torch.tensor([4])] * 3
    feed = Feed(Examples(read, examples.responses, resident), torch.device("cpu"))
    for rows, (found, responses) in zip(order, feed.batches(iter(order)), strict=True):
        assert same(found, tokens[rows])
        assert torch.equal(responses, examples.responses[rows])
    assert feed.waited > 0
    assert (threading.current_thread().name in readers) == resident


def test_an_error_while_reading_ahead_reaches_the_caller(examples):
    def read(_):
        raise DataError("the store is damaged")

    feed = Feed(Examples(read, examples.responses, resident=False), torch.device("cpu"))
    with pytest.raises(DataError, match="damaged"):
        list(feed.batches(iter([torch.tensor([0])])))


def test_responses_are_z_scored_by_the_training_images():
    rng = np.random.default_rng(0)
    responses = (5 + 3 * rng.normal(size=(600, 4))).astype(np.float32)
    responses[:, 2] = 7
    train, test = np.arange(0, 600, 2), np.arange(1, 600, 2)
    standardised = StandardisedResponses.by_training(responses, train)
    found = standardised[torch.arange(len(train))].numpy()
    varying = [0, 1, 3]
    np.testing.assert_allclose(found[:, varying].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found[:, varying].std(axis=0), 1, atol=1e-5)
    assert not found[:, 2].any()
    other = standardised.of(test)[torch.tensor([5])].numpy()
    mean, spread = responses[train].mean(axis=0), responses[train].std(axis=0)
    expected = ((responses[11] - mean) / np.where(spread > 0, spread, 1))[None, varying]
    np.testing.assert_allclose(other[:, varying], expected, atol=1e-5)


def test_a_machine_is_what_is_asked_for():
    machine = Machine.choose("cpu", "fp32", memory_gb=1.5)
    assert (machine.device.type, machine.precision, machine.memory) == ("cpu", "fp32", 1_500_000_000)
    assert machine.device_memory() == 0
    with pytest.raises(DataError, match="memory_gb is -1"):
        Machine.choose("cpu", memory_gb=-1)
