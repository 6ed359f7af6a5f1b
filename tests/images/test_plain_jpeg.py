"""Plain JPEGs are decoded as Pillow does; whatever asks for more goes Pillow's way."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from factortopy.errors import DataError
from factortopy.images import ImageSet, images_from_folder, read_image, sample_views
from factortopy.images.jpeg import decode_plain_jpeg

LEVELS = 2
"""Of 255: how far two builds of the library may differ; here they do not."""


def jpeg(image, **options):
    content = BytesIO()
    image.save(content, "JPEG", **options)
    return content.getvalue()


def exif(value):
    block = Image.Exif()
    block[274] = value
    return block.tobytes()


@pytest.fixture(scope="module")
def picture():
    return sample_views(3).image(2).resize((97, 131), Image.Resampling.BICUBIC)


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 50},
        {"quality": 95, "subsampling": 0},
        {"quality": 90, "subsampling": 1, "progressive": True},
        {"quality": 90, "optimize": True, "comment": b"a comment"},
        {"quality": 90, "exif": exif(1)},
        {"quality": 90, "icc_profile": PROFILE},
        {"quality": 90, "dpi": (300, 300)},
    ],
)
def test_pixels_are_those_of_pillow(picture, mode, options):
    content = jpeg(picture.convert(mode), **options)
    found = decode_plain_jpeg(content)
    expected = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
    assert (found.dtype, found.shape) == (np.uint8, expected.shape)
    assert np.abs(found.astype(int) - expected).max() <= LEVELS


@pytest.mark.parametrize("fill", [1, 3])
def test_fill_before_any_marker_is_no_end(picture, fill, tmp_path):
    """ITU-T T.81, B.1.1.2: any marker may be preceded by any number of bytes 0xFF."""
    content, place = jpeg(picture, comment=b"a comment"), 2
    expected = np.asarray(Image.open(BytesIO(content)))
    while content[place + 1] != 0xDA:
        filled = content[:place] + b"\xff" * fill + content[place:]
        (tmp_path / "filled.jpg").write_bytes(filled)
        np.testing.assert_array_equal(read_image(tmp_path / "filled.jpg"), expected)
        (tmp_path / "filled.jpg").write_bytes(filled[: len(filled) // 2] + bytes(len(filled) // 2))
        with pytest.raises(DataError, match="broke off"):
            read_image(tmp_path / "filled.jpg")
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    (tmp_path / "filled.jpg").write_bytes(content[:place] + b"\xff" * 9)
    with pytest.raises(DataError, match=r"filled\.jpg"):
        read_image(tmp_path / "filled.jpg")


def test_what_asks_for_more_is_left_to_pillow(picture):
    plain = jpeg(picture)
    others = {
        "turned": jpeg(picture, exif=exif(6)),
        "CMYK": jpeg(picture.convert("CMYK")),
        "XMP": jpeg(picture, xmp=b"<x:xmpmeta tiff:Orientation='6'/>"),
        "without end": plain[:-300],
        "head only": plain[:100],
        "PNG": b"\x89PNG" + plain[4:],
        "two frames": plain[:2] + b"\xff\xe2\x00\x08MPF\x00ab" + plain[2:],
        "odd marker": plain[:2] + b"\xff\xf7\x00\x04ab" + plain[2:],
        "damaged table": plain.replace(b"\xff\xc4", b"\xff\xc5", 1),
        "of RGB": plain[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00" + plain[2:],
    }
    at = plain.index(b"\xff\xc0") + 5
    others["huge"] = plain[:at] + b"\xff\xff\xff\xff" + plain[at + 4 :]
    assert decode_plain_jpeg(plain) is not None
    assert [name for name, content in others.items() if decode_plain_jpeg(content) is not None] == []


def test_files_of_any_kind_become_the_same_pixels_as_by_pillow(picture, tmp_path):
    saved = {
        "plain.jpg": jpeg(picture),
        "turned.jpg": jpeg(picture, exif=exif(6)),
        "cmyk.jpg": jpeg(picture.convert("CMYK")),
        "grey.jpg": jpeg(picture.convert("L")),
    }
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    clear = picture.convert("RGBA")
    clear.putalpha(128)
    clear.save(tmp_path / "clear.png")
    images = images_from_folder(tmp_path)
    for row, name in enumerate(images.ids):
        pixels = images.pixels(row)
        np.testing.assert_array_equal(pixels, np.asarray(images.image(row)))
        np.testing.assert_array_equal(pixels, np.asarray(read_image(tmp_path / name)))
        by_pillow = Image.open(tmp_path / name)
        if name.startswith("clear"):
            white = Image.new("RGBA", by_pillow.size, (255,) * 4)
            by_pillow = Image.alpha_composite(white, by_pillow)
        turned = by_pillow.transpose(Image.Transpose.ROTATE_270) if name == "turned.jpg" else by_pillow
        assert np.abs(pixels.astype(int) - np.asarray(turned.convert("RGB"))).max() <= LEVELS


def test_loaders_may_give_pixels(any_shape):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    images = ImageSet("pixels", ("rgb", "float"), {"rgb": pixels, "float": pixels / 255}.get)
    np.testing.assert_array_equal(images.pixels(0), pixels)
    np.testing.assert_array_equal(np.asarray(images.image(0)), pixels)
    with pytest.raises(DataError, match="the loader gives ndarray for image 'float'"):
        images.image(1)
