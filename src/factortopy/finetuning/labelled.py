"""Images with a class each, of a folder of folders, torchvision or scikit-learn; so many of each class to train on."""

import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from factortopy.errors import DataError, UnknownNameError, first_line
from factortopy.images import ImageSet, default_workers, images_from_folder, read_image
from factortopy.progress import progress_bar
from factortopy.storage import sha256_array, sha256_text

DIGITS, TORCHVISION = "sklearn/digits", "torchvision/"
LABEL_FIELDS = ("targets", "labels", "_labels", "y")
"""Where torchvision's data sets keep the labels of all items."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with a class each.

    Args:
        images: the images by id.
        labels: index of each image's class in ``classes``.
        classes: names of the classes.

    Raises:
        DataError: if there are fewer than two classes, two of one name, or a label is missing or out of range.
    """

    images: ImageSet
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        name = self.images.name
        if len(self.labels) != len(self.images):
            raise DataError(f"{name!r} has {len(self.images)} images but {len(self.labels)} labels")
        if len(self.classes) < 2:
            raise DataError(f"{name!r} has the classes {list(self.classes)}; at least two are needed")
        repeated = [entry for entry, count in Counter(self.classes).items() if count > 1]
        if repeated:
            raise DataError(f"{name!r} has several classes called {', '.join(repeated)}; give each a name of its own")
        wrong = [label for label in self.labels if not 0 <= label < len(self.classes)]
        if wrong:
            raise DataError(f"{name!r} has a label {wrong[0]}; expected 0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.images)


def labelled_from_folder(path: str | Path, *, check: bool = True) -> LabelledImages:
    """The images of a folder's subfolders, each of which is a class: ``FOLDER/CLASS/IMAGE``.

    Args:
        path: the folder; its classes are sorted by name, ids are ``CLASS/IMAGE``.
        check: read every file's header at once.

    Raises:
        DataError: if there are fewer than two classes, a class has no images, or files are no images.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with a subfolder of images for each class", path=folder)
    classes = sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    if len(classes) < 2:
        raise DataError(
            f"{folder} has {len(classes)} subfolders; expected one for each class, at least two: CLASS/IMAGE",
            path=folder,
        )
    members = [images_from_folder(folder / name, check=check).ids for name in classes]
    ids = tuple(f"{name}/{file}" for name, files in zip(classes, members, strict=True) for file in files)
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in members])
    images = ImageSet(folder.resolve().name, ids, lambda image_id: read_image(folder / image_id))
    return LabelledImages(images, tuple(labels.tolist()), tuple(classes))


def labelled_digits() -> LabelledImages:
    """scikit-learn's 1,797 handwritten digits, 8 x 8 pixels, 10 classes (UCI, CC BY 4.0); no download."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # 17 grey levels, spread over 0..255.
    pixels = (digits.images * (255 / 16)).round().astype(np.uint8)
    by_id = {f"digit-{number:04d}": digit for number, digit in enumerate(pixels)}
    images = ImageSet("digits", tuple(by_id), lambda image_id: Image.fromarray(by_id[image_id]))
    return LabelledImages(images, tuple(digits.target.tolist()), tuple("0123456789"))


def labelled_from_torchvision(name: str, root: str | Path, *, download: bool = False, **options: Any) -> LabelledImages:
    """A classification data set of torchvision, e.g. ``"EuroSAT"``.

    Args:
        name: of its class in ``torchvision.datasets``.
        root: the folder that torchvision keeps it in.
        download: fetch it to ``root`` if it is not there; never done unasked.
        options: further ones of the class, e.g. ``split="test"``; its training part by default.

    Raises:
        UnknownNameError: if torchvision has no such data set.
        DataError: if it is not at ``root``, or is none of images with one class each.
    """
    from torchvision import datasets

    parameters = {kind: inspect.signature(getattr(datasets, kind).__init__).parameters for kind in datasets.__all__}
    rooted = [kind for kind in parameters if "root" in parameters[kind]]
    if name not in rooted:
        raise UnknownNameError("data set of torchvision", name, rooted)
    if "download" in parameters[name]:
        options["download"] = download
    try:
        items: Any = getattr(datasets, name)(root=root, **options)
    except (RuntimeError, OSError, ValueError, TypeError, ImportError) as error:
        raise DataError(
            f"torchvision's {name} cannot be read from {root}: {first_line(error)} (root=FOLDER says where it is, "
            "download=True fetches it; on the command line --root and --download)",
            path=root,
        ) from error
    labels = _labels(items, name)
    width = len(str(len(labels) - 1))
    ids = tuple(f"{name}-{number:0{width}d}" for number in range(len(labels)))
    images = ImageSet(name, ids, lambda image_id: items[int(image_id[len(name) + 1 :])][0])
    return LabelledImages(
        images, tuple(labels), _class_names(getattr(items, "classes", None) or range(max(labels) + 1))
    )


def open_labelled(source: str | Path, *, root: str | Path | None = None, download: bool = False) -> LabelledImages:
    """Labelled images by what a user says they are.

    Args:
        source: a folder of folders, ``"torchvision/NAME"`` or ``"sklearn/digits"``.
        root: folder that torchvision keeps its data set in; needed for one.
        download: fetch torchvision's data set if it is not there.

    Raises:
        DataError: if they cannot be had.
        UnknownNameError: if torchvision has no such data set.

    Example:
        >>> labelled = ft.open_labelled("labelled")
        >>> labelled.classes
        ('dark', 'light')
    """
    text = str(source)
    if text == DIGITS:
        return labelled_digits()
    if text.startswith(TORCHVISION) and not Path(text).is_dir():
        if root is None:
            raise DataError(f"{text} needs the folder that torchvision keeps it in: --root FOLDER")
        return labelled_from_torchvision(text.removeprefix(TORCHVISION), root, download=download)
    return labelled_from_folder(source)


def _labels(items: Any, name: str) -> list[int]:
    """Labels of all items: where the data set keeps them, else from the items one by one."""
    image, first = items[0]
    integer = isinstance(first, int | np.integer) or getattr(first, "ndim", None) == 0
    if not (isinstance(image, Image.Image) and integer):
        raise DataError(f"torchvision's {name} is no set of images with one class each; choose another")
    for field in LABEL_FIELDS:
        kept = getattr(items, field, None)
        if isinstance(kept, Sequence | np.ndarray) or hasattr(kept, "tolist"):
            values = np.asarray(kept)
            whole = values.ndim == 1 and len(values) == len(items) and values.dtype.kind in "iu"
            if whole and values[0] == first and values[-1] == items[len(items) - 1][1]:
                return [int(value) for value in values]
    return [int(items[number][1]) for number in range(len(items))]


def _class_names(entries: Iterable[Any]) -> tuple[str, ...]:
    """A name of its own for each class: in ImageNet, a bird and a machine are both called crane."""
    names = [", ".join(map(str, entry)) if isinstance(entry, tuple | list) else str(entry) for entry in entries]
    first = {name: index for index, name in reversed([*enumerate(names)])}
    return tuple(name if first[name] == index else f"{name} ({index})" for index, name in enumerate(names))


@dataclass(frozen=True)
class LabelledSplit:
    """Which images train and which validate.

    Attributes:
        training: indices of images in the labelled set, as many of each class.
        validation: indices of other images.
        twins: ids of images left out of validation because their pixels are those of a training image.
        digest: SHA-256 over ids, classes and pixels of both sides.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    twins: tuple[str, ...]
    digest: str


def split_classes(
    images: LabelledImages, per_class: int = 50, validation_per_class: int = 50, *, seed: int = 0, progress: bool = True
) -> LabelledSplit:
    """Draw training and validation images of each class, and decode them to find broken ones and twins.

    Args:
        images: images with a class each.
        per_class: training images of each class.
        validation_per_class: validation images of each class, at most: fewer where a class has no more.
        seed: of the draw.
        progress: show a bar.

    Raises:
        DataError: if a class has too few images, or drawn ones cannot be read (all are named).
    """
    labels = np.asarray(images.labels)
    counts = np.bincount(labels, minlength=len(images.classes))
    if counts.min() <= per_class:
        few = [f"{images.classes[index]} has {counts[index]}" for index in np.flatnonzero(counts <= per_class)]
        raise DataError(
            f"{images.images.name!r} has too few images of {len(few)} of {len(counts)} classes "
            f"({', '.join(few[:6])}{', ...' if len(few) > 6 else ''}); {per_class} to train on and at least "
            "one to validate on are needed: take fewer a class (--per-class) or leave these classes out"
        )
    random = np.random.default_rng(seed)
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(counts))]
    training = np.concatenate([order[:per_class] for order in orders]).tolist()
    rest = np.concatenate([order[per_class : per_class + validation_per_class] for order in orders]).tolist()
    digests = _digests(images, [*training, *rest], progress)
    seen = {digests[index] for index in training}
    validation = [index for index in rest if digests[index] not in seen]
    if not validation:
        raise DataError(f"all validation images of {images.images.name!r} are training images under other ids")
    ids = images.images.ids
    twins = tuple(ids[index] for index in rest if digests[index] in seen)
    first, second = (
        [f"{ids[index]} {labels[index]} {digests[index]}" for index in side] for side in (training, validation)
    )
    digest = sha256_text(*images.classes, *first, "|", *second)
    return LabelledSplit(tuple(training), tuple(validation), twins, digest)


def _digests(images: LabelledImages, indices: Sequence[int], progress: bool) -> dict[int, str]:
    """SHA-256 of the pixels of images, by index."""

    def digest(index: int) -> str:
        return sha256_array(np.asarray(images.images.image(index)))

    digests: dict[int, str] = {}
    broken: dict[str, str] = {}
    with (
        progress_bar("Reading images", len(indices), show=progress) as advance,
        ThreadPoolExecutor(default_workers()) as pool,
    ):
        for index, job in [(index, pool.submit(digest, index)) for index in indices]:
            try:
                digests[index] = job.result()
            except (DataError, OSError) as error:
                broken[images.images.ids[index]] = str(error)
            advance(1)
    if broken:
        named = ", ".join(sorted(broken))
        raise DataError(
            f"{len(broken)} of the {len(indices)} images drawn from {images.images.name!r} cannot be read: "
            f"{named} (first: {broken[min(broken)]}); replace or remove them"
        )
    return digests
