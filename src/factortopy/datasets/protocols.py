"""Protocols in one call each (the paper's, the Algonauts challenge's, LAION-fMRI's): subjects, splits, the score."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factortopy.datasets.algonauts.files import subject_folder, subject_folders
from factortopy.datasets.algonauts.reader import load_algonauts
from factortopy.datasets.laion.reader import load_laion
from factortopy.datasets.laion.splits import laion_split
from factortopy.datasets.nsd.reader import load_nsd
from factortopy.errors import DataError
from factortopy.images import Split, split_images
from factortopy.subjects import Subject

PAPER_SUBJECTS = (1, 2, 3)
RAW = "raw R^2 of single trials (r_squared): no noise ceiling, nothing averaged"
CHALLENGE = (
    "median over voxels of the squared correlation over the noise ceiling, per cent, responses averaged over "
    "repeats (algonauts_score); not to be compared with raw R^2"
)
LAION = (
    "by area (V1, V2, V4, IT) and voxels whose ceiling of 12 repeats is 30 % or more: r, r^2 / NC and Brain-Score's "
    "(median r)^2 / median sqrt(NC12) (analysis.brain_scores), responses averaged over repeats"
)


@dataclass(frozen=True)
class Protocol:
    """A subject, the images it is trained and tested on, and how it is scored.

    Attributes:
        subject: responses.
        split: images of training, validation and test.
        score: what the score is.
    """

    subject: Subject
    split: Split
    score: str


def paper_protocol(
    path: str | os.PathLike[str],
    *,
    subjects: tuple[int, ...] = PAPER_SUBJECTS,
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> tuple[Protocol, ...]:
    """The protocol of *Brain Decodes Deep Nets*: NSD, single trials, 8:1:1 by image, raw R^2.

    All trials of an image stand on one side. The paper gives no list of its images: the split is drawn here.

    Args:
        path: the folder of NSD.
        subjects: 1 to 3 in the paper.
        seed: of the split.
        progress: show bars.
        options: for ``load_nsd``, e.g. another ``space``; by default fsaverage, ``nsdgeneral``,
            ``betas_fithrf_GLMdenoise_RR``, z-scored within sessions.

    Raises:
        DataError: if a file is missing or damaged.

    Example:
        >>> (protocol,) = ft.paper_protocol("nsd", subjects=(1,), space="func1pt8mm", progress=False)
        >>> sorted(protocol.split.to_dict())
        ['test', 'train', 'validation']
    """
    loaded = (load_nsd(path, subject=number, trials="single", progress=progress, **options) for number in subjects)
    return tuple(Protocol(one, split_images(one.distinct_image_ids, seed=seed), RAW) for one in loaded)


def algonauts_protocol(
    path: str | os.PathLike[str], subject: int | None = None, *, seed: int = 0, **options: Any
) -> Protocol:
    """The protocol of the Algonauts 2023 challenge, on images whose responses it released.

    Responses are averages over repeats. Those of the challenge's own test images were never released, so a
    tenth of the training images is held out for the test. The score differs from the paper's raw R^2.

    Args:
        path: a subject's folder, or the one above it.
        subject: its number, where the folder holds several.
        seed: of the split.
        options: for ``load_algonauts``.

    Raises:
        DataError: if there is no such subject, or a file is missing or damaged.

    Example:
        >>> protocol = ft.algonauts_protocol("algonauts_2023/subj01")
        >>> protocol.subject.responses.shape[0] == len(protocol.subject.image_ids)
        True
    """
    if not subject_folders(Path(path)):
        fault = "is missing or no folder of Algonauts 2023"
        raise DataError.of(path, f"{fault}; expected training_split and roi_masks")
    one = load_algonauts(subject_folder(Path(path), subject), **options)
    return Protocol(one, split_images(one.image_ids, seed=seed), CHALLENGE)


def laion_protocol(
    path: str | os.PathLike[str], subject: int = 1, split: str = "tau", *, seed: int = 0, **options: Any
) -> Protocol:
    """A protocol of LAION-fMRI: one of its published splits, of each subject's images or the shared ones.

    ``"tau"`` holds out images as near to the training images as they are to one another, ``"ood"`` images unlike them,
    ``"cluster_k5_0"`` to ``"cluster_k5_4"`` one cluster of images after another.

    Args:
        path: the folder of LAION-fMRI.
        subject: 1, 3, 5, 6 or 7.
        split: as for ``laion_split``.
        seed: of the validation images.
        options: for ``load_laion``.

    Raises:
        DataError: if a file is missing or damaged.
        UnknownNameError: if there is no such split.

    Example:
        >>> protocol = ft.laion_protocol("laion", 1, "ood", voxels="retinotopic", progress=False)
        >>> all("_OOD_" in image for image in protocol.split.test)
        True
    """
    one = load_laion(path, subject, **options)
    return Protocol(one, laion_split(path, one, split, seed=seed), LAION)
