"""One picture as networks see it: upright, 8-bit RGB, on white where it is transparent."""

import os
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from factortopy.errors import DataError, FactortopyError
from factortopy.images.jpeg import ORIENTATION, decode_plain_jpeg, has_end, orientation

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is read, told by a file's content."""
GROUND = (255, 255, 255)
"""Under transparent parts, as most viewers show them; what colours lie hidden in them is not seen."""
TRANSPARENT = "transparent parts stand on white"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation; all other numbers are reserved and shown as stored."""
PHOTOMETRIC, BITS, SAMPLE_FORMAT, PLANES = 262, 258, 339, 284
"""Tags of TIFF: whether 0 is white, bits of a sample, whether it is unsigned (1), and whether colours lie apart (2)."""
Picture: TypeAlias = Image.Image | UInt8[np.ndarray, "H W 3"]
"""A picture of Pillow's, or its pixels."""


@dataclass(frozen=True)
class PictureHead:
    """What the head of a picture's file says.

    Attributes:
        fault: why it is no picture; None if it is one.
        transparent: whether parts of it may be transparent.
    """

    fault: str | None = None
    transparent: bool = False


def picture_head(path: Path) -> PictureHead:
    """Read the head of a file; pixels are not decoded."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return PictureHead(transparent=image.has_transparency_data)
    except Exception as error:
        return PictureHead(_reason(error))


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """Read one picture as 8-bit RGB, turned upright by its EXIF orientation; see ``decode_image``.

    Raises:
        DataError: if the file is missing, truncated or no picture, or its colours cannot be told.
    """
    return rgb_of(read_picture(path), str(path))


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """As ``read_image``; in whatever form it is quickest, which ``ImageSet`` takes."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    pixels = decode_plain_jpeg(content)
    return decode_image(content, path) if pixels is None else pixels


def decode_image(content: bytes, path: str | os.PathLike[str], ground: tuple[int, int, int] = GROUND) -> Image.Image:
    """Decode the bytes of a PNG, JPEG, WebP, GIF, BMP or TIFF as 8-bit RGB, upright by its EXIF orientation.

    Transparent parts stand on white, or on another ground. 16-bit greys are scaled to 8 bits. Colour profiles are
    not applied, as in the training of the networks.

    Args:
        content: the whole file.
        path: what messages call it.
        ground: colour, 0 to 255, under transparent parts.

    Raises:
        DataError: if it is truncated or no picture, has several frames, or its range is not known (floats, 32 bits).
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # a JPEG, with others behind the picture that is shown
                raise DataError(f"it has {frames} frames, expected one picture; save the one that was shown")
            _check_whole(image, content)
            image.load()
            turn = _turn(image)
            picture = _plain(image, content, ground)
    # Pillow raises anything on damaged bytes: struct.error, TypeError, KeyError, OverflowError, ...
    except Exception as error:
        raise _unreadable(path, error) from error
    return picture if turn is None else picture.transpose(turn)


def rgb_of(image: Any, name: str) -> Image.Image:
    """A picture in memory as 8-bit RGB, on white where it is transparent.

    Raises:
        DataError: if it is no PIL image and no 8-bit RGB pixels, or its range is not known.
    """
    if is_rgb(image):
        return Image.fromarray(image)
    if not isinstance(image, Image.Image):
        raise DataError(f"the loader gives {type(image).__name__} for image {name!r}; it must give a PIL.Image")
    try:
        image.load()  # what Pillow has opened may not be read yet
        return image if image.mode == "RGB" and not image.has_transparency_data else _plain(image)
    except Exception as error:
        raise DataError(f"cannot use image {name!r}: {_reason(error)}") from error


def is_rgb(image: Any) -> TypeGuard[UInt8[np.ndarray, "H W 3"]]:
    """Whether it is pixels of 8-bit RGB."""
    return isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def _check_whole(image: Image.Image, content: bytes) -> None:
    """Refuse what decoding alone would not: wrong checksums, and zeros behind where a download broke off."""
    if image.format == "PNG":
        with Image.open(BytesIO(content), formats=FORMATS) as again:
            again.verify()
    # A JPEG's own scan, as a thumbnail before it has an end of its own. No compressed picture ends in zeros.
    unended = image.format in ("JPEG", "MPO") and not has_end(content)
    if unended or (image.format == "WEBP" and content.endswith(bytes(64))):
        raise DataError("it has no end, or zeros in place of it: the download broke off")
    if image.format == "TIFF" and image.tile and image.tile[0][0] == "raw":  # type: ignore[attr-defined]
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        # Pillow reads each of these bytes as a colour.
        if tags.get(PLANES) == 2 and tags.get(BITS, (1,))[0] > 8:
            raise DataError("its colours of 16 bits lie apart and uncompressed; save it with 8 bits or compressed")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What turns it upright, where decoding has not, as it has for a TIFF."""
    block = image.info.get("exif")
    if not isinstance(block, bytes):
        stated = image.getexif().get(ORIENTATION, 1)  # of a TIFF, or said by XMP
        return TURNS.get(stated) if isinstance(stated, int) else None
    try:
        return TURNS.get(orientation(block.removeprefix(b"Exif\0\0")))
    except struct.error as error:
        raise DataError("its EXIF block is damaged, so that nobody knows which way is up; save it upright") from error


