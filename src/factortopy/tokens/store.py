"""Tokens on disk: one Zarr v3 group, float16, one array a layer, image ids and provenance inside.

Layout: ``local/<layer>`` (image, channel, height, width) and ``global/<layer>`` (image, channel); a slash and
other marks that no folder has in its name are written as in an address (``%2F``). A chunk is one image with all
its channels, as training reads images in any order, and 64 images make one file (a shard). Tokens hardly shrink
under compression, so there is none; every chunk has a checksum instead.
``image_sha256`` holds a digest of every image's pixels. A small file beside the group says how many images
are complete and is written last.

A reduced store has principal components instead of channels, and what makes tokens of them again:
``basis/<kind>/<layer>/`` holds ``mean`` and ``spread`` (channel), ``axes`` (component, channel) and ``variance``
(component), so that ``tokens = mean + spread * (components @ axes)``.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

import numpy as np
import torch
import zarr
from torch import Tensor

from factortopy.errors import DataError, first_line
from factortopy.images import default_workers
from factortopy.networks import Preprocessing, Tokens
from factortopy.storage import RowArray, ShardedStore, read_rows, row_numbers, shard_bytes
from factortopy.tokens.components import KINDS, TokenBasis

DIGESTS = "image_sha256"
DIGEST_BYTES = 32
BASIS = "basis"
READERS = 4
"""Threads that are worth their while: more wait for each other."""
PINNED_BYTES = 2**28
"""Of one array, at most, that is read to where a GPU fetches it by itself."""


class TokenFolder(ShardedStore):
    """The folder of a token store, complete or not."""

    noun = "token store"
    unit = "images"
    action = "extraction"
    format = "factortopy-tokens-2"
    listed = ("image_ids", "image_groups")

    def basis(self) -> TokenBasis | None:
        """The axes that tokens are reduced to in a store, complete or not; None where they are whole."""
        group = self.open()
        facts: dict[str, Any] = dict(group.attrs)
        if not (self.path / BASIS).is_dir():
            return None
        try:
            layers = [folder_name(layer) for layer in facts["layers"]]
            arrays: Any = group[BASIS]
            return TokenBasis.from_arrays(lambda name: np.asarray(arrays[name][...]), layers)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise self.damaged(f"its basis cannot be read: {first_line(error)}") from error


class TokenStore:
    """The tokens of a set of images in one network, opened for reading; open with ``TokenStore.open``.

    Attributes:
        path: folder of the store.
        network: name of the network.
        weights_hash: SHA-256 of its weights.
        layers: names of the layers, shallow to deep.
        channels: channels of each layer.
        grid: height and width of every local map.
        global_token: whether the global token is the class token or the mean over places.
        preprocessing: what was done to the photographs first.
        precision: ``"bf16"`` or ``"fp32"``, in which the network ran.
        image_ids: ids of the images, in order.
        image_groups: scene of each image, if known: a split keeps a scene on one side.
        provenance: versions, machine and time of the extraction.
        outliers: ``"kept"``, or how tokens of extreme norm were masked.
        basis: the axes that tokens were reduced to on disk; None where they are whole.

    Example:
        >>> store = ft.TokenStore.open("run/tokens")
        >>> store.read([0, 1]).global_[0].shape == (2, store.channels[0])
        True
    """

    def __init__(self, path: Path, group: zarr.Group, basis: TokenBasis | None = None) -> None:
        facts: dict[str, Any] = dict(group.attrs)
        self.path = path
        self.network: str = facts["network"]
        self.weights_hash: str = facts["weights_hash"]
        self.layers: tuple[str, ...] = tuple(facts["layers"])
        self.channels: tuple[int, ...] = tuple(facts["channels"])
        self.grid: tuple[int, int] = (facts["grid"][0], facts["grid"][1])
        self.global_token: Literal["class", "pooled"] = facts["global_token"]
        self.preprocessing = Preprocessing.from_dict(facts["preprocessing"])
        self.precision: str = facts["precision"]
        self.image_ids: tuple[str, ...] = tuple(facts["image_ids"])
        groups = facts["image_groups"]
        self.image_groups: tuple[str, ...] | None = None if groups is None else tuple(groups)
        self.provenance: dict[str, Any] = facts["provenance"]
        self.outliers: str = facts.get("outliers", "kept")
        self.basis = basis

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a complete store.

        Raises:
            DataError: if there is none at ``path``, or it is incomplete, truncated or damaged.
        """
        folder = TokenFolder(Path(path))
        group = folder.open()
        folder.check_whole(len(group.attrs["image_ids"]))  # type: ignore[arg-type]
        try:
            return cls(folder.path, group, folder.basis())
        except (KeyError, IndexError, TypeError) as error:
            raise folder.damaged(f"its attributes lack {error}") from error

    @property
    def facts(self) -> dict[str, Any]:
        """How photographs became these tokens, JSON-ready: what a mapping needs to be shown others alike."""
        return {
            "network": self.network,
            "weights_hash": self.weights_hash,
            "preprocessing": vars(self.preprocessing),
            "grid": list(self.grid),
            "precision": self.precision,
            "outliers": self.outliers,
            **self.provenance,
        }

    def __len__(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    def read(self, indices: Sequence[int] | np.ndarray | None = None) -> Tokens:
        """Tokens of some images, in the order given; of all if None.

        Those of a reduced store are made of their components again: channels are the network's own.

        Args:
            indices: of the images in ``image_ids``, from 0; in any order, repeats allowed. Or a mask over all images.

        Returns:
            float16 tokens on the CPU.

        Raises:
            DataError: if an index is no whole number or out of range, or the store is damaged.
        """
        kept = self.read_stored(indices)
        return kept if self.basis is None else self.basis.restore(kept)

    def read_stored(self, indices: Sequence[int] | np.ndarray | None = None) -> Tokens:
        """As :meth:`read`, but what is on disk: of a reduced store, components of ``basis`` in place of channels."""
        rows = row_numbers(indices, len(self), self.path)
        items = item_shapes(self.layers, self.channels, self.grid, self.basis)
        arrays = [RowArray(self.path / name, item, "<f2") for name, item in items.items()]
        parts: list[Tensor] = []

        def empty(shape: tuple[int, ...], _: str) -> np.ndarray:
            # A GPU that is in use fetches pinned memory by itself, and PyTorch keeps it for the next ones.
            pinned = torch.cuda.is_initialized() and 2 * math.prod(shape) <= PINNED_BYTES
            parts.append(torch.empty(shape, dtype=torch.float16, pin_memory=pinned))
            return parts[-1].numpy()

        try:
            read_rows(arrays, rows, min(READERS, default_workers()), empty)
        except DataError as error:
            raise TokenFolder(self.path).damaged(str(error)) from error
        return Tokens(tuple(parts[: len(self.layers)]), tuple(parts[len(self.layers) :]))

    @cached_property
    def digests(self) -> tuple[str, ...] | None:
        """SHA-256 of the pixels of each image, as hex digits; None in a store that has none."""
        if not (self.path / DIGESTS).is_dir():
            return None
        return tuple(read_digests(self.path, range(len(self))))


def read_digests(path: Path, rows: Sequence[int]) -> list[str]:
    """SHA-256 of the pixels of some images of a store, complete or not, as hex digits."""
    (digests,) = read_rows([RowArray(path / DIGESTS, (DIGEST_BYTES,), "u1")], rows)
    return [bytes(digest).hex() for digest in digests]


def planned_bytes(images: int, channels: Sequence[int], grid: tuple[int, int], components: int | None = None) -> int:
    """Bytes on disk of the tokens of so many images, reduced to so many components a layer; whole if None.

    They are ``2 * images * sum(channels) * (height * width + 1)``, with components in place of channels where these
    are fewer; checksums and digests of the images; and of a reduced store the axes. Only the attributes (ids,
    provenance), some hundred bytes an image at most, are not counted.
    """
    kept = [count if components is None else min(count, components) for count in channels]
    items = [2 * count * positions for count in kept for positions in (math.prod(grid), 1)]
    axes = [(few + 2) * count + few for few, count in zip(kept, channels, strict=True)]
    basis = 0 if components is None else sum(len(KINDS) * 4 * numbers for numbers in axes)
    return basis + sum(shard_bytes(images, item) for item in (*items, DIGEST_BYTES))


def images_done(path: str | Path) -> int:
    """Images that are complete in a store; 0 where there is none."""
    return TokenFolder(Path(path)).done


def item_shapes(
    layers: Sequence[str], channels: Sequence[int], grid: tuple[int, int], basis: TokenBasis | None
) -> dict[str, tuple[int, ...]]:
    """Shape of an image in every array of tokens: layers' maps, then layers' global tokens."""
    whole = (channels, channels)
    counts = whole if basis is None else [[len(own.variance) for own in kind] for kind in (basis.local, basis.global_)]
    names = [folder_name(layer) for layer in layers]
    return {
        f"{kind}/{name}": (count, *place)
        for kind, own, place in zip(KINDS, counts, (grid, ()), strict=True)
        for name, count in zip(names, own, strict=True)
    }


def folder_name(layer: str) -> str:
    """A layer's name as that of a folder that Zarr allows."""
    if layer in ("", "zarr.json") or layer.startswith((".", "__")):
        return f"%{ord(layer[:1] or chr(0)):02X}{quote(layer[1:], safe='')}"
    return quote(layer, safe="")
