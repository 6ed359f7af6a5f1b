"""What a repository of transformers says of how its network sees a photograph."""

from collections.abc import Mapping
from typing import Any

from factortopy.errors import DataError
from factortopy.networks.network import IMAGENET_PREPROCESSING, Preprocessing

# transformers' numbers of Pillow's filters
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
# ConvNeXt's networks of this size and above squash the photograph instead of cropping it.
CONVNEXT_SQUASHED = 384


def transformers_preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing in a ``preprocessor_config.json``.

    Args:
        config: the file's entries.

    Raises:
        DataError: if they give no size of the image.
    """
    (height, width), fraction, mode = _geometry(config)
    plain = not config.get("do_normalize", True)
    return Preprocessing(
        size=(height, width),
        mean=(0.0, 0.0, 0.0) if plain else tuple(config.get("image_mean", IMAGENET_PREPROCESSING.mean)),
        std=(1.0, 1.0, 1.0) if plain else tuple(config.get("image_std", IMAGENET_PREPROCESSING.std)),
        interpolation=RESAMPLE[config.get("resample", 3)],
        crop_fraction=fraction,
        crop_mode=mode,
    )


def _geometry(config: Mapping[str, Any]) -> tuple[tuple[int, int], float, str]:
    """Size of the image, share of the resized side that is kept, and crop mode."""
    size, crop = config.get("size") or {}, config.get("crop_size") or {}
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    if not config.get("do_center_crop", bool(crop)):
        crop = {}
    if isinstance(size, int):
        # Older files: the short side if a crop follows, else both sides.
        short = crop or "crop_pct" in config
        size = {"shortest_edge": size} if short else {"height": size, "width": size}
    short_side = size.get("shortest_edge")
    if short_side and "crop_pct" in config:
        squashed = short_side >= CONVNEXT_SQUASHED
        return ((short_side, short_side), 1.0 if squashed else config["crop_pct"], "squash" if squashed else "center")
    if short_side:
        height, width = crop.get("height", short_side), crop.get("width", short_side)
        # A little less than the quotient, as size / fraction is rounded down.
        return (height, width), min(height, width) / short_side * (1 - 1e-9), "center"
    if "height" in size and not crop:
        return (size["height"], size["width"]), 1.0, "squash"
    raise DataError(
        f"preprocessor_config.json gives size {size} and crop {crop}, which is not known; give preprocessing="
    )
