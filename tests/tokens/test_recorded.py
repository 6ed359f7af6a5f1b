"""Batches that are replayed give the tokens of plain calls, or are not replayed; a stand-in records here."""

import torch

from factortopy.networks import Tokens
from factortopy.tokens.recorded import Recorded

CPU = torch.device("cpu")


def compute(pixels):
    maps = (pixels[:, :, ::2, ::2].half(), (2 * pixels[:, :2] - 1).half())
    return Tokens(maps, tuple(layer.mean(dim=(2, 3)) for layer in maps))


def stand_in(work):
    """Does the work again into the same memory, as a CUDA graph."""
    result = work()

    def again():
        return result.copy_(work())

    return again


def frozen(work):
    """Gives what was computed first, as a graph of what does not hang on its input."""
    result = work()
    return lambda: result


def batches(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, 3, 4, 6, generator=generator) for size in sizes]


def test_replayed_batches_have_the_tokens_of_plain_ones():
    recorded, kept = Recorded(compute, CPU, stand_in), []
    for pixels in batches(*[5] * 8, 3):
        tokens, sums = recorded(pixels)
        kept.append((compute(pixels), tokens))
        expected = torch.stack([part.double().flatten(1).sum(1) for part in (*tokens.local, *tokens.global_)])
        torch.testing.assert_close(sums.double(), expected, atol=1e-2, rtol=1e-3)
    for plain, found in kept:  # what was given stays as it is when later batches are replayed
        for one, other in zip((*found.local, *found.global_), (*plain.local, *plain.global_), strict=True):
            assert torch.equal(one, other)


def test_what_hangs_on_more_than_the_pixels_is_not_replayed(capsys):
    recorded = Recorded(compute, CPU, frozen)
    for pixels in batches(*[5] * 8):
        found, plain = recorded(pixels)[0], compute(pixels)
        assert torch.equal(found.local[1], plain.local[1])
    assert "not replayed" in capsys.readouterr().err


def test_what_cannot_be_recorded_is_computed_plainly(capsys):
    def refuses(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    recorded = Recorded(compute, CPU, refuses)
    for pixels in batches(*[5] * 6):
        assert torch.equal(recorded(pixels)[0].local[0], compute(pixels).local[0])
    assert "not permitted" in capsys.readouterr().err
