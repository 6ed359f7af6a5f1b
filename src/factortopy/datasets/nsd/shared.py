"""NSD's shared images, which all subjects were to see: the usual test images."""

from functools import reduce
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Int

from factortopy.datasets.nsd.design import NsdDesign, image_name, read_design
from factortopy.datasets.nsd.files import design_file, published_sessions
from factortopy.errors import DataError

REPEATS = 3


def nsd_shared_images(path: str | PathLike[str], *, three_times: bool = False) -> tuple[str, ...]:
    """Ids of the images that all eight subjects of NSD share, for ``split_with_test``.

    Args:
        path: the folder that holds ``nsddata``.
        three_times: only those that every subject saw three times in its 30 to 40 sessions (515 of 1,000).

    Returns:
        Ids such as ``nsd-00013``, ascending.

    Raises:
        DataError: if ``nsd_expdesign.mat`` is missing or damaged, or names no shared images.
    """
    file, sessions = design_file(Path(path)), published_sessions()
    designs = {subject: read_design(file, subject) for subject in sessions}
    shared = designs[1].shared
    if not len(shared):
        raise DataError(f"{file} has no sharedix; get nsd_expdesign.mat again", path=file)
    if three_times:
        seen = (_seen_three_times(design, sessions[subject]) for subject, design in designs.items())
        shared = reduce(np.intersect1d, seen, shared)
    return tuple(image_name(int(number)) for number in np.sort(shared))


def _seen_three_times(design: NsdDesign, sessions: int) -> Int[np.ndarray, "image"]:
    """nsdId of the images shown three times in the first sessions."""
    planned = max(published_sessions().values())
    trials = design.trials if len(design.trials) else np.full(planned, len(design.images) // planned)
    images, counts = np.unique(design.images[: int(trials[:sessions].sum())], return_counts=True)
    return images[counts >= REPEATS]
