"""The 284 images of NSD-synthetic: 220 that all subjects saw, and 64 in colours matched for each subject."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from factortopy.errors import DataError
from factortopy.images import ImageSet, images_from_hdf5

IMAGES, SHARED = 284, 220


def stimuli_folder(root: Path) -> Path:
    """Where the images lie."""
    return root / "nsddata_stimuli" / "stimuli" / "nsdsynthetic"


def shared_file(root: Path) -> Path:
    """The images that all subjects saw."""
    return stimuli_folder(root) / "nsdsynthetic_stimuli.hdf5"


def colour_file(root: Path, subject: int) -> Path:
    """The images of one subject's own."""
    return stimuli_folder(root) / f"nsdsynthetic_colorstimuli_subj{subject:02d}.hdf5"


def image_name(number: int, subject: int) -> str:
    """The id of an image by its number from 1, as in the design and in the table of images."""
    return f"nsdsynthetic-{number:03d}" if number <= SHARED else f"nsdsynthetic-subj{subject:02d}-{number:03d}"


def nsd_synthetic_images(
    path: str | os.PathLike[str], subjects: Sequence[int] | None = None, *, square_root: bool = True
) -> ImageSet:
    """The images of NSD-synthetic, cut to the square in the middle, 8.4 degrees wide like NSD's photographs.

    The files hold linear intensities. Their square root, ``255 sqrt(x / 255)``, is what the authors' program gives
    to networks, cut to whole numbers as there. The square leaves out 16 words shown far left or right, whose
    images are then blank.

    Args:
        path: the folder that holds ``nsddata_stimuli``, or one of NSD-synthetic's in it.
        subjects: whose coloured images are taken beside the shared ones; those that are there by default.
        square_root: False leaves the numbers of the files.

    Returns:
        Ids are ``nsdsynthetic-001`` to ``nsdsynthetic-220`` and, for each subject, ``nsdsynthetic-subj01-221`` to
        ``nsdsynthetic-subj01-284``, by the number of the image from 1.

    Raises:
        DataError: if a file is missing, damaged, or holds another number of images.

    Example:
        >>> images = ft.nsd_synthetic_images("nsd", subjects=[1])
        >>> images.ids[0], images.ids[-1]
        ('nsdsynthetic-001', 'nsdsynthetic-subj01-284')
    """
    root = nsd_root(Path(path))
    if subjects is None:
        subjects = [number for number in range(1, 9) if colour_file(root, number).is_file()]
    place: dict[str, tuple[ImageSet, int]] = {}
    for file, numbers, subject in [
        (shared_file(root), range(1, SHARED + 1), 0),
        *((colour_file(root, subject), range(SHARED + 1, IMAGES + 1), subject) for subject in subjects),
    ]:
        stored = images_from_hdf5(file)
        if len(stored) != len(numbers):
            fault = f"holds {len(stored)} images, expected {len(numbers)}"
            raise DataError.of(file, f"{fault}; get the HDF5 file again")
        place |= {image_name(number, subject): (stored, row) for row, number in enumerate(numbers)}

    def load(image_id: str) -> Image.Image:
        stored, row = place[image_id]
        return Image.fromarray(as_shown(np.asarray(stored.image(row)), square_root))

    return ImageSet("NSD-synthetic", tuple(place), load)


def as_shown(
    stored: Shaped[np.ndarray, "height width 3"], square_root: bool = True
) -> Shaped[np.ndarray, "side side 3"]:
    """The square in the middle of a stored image, and the square root of its intensities."""
    height, width = stored.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = stored[top : top + side, left : left + side]
    return (np.sqrt(middle / 255) * 255).astype(np.uint8) if square_root else np.ascontiguousarray(middle)


def nsd_root(path: Path) -> Path:
    """The folder that holds ``nsddata`` and its like, given that one or a folder of NSD-synthetic beneath it."""
    names = ("nsddata", "nsddata_betas", "nsddata_stimuli")
    folders: Iterable[Path] = (path, *path.resolve().parents)
    return next((folder for folder in folders if any((folder / name).is_dir() for name in names)), path)
