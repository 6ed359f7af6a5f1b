"""The Natural Scenes Dataset (Allen et al. 2022, Nature Neuroscience 25:116-126) as it lies on disk."""

import os
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.datasets.nsd.design import check_stimulus_info, image_name, read_design
from factortopy.datasets.nsd.files import NsdFiles, design_file, published_sessions, stimuli_file
from factortopy.datasets.nsd.sessions import Hdf5Session, MghSession, NiftiSession, SessionFile
from factortopy.datasets.nsd.voxels import KINDS, read_voxels, volume_image
from factortopy.errors import DataError
from factortopy.images import images_from_hdf5
from factortopy.subjects import Recording, Subject, Trials, ZScore, subject_of

PREPARATION = "betas_fithrf_GLMdenoise_RR"


def load_nsd(
    path: str | os.PathLike[str],
    subject: int,
    *,
    space: str = "fsaverage",
    preparation: str = PREPARATION,
    voxels: str = "nsdgeneral",
    rois: Sequence[str] = (),
    trials: Trials = "averaged",
    sessions: Sequence[int] | None = None,
    zscore: ZScore = "session",
    progress: bool = True,
) -> Subject:
    """Read a subject of NSD: betas, image ids, coordinates, ROIs, noise ceiling.

    The files are read session by session and only the chosen voxels are kept. A folder that is read more than
    once is better converted first (``convert_nsd``).

    Args:
        path: the folder that holds ``nsddata`` and ``nsddata_betas``.
        subject: 1 to 8.
        space: ``"fsaverage"``, ``"nativesurface"``, ``"func1pt8mm"`` or ``"func1mm"``.
        preparation: ``"betas_fithrf_GLMdenoise_RR"``, ``"betas_fithrf"`` or ``"betas_assumehrf"``.
        voxels: a kind of labels (``"nsdgeneral"``, ``"prf-visualrois"``), a ROI (``"V1v"``), or ``"all"``.
        rois: further kinds of labels to read, e.g. ``"HCP_MMP1"``; the usual ones are read where they are.
        trials: ``"averaged"`` (a row an image, by ascending nsdId) or ``"single"`` (a row a trial).
        sessions: those to use, from 1; all that are there by default.
        zscore: ``"session"`` or ``"none"``; see ``subject_of``.
        progress: show a bar.

    Returns:
        The subject; ``provenance`` says what was used, z-scored and left out.

    Raises:
        DataError: if a file is missing, truncated or not what it should be; the line names it.
        UnknownNameError: if a space, preparation or ROI does not exist.

    Example:
        >>> subject = ft.load_nsd("nsd", subject=1, space="func1pt8mm", progress=False)
        >>> subject.responses.shape[1] == len(subject.voxels)
        True
    """
    recording = open_nsd(
        path, subject, space=space, preparation=preparation, voxels=voxels, rois=rois, sessions=sessions
    )
    stimuli = stimuli_file(Path(path))
    photographs = images_from_hdf5(stimuli, ids=np.unique(recording.images).tolist()) if stimuli.is_file() else None
    return subject_of(recording, trials=trials, zscore=zscore, images=photographs, progress=progress)


def open_nsd(
    path: str | os.PathLike[str],
    subject: int,
    *,
    space: str = "fsaverage",
    preparation: str = PREPARATION,
    voxels: str = "nsdgeneral",
    rois: Sequence[str] = (),
    sessions: Sequence[int] | None = None,
) -> Recording:
    """Look at the files of a subject, compare them with one another, and read all but the betas.

    Args: as for ``load_nsd``.

    Raises:
        DataError: if a file is missing, truncated or does not fit the others.
    """
    files = NsdFiles(Path(path), subject, space, preparation)
    used = files.sessions(sessions)

    def images(file: SessionFile) -> np.ndarray:
        design = read_design(design_file(files.root), subject)
        if files.stimulus_info.is_file():
            check_stimulus_info(files.stimulus_info, design, subject)
        return np.array([[image_name(image) for image in design.session(s, file.trials)] for s in used])

    facts = {"kind": "NSD", "sessions_published": published_sessions()[subject]}
    return record(files, f"nsd-{files.name}", used, images, voxels, rois, facts)


def record(
    files: NsdFiles,
    name: str,
    sessions: tuple[int, ...],
    images: Callable[[SessionFile], np.ndarray],
    voxels: str,
    rois: Sequence[str],
    facts: dict[str, Any],
) -> Recording:
    """All that is known of a subject in NSD's layout but the betas.

    Args:
        files: of the subject.
        name: of the recording.
        sessions: numbers of those to use.
        images: gives the id of the image of every trial (session, trial), by the first file of betas.
        voxels, rois: as for ``load_nsd``.
        facts: what is recorded besides.

    Raises:
        DataError: if a file is missing, truncated or does not fit the others.
    """
    kinds = (*KINDS, *rois) if voxels == "all" or "." in voxels else (*KINDS, *rois, voxels)
    everything, shapes = read_voxels(files, sessions[0], kinds)
    if voxels in KINDS and voxels not in everything.kinds:
        raise DataError.of(files.label(files.parts[0], voxels), "is missing; get it, or take voxels='all'")
    chosen = everything.choose(voxels)
    opened = _session_files(files, sessions, shapes)
    first = next(iter(opened.values()))
    described = {
        "subject": int(files.subject),
        "space": files.space,
        "preparation": files.preparation,
        "voxels": voxels,
        "voxels_chosen": len(chosen),
        "scaling": "none, the file is in per cent signal change"
        if files.space == "fsaverage"
        else "int16 / 300 = per cent signal change",
    }
    return Recording(
        name=name,
        sessions=sessions,
        images=images(first),
        voxels=chosen,
        dtype=first.dtype,
        divisor=first.divisor,
        by_trial=first.by_trial,
        read=lambda session, part, columns, trials=slice(None): opened[session, part].read(columns, trials),
        source=lambda session, part: str(opened[session, part].path),
        facts=facts | described,
    )


def _session_files(
    files: NsdFiles, sessions: Sequence[int], shapes: dict[str, tuple[int, ...]]
) -> dict[tuple[int, str], SessionFile]:
    """The betas of every session and part, their headers checked; no betas are read."""
    opened: dict[tuple[int, str], SessionFile] = {}
    for session, (part, shape) in product(sessions, shapes.items()):
        path = files.session(part, session)
        file: SessionFile
        if path.suffix == ".mgh":
            file = MghSession(path, shape[0])
        elif path.suffix == ".gz":
            file = NiftiSession(path, shape, volume_image(files).affine)
        else:
            file = Hdf5Session(path, shape)
        opened[session, part] = file
        first = next(iter(opened.values()))
        if file.trials != first.trials:
            fault = f"has {file.trials} trials, {first.path} has {first.trials}; one of them is cut: get it again"
            raise DataError.of(path, fault)
    return opened
