"""Pictures of every kind: the right pixels, worked out by hand or by another library, or one line."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from factortopy.errors import DataError
from factortopy.images import ImageSet, decode_image, images_from_folder, read_image

RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
DEEP = np.array([[0, 1000, 40_000, 65_535]], np.uint16)
WHITE = [255, 255, 255]


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(content):
    """What is read of a file's bytes, as numbers."""
    image = decode_image(content, "x.png")
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def png(width, bits, colour, row, *chunks):
    """A PNG of one row, written chunk by chunk from its specification."""
    row = b"\0" + row
    head = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    framed = b"\x89PNG\r\n\x1a\n"
    for name, data in parts:
        framed += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return framed


def tiff(values, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def exif(order, *entries):
    """An EXIF block of tags (tag, type, count, four bytes)."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    tags = b"".join(struct.pack(f"{order}HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, len(entries)) + tags + bytes(4)


SIDES = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip
"""At which side of the scene the first row and the first column of the stored picture lie (EXIF 2.32, Orientation)."""


def upright(stored, orientation):
    """The scene, row by row and column by column of what is stored."""
    first_row, first_column = SIDES[orientation]
    scene = stored if first_row in ("top", "bottom") else stored.swapaxes(0, 1)
    scene = scene[::-1] if "bottom" in (first_row, first_column) else scene
    return scene[:, ::-1] if "right" in (first_row, first_column) else scene


@pytest.mark.parametrize("orientation", SIDES)
def test_orientation_is_honoured_whatever_other_tags_hold(orientation):
    large = Image.fromarray(COLOURS.repeat(8, 0).repeat(8, 1))
    lying = pixels(encoded(large, "JPEG", quality=95))
    for odd in ((282, 1, 1, bytes(4)), (33434, 5, 7, b"\xff\0\0\0"), (50_000, 99, 9, bytes(4))):
        block = exif(">", (274, 3, 1, struct.pack(">HH", orientation, 0)), odd)
        found = pixels(encoded(Image.fromarray(COLOURS), exif=block[6:]))
        np.testing.assert_array_equal(found, upright(COLOURS, orientation))
        found = pixels(encoded(large, "JPEG", quality=95, exif=block))
        np.testing.assert_array_equal(found, upright(lying, orientation))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_is_turned_once(compression):
    content = tiff(COLOURS, photometric="rgb", compression=compression, extratags=[(274, "H", 1, 6, True)])
    np.testing.assert_array_equal(pixels(content), np.rot90(COLOURS, -1))


@pytest.mark.parametrize("kind", [1, 3, 4, 9])
def test_orientation_of_any_whole_number_behind_tags_that_end_other_readers(kind):
    """Of 4 GB, of an unknown type, and without a value."""
    value = {1: b"\x06\0\0\0", 3: struct.pack("<HH", 6, 0)}.get(kind, struct.pack("<I", 6))
    odd = [(271, 5, 2**31, b"\xff" * 4), (272, 99, 9, bytes(4)), (273, 2, 0, b"\xf0\0\0\0")]
    content = encoded(Image.fromarray(COLOURS), exif=exif("<", *odd, (274, kind, 1, value))[6:])
    np.testing.assert_array_equal(pixels(content), np.rot90(COLOURS, -1))


@pytest.mark.parametrize(
    "block",
    [
        exif("<", (274, 2, 4, b"top\0")),
        exif("<", (274, 3, 2, bytes(4))),
        exif("<", (271, 2, 4, bytes(4)), (272, 2, 4, bytes(4)))[:-12],
        b"Exif\0\0" + b"\xff" * 40,
        b"Exif\0\0MM\0*" + struct.pack(">I", 2**31),
    ],
)
def test_exif_that_may_hide_the_orientation_is_refused(block):
    with pytest.raises(DataError, match=r"x\.png: its EXIF block is damaged, so that nobody knows which way is up"):
        pixels(encoded(Image.fromarray(COLOURS), exif=block[6:]))


def test_without_an_orientation_a_picture_is_shown_as_stored():
    for block in (b"Exif\0\0", exif("<"), exif(">", (271, 2, 4, b"abc\0"))):
        content = encoded(Image.fromarray(COLOURS.repeat(8, 0)), "JPEG", exif=block)
        assert pixels(content).shape == (48, 9, 3)


def test_reserved_orientations_are_shown_as_stored():
    for reserved in (0, 9, 255):
        block = exif("<", (274, 3, 1, struct.pack("<HH", reserved, 0)))[6:]
        np.testing.assert_array_equal(pixels(encoded(Image.fromarray(COLOURS), exif=block)), COLOURS)


def cut_out(form):
    """Colours hidden under transparent pixels, half transparent ones, and opaque ones."""
    alpha = np.array([0, 128, 255], np.uint8)[RANDOM.integers(0, 3, COLOURS.shape[:2])]
    grey = form in ("LA", "LA in TIFF")
    shown = COLOURS[..., :1].repeat(3, 2) if grey else COLOURS
    image = Image.fromarray(np.dstack([COLOURS[..., 0], alpha] if grey else [COLOURS, alpha]))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    return encoded(image, "WEBP" if form == "WEBP" else "TIFF" if "TIFF" in form else "PNG", **options), shown, alpha


@pytest.mark.parametrize("form", ["RGBA", "LA", "WEBP", "RGBA in TIFF", "LA in TIFF"])
def test_transparent_parts_stand_on_white(form):
    content, shown, alpha = cut_out(form)
    weight = alpha[..., None] / 255
    expected = shown * weight + 255 * (1 - weight)
    np.testing.assert_allclose(pixels(content), expected, atol=1)
    assert (pixels(content)[alpha == 0] == 255).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(2, 1, 0, b"\x80", (b"tRNS", b"\0\1")), [WHITE, [0] * 3]),
        (png(3, 2, 0, b"\xd8", (b"tRNS", b"\0\1")), [[255] * 3, WHITE, [170] * 3]),
        (png(2, 4, 0, b"\x53", (b"tRNS", b"\0\5")), [WHITE, [51] * 3]),
        (png(2, 8, 0, b"\xc8\x03", (b"tRNS", b"\0\xc8")), [WHITE, [3] * 3]),
        (png(2, 16, 0, struct.pack(">HH", 40_000, 514), (b"tRNS", struct.pack(">H", 40_000))), [WHITE, [2] * 3]),
        (png(2, 8, 2, bytes(range(6)), (b"tRNS", b"\0\0\0\1\0\2")), [WHITE, [3, 4, 5]]),
        (png(2, 8, 3, b"\0\1", (b"PLTE", bytes([9, 8, 7, 6, 5, 4])), (b"tRNS", b"\0")), [WHITE, [6, 5, 4]]),
        (png(2, 16, 4, struct.pack(">4H", 7, 0, 514, 65_535)), [WHITE, [2] * 3]),
    ],
)
def test_one_transparent_colour_stands_on_white(content, expected):
    np.testing.assert_array_equal(pixels(content)[0], expected)


def test_one_transparent_colour_of_16_bits_is_refused():
    content = png(1, 16, 2, struct.pack(">3H", 1000, 2000, 3000), (b"tRNS", struct.pack(">3H", 1000, 2000, 3000)))
    with pytest.raises(DataError, match="one colour of 16 bits is transparent"):
        pixels(content)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}])
def test_16_bit_greys_are_scaled(options):
    scaled = (DEEP / 257).round()
    for found in (pixels(tiff(DEEP, **options)), pixels(png(4, 16, 0, DEEP.astype(">u2").tobytes()))):
        np.testing.assert_array_equal(found, scaled[..., None].repeat(3, 2))
    if "byteorder" not in options:  # which Pillow does not open
        np.testing.assert_array_equal(pixels(tiff(DEEP, photometric="miniswhite", **options))[..., 0], 255 - scaled)


def test_12_bit_greys_are_scaled_to_their_own_range():
    values = np.array([[0, 4095, 2048, 16]], np.uint16)
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x10])
    head = struct.pack("<2sHI", b"II", 42, 8)
    entries = [
        (256, 4),
        (257, 1),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 12 * 9 + 4),
        (277, 1),
        (278, 1),
        (279, 6),
    ]
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    content = head + struct.pack("<H", len(entries)) + tags + bytes(4) + packed
    np.testing.assert_array_equal(pixels(content)[..., 1], (values / 4095 * 255).round())


def test_16_bit_colours_are_scaled():
    deep = RANDOM.integers(0, 65_536, (5, 4, 3), dtype=np.uint16)
    for found in (pixels(tiff(deep, photometric="rgb")), pixels(png(20, 16, 2, deep.astype(">u2").tobytes()))):
        np.testing.assert_allclose(found.reshape(-1, 3), deep.reshape(-1, 3) / 257, atol=1)


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bit_colours_that_lie_apart_are_scaled_or_refused(byteorder):
    options = {"photometric": "rgb", "planarconfig": "separate", "byteorder": byteorder}
    deep, apart = COLOURS.astype(np.uint16) * 257, COLOURS.transpose(2, 0, 1)
    with pytest.raises(DataError, match="lie apart"):
        pixels(tiff(deep.transpose(2, 0, 1), **options))
    np.testing.assert_array_equal(pixels(tiff(deep.transpose(2, 0, 1), compression="zlib", **options)), COLOURS)
    np.testing.assert_array_equal(pixels(tiff(apart, **options)), COLOURS)


@pytest.mark.parametrize("kind", ["f4", "i4", "u4", "i2", "i1", "f8"])
def test_greys_of_unknown_range_are_refused(kind):
    with pytest.raises(DataError, match=r"cannot read image x\.png"):
        pixels(tiff(np.array([[0, 1, 100]], kind), photometric="minisblack"))


def test_cmyk_and_palettes():
    inks = Image.new("CMYK", (8, 8), (10, 200, 30, 40))
    expected = [(255 - ink) * (255 - 40) / 255 for ink in (10, 200, 30)]
    np.testing.assert_allclose(pixels(encoded(inks, "TIFF"))[0, 0], expected, atol=1)
    np.testing.assert_allclose(pixels(encoded(inks, "JPEG", quality=95))[0, 0], expected, atol=4)
    few = Image.fromarray(COLOURS // 128 * 255)
    for form in ("PNG", "GIF", "BMP", "TIFF"):
        found = pixels(encoded(few.quantize(8, dither=Image.Dither.NONE), form))
        np.testing.assert_array_equal(found, np.asarray(few), err_msg=form)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(form):
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (10, 200)]
    content = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="it has 2 frames, expected one picture"):
        pixels(content)


def test_the_first_picture_of_a_phone_is_read():
    """A JPEG with a second one behind it (MPO), as cameras write for depth or stereo."""
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (10, 200)]
    content = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert abs(pixels(content)[0, 0, 0] - 10) < 4


def test_a_damaged_byte_of_a_png_is_found():
    content = bytearray(encoded(Image.fromarray(COLOURS), compress_level=0))
    start = content.index(b"IDAT") + 4
    for place in range(start, len(content) - 16):
        damaged = content.copy()
        damaged[place] ^= 1
        with pytest.raises(DataError, match=r"x\.png"):
            pixels(bytes(damaged))


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "GIF", "PNG"])
def test_zeros_where_a_download_broke_off_are_found(form):
    """A copy that was given its full size first, as many programs do; an EXIF thumbnail has an end of its own."""
    large = Image.fromarray(COLOURS.repeat(20, 0).repeat(20, 1))
    thumbnail = exif("<", (0x0112, 3, 1, struct.pack("<HH", 1, 0))) + encoded(Image.fromarray(COLOURS), "JPEG")
    content = encoded(large, form, **({"exif": thumbnail} if form == "JPEG" else {}))
    pixels(content)
    for share in (0.5, 0.9):
        cut = int(len(content) * share)
        with pytest.raises(DataError, match=r"cannot read image x\.png"):
            pixels(content[:cut] + bytes(len(content) - cut))


def test_a_picture_too_large_for_memory_is_refused():
    """A few bytes that announce 10 gigapixels."""
    content = bytearray(encoded(Image.fromarray(COLOURS)))
    content[16:24] = struct.pack(">II", 100_000, 100_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    with pytest.raises(DataError, match="exceeds limit") as caught:
        pixels(bytes(content))
    assert "\n" not in str(caught.value)


def test_other_formats_are_not_opened(tmp_path):
    """Some of Pillow's run programs (EPS) or show no picture that a network should see."""
    for form in ("EPS", "PDF", "PPM"):
        Image.fromarray(COLOURS).save(tmp_path / "x.png", form)
        with pytest.raises(DataError, match=r"x\.png: it is no PNG, JPEG, WebP, GIF, BMP or TIFF"):
            read_image(tmp_path / "x.png")


def test_a_folder_says_what_it_assumes(tmp_path):
    (tmp_path / "a.png").write_bytes(cut_out("RGBA")[0])
    Image.fromarray(COLOURS).save(tmp_path / "b.gif")
    images = images_from_folder(tmp_path)
    assert images.ids == ("a.png", "b.gif")
    assert images.assumption == "1 of 2 images have an alpha channel: transparent parts stand on white"
    assert images.subset(["b.gif"]).assumption is None
    assert images_from_folder(tmp_path, check=False).transparent == {"a.png"}


def test_pictures_in_memory_follow_the_same_rules():
    kinds = {
        "deep": Image.fromarray(DEEP),
        "cut": Image.new("RGBA", (4, 4), (1, 2, 3, 0)),
        "float": Image.new("F", (4, 4)),
        "array": COLOURS / 255,
    }
    images = ImageSet("memory", tuple(kinds), kinds.__getitem__)
    np.testing.assert_array_equal(np.asarray(images.image(0))[..., 2], (DEEP / 257).round())
    assert images.image(1).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(DataError, match="'float': its greys are of mode F"):
        images.image(2)
    with pytest.raises(DataError, match=r"loader gives ndarray for image 'array'; it must give a PIL\.Image"):
        images.image(3)
