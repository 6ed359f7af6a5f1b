"""Named images in a fixed order, read one at a time when they are needed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from factortopy.errors import DataError, UnknownNameError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageSet:
    """Images by id, loaded on demand.

    Args:
        name: what the set is called, e.g. the folder's name.
        ids: one id an image, all different; responses and tokens are matched by them.
        loader: gives the image of an id.
        groups: the scene of each image; images of one scene share pixels, so that a split must keep
            them on one side.

    Raises:
        DataError: if ids repeat, there are none, or the number of groups is not that of ids.
    """

    name: str
    ids: tuple[str, ...]
    loader: Callable[[str], Image.Image]
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError(f"image set {self.name!r} is empty; at least one image is needed")
        if len(set(self.ids)) != len(self.ids):
            repeated = next(image_id for image_id in self.ids if self.ids.count(image_id) > 1)
            raise DataError(
                f"image set {self.name!r} has the id {repeated!r} more than once; ids must differ"
            )
        if self.groups is not None and len(self.groups) != len(self.ids):
            raise DataError(
                f"image set {self.name!r} has {len(self.ids)} images but {len(self.groups)} groups; "
                "give one group an image"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, index: int) -> Image.Image:
        """The image at a place in the set, as 8-bit RGB."""
        return self.loader(self.ids[index]).convert("RGB")

    def subset(self, ids: Iterable[str]) -> "ImageSet":
        """The set of some images, in the order of ``ids``.

        Raises:
            UnknownNameError: if an id is not in the set.
        """
        chosen = tuple(ids)
        place = {image_id: index for index, image_id in enumerate(self.ids)}
        for image_id in chosen:
            if image_id not in place:
                raise UnknownNameError("image", image_id, self.ids)
        groups = None if self.groups is None else tuple(self.groups[place[i]] for i in chosen)
        return replace(self, ids=chosen, groups=groups)


def images_from_folder(path: str | Path) -> ImageSet:
    """The images of a folder (not of its subfolders), sorted by file name; ids are the file names.

    Every file's header is read at once, so that a broken image is found before long work starts.

    Raises:
        DataError: if the folder does not exist, has no images, or a file is no image.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give a folder of images")
    files = (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    names = sorted(file.name for file in files if not file.name.startswith("."))
    if not names:
        raise DataError(f"no images in {folder}; expected files ending in {', '.join(SUFFIXES)}")
    for name in names:
        _check_header(folder / name)
    return ImageSet(folder.resolve().name, tuple(names), lambda name: read_image(folder / name))


def read_image(path: Path) -> Image.Image:
    """Read one image as RGB, turned upright by its EXIF orientation.

    Raises:
        DataError: if the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _broken(path, error) from error


def _check_header(path: Path) -> None:
    try:
        with Image.open(path):
            pass
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> DataError:
    reason = "it is no image" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"cannot read image {path}: {reason}; replace or remove this file")
