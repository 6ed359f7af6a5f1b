"""Named images in a fixed order, read one at a time when they are needed; and which of them are broken."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from factortopy.errors import DataError, UnknownNameError
from factortopy.images.pictures import TRANSPARENT, Picture, is_rgb, rgb_of
from factortopy.machine import processors
from factortopy.progress import progress_bar


@dataclass(frozen=True)
class ImageSet:
    """Images by id, loaded on demand.

    Args:
        name: what the set is called, e.g. the folder's name.
        ids: one id an image, all different; responses and tokens are matched by them.
        loader: gives the image of an id, as Pillow's or as pixels, 8-bit RGB (height, width, 3).
        groups: the scene of each image; images of one scene share pixels, so that a split must keep
            them on one side.
        left_out: broken images that were left out, with the reason of each.
        transparent: ids of those that may have transparent parts, which stand on white.

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
    loader: Callable[[str], Picture]
    groups: tuple[str, ...] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    transparent: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError(f"image set {self.name!r} is empty; at least one image is needed")
        if len(set(self.ids)) != len(self.ids):
            repeated = next(image_id for image_id in self.ids if self.ids.count(image_id) > 1)
            raise DataError(f"image set {self.name!r} has the id {repeated!r} more than once; ids must differ")
        if self.groups is not None and len(self.groups) != len(self.ids):
            fault = f"image set {self.name!r} has {len(self.ids)} images but {len(self.groups)} groups"
            raise DataError(f"{fault}; give one group an image")

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, index: int) -> Image.Image:
        """The image at an index of the set, as 8-bit RGB, on white where it is transparent.

        Raises:
            DataError: if it is broken, or not one of which the range of colours is known.
        """
        return rgb_of(self.loader(self.ids[index]), self.ids[index])

    def pixels(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """The pixels of :meth:`image`, without a copy where the loader gives them."""
        loaded = self.loader(self.ids[index])
        return loaded if is_rgb(loaded) else np.asarray(rgb_of(loaded, self.ids[index]))

    @property
    def assumption(self) -> str | None:
        """What was assumed to show the images, in one line; None if nothing was."""
        count = len(self.transparent)
        return f"{count} of {len(self)} images have an alpha channel: {TRANSPARENT}" if count else None

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
        return replace(self, ids=chosen, groups=groups, transparent=self.transparent & set(chosen))


def default_workers() -> int:
    """Threads that decode images: one a processor that this process may keep busy, at most 16."""
    return min(16, processors())


def find_broken(
    images: ImageSet, *, first: int = 0, workers: int | None = None, progress: bool = True
) -> dict[str, str]:
    """Decode images and name those that cannot be.

    Args:
        images: the set.
        first: index of the first one to decode.
        workers: threads; one a core if None.
        progress: show a bar.

    Returns:
        The reason by id, in the set's order; empty if all are whole.
    """

    def fault(row: int) -> str | None:
        try:
            images.image(row)
        except (DataError, OSError) as error:
            return str(error)
        return None

    broken = {}
    rows = range(first, len(images))
    with (
        progress_bar("Checking images", len(rows), show=progress) as advance,
        ThreadPoolExecutor(workers or default_workers()) as pool,
    ):
        for start in range(first, len(images), 1024):
            part = range(start, min(start + 1024, len(images)))
            for row, reason in zip(part, pool.map(fault, part), strict=True):
                if reason is not None:
                    broken[images.ids[row]] = reason
                advance(1)
    return broken


def leave_out_broken(images: ImageSet, *, workers: int | None = None, progress: bool = True) -> ImageSet:
    """The images that can be decoded, in their order; all are decoded to find out.

    Args:
        images: the set.
        workers: threads that decode; one a core if None.
        progress: show a bar.

    Returns:
        A set that names the others in ``left_out``.

    Raises:
        DataError: if none can be decoded.

    Example:
        >>> images = ft.leave_out_broken(ft.images_from_folder("photographs"), progress=False)
        >>> dict(images.left_out)
        {}
    """
    broken = find_broken(images, workers=workers, progress=progress)
    if len(broken) == len(images):
        raise broken_error(images, broken)
    whole = images.subset(image_id for image_id in images.ids if image_id not in broken)
    return replace(whole, left_out=broken)


def broken_error(images: ImageSet, broken: Mapping[str, str]) -> DataError:
    """The error that names every broken image, and says why the first one is."""
    return DataError(
        f"{len(broken)} of {len(images)} images of {images.name!r} cannot be read: {', '.join(broken)} "
        f"(first: {next(iter(broken.values()))}); mend them, or leave them out "
        "(--skip-broken; in Python leave_out_broken)"
    )
