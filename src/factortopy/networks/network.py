"""What every network looks like to the rest of the program, and the tokens it gives."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from factortopy.errors import ShapeError, UnavailableError
from factortopy.networks.weights.state_dict import sha256_weights


@dataclass(frozen=True)
class Preprocessing:
    """How a network was trained to see a photograph; each network has its own.

    Args:
        size: height and width of the network's input, pixels.
        mean: per RGB channel, of values in 0..1.
        std: per RGB channel, of values in 0..1.
        interpolation: ``"bicubic"``, ``"bilinear"``, ...
        crop_fraction: share of the resized image's side that is kept.
        crop_mode: ``"center"``, ``"squash"`` or ``"border"``, as in timm.
        channels: order in which the network takes them, ``"RGB"`` or ``"BGR"``.
        border: RGB in 0..1 of what ``"border"`` adds; the mean if empty.

    Example:
        >>> from PIL import Image
        >>> half = ft.Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3, interpolation="bicubic", crop_fraction=1.0)
        >>> half(Image.new("RGB", (64, 48), (255, 255, 255))).shape
        torch.Size([3, 32, 32])
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_fraction: float
    crop_mode: str = "center"
    channels: Literal["RGB", "BGR"] = "RGB"
    border: tuple[float, ...] = ()

    def __call__(self, image: Image.Image) -> Float[Tensor, "3 H W"]:
        """Resize, crop and normalise an RGB image."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        normalised = (self._pixels(image) - mean) / std
        return normalised.flip(0) if self.channels == "BGR" else normalised

    def seen(self, image: Image.Image) -> Float[np.ndarray, "H W 3"]:
        """The picture as the network sees it, resized and cropped; RGB in 0..1."""
        return self._pixels(image).movedim(0, -1).numpy()

    def _pixels(self, image: Image.Image) -> Float[Tensor, "3 H W"]:
        from timm.data import create_transform

        transform = create_transform(
            input_size=(3, *self.size),
            is_training=False,
            interpolation=self.interpolation,
            mean=self.border or self.mean,
            crop_pct=self.crop_fraction,
            crop_mode=self.crop_mode,
            normalize=False,
        )
        pixels: Tensor = transform(image)
        return pixels / 255

    def __str__(self) -> str:
        """In words, such as ``"224 x 224, whole picture, bilinear, mean 0.485 0.456 0.406, sd 0.229 0.224 0.225"``."""
        size, mean, sd = (
            " x ".join(map(str, self.size)),
            *(" ".join(f"{x:.3g}" for x in y) for y in (self.mean, self.std)),
        )
        crop = f"central {self.crop_fraction:.3g} of the {'picture' if self.crop_mode == 'squash' else 'shorter side'}"
        part = "whole picture" if self.crop_mode != "center" and self.crop_fraction == 1 else crop
        text = f"{size}, {part}, {self.interpolation}, mean {mean}, sd {sd}{'' if self.channels == 'RGB' else ', BGR'}"
        return f"the authors': {text}" if self == authors_preprocessing(self.size) else text

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """From its attributes by name, as JSON keeps them."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()
        }
        return cls(**values)


IMAGENET_PREPROCESSING = Preprocessing(
    size=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), interpolation="bicubic", crop_fraction=0.875
)


def authors_preprocessing(size: tuple[int, int]) -> Preprocessing:
    """How the authors of the paper showed photographs to every network, whatever it was trained with.

    The whole picture, bilinear, ImageNet's mean and standard deviation. They gave 448 pixels to DINOv2, 1024 to SAM
    and 224 to all others, which are the sizes of the paper's networks under their short names.
    """
    return replace(IMAGENET_PREPROCESSING, size=size, interpolation="bilinear", crop_fraction=1.0, crop_mode="squash")


def preprocessing_or_usual(
    given: Preprocessing | None,
    description: str,
    size: tuple[int, int] = IMAGENET_PREPROCESSING.size,
    usual: tuple[Preprocessing, str] = (IMAGENET_PREPROCESSING, "ImageNet's"),
) -> tuple[Preprocessing, str]:
    """The preprocessing given, else the usual one (and whose it is) at ``size``; the description then says so."""
    if given is not None:
        return given, description
    assumed, whose = usual
    return replace(assumed, size=size), f"{description}; preprocessing not given, {whose} assumed"


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
        return self._map(lambda tensor: tensor.to(device=device, dtype=dtype))

    def downsample(self, grid: tuple[int, int]) -> "Tokens":
        """Resample every local map to ``grid`` (height, width) and to float32; the rest stays as it is.

        Bilinear, ``align_corners=False``, no antialiasing.
        """
        local = tuple(
            functional.interpolate(tensor.float(), size=grid, mode="bilinear", align_corners=False)
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
