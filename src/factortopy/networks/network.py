"""What every network looks like to the rest of the program, and the tokens it gives."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from factortopy.errors import ShapeError, UnavailableError
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.weights.state_dict import sha256_weights


@dataclass(frozen=True)
class Tokens:
    """The tokens of a batch of images; one entry a layer, in order of depth.

    Args:
        local: a map a layer; layers may differ in channels, height and width.
        global_: the class token, or the mean over places where a network has none.
        registers: register tokens, which belong neither to a place nor to the class; empty if none.
    """

    local: tuple[Float[Tensor, "B _C _H _W"], ...]
    global_: tuple[Float[Tensor, "B _C"], ...]
    registers: tuple[Float[Tensor, "B _R _C"], ...] = ()

    def __post_init__(self) -> None:
        if len(self.local) != len(self.global_) or not self.local:
            raise ShapeError(
                f"tokens have {len(self.local)} local and {len(self.global_)} global layers; give one of each a layer"
            )
        for index, (local, global_) in enumerate(zip(self.local, self.global_, strict=True)):
            if local.ndim != 4 or global_.ndim != 2 or local.shape[:2] != global_.shape:
                raise ShapeError(
                    f"tokens of layer {index} have shapes {tuple(local.shape)} (local) and "
                    f"{tuple(global_.shape)} (global); expected (B, C, H, W) and (B, C)"
                )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.local[0])

    def __getitem__(self, rows: slice | int | Sequence[int] | Sequence[bool] | np.ndarray | Tensor) -> "Tokens":
        """The tokens of some images of the batch, by number or by a mask; of a single number a batch of one."""
        index = rows if isinstance(rows, slice) else torch.as_tensor(rows)
        if isinstance(index, Tensor) and index.dtype != torch.bool:
            index = index.long().reshape(-1)
        return self._map(lambda tensor: tensor[index])

    @classmethod
    def join(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """The tokens of several batches as those of one."""
        layers = zip(*((part.local, part.global_, part.registers) for part in parts), strict=True)
        return cls(*(tuple(torch.cat(layer) for layer in zip(*kind, strict=True)) for kind in layers))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Tokens":
        """The same tokens on a device and of a type."""
        # Towards a GPU nobody need wait; what comes from one is there only once it has.
        ahead = device is not None and torch.device(device).type == "cuda"
        return self._map(lambda tensor: tensor.to(device=device, dtype=dtype, non_blocking=ahead))

    def downsample(self, grid: tuple[int, int]) -> "Tokens":
        """Resample every local map to ``grid`` (height, width) and to float32; the rest stays as it is.

        Bilinear, ``align_corners=False``, no antialiasing.
        """
        # CUDA resamples places one after the other, in all images and channels, unless channels lie side by side.
        order = torch.channels_last if self.local[0].is_cuda else torch.preserve_format
        local = tuple(
            functional.interpolate(tensor.to(torch.float32, memory_format=order), size=grid, mode="bilinear")
            for tensor in self.local
        )
        return Tokens(local, self.global_, self.registers)

    def _map(self, function: Any) -> "Tokens":
        return Tokens(*(tuple(map(function, part)) for part in (self.local, self.global_, self.registers)))


class Network(ABC):
    """A vision network with named layers in order of depth.

    Attributes:
        name: as the user calls it.
        description: where the weights come from.
        pretrained: False for the untrained control.
        layers: names of the layers, shallow to deep.
        channels: channels of each layer.
        grids: height and width of each layer's map.
        prefix_tokens: tokens before the places (class and registers); 0 for convolutional networks.
        register_tokens: those of them that are registers.
        global_token: whether the global token is the class token or the mean over places.
        preprocessing: what to do to a photograph first.
        weights_hash: SHA-256 of the weights.
        device: where the weights are.
        architecture: the name by which ``load_network`` builds it; None for a module of one's own.
        unhashed: names of modules left out of the hash, which give no tokens (the classifier).

    Example:
        >>> network.layers[0], len(network.layers) == len(network.channels)
        ('blocks.0', True)
    """

    name: str
    description: str
    pretrained: bool
    layers: tuple[str, ...]
    channels: tuple[int, ...]
    grids: tuple[tuple[int, int], ...]
    prefix_tokens: int
    register_tokens: int
    global_token: Literal["class", "pooled"]
    preprocessing: Preprocessing
    weights_hash: str
    device: torch.device
    architecture: str | None = None
    unhashed: tuple[str, ...] = ()

    @property
    def module(self) -> nn.Module:
        """What holds the weights, in eval mode, to be trained or saved.

        Raises:
            UnavailableError: if they are not in one module: of a function or a diffusion model.
        """
        raise UnavailableError(
            f"the weights of {self.name} cannot be trained: it is a function or several models; take a "
            "network of timm, open_clip, transformers or torchvision, or a PyTorch module"
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the finest map."""
        return max(self.grids)

    @abstractmethod
    def tokens(self, images: Float[Tensor, "B 3 H W"]) -> Tokens:
        """Tokens of preprocessed images, each layer at its own resolution. Gradients flow where enabled."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Move the weights to a device; returns the network itself."""

    def mark_changed(self, name: str, description: str) -> None:
        """After its weights were changed: a name of its own, where they are from, and their hash."""
        self.name, self.description, self.pretrained = name, description, True
        self.weights_hash = sha256_weights(self.module, self.unhashed)


def check_images(network: Network, images: Float[Tensor, "B 3 H W"]) -> None:
    """Check that images have the size that a network takes.

    Raises:
        ShapeError: if they do not.
    """
    height, width = network.preprocessing.size
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, height, width):
        raise ShapeError(
            f"images have shape {tuple(images.shape)}; {network.name} takes (B, 3, {height}, {width}): use "
            "its preprocessing"
        )


def describe(network: Network) -> dict[str, Any]:
    """A network's layers, token shapes and preprocessing as JSON-ready data."""
    facts = ("name", "description", "pretrained", "prefix_tokens", "register_tokens", "global_token", "weights_hash")
    layers = zip(network.layers, network.channels, network.grids, strict=True)
    return {
        **{fact: getattr(network, fact) for fact in facts},
        "preprocessing": {**vars(network.preprocessing)},
        "layers": [{"name": name, "channels": count, "grid": list(grid)} for name, count, grid in layers],
    }
