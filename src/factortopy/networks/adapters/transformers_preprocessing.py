"""What a repository of transformers says of how its network sees a photograph."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from factortopy.errors import DataError, first_line
from factortopy.networks.preprocessing import Preprocessing

# transformers' numbers of Pillow's filters
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
# ConvNeXt's networks of this size and above squash the photograph instead of cropping it.
CONVNEXT_SQUASHED = 384
# The settings that are understood, and those that do nothing to the pixels of an RGB picture
GEOMETRY = {"do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct"}
VALUES = {"do_rescale", "rescale_factor", "rescale_offset", "do_normalize", "image_mean", "image_std", "include_top"}
HARMLESS = {
    *("image_processor_type", "feature_extractor_type", "processor_class", "image_processor", "auto_map", "backend"),
    *("do_convert_rgb", "do_reduce_labels", "reduce_labels", "default_to_square", "return_tensors", "data_format"),
    *("input_data_format", "device", "disable_grouping", "num_labels", "pad_size", "model_input_names", "use_fast"),
}
REMEDY = "load the model with transformers and give load_network(model, preprocessing=...)"
# Of a pixel's whole range, between our picture and the library's: what another filter's rounding makes at most, and
# what being off by one pixel makes, times the sides' length
ROUNDING, ONE_PIXEL = 0.01, 2.0


def transformers_preprocessing(processor: Any) -> Preprocessing:
    """The preprocessing of an image processor of transformers.

    Each setting is taken over, and a picture must come out as the processor itself gives it.

    Args:
        processor: as ``AutoImageProcessor`` gives it.

    Raises:
        DataError: if it has a setting that is not known, gives no image of a fixed size, or does other than it says.
    """
    kind = type(processor).__name__
    config = {key: value for key, value in processor.to_dict().items() if value is not None and value is not False}
    unknown = sorted(config.keys() - GEOMETRY - VALUES - HARMLESS - {"do_flip_channel_order"})
    if config.get("ensure_multiple_of") == 1:  # every size is one
        unknown.remove("ensure_multiple_of")
    if unknown:
        raise DataError(f"transformers' {kind} sets {', '.join(unknown)}, which is not known here; {REMEDY}")
    size, fraction, mode = _geometry(config, kind)
    mean, std = _statistics(config)
    seen = Preprocessing(
        size=size,
        mean=mean,
        std=std,
        interpolation=RESAMPLE[config.get("resample", 2)],
        crop_fraction=fraction,
        crop_mode=mode,
        channels="BGR" if "do_flip_channel_order" in config else "RGB",
    )
    _compare(processor, seen)
    return seen


def _geometry(config: Mapping[str, Any], kind: str) -> tuple[tuple[int, int], float, str]:
    """Size of the image, share of the resized side that is kept, and crop mode."""
    size = dict(config.get("size") or {}) if "do_resize" in config else {}
    crop = dict(config.get("crop_size") or {}) if "do_center_crop" in config else {}
    sides, kept, short = _sides(size), _sides(crop), size.get("shortest_edge") or 0
    if kind.startswith("Perceiver") and sides and kept:
        return sides, sides[0] / kept[0], "center"  # crops before it resizes
    if short and not size.get("longest_edge"):
        # LeViT's networks of 224 pixels resize to 256; some networks say what share of the side is kept.
        resized = int(short * 256 / 224) if kind.startswith("Levit") else int(short / config.get("crop_pct", 1))
        if kept:
            return kept, _share(min(kept), resized), "center"
        if "crop_pct" in config:
            squashed = short >= CONVNEXT_SQUASHED
            return (short, short), 1.0 if squashed else _share(short, resized), "squash" if squashed else "center"
    elif sides and not crop:
        return sides, 1.0, "squash"
    elif sides and kept and sides[0] * kept[1] == sides[1] * kept[0]:
        return kept, _share(kept[0], sides[0]), "squash"
    raise DataError(f"transformers' {kind} has size {size} and crop {crop}, which gives no image of one size; {REMEDY}")


def _sides(box: Mapping[str, int]) -> tuple[int, int] | None:
    return (box["height"], box["width"]) if box.get("height") and box.get("width") else None


def _share(kept: int, resized: int) -> float:
    """The quotient, and a little less, as kept / share is rounded down to the resized side."""
    return kept / resized * (1 - 1e-9)


def _statistics(config: Mapping[str, Any]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation, of values in 0..1, that give what the processor's own steps give.

    A value x becomes ``(255 factor x - offset - mean) / std``, and once more divided by ``std`` if asked for.
    """
    factor = 255 * config.get("rescale_factor", 1 / 255) if "do_rescale" in config else 255
    offset = 1.0 if "do_rescale" in config and "rescale_offset" in config else 0.0
    mean, std, again = np.zeros(3), np.ones(3), np.ones(3)
    if "do_normalize" in config:
        mean, std = (np.broadcast_to(np.float64(config[key]), 3) for key in ("image_mean", "image_std"))
    if "include_top" in config:
        again = np.broadcast_to(np.float64(config["image_std"]), 3)
    return _three((mean + offset) / factor), _three(std * again / factor)


def _three(values: Float[np.ndarray, "3"]) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue


def _compare(processor: Any, seen: Preprocessing) -> None:
    """Refuse a processor whose pictures are not those of the preprocessing."""
    kind, picture = type(processor).__name__, _picture()
    try:
        own = processor(images=picture, return_tensors="pt")["pixel_values"]
        own = own.flatten(end_dim=-4) if isinstance(own, Tensor) else torch.empty(0)
    # Whatever a processor of anybody's raises
    except Exception as error:
        raise DataError(f"transformers' {kind} gives no picture ({first_line(error)}); {REMEDY}") from error
    ours = seen(picture)
    if own.shape != (1, *ours.shape):
        raise DataError(f"transformers' {kind} gives {tuple(own.shape)}, expected (1, {ours.shape}); {REMEDY}")
    difference = float(((own[0].double() - ours).abs() * torch.tensor(seen.std)[:, None, None]).mean())
    if not difference < ROUNDING + ONE_PIXEL / min(seen.size):
        raise DataError(f"transformers' {kind} changes pictures otherwise than its settings say; {REMEDY}")


def _picture(width: int = 320, height: int = 240) -> Image.Image:
    """Slow waves, other ones in each channel, so that crops, colours and scales tell, but not a filter's rounding."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    waves = [0.5 + 0.4 * np.sin(2 * np.pi * (right * x + down * y)) for right, down in ((1, 0), (0.3, 1), (1, -0.6))]
    return Image.fromarray((255 * np.stack(waves, axis=-1)).round().astype(np.uint8))
