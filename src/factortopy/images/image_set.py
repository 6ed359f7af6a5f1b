"""Named images in a fixed order, read one at a time when they are needed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from factortopy.errors import DataError, UnknownNameError
from factortopy.storage import reading

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FAULTS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that is missing, damaged, no image or dangerously large."""


@dataclass(frozen=True)
class ImageSet:
    """Images by id, loaded on demand.

    Args:
        name: what the set is called, e.g. the folder's name.
        ids: one id an image, all different; responses and tokens are matched by them.
        loader: gives the image of an id.
        groups: the scene of each image; images of one scene share pixels, so that a split must keep
            them on one side.
        left_out: broken images that were left out, with the reason of each.

    Raises:
        DataError: if ids repeat, there are none, or the number of groups is not that of ids.

    Example:
        >>> from PIL import Image
        >>> grey = ft.ImageSet("grey", ids=("dark", "light"), loader={"dark": Image.new("L", (8, 8), 40),
        ...     "light": Image.new("L", (8, 8), 200)}.get)
        >>> grey.image(1).getpixel((0, 0))
        (200, 200, 200)
    """

    name: str
    ids: tuple[str, ...]
    loader: Callable[[str], Image.Image]
    groups: tuple[str, ...] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError(f"image set {self.name!r} is empty; at least one image is needed")
        if len(set(self.ids)) != len(self.ids):
            repeated = next(image_id for image_id in self.ids if self.ids.count(image_id) > 1)
            raise DataError(f"image set {self.name!r} has the id {repeated!r} more than once; ids must differ")
        if self.groups is not None and len(self.groups) != len(self.ids):
            raise DataError(
                f"image set {self.name!r} has {len(self.ids)} images but {len(self.groups)} groups; "
                "give one group an image"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, index: int) -> Image.Image:
        """The image at an index of the set, as 8-bit RGB."""
        return self.loader(self.ids[index]).convert("RGB")

    def subset(self, ids: Iterable[str]) -> "ImageSet":
        """The set of some images, in the order of ``ids``.

        Raises:
            UnknownNameError: if an id is not in the set.
        """
        chosen = tuple(ids)
        index_of = {image_id: index for index, image_id in enumerate(self.ids)}
        for image_id in chosen:
            if image_id not in index_of:
                raise UnknownNameError("image", image_id, self.ids)
        groups = None if self.groups is None else tuple(self.groups[index_of[i]] for i in chosen)
        return replace(self, ids=chosen, groups=groups)


def images_from_folder(path: str | Path, *, check: bool = True) -> ImageSet:
    """The images of a folder (not of its subfolders), sorted by file name; ids are the file names.

    Args:
        path: the folder.
        check: read every file's header at once, so that broken images are found before long work starts.

    Raises:
        DataError: if the folder does not exist, has no images, or files are no images; all are named.

    Example:
        >>> images = ft.images_from_folder("photographs")
        >>> images.image(0).mode
        'RGB'
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give a folder of images", path=folder)
    files = (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    names = sorted(file.name for file in files if not file.name.startswith("."))
    if not names:
        raise DataError(f"no images in {folder}; expected files ending in {', '.join(SUFFIXES)}", path=folder)
    if check:
        _check_headers({name: folder / name for name in names}, folder)
    return ImageSet(folder.resolve().name, tuple(names), lambda name: read_image(folder / name))


def images_from_list(path: str | Path, *, check: bool = True) -> ImageSet:
    """The images that a text file names, one a line and in this order; ids are the lines.

    Paths that are not absolute start at the file's own folder. Empty lines are skipped.

    Args:
        path: the text file, UTF-8.
        check: read every image's header at once.

    Raises:
        DataError: if the file cannot be read, names nothing or a line twice, or images are missing or broken.

    Example:
        >>> from pathlib import Path
        >>> names = sorted(path.name for path in Path("photographs").iterdir())
        >>> _ = Path("some.txt").write_text("\\n".join(f"photographs/{name}" for name in names[:3]))
        >>> len(ft.images_from_list("some.txt"))
        3
    """
    file = Path(path)
    with reading(file, "give a list of images as a text file, UTF-8, one path a line"):
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    ids = tuple(line for line in lines if line)
    if not ids:
        raise DataError(f"{file} names no images; write the path of one image a line", path=file)
    if check:
        _check_headers({line: file.parent / line for line in ids}, file)
    return ImageSet(file.stem, ids, lambda line: read_image(file.parent / line))


def read_image(path: Path) -> Image.Image:
    """Read one image as RGB, turned upright by its EXIF orientation.

    Raises:
        DataError: if the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except FAULTS as error:
        raise DataError(
            f"cannot read image {path}: {_reason(error)}; replace or remove this file", path=path
        ) from error


def _check_headers(files: dict[str, Path], source: Path) -> None:
    broken = {name: reason for name, file in files.items() if (reason := _header_fault(file)) is not None}
    if broken:
        named = ", ".join(f"{name} ({reason})" for name, reason in broken.items())
        raise DataError(
            f"{len(broken)} of {len(files)} images in {source} cannot be read: {named}; replace or remove them",
            path=source,
        )


def _header_fault(path: Path) -> str | None:
    try:
        with Image.open(path):
            return None
    except FAULTS as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no image"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
