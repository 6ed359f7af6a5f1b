"""Photographs resized on the device give the tokens that Pillow's give; here the device is the processor."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import PIL
import psutil
import pytest
import torch
from PIL import Image
from pixel_network import PixelNetwork, noise_images, run

from factortopy.errors import DataError, UnavailableError
from factortopy.images import ImageSet, images_from_folder, sample_views
from factortopy.networks import Preprocessing, network_from_function
from factortopy.tokens import extract
from factortopy.tokens.feeding import DeviceFeed, decode_in_processes

LEVELS = 1 if int(PIL.__version__.split(".")[0]) >= 13 else 4
"""Of 255, see tests/networks/test_on_tensors.py."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Photographs of several sizes: plain, grey, CMYK, turned by EXIF, of a palette, transparent."""
    folder, views = tmp_path_factory.mktemp("pictures"), sample_views(8)
    turned = Image.Exif()
    turned[274] = 6
    odd = {
        "grey.jpg": lambda image: (image.convert("L"), {}),
        "cmyk.jpg": lambda image: (image.convert("CMYK"), {}),
        "turned.jpg": lambda image: (image, {"exif": turned.tobytes()}),
        "palette.png": lambda image: (image.convert("P"), {}),
        "clear.png": lambda image: (Image.merge("RGBA", (*image.split(), image.convert("L"))), {}),
    }
    for number in range(8):
        image = views.image(number)
        image.resize([(48, 60), (60, 48), (64, 64)][number % 3]).save(folder / f"{number}.jpg", quality=90)
    for number, (name, change) in enumerate(odd.items()):
        image, options = change(views.image(number).resize((50, 40)))
        image.save(folder / name, **options)
    return images_from_folder(folder)


def network(mode, channels):
    """Its tokens are the pixels it sees, in levels of 255 above the mean."""
    seen = Preprocessing((32, 24), (0.5, 0.4, 0.3), (0.5, 0.25, 0.2), "bicubic", 0.8, mode, channels)
    scale = 255 * torch.tensor(seen.std if channels == "RGB" else seen.std[::-1])[:, None, None]
    return network_from_function(lambda images: {"pixels": images * scale, "half": images * scale / 2}, seen, "levels")


@pytest.mark.parametrize(("mode", "channels"), [("center", "RGB"), ("squash", "BGR")])
def test_tokens_are_those_of_pillow(pictures, tmp_path, mode, channels):
    options = {"grid": (32, 24), "batch_size": 3, "precision": "fp32", "progress": False}
    stores = {
        name: extract(network(mode, channels), pictures, tmp_path / name, on_device=there, **options)
        for name, there in (("device", True), ("pillow", False), ("usual", None))
    }
    device, pillow = (stores[name].read().local[0].float() for name in ("device", "pillow"))
    assert float(pillow.std()) > 20
    assert float((device - pillow).abs().max()) <= LEVELS + 0.1  # float16 has steps of an eighth here
    assert float((device - pillow).abs().mean()) <= (0.02 if LEVELS == 1 else 0.3)
    assert stores["device"].digests == stores["pillow"].digests
    # The processor is as quick with Pillow, which is the reference.
    assert torch.equal(stores["usual"].read().local[0], stores["pillow"].read().local[0])
    assert [stores[name].provenance["resized"] for name in stores] == ["on the device", "by Pillow", "by Pillow"]
    # Either goes on where the other stopped, as both are the same to a level: a whole store is opened.
    again = extract(network(mode, channels), pictures, tmp_path / "pillow", on_device=True, **options)
    assert again.provenance == stores["pillow"].provenance


def test_many_batches_keep_their_order(tmp_path):
    store = run(PixelNetwork(), tmp_path / "device", batch_size=7, workers=3, on_device=True)
    expected = run(PixelNetwork(), tmp_path / "pillow", batch_size=7, workers=3)
    np.testing.assert_allclose(store.read().local[0], expected.read().local[0], atol=4.1 * LEVELS / 255)
    assert store.digests == expected.digests
    assert store.image_ids == noise_images().ids


def test_borders_need_pillow(tmp_path):
    with pytest.raises(DataError, match="borders, which only Pillow adds"):
        extract(network("border", "RGB"), noise_images(3), tmp_path / "tokens", on_device=True, progress=False)
    store = extract(network("border", "RGB"), noise_images(3), tmp_path / "tokens", progress=False)
    assert store.provenance["resized"] == "by Pillow"


