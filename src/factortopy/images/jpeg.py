"""Plain JPEG files, as most photographs are, decoded in half of Pillow's time and without holding up other threads."""

import struct

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

ORIENTATION = 274
"""Tag of EXIF: which way is up."""
WHOLE = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
"""Codes of whole numbers in EXIF."""
SCAN, FRAMES = 0xDA, (0xC0, 0xC1, 0xC2)
"""Codes of JPEG's segments: where compressed data begin; baseline, extended and progressive frames."""
EXIF, PROFILE, ADOBE = 0xE1, 0xE2, 0xEE
PLAIN_HEADS = {0xC4, 0xDB, 0xDD, 0xE0, 0xEC, 0xED, 0xFE, *FRAMES}
"""Of tables, restart intervals, JFIF, Photoshop and comments: nothing in them says how a picture is to be shown."""


def decode_plain_jpeg(content: bytes) -> UInt8[np.ndarray, "H W 3"] | None:
    """Pixels of a JPEG of 8-bit greys or YCbCr that stands upright; None of all else, and of what is damaged.

    By the same library as Pillow's (libjpeg-turbo), in torchvision: pixels are equal.
    """
    if not (content.startswith(b"\xff\xd8") and _is_plain(content) and has_end(content)):
        return None
    try:
        from torchvision.io import ImageReadMode, decode_jpeg

        data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return decode_jpeg(data, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
    except (ImportError, RuntimeError):  # a torchvision without JPEG; or it is damaged, which Pillow says better
        return None


def _is_plain(content: bytes) -> bool:
    """Whether the segments before the compressed data are all known and ask for nothing special."""
    place, framed = 2, False
    while content[place : place + 1] == b"\xff" and place + 4 <= len(content):
        code, start = content[place + 1], place + 4
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
        if code == SCAN:
            return framed
        segment = content[start:place]
        if code in FRAMES:
            framed = _is_usual(segment)
        if not (code in PLAIN_HEADS or _asks_nothing(code, segment)):
            return False
    return False


def _is_usual(frame: bytes) -> bool:
    """Whether a frame has samples of 8 bits, grey or three colours, and no more of them than Pillow decodes."""
    if len(frame) < 6:
        return False
    bits, height, width, components = struct.unpack_from(">BHHB", frame)
    return bits == 8 and components in (1, 3) and 0 < height * width <= (Image.MAX_IMAGE_PIXELS or 0)


def _asks_nothing(code: int, segment: bytes) -> bool:
    """Whether a segment is of a colour profile, which is not applied, or says what holds without it."""
    if code == PROFILE:
        return segment.startswith(b"ICC_PROFILE\0")
    if code == ADOBE:
        return segment.startswith(b"Adobe") and segment[11:12] == b"\1"  # YCbCr
    if code != EXIF or not segment.startswith(b"Exif\0\0"):
        return False
    try:
        return orientation(segment[6:]) == 1
    except struct.error:
        return False


def has_end(content: bytes) -> bool:
    """Whether a JPEG's own scan ends: a thumbnail before it has an end of its own."""
    place = 2
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] != bytes([SCAN]):
        # Any number of 0xFF may fill the place before a marker.
        filled = content[place + 1 : place + 2] == b"\xff"
        place += 1 if filled else 2 + int.from_bytes(content[place + 2 : place + 4])
    return content.find(b"\xff\xd9", place) >= 0


def orientation(block: bytes) -> int:
    """The orientation in an EXIF block, 1 where it says none; its other tags may be odd and are not looked at.

    Pillow gives up at some odd tags without an error, and then does not see the orientation behind them.
    """
    if not block:
        return 1
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        raise struct.error
    start = struct.unpack_from(f"{order}I", block, 4)[0]
    for number in range(struct.unpack_from(f"{order}H", block, start)[0]):
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, start + 2 + 12 * number)
        if tag == ORIENTATION:
            if kind not in WHOLE or count != 1:
                raise struct.error
            return int(struct.unpack_from(order + WHOLE[kind], block, start + 10 + 12 * number)[0])
    return 1
