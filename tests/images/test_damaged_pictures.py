"""Damaged pictures of every format: the right one, another where no checksum can tell, or one line; nothing else."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from factortopy.errors import DataError
from factortopy.images import decode_image

SHAPE = (24, 32, 3)
SECONDS = 20
TIMES = 60
CHECKED = ("PNG", "deep PNG", "palette PNG")
"""Formats whose checksums cover all that is seen."""


def written(form):
    colours = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    image, options = Image.fromarray(colours), {}
    if form == "deep PNG":
        image = Image.fromarray(colours[..., 0].astype(np.uint16) * 257)
    elif form.startswith("palette"):
        image, options = image.quantize(16), {"transparency": 3}
    elif form.startswith("EXIF"):
        options["exif"] = Image.Exif()
        options["exif"].update({274: 6, 271: "camera", 282: 72.0})
    elif form.startswith("packed"):
        options["compression"] = "tiff_lzw"
    buffer = io.BytesIO()
    image.save(buffer, form.split()[-1], **options)
    return buffer.getvalue()


def damaged(content, random):
    """Flipped, cut, blanked, noisy or doubled somewhere, one time in two near the head."""
    start = int(random.integers(0, min(len(content), 80) if random.random() < 0.5 else len(content)))
    stop = start + int(random.integers(1, 40))
    part = content[start:stop]
    choices = [
        bytes(byte ^ (1 << random.integers(8)) for byte in part[:2]) + part[2:],
        bytes(len(part)),
        random.bytes(len(part)),
        b"\xff" * len(part),
        part + part,
        b"",
    ]
    kind = int(random.integers(len(choices) + 1))
    return content[:start] if kind == len(choices) else content[:start] + choices[kind] + content[stop:]


@pytest.mark.parametrize(
    "form",
    [
        *CHECKED,
        "JPEG",
        "EXIF JPEG",
        "WEBP",
        "EXIF WEBP",
        "GIF",
        "palette GIF",
        "BMP",
        "palette BMP",
        "TIFF",
        "packed TIFF",
    ],
)
def test_damage_ends_in_a_picture_or_one_line(form, within):
    content, random, lines = written(form), np.random.default_rng(len(form)), []
    whole = np.asarray(decode_image(content, "x.img"))
    for number in range(TIMES):
        changed = damaged(content, random)
        try:
            with within(SECONDS, f"damage {number}"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = decode_image(changed, "x.img")
        except DataError as error:
            lines.append(str(error))
            continue
        assert image.mode == "RGB", number
        if form in CHECKED:
            np.testing.assert_array_equal(np.asarray(image), whole, err_msg=str(number))
    assert all("x.img" in line and "\n" not in line for line in lines)
    assert len(lines) > (0.5 if form in CHECKED else 0.05) * TIMES
