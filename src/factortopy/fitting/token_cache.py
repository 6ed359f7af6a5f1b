"""Tokens where training reads them many times: on the GPU, in memory, or in one file on disk; and batch by batch."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from factortopy.errors import DataError
from factortopy.fitting.examples import Examples, ReadTokens, Responses
from factortopy.machine import Machine, in_threads
from factortopy.networks import Tokens
from factortopy.progress import progress_bar
from factortopy.storage import read_ahead

BYTES = 2
"""Of a number in float16."""
RESPONSE_BYTES = 4
BATCH = 64
AHEAD = 3
"""Batches that are read ahead."""
TAKEN = 16
"""Images that a thread takes out of memory at a time."""

Batch = tuple[Tokens, Float[Tensor, "batch voxel"]]


@dataclass(frozen=True)
class CacheLayout:
    """How the tokens of an image stand in one row: local maps layer by layer, then global tokens.

    The shape of every layer's map is (channels, height, width); of the global tokens the channels are known. In the row
    the channels of a place stand side by side, as they are multiplied together.
    """

    local: tuple[tuple[int, ...], ...]
    global_: tuple[int, ...]

    @classmethod
    def of(cls, tokens: Tokens) -> "CacheLayout":
        """The layout of tokens like these."""
        return cls(
            tuple(tuple(layer.shape[1:]) for layer in tokens.local), tuple(layer.shape[1] for layer in tokens.global_)
        )

    @property
    def numbers(self) -> int:
        """Numbers of an image."""
        return sum(prod(shape) for shape in self.local) + sum(self.global_)

    def pack(self, tokens: Tokens) -> Float16[Tensor, "B numbers"]:
        """Tokens as rows of float16."""
        local = (layer.movedim(1, -1).flatten(1) for layer in tokens.local)
        return torch.cat([part.half() for part in (*local, *tokens.global_)], dim=1)

    def unpack(self, rows: Float16[Tensor, "B numbers"]) -> Tokens:
        """Tokens from rows, without a copy."""
        sizes = [*(prod(shape) for shape in self.local), *self.global_]
        parts = rows.split(sizes, dim=1)
        local = (
            part.unflatten(1, (*place, channels)).movedim(-1, 1)
            for part, (channels, *place) in zip(parts, self.local, strict=False)
        )
        return Tokens(tuple(local), tuple(parts[len(self.local) :]))


def cache_tokens(
    batches: Iterable[Tokens],
    examples: Examples,
    layout: CacheLayout,
    machine: Machine,
    order: Int[Tensor, "row"] | None = None,
) -> Examples:
    """The examples with these tokens of all their rows, as close to the processor as they fit.

    Args:
        batches: of the tokens.
        examples: whose tokens they are.
        layout: of the tokens of an image.
        machine: where they are kept.
        order: the rows in the order in which their tokens come; that of the examples if None.

    Raises:
        DataError: if they must be written to disk and it is full.
    """
    order = torch.arange(len(examples)) if order is None else order
    if fits_device([examples], layout, machine):
        read: ReadTokens = _in_memory(batches, order, layout, machine.device)
        return Examples(read, _OnDevice(examples.all_responses(machine.device)))
    if fits_memory(examples, layout, machine):
        read = _in_memory(batches, order, layout, torch.device("cpu"))
        # For a GPU the next batch travels while one is used, as from disk.
        return Examples(read, examples.responses, resident=machine.device.type == "cpu")
    return Examples(FiledTokens(batches, layout, order), examples.responses, resident=False)


def cache_sides(
    sides: tuple[Examples, Examples], change: Callable[[Tokens], Tokens], machine: Machine, label: str, progress: bool
) -> tuple[Examples, Examples]:
    """Training and validation examples with their tokens changed and cached, as :func:`cache_tokens` does.

    They are read as they lie on disk, file after file, and while others are changed.
    """
    layout = CacheLayout.of(change(sides[0].read(torch.tensor([0]))))
    # Both sides are computed with together: one of them on the GPU alone would be on another device.
    holds = machine if fits_device(sides, layout, machine) else replace(machine, share=0.0)
    # What travels to a GPU keeps a thread waiting for longer than the GPU then works on it.
    threads = 1 if machine.device.type == "cpu" else AHEAD
    with progress_bar(label, sum(map(len, sides)), show=progress) as advance:

        def changed(side: Examples, order: Int[Tensor, "row"]) -> Iterator[Tokens]:
            for batch in read_ahead(
                lambda rows: side.read(rows).to(machine.device), order.split(BATCH), threads, threads
            ):
                yield change(batch)
                advance(len(batch))

        orders = [side.as_stored for side in sides]
        training, validation = (
            cache_tokens(changed(side, order), side, layout, holds, order)
            for side, order in zip(sides, orders, strict=True)
        )
    return training, validation


def cache_raw(sides: tuple[Examples, Examples], machine: Machine, progress: bool) -> tuple[Examples, Examples]:
    """Training and validation examples with raw tokens as close to the processor as they fit."""
    layout = CacheLayout.of(sides[0].read(torch.tensor([0])))
    if fits_device(sides, layout, machine) or fits_memory(sides[0], layout, machine):
        return cache_sides(sides, lambda tokens: tokens, machine, "Reading tokens", progress)
    # They are on disk already: no second copy of raw tokens is written.
    training, validation = (Examples(side.read, side.responses, resident=False) for side in sides)
    return training, validation


def with_responses(examples: Examples, responses: Responses) -> Examples:
    """The examples with other responses, held where theirs are."""
    held = examples.responses
    if isinstance(held, _OnDevice) and isinstance(responses, Tensor):
        responses = _OnDevice(responses.to(held.values.device))
    return replace(examples, responses=responses)


def fits_device(sides: Sequence[Examples], layout: CacheLayout, machine: Machine) -> bool:
    """Whether tokens and responses of all sides fit on the GPU."""
    voxels = sides[0].responses[torch.tensor([0])].shape[1]
    return sum(map(len, sides)) * (BYTES * layout.numbers + RESPONSE_BYTES * voxels) <= machine.device_memory()


def fits_memory(examples: Examples, layout: CacheLayout, machine: Machine) -> bool:
    """Whether tokens fit in main memory."""
    return len(examples) * BYTES * layout.numbers <= machine.memory


def join_tokens(batches: Iterable[Tokens], images: int, device: torch.device | None = None) -> Tokens:
    """Tokens of images that come batch by batch, together in float16 on a device; the CPU if None.

    The places of a channel lie side by side, as what pools them asks for.
    """
    joined: list[Tensor] = []
    layers, start = 0, 0
    for tokens in batches:
        parts, stop = (*tokens.local, *tokens.global_), start + len(tokens)
        if not joined:
            layers = len(tokens.local)
            joined = [torch.empty(images, *part.shape[1:], dtype=torch.float16, device=device) for part in parts]
        for whole, part in zip(joined, parts, strict=True):
            whole[start:stop] = part
        start = stop
    return Tokens(tuple(joined[:layers]), tuple(joined[layers:]))


def _gather(
    batches: Iterable[Tokens], order: Int[Tensor, "row"], layout: CacheLayout, device: torch.device
) -> Float16[Tensor, "row numbers"]:
    rows = torch.empty(len(order), layout.numbers, dtype=torch.float16, device=device)
    order, start = order.to(device), 0
    for tokens in batches:
        rows[order[start : start + len(tokens)]] = layout.pack(tokens).to(device)
        start += len(tokens)
    return rows


def _in_memory(
    batches: Iterable[Tokens], order: Int[Tensor, "row"], layout: CacheLayout, device: torch.device
) -> ReadTokens:
    rows = _gather(batches, order, layout, device)
    if device.type != "cpu":
        return lambda chosen: layout.unpack(rows[chosen.to(device, non_blocking=True)])

    def read(chosen: Int[Tensor, "batch"]) -> Tokens:
        taken = rows.new_empty(len(chosen), layout.numbers)
        pieces = zip(chosen.split(TAKEN), taken.split(TAKEN), strict=True)
        list(in_threads(lambda piece: torch.index_select(rows, 0, piece[0], out=piece[1]), pieces, device))
        return layout.unpack(taken)

    return read


@dataclass(frozen=True, eq=False)
class _OnDevice:
    """Responses on a GPU, taken by indices of the host without waiting for the GPU."""

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Int[Tensor, "batch"]) -> Tensor:
        return self.values[rows.to(self.values.device, non_blocking=True)]


class FiledTokens:
    """Tokens of batches in a temporary file, one row an image; reading an image reads just its bytes.

    The file has no name and vanishes with the process. It lies in the folder for temporary files
    (``TMPDIR``).

    Raises:
        DataError: if the disk is full.
    """

    def __init__(self, batches: Iterable[Tokens], layout: CacheLayout, order: Int[Tensor, "row"] | None = None) -> None:
        self._layout, self._place = layout, None if order is None else order.argsort()
        self._file = tempfile.TemporaryFile(prefix="factortopy-")  # noqa: SIM115 (open while tokens are read)
        try:
            for batch in batches:
                self._file.write(layout.pack(batch).cpu().numpy().data)
            self._file.flush()
        except OSError as error:
            raise DataError(
                f"cannot write tokens to {tempfile.gettempdir()}: {error.strerror}; set TMPDIR to a folder "
                "with more space, or allow them more memory"
            ) from error

    def __call__(self, chosen: Int[Tensor, "batch"]) -> Tokens:
        """Tokens of some images."""
        chosen = chosen if self._place is None else self._place[chosen]
        rows = torch.empty(len(chosen), self._layout.numbers, dtype=torch.float16)
        size = BYTES * self._layout.numbers
        for row, image in zip(rows.numpy(), chosen.tolist(), strict=True):
            os.preadv(self._file.fileno(), [row.data], image * size)
        return self._layout.unpack(rows)


class Feed:
    """Tokens and responses batch by batch, on the device that computes; the next ones are read while one is used.

    Attributes:
        waited: seconds spent waiting for batches.
    """

    def __init__(self, images: Examples, device: torch.device) -> None:
        self._images, self._device = images, device
        self.waited = 0.0

    def batches(self, order: Iterable[Int[Tensor, "batch"]]) -> Iterator[Batch]:
        """A batch for each set of indices in ``order``, in that order."""
        reading = map(self._read, order) if self._images.resident else read_ahead(self._read, order, AHEAD)
        start = time.perf_counter()
        for batch in reading:
            self.waited += time.perf_counter() - start
            yield batch
            start = time.perf_counter()

    def _read(self, indices: Int[Tensor, "batch"]) -> Batch:
        tokens = self._images.read(indices).to(self._device)
        return tokens, self._images.responses[indices].to(self._device)