def test_processes_decode_as_threads_do(pictures, monkeypatch):
    monkeypatch.setattr("factortopy.tokens.feeding.PIECE", 2)
    shown, batches = network("center", "RGB"), [range(0, 5), range(5, 8), range(8, 13)]
    found = list(decode_in_processes(pictures, batches, shown, 2))
    assert [rows for rows, _, _ in found] == batches
    feed = DeviceFeed(pictures, shown, slots=5, buffers=1)
    for rows, pixels, digests in found:
        assert digests == [feed.load(row, 0, slot) for slot, row in enumerate(rows)]
        assert torch.equal(pixels, feed.pixels(0, len(rows)))


def test_processes_say_which_batch_holds_a_broken_image(tmp_path):
    for number in range(4):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    content = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(content[:60])
    images = images_from_folder(tmp_path)
    first, second = decode_in_processes(images, [range(0, 2), range(2, 4)], network("center", "RGB"), 1)
    assert first[0] == range(0, 2)
    assert second == range(2, 4)


def test_images_that_do_not_fit_into_shared_memory_are_sent(pictures, monkeypatch):
    monkeypatch.setattr("factortopy.tokens.feeding.PIECE_BYTES", 60 * 48 * 3)  # one has 64 x 64 pixels
    shown, batches = network("center", "RGB"), [range(0, 8), range(8, 13)]
    feed = DeviceFeed(pictures, shown, slots=8, buffers=1)
    for rows, pixels, digests in decode_in_processes(pictures, batches, shown, 2):
        assert digests == [feed.load(row, 0, slot) for slot, row in enumerate(rows)]
        assert torch.equal(pixels, feed.pixels(0, len(rows)))


def test_places_are_filled_again_only_when_their_images_were_taken(pictures, monkeypatch):
    monkeypatch.setattr("factortopy.tokens.feeding.PIECE", 1)
    monkeypatch.setattr("factortopy.tokens.feeding.PIECES_AHEAD", 1)
    many = ImageSet("many", tuple(map(str, range(60))), lambda name: pictures.pixels(int(name) % len(pictures)))
    shown = network("center", "RGB")
    feed = DeviceFeed(many, shown, slots=3, buffers=1)
    for rows, pixels, _ in decode_in_processes(many, [range(i, i + 3) for i in range(0, 60, 3)], shown, 2):
        for slot, row in enumerate(rows):
            feed.load(row, 0, slot)
        assert torch.equal(pixels, feed.pixels(0, 3))


def test_a_process_that_is_killed_is_one_line(pictures):
    def load(name):
        if name == "5":
            os.kill(os.getpid(), signal.SIGKILL)
        return pictures.pixels(int(name))

    images = ImageSet("deadly", tuple(map(str, range(8))), load)
    with pytest.raises(UnavailableError, match="fewer workers; a run that is started again goes on"):
        list(decode_in_processes(images, [range(0, 8)], network("center", "RGB"), 2))


def test_processes_write_the_bytes_that_threads_do(pictures, tmp_path, monkeypatch):
    shown = network("center", "RGB")
    extract(shown, pictures, tmp_path / "threads", (4, 3), batch_size=4, on_device=True, progress=False)
    monkeypatch.setattr("factortopy.tokens.writer.can_fork", lambda _: True)
    monkeypatch.setattr("factortopy.tokens.pipeline.can_fork", lambda _: True)
    extract(shown, pictures, tmp_path / "processes", (4, 3), batch_size=4, on_device=True, progress=False)
    content = [
        {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("c/**/*")) if file.is_file()}
        for folder in (tmp_path / "threads", tmp_path / "processes")
    ]
    assert len(content[0]) == 5  # maps and global tokens of two layers, digests
    assert content[0] == content[1]


def test_processes_end_with_the_one_that_began_them(tmp_path):
    program = (
        "import os, signal, sys, time, torch\n"
        "from factortopy.machine import Forked\n"
        "with Forked(lambda file, _: open(file, 'a').write(f'{os.getpid()}\\n'), sys.argv[1], 2) as processes:\n"
        "    [processes.submit(number).result() for number in range(4)]\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    file = tmp_path / "processes"
    subprocess.run([sys.executable, "-c", program, str(file)], check=False, timeout=60)
    numbers = {int(line) for line in file.read_text().split()}
    end = time.monotonic() + 30
    while any(map(psutil.pid_exists, numbers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [number for number in numbers if psutil.pid_exists(number)]
