"""Labelled images: every source gives the right classes, the split has so many of each and no image twice."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from small_network import coloured_images

from factortopy.errors import DataError, UnknownNameError
from factortopy.finetuning import (
    LabelledImages,
    labelled_digits,
    labelled_from_folder,
    labelled_from_torchvision,
    open_labelled,
    split_classes,
)
from factortopy.images import ImageSet

KINDS = {"Forest": 3, "River": 4}


def write_folder(folder, kinds=KINDS):
    random = np.random.default_rng(0)
    for name, count in kinds.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}_{number}.png")
    return folder


def test_a_folder_of_folders(tmp_path):
    images = labelled_from_folder(write_folder(tmp_path / "land"))
    assert images.classes == ("Forest", "River")
    assert images.images.ids[0] == "Forest/Forest_0.png"
    assert images.labels == (0, 0, 0, 1, 1, 1, 1)
    with Image.open(tmp_path / "land" / "River" / "River_2.png") as picture:
        assert np.array_equal(np.asarray(images.images.image(5)), np.asarray(picture))


def test_torchvisions_eurosat_where_torchvision_keeps_it(tmp_path):
    write_folder(tmp_path / "eurosat" / "2750")
    images = open_labelled("torchvision/EuroSAT", root=tmp_path)
    assert images.classes == ("Forest", "River")
    assert images.labels == (0, 0, 0, 1, 1, 1, 1)
    with Image.open(tmp_path / "eurosat" / "2750" / "River" / "River_2.png") as picture:
        assert np.array_equal(np.asarray(images.images.image(5)), np.asarray(picture))


def test_imagenets_two_cranes_are_two_classes(tmp_path):
    """With its list of classes as torchvision keeps it, of which these are three."""
    names = {"n02012849": ("crane",), "n02123045": ("tabby", "tabby cat"), "n03126707": ("crane",)}
    write_folder(tmp_path / "train", dict.fromkeys(names, 2))
    torch.save((names, []), tmp_path / "meta.bin")
    images = open_labelled("torchvision/ImageNet", root=tmp_path)
    assert images.classes == ("crane", "tabby, tabby cat", "crane (2)")
    assert images.labels == (0, 0, 1, 1, 2, 2)


def test_nothing_is_downloaded_unasked(tmp_path):
    with pytest.raises(DataError, match=r"EuroSAT cannot be read from .*--download"):
        labelled_from_torchvision("EuroSAT", tmp_path)
    assert not any(tmp_path.iterdir())


def test_digits_are_those_of_scikit_learn():
    images, digits = labelled_digits(), load_digits()
    assert len(images) == 1797
    assert np.array_equal(images.labels, digits.target)
    pixels = np.asarray(images.images.image(100))
    assert pixels.shape == (8, 8, 3)
    assert np.corrcoef(pixels[..., 0].ravel(), digits.images[100].ravel())[0, 1] > 0.9999


def test_the_split_has_fifty_a_class_and_no_image_twice():
    images = labelled_digits()
    split = split_classes(images, 50, 30, seed=3, progress=False)
    labels = np.asarray(images.labels)
    assert np.bincount(labels[list(split.training)]).tolist() == [50] * 10
    assert np.bincount(labels[list(split.validation)]).max() <= 30
    assert len({*split.training, *split.validation}) == len(split.training) + len(split.validation)
    pixels = [images.images.image(place).tobytes() for place in split.training]
    assert not {images.images.image(place).tobytes() for place in split.validation} & set(pixels)
    again, other = (split_classes(images, 50, 30, seed=seed, progress=False) for seed in (3, 4))
    assert again == split
    assert set(other.training) != set(split.training)


def test_a_copy_of_a_training_image_does_not_validate():
    images = coloured_images(12)
    twin = {f"{label}-{number}": f"{label}-0" for label in range(3) for number in (1, 2, 3)}
    copied = ImageSet("twins", images.images.ids, lambda key: images.images.loader(twin.get(key, key)))
    labelled = LabelledImages(copied, images.labels, images.classes)
    split = split_classes(labelled, 8, 4, progress=False)
    ids = copied.ids
    training, validation = (
        {twin.get(ids[place], ids[place]) for place in side} for side in (split.training, split.validation)
    )
    assert not training & validation
    assert split.twins


def test_bad_folders_are_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        labelled_from_folder(tmp_path / "nothing")
    write_folder(tmp_path / "one", {"Forest": 2})
    with pytest.raises(DataError, match="1 subfolders"):
        labelled_from_folder(tmp_path / "one")
    (write_folder(tmp_path / "empty") / "Sea").mkdir()
    with pytest.raises(DataError, match=r"no images in .*Sea"):
        labelled_from_folder(tmp_path / "empty")


def test_a_broken_image_is_named(tmp_path):
    folder = write_folder(tmp_path / "land")
    whole = (folder / "River" / "River_1.png").read_bytes()
    (folder / "River" / "River_1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"1 of the 7 images .*River/River_1.png"):
        split_classes(labelled_from_folder(folder), 2, 5, progress=False)


def test_bad_names_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="EuroSAT"):
        labelled_from_torchvision("EuroSatt", tmp_path)
    with pytest.raises(DataError, match="--root"):
        open_labelled("torchvision/EuroSAT")
    images = coloured_images(2)
    with pytest.raises(DataError, match=r"several classes called b; give each"):
        LabelledImages(images.images, images.labels, ("a", "b", "b"))
    with pytest.raises(DataError, match=r"has the classes \['a'\]; at least two"):
        LabelledImages(images.images, images.labels, ("a",))
    with pytest.raises(DataError, match="6 images but 2 labels"):
        LabelledImages(images.images, (0, 1), images.classes)
    with pytest.raises(DataError, match="label 5"):
        LabelledImages(images.images, (0, 1, 2, 0, 1, 5), images.classes)
