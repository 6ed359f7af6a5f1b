"""NSD-synthetic (Gifford et al. 2024): one session of NSD's subjects with 284 images far from photographs.

It lies in NSD's own folders::

    nsddata_betas/ppdata/subj01/SPACE/nsdsyntheticbetas_*/betas_nsdsynthetic.*    one session of 744 trials
    nsddata/experiments/nsdsynthetic/nsdsynthetic_expdesign.mat                   the image of each trial, from 1
    nsddata/experiments/nsdsynthetic/nsdsyntheticimageinformation.csv             classes of the images
    nsddata_stimuli/stimuli/nsdsynthetic/*.hdf5                                   the images, linear intensities
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from factortopy.datasets.nsd.design import numbers_from_one, read_variables
from factortopy.datasets.nsd.files import NsdFiles
from factortopy.datasets.nsd.reader import record
from factortopy.datasets.nsd.sessions import SessionFile
from factortopy.datasets.nsd_synthetic.stimuli import (
    IMAGES,
    colour_file,
    image_name,
    nsd_root,
    nsd_synthetic_images,
    shared_file,
)
from factortopy.errors import DataError
from factortopy.subjects import (
    REPEATS_FORMULA,
    Recording,
    Subject,
    Trials,
    ZScore,
    repeat_counts,
    repeat_variance,
    subject_of,
)

PREPARATIONS = ("nsdsyntheticbetas_fithrf_GLMdenoise_RR", "nsdsyntheticbetas_fithrf")


class SyntheticFiles(NsdFiles):
    """The files of one subject in one space and preparation: NSD's, but for the betas."""

    preparations = PREPARATIONS
    stem = "betas_nsdsynthetic"


def experiment_folder(root: Path) -> Path:
    """Where the design and the table of images lie."""
    return root / "nsddata" / "experiments" / "nsdsynthetic"


def read_ordering(root: Path) -> Int[np.ndarray, "trial"]:
    """Number of the image of every trial, from 1 as in the file; the same for all subjects."""
    path = experiment_folder(root) / "nsdsynthetic_expdesign.mat"
    return numbers_from_one(read_variables(path, "masterordering"), "masterordering", path, IMAGES).reshape(-1)


def load_nsd_synthetic(
    path: str | os.PathLike[str],
    subject: int,
    *,
    space: str = "fsaverage",
    preparation: str = PREPARATIONS[0],
    voxels: str = "nsdgeneral",
    rois: Sequence[str] = (),
    trials: Trials = "averaged",
    zscore: ZScore = "session",
    square_root: bool = True,
    progress: bool = True,
) -> Subject:
    """Read a subject of NSD-synthetic: images to test a mapping of NSD on that are unlike those it was fitted to.

    Args:
        path: the folder that holds ``nsddata`` and ``nsddata_betas``, or ``nsddata/experiments/nsdsynthetic`` in it.
        subject: 1 to 8.
        space: ``"fsaverage"``, ``"nativesurface"``, ``"func1pt8mm"`` or ``"func1mm"``.
        preparation: ``"nsdsyntheticbetas_fithrf_GLMdenoise_RR"`` or ``"nsdsyntheticbetas_fithrf"``.
        voxels, rois: as for ``load_nsd``.
        trials: ``"averaged"`` (a row an image: of the 284, 236 were shown twice, 32 four, 8 eight and 8 ten times) or
            ``"single"`` (a row a trial).
        zscore: ``"session"``, over all trials, or ``"none"``.
        square_root: of the images' intensities; see ``nsd_synthetic_images``.
        progress: show a bar.

    Returns:
        The noise ceiling is made of the repeats of all images (``repeat_variance``); NSD's own ncsnr is of other
        images. See ``nsd_synthetic_images`` for the ids.

    Raises:
        DataError: if a file is missing, truncated or not what it should be; the line names it.
        UnknownNameError: if a space, preparation or ROI does not exist.

    Example:
        >>> subject = ft.load_nsd_synthetic("nsd", subject=1, space="func1pt8mm", progress=False)
        >>> len(subject.image_ids), int(subject.repeats.sum())
        (284, 744)
    """
    root = nsd_root(Path(path))
    recording = open_nsd_synthetic(root, subject, space=space, preparation=preparation, voxels=voxels, rois=rois)
    there = shared_file(root).is_file() and colour_file(root, subject).is_file()
    images = nsd_synthetic_images(root, [subject], square_root=square_root) if there else None
    single = subject_of(recording, trials="single", zscore=zscore, images=images, progress=progress)
    loaded = single
    if trials != "single":
        loaded = subject_of(recording, trials=trials, zscore=zscore, images=images, progress=False)
    variance = repeat_variance(single.responses, single.image_ids)
    ceiling = variance.ceiling(repeat_counts(np.asarray(loaded.repeats))).astype(np.float32)
    facts = {"noise_ceiling": REPEATS_FORMULA, "voxels_without_signal": variance.without_signal}
    return replace(loaded, noise_ceiling=ceiling, provenance=loaded.provenance | facts)


def open_nsd_synthetic(
    path: str | os.PathLike[str],
    subject: int,
    *,
    space: str = "fsaverage",
    preparation: str = PREPARATIONS[0],
    voxels: str = "nsdgeneral",
    rois: Sequence[str] = (),
) -> Recording:
    """Look at the files of a subject, compare them with one another, and read all but the betas.

    Args: as for ``load_nsd_synthetic``.

    Raises:
        DataError: if a file is missing, truncated or does not fit the others.
    """
    files = SyntheticFiles(nsd_root(Path(path)), subject, space, preparation)

    def images(file: SessionFile) -> np.ndarray:
        order = read_ordering(files.root)
        if len(order) != file.trials:
            fault = f"has {file.trials} trials, the design of NSD-synthetic {len(order)}"
            raise DataError.of(file.path, f"{fault}; the betas are cut or belong to another experiment")
        return np.array([[image_name(number, subject) for number in order]])

    name = f"nsd-synthetic-{files.name}"
    facts = {"kind": "NSD-synthetic", "images": "numbers from 1, as in masterordering"}
    return record(files, name, files.sessions((1,)), images, voxels, rois, facts)
