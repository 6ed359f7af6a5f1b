"""How a network sees a photograph: resized, cropped and normalised as it was trained to, or otherwise if asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from factortopy.errors import DataError, UnknownNameError, first_line
from factortopy.networks.resampling import resample

# What a preprocessing can be; a mean above the first was given for values of 0 to 255, a crop above the second is none
LARGEST_MEAN, LARGEST_CROP = 2.0, 2.0
CHOICES = {
    "interpolation": ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"),
    "crop_mode": ("center", "squash", "border"),
    "channels": ("RGB", "BGR"),
}


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

    Raises:
        DataError: if a value is none of these.

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

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std", "border"):
            if isinstance(getattr(self, name), list):  # as JSON keeps them; what is cached by takes tuples only
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, values in (("size", self.size), ("mean", self.mean), ("std", self.std)):
            count = 2 if name == "size" else 3
            if not isinstance(values, tuple | list) or len(values) != count:
                raise DataError(f"preprocessing has {name} {values!r}; give {count} numbers")
        if min(self.size) < 1 or min(self.std) <= 0 or not 0 < self.crop_fraction <= LARGEST_CROP:
            raise DataError(f"preprocessing {vars(self)}: size, std and crop_fraction must be above 0")
        if max(map(abs, self.mean)) > LARGEST_MEAN:
            raise DataError(f"preprocessing has mean {self.mean}; give it for values of 0 to 1 (divide by 255)")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(f"{name} of a preprocessing", str(getattr(self, name)), known)

    def __call__(self, image: Image.Image) -> Float[Tensor, "3 H W"]:
        """Resize, crop and normalise an RGB image, as the network's library does: with Pillow."""
        return self._normalised(_fitting(self)(image))

    @property
    def runs_on_tensors(self) -> bool:
        """Whether :meth:`on_tensors` can do it: all but borders."""
        return self.crop_mode != "border"

    def on_tensors(self, images: UInt8[Tensor, "B 3 _H _W"]) -> Float[Tensor, "B 3 H W"]:
        """The same of RGB images of one size, on the device where they are: to one level of 255, mostly to none."""
        fitted = resample(images, _resized(self, *images.shape[-2:]), self.interpolation)
        for crop in _fitting(self).transforms[1:]:
            fitted = crop(fitted)
        return self._normalised(fitted)

    def seen(self, image: Image.Image) -> Float[np.ndarray, "H W 3"]:
        """The picture as the network sees it, resized and cropped; RGB in 0..1."""
        return (_fitting(self)(image) / 255).movedim(0, -1).numpy()

    def _normalised(self, pixels: UInt8[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B 3 H W"]:
        mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (self.mean, self.std))
        normalised = (pixels / 255 - mean) / std
        return normalised.flip(-3) if self.channels == "BGR" else normalised

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
        try:
            return cls(**values)
        except TypeError as error:
            raise DataError(f"preprocessing {dict(facts)} is none ({first_line(error)})") from error


@lru_cache(maxsize=8)
def _fitting(preprocessing: Preprocessing) -> Any:
    """What resizes and then crops, pictures and tensors by the same rules: timm's own ``Compose``."""
    from timm.data import create_transform

    return create_transform(
        input_size=(3, *preprocessing.size),
        is_training=False,
        interpolation=preprocessing.interpolation,
        mean=preprocessing.border or preprocessing.mean,
        crop_pct=preprocessing.crop_fraction,
        crop_mode=preprocessing.crop_mode,
        normalize=False,
    )


@lru_cache(maxsize=1024)
def _resized(preprocessing: Preprocessing, height: int, width: int) -> tuple[int, int]:
    """Height and width that an image has after it is resized, before it is cropped: timm is asked."""
    resize = _fitting(replace(preprocessing, interpolation="bilinear")).transforms[0]
    fitted = resize(torch.zeros(1, height, width, dtype=torch.uint8)).shape
    return int(fitted[1]), int(fitted[2])


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
