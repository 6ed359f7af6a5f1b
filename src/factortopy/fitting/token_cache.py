"""Tokens where training reads them many times: on the GPU, in memory, or in one file on disk."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from math import prod

import torch
from jaxtyping import Float16, Int
from torch import Tensor

from factortopy.errors import DataError
from factortopy.fitting.examples import Examples, ReadTokens
from factortopy.machine import Machine
from factortopy.networks import Tokens

BYTES = 2
"""Of a number in float16."""
RESPONSE_BYTES = 4


@dataclass(frozen=True)
class TokenLayout:
    """How the tokens of an image stand in one row: local maps layer by layer, then global tokens.

    Attributes:
        local: channels, height and width of every layer's map.
        global_: channels of every layer's global token.
    """

    local: tuple[tuple[int, ...], ...]
    global_: tuple[int, ...]

    @classmethod
    def of(cls, tokens: Tokens) -> "TokenLayout":
        """The layout of tokens like these."""
        return cls(
            tuple(tuple(layer.shape[1:]) for layer in tokens.local),
            tuple(layer.shape[1] for layer in tokens.global_),
        )

    @property
    def numbers(self) -> int:
        """Numbers of an image."""
        return sum(prod(shape) for shape in self.local) + sum(self.global_)

    def pack(self, tokens: Tokens) -> Float16[Tensor, "B numbers"]:
        """Tokens as rows of float16."""
        return torch.cat([layer.flatten(1).half() for layer in (*tokens.local, *tokens.global_)], dim=1)

    def unpack(self, rows: Float16[Tensor, "B numbers"]) -> Tokens:
        """Tokens from rows, without a copy."""
        sizes = [*(prod(shape) for shape in self.local), *self.global_]
        parts = rows.split(sizes, dim=1)
        local = (part.unflatten(1, shape) for part, shape in zip(parts, self.local, strict=False))
        return Tokens(tuple(local), tuple(parts[len(self.local) :]))


def cache_tokens(batches: Iterable[Tokens], examples: Examples, layout: TokenLayout, machine: Machine) -> Examples:
    """The examples with these tokens instead, as close to the processor as they fit.

    Args:
        batches: the tokens of all images in order.
        examples: the images.
        layout: shapes of the tokens of one image.
        machine: where they are used and what they may take.

    Raises:
        DataError: if they must be written to disk and it is full.
    """
    count = len(examples)
    if fits_device(examples, layout, machine):
        read: ReadTokens = _in_memory(batches, count, layout, machine.device)
        return Examples(read, _OnDevice(examples.all_responses(machine.device)))
    if fits_memory(examples, layout, machine):
        read = _in_memory(batches, count, layout, torch.device("cpu"))
        # For a GPU the next batch travels while one is used, as from disk.
        return Examples(read, examples.responses, resident=machine.device.type == "cpu")
    return Examples(FiledTokens.write(batches, layout), examples.responses, resident=False)


def fits_device(examples: Examples, layout: TokenLayout, machine: Machine) -> bool:
    """Whether tokens and responses fit on the GPU."""
    voxels = examples.responses[torch.tensor([0])].shape[1]
    return len(examples) * (BYTES * layout.numbers + RESPONSE_BYTES * voxels) <= machine.device_memory()


def fits_memory(examples: Examples, layout: TokenLayout, machine: Machine) -> bool:
    """Whether tokens fit in main memory."""
    return len(examples) * BYTES * layout.numbers <= machine.memory


def join_tokens(batches: Iterable[Tokens], images: int, device: torch.device | None = None) -> Tokens:
    """Tokens of images that come batch by batch, together in float16 on a device; the CPU if None."""
    coming = iter(batches)
    first = next(coming)
    layout = TokenLayout.of(first)
    return layout.unpack(_gather(chain([first], coming), images, layout, device or torch.device("cpu")))


def _gather(
    batches: Iterable[Tokens], images: int, layout: TokenLayout, device: torch.device
) -> Float16[Tensor, "images numbers"]:
    rows = torch.empty(images, layout.numbers, dtype=torch.float16, device=device)
    start = 0
    for tokens in batches:
        rows[start : start + len(tokens)] = layout.pack(tokens)
        start += len(tokens)
    return rows


def _in_memory(batches: Iterable[Tokens], images: int, layout: TokenLayout, device: torch.device) -> ReadTokens:
    rows = _gather(batches, images, layout, device)
    return lambda chosen: layout.unpack(rows[chosen.to(device, non_blocking=True)])


@dataclass(frozen=True, eq=False)
class _OnDevice:
    """Responses on a GPU, taken by indices of the host without waiting for the GPU."""

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Int[Tensor, "batch"]) -> Tensor:
        return self.values[rows.to(self.values.device, non_blocking=True)]


class FiledTokens:
    """Tokens in a temporary file, one row an image; reading an image reads just its bytes.

    The file has no name and vanishes with the process. It lies in the folder for temporary files
    (``TMPDIR``).

    Args:
        layout: shapes of the tokens of one image.
    """

    def __init__(self, layout: TokenLayout) -> None:
        self._layout = layout
        self._file = tempfile.TemporaryFile(prefix="factortopy-")  # noqa: SIM115 (open while tokens are read)

    @classmethod
    def write(cls, batches: Iterable[Tokens], layout: TokenLayout) -> "FiledTokens":
        """Write the tokens of all images, batch by batch.

        Raises:
            DataError: if the disk is full.
        """
        tokens = cls(layout)
        try:
            for batch in batches:
                tokens._file.write(layout.pack(batch).cpu().numpy().data)
            tokens._file.flush()
        except OSError as error:
            raise DataError(
                f"cannot write tokens to {tempfile.gettempdir()}: {error.strerror}; set TMPDIR to a folder "
                "with more space, or allow them more memory"
            ) from error
        return tokens

    def __call__(self, chosen: Int[Tensor, "batch"]) -> Tokens:
        """Tokens of some images."""
        rows = torch.empty(len(chosen), self._layout.numbers, dtype=torch.float16)
        size = BYTES * self._layout.numbers
        for row, image in zip(rows.numpy(), chosen.tolist(), strict=True):
            os.preadv(self._file.fileno(), [row.data], image * size)
        return self._layout.unpack(rows)