def _plain(image: Image.Image, content: bytes = b"", ground: tuple[int, int, int] = GROUND) -> Image.Image:
    """8-bit RGB of what was decoded, and of what Pillow does not say, from the bytes of a file."""
    bits, inverted = _samples(image, content)
    clear = image.info.get("transparency")
    if image.mode == "F" or (image.mode == "I" and bits is None):
        raise DataError(f"its greys are of mode {image.mode}, whose range is not known; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return _of_deep_greys(np.asarray(image), bits or 16, inverted, clear, ground[0])
    if image.format == "PNG" and clear is not None and image.mode == "L" and bits is not None:
        # One grey is transparent; Pillow gives it as stored, and pixels stretched to 8 bits.
        image.info["transparency"] = clear * 255 // (2**bits - 1)
    if image.format == "PNG" and clear is not None and image.mode == "RGB" and bits == 16:
        raise DataError("one colour of 16 bits is transparent; save it with an alpha channel or 8 bits")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, (*ground, 255)), seen).convert("RGB")


def _samples(image: Image.Image, content: bytes) -> tuple[int | None, bool]:
    """Bits of a sample in a PNG or TIFF, None where they are not known, and whether 0 is white and still is so."""
    if image.format == "PNG":
        return (content[24] if content else 16 if image.mode.startswith("I") else None), False
    if image.format != "TIFF":
        return None, False
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    if set(tags.get(SAMPLE_FORMAT, (1,))) != {1} and image.mode != "F":
        raise DataError("its samples are signed, so that their range is not known; save it with 8 or 16 bits, unsigned")
    return (None if image.mode == "I" else tags.get(BITS, (1,))[0]), tags.get(PHOTOMETRIC) == 0


def _of_deep_greys(values: np.ndarray, bits: int, inverted: bool, clear: int | None, ground: int) -> Image.Image:
    """Greys of more than 8 bits; the largest one is white, or black where they are inverted."""
    most = 2**bits - 1
    greys = ((values.astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)
    greys = 255 - greys if inverted else greys
    if clear is not None:
        greys[values == clear] = ground
    return Image.fromarray(greys).convert("RGB")


def _unreadable(path: str | os.PathLike[str], error: Exception) -> DataError:
    return DataError(f"cannot read image {path}: {_reason(error)}; replace or remove this file", path=path)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no PNG, JPEG, WebP, GIF, BMP or TIFF"
    text = str(error.strerror) if isinstance(error, OSError) and error.strerror else str(error)
    return text if isinstance(error, FactortopyError) else " ".join(text.split())[:200] or type(error).__name__
