"""Folders of images and the sample views."""

import hashlib
import os
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from factortopy.errors import DataError, UnknownNameError
from factortopy.images import (
    ImageSet,
    find_broken,
    images_from_folder,
    images_from_list,
    leave_out_broken,
    sample_views,
)
from factortopy.images.samples import PHOTOGRAPHS, _find, _scenes


def grey(value: int) -> Image.Image:
    return Image.new("L", (8, 6), value)


def test_folder_is_sorted_and_rgb(tmp_path):
    for value, name in enumerate(["b.png", "a.jpg", "C.PNG"]):
        grey(60 * value).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    images = images_from_folder(tmp_path)
    assert images.ids == ("C.PNG", "a.jpg", "b.png")
    assert images.image(2).mode == "RGB"
    assert images.image(0).getpixel((0, 0)) == (120, 120, 120)


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (8, 4))
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert images_from_folder(tmp_path).image(0).size == (4, 8)


@pytest.mark.parametrize("content", [b"not an image", b""])
def test_broken_image_is_named(tmp_path, content):
    grey(1).save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png"):
        images_from_folder(tmp_path)


def test_truncated_image_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "short.png")
    data = (tmp_path / "short.png").read_bytes()
    (tmp_path / "short.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"short\.png"):
        images_from_folder(tmp_path).image(0)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_loader_of_files_that_are_not_read_yet(tmp_path, ending):
    """``Image.open`` reads the head alone."""
    for name in ("a", "b", "c"):
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{name}.{ending}")
    broken = tmp_path / f"b.{ending}"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    images = ImageSet("own", ("a", "b", "c"), lambda name: Image.open(tmp_path / f"{name}.{ending}"))
    assert list(leave_out_broken(images, progress=False).left_out) == ["b"]
    with pytest.raises(DataError, match="cannot use image 'b'"):
        images.pixels(1)


def test_empty_and_missing_folder(tmp_path):
    with pytest.raises(DataError, match="no images"):
        images_from_folder(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        images_from_folder(tmp_path / "absent")


def test_image_set_refuses_bad_ids():
    with pytest.raises(DataError, match="'x' more than once"):
        ImageSet("set", ("x", "y", "x"), lambda _: grey(0))
    with pytest.raises(DataError, match="2 images but 1 groups"):
        ImageSet("set", ("x", "y"), lambda _: grey(0), groups=("g",))
    with pytest.raises(DataError, match="empty"):
        ImageSet("set", (), lambda _: grey(0))


def test_subset_keeps_order_and_groups():
    images = ImageSet("set", ("x", "y", "z"), lambda image_id: grey(ord(image_id)), groups=("g", "h", "g"))
    part = images.subset(["z", "y"])
    assert (part.ids, part.groups, part.image(0).getpixel((0, 0))[0]) == (("z", "y"), ("g", "h"), ord("z"))
    with pytest.raises(UnknownNameError):
        images.subset(["w"])


@pytest.fixture(scope="module")
def views() -> ImageSet:
    return sample_views()


def test_views_are_distinct_and_many(views):
    pixels = {hashlib.sha256(views.image(i).tobytes()).digest() for i in range(len(views))}
    assert len(views) == len(pixels) == 720
    assert len(set(views.groups)) >= 80
    assert all(min(views.image(i).size) >= 60 for i in range(0, 720, 20))


def test_views_depend_on_seed_only(views):
    again, other = sample_views(), sample_views(seed=1)
    same = [again.image(i).tobytes() == views.image(i).tobytes() for i in range(0, 720, 60)]
    assert again.ids == views.ids
    assert all(same)
    assert any(other.image(i).tobytes() != views.image(i).tobytes() for i in range(0, 720, 60))


def test_scenes_of_a_photograph_share_no_pixel():
    for package, file, side in PHOTOGRAPHS:
        scenes = _scenes(_find(package, file), side)
        width, height = Image.open(_find(package, file)).size
        seen = np.zeros((height, width), dtype=int)
        for left, top, right, bottom in (scene.bounds for scene in scenes):
            assert min(right - left, bottom - top) >= 120
            seen[top:bottom, left:right] += 1
        assert seen.max() == 1


def test_views_lie_in_their_scene(views):
    """Each view is found, mirrored or not, pixel by pixel inside the block its group names."""
    bounds = {s.name: s for package, file, side in PHOTOGRAPHS for s in _scenes(_find(package, file), side)}
    for index in range(0, len(views), 90):
        scene = bounds[views.groups[index]]
        block = np.asarray(Image.open(scene.photograph).convert("RGB").crop(scene.bounds))
        view = np.asarray(views.image(index))
        assert contains(block, view) or contains(block, view[:, ::-1])


def contains(block: np.ndarray, view: np.ndarray) -> bool:
    side = len(view)
    corners = np.argwhere((block == view[0, 0]).all(-1))
    return any(np.array_equal(block[y : y + side, x : x + side], view) for y, x in corners)


def test_groups_of_different_photographs_differ(views):
    stems = [file.rsplit("/", 1)[-1].split(".")[0] for _, file, _ in PHOTOGRAPHS]
    assert {group.rsplit("-", 1)[0] for group in views.groups} == set(stems)
    assert all(a != b for a, b in combinations(stems, 2))


@pytest.mark.parametrize("count", [0, -3, 5001])
def test_count_out_of_range(count):
    with pytest.raises(DataError, match="expected 1 to"):
        sample_views(count)


@pytest.mark.parametrize("name", [b"z\xff.png", b"a\nb.png"])
def test_names_that_no_text_can_hold_are_refused(tmp_path, name):
    """Ids stand in text files, one a line."""
    grey(1).save(tmp_path / "größe\u202f日 \u200d.png")
    assert images_from_folder(tmp_path).ids == ("größe\u202f日 \u200d.png",)
    (tmp_path / "größe\u202f日 \u200d.png").rename(tmp_path / os.fsdecode(name))
    with pytest.raises(DataError, match=r"1 names in .* cannot be written as text \(first: '.*png'\)") as caught:
        images_from_folder(tmp_path)
    assert str(caught.value).isprintable()


def test_all_files_that_are_no_images_are_named(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        grey(1).save(tmp_path / name)
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 3 .*a\.png \(it is no PNG.*\), c\.png"):
        images_from_folder(tmp_path)
    images = images_from_folder(tmp_path, check=False)
    assert list(find_broken(images, workers=2, progress=False)) == ["a.png", "c.png"]
    whole = leave_out_broken(images, progress=False)
    assert whole.ids == ("b.png",)
    assert list(whole.left_out) == ["a.png", "c.png"]
    (tmp_path / "b.png").unlink()
    with pytest.raises(DataError, match=r"2 of 2 images .*a\.png, c\.png"):
        leave_out_broken(images_from_folder(tmp_path, check=False), progress=False)


def test_list_keeps_its_order_and_finds_files_beside_it(tmp_path):
    (tmp_path / "deep").mkdir()
    grey(10).save(tmp_path / "deep" / "x.png")
    grey(20).save(tmp_path / "y.png")
    (tmp_path / "list.txt").write_text(f"\ufeff{tmp_path / 'y.png'}\n\n deep/x.png \n")
    images = images_from_list(tmp_path / "list.txt")
    assert images.ids == (str(tmp_path / "y.png"), "deep/x.png")
    assert [images.image(row).getpixel((0, 0))[0] for row in range(2)] == [20, 10]


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"\n", "names no images"), (b"a.png\nb.png", r"a\.png .*b\.png"), (b"\xff\xfe\x00", "list of images")],
)
def test_lists_that_cannot_be_used(tmp_path, content, text):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=text):
        images_from_list(tmp_path / "list.txt")


def test_missing_list(tmp_path):
    with pytest.raises(DataError, match=r"absent\.txt"):
        images_from_list(tmp_path / "absent.txt")
