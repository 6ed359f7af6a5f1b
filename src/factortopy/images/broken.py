"""Images that cannot be decoded, found by decoding all of them."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from factortopy.errors import DataError
from factortopy.images.image_set import ImageSet
from factortopy.progress import progress_bar


def default_workers() -> int:
    """Threads that decode images: one a core, at most 16."""
    return min(16, os.cpu_count() or 1)


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
