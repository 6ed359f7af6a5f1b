"""Which image each trial of NSD showed: MATLAB's ids, counted from 1, become ids counted from 0, once."""

import csv
from dataclasses import dataclass
from functools import reduce
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Int

from factortopy.datasets.nsd.files import design_file, published_sessions
from factortopy.errors import DataError
from factortopy.storage import reading

IMAGES = 73_000
REPEATS = 3
"""Of every image in the whole experiment."""
TRUE = ("1", "1.0", "true")
NEVER = ("", "0")


def image_name(nsd_id: int) -> str:
    """The id of an NSD image, e.g. ``nsd-00013``, counted from 0 as ``nsdId`` is."""
    return f"nsd-{nsd_id:05d}"


@dataclass(frozen=True, eq=False)
class NsdDesign:
    """What one subject saw.

    Attributes:
        path: the file it was read from.
        images: nsdId (from 0) of the image of every trial of the whole experiment.
        trials: trials of every session, where the file tells them; else empty.
        shared: nsdId of the images that all subjects were to see (1000); empty if the file does not say.
    """

    path: Path
    images: Int[np.ndarray, "trial"]
    trials: Int[np.ndarray, "session"]
    shared: Int[np.ndarray, "shared"]

    def session(self, session: int, trials: int) -> Int[np.ndarray, "trial"]:
        """nsdId of every trial of a session, counted from 1, whose betas have so many trials."""
        planned = self.trials[session - 1] if 0 < session <= len(self.trials) else trials
        if planned != trials or len(self.images) % trials:
            listed = f"{planned} in this session" if planned != trials else f"{len(self.images)} in all"
            fault = f"the betas of session {session} have {trials} trials, {self.path} has {listed}"
            raise DataError(f"{fault}; the betas are cut or belong to another experiment", path=self.path)
        first = int(self.trials[: session - 1].sum()) if len(self.trials) else (session - 1) * trials
        if not 0 <= first <= len(self.images) - trials:
            fault = f"session {session} lies beyond the {len(self.images)} trials of {self.path}"
            raise DataError(f"{fault}; sessions count from 1", path=self.path)
        return self.images[first : first + trials]


def read_design(path: Path, subject: int) -> NsdDesign:
    """Read ``nsd_expdesign.mat``: trial t showed ``subjectim[subject, masterordering[t]]``, all from 1."""
    variables = read_variables(path, "masterordering", "subjectim", "sharedix", "stimpattern")
    order = numbers_from_one(variables, "masterordering", path, IMAGES).reshape(-1)
    shown = numbers_from_one(variables, "subjectim", path, IMAGES)
    if shown.ndim != 2 or len(shown) < subject:
        fault = f"has shape {shown.shape}; expected (8, 10000), a row for subject {subject}"
        raise DataError(f"subjectim of {path} {fault}", path=path)
    if order.max() > shown.shape[1]:
        fault = f"goes up to {order.max()}, subjectim has {shown.shape[1]} columns; get the file again"
        raise DataError(f"masterordering of {path} {fault}", path=path)
    images = shown[subject - 1, order - 1] - 1
    shared = np.zeros(0, np.int64)
    if "sharedix" in variables:
        shared = numbers_from_one(variables, "sharedix", path, IMAGES).reshape(-1) - 1
    return NsdDesign(path, images, _trials(variables, len(order)), shared)


def read_variables(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Those variables of a MATLAB file that are there."""
    from scipy.io import loadmat

    with reading(path, f"it is truncated or no MATLAB file; get {path.name} again"), open(path, "rb") as file:
        return dict(loadmat(file, variable_names=names))


def numbers_from_one(variables: dict[str, np.ndarray], name: str, path: Path, most: int) -> np.ndarray:
    """A variable of a MATLAB file, which must be whole numbers from 1 to ``most``."""
    if name not in variables:
        raise DataError.of(path, f"has no {name}; get {path.name} again")
    values = np.asarray(variables[name])
    if values.dtype.kind not in "iuf" or not values.size:
        fault = f"is {values.dtype} of shape {values.shape}, expected numbers"
    elif not (np.isfinite(values).all() and (values == np.round(values)).all()):
        fault = "holds values that are no whole numbers; get the file again"
    elif values.min() < 1 or values.max() > most:
        expected = f"expected 1 to {most}, for this file counts from 1"
        fault = f"goes from {values.min():g} to {values.max():g}; {expected}: it was changed, get it again"
    else:
        return values.astype(np.int64)
    raise DataError(f"{name} of {path} {fault}", path=path)


def _trials(variables: dict[str, np.ndarray], total: int) -> Int[np.ndarray, "session"]:
    """Trials of every session by ``stimpattern`` (session, run, place), 1 where a stimulus stands."""
    pattern = np.asarray(variables.get("stimpattern", 0))
    if pattern.ndim == 3 and pattern.dtype.kind in "iufb" and int((pattern > 0).sum()) == total:
        return np.asarray((pattern > 0).sum(axis=(1, 2)))
    return np.zeros(0, dtype=np.int64)


def check_stimulus_info(path: Path, design: NsdDesign, subject: int) -> None:
    """Compare the design with ``nsd_stim_info_merged.csv``, which counts images from 0 and trials from 1.

    Every presentation that the table lists for the subject (``subject1_rep0`` and so on) must be of the
    image that the design has for that trial: one id shifted twice or not at all is found here.

    Raises:
        DataError: if the table is damaged or the two differ.
    """
    listed: list[tuple[int, int]] = []
    shared: set[int] = set()
    with (
        reading(path, "it is truncated or no table; get nsd_stim_info_merged.csv again"),
        open(path, encoding="utf-8-sig", newline="") as file,
    ):
        for row in csv.DictReader(file):
            image = int(row["nsdId"])
            trials = (row.get(f"subject{subject}_rep{number}", "") for number in range(REPEATS))
            listed += [(int(float(trial)), image) for trial in trials if trial not in NEVER]
            if row.get("shared1000", "").lower() in TRUE:
                shared.add(image)
    trial, expected = np.array([pair for pair in listed if 1 <= pair[0] <= len(design.images)], int).reshape(-1, 2).T
    wrong = np.flatnonzero(design.images[trial - 1] != expected)
    if len(wrong):
        first = wrong[0]
        fault = f"trial {trial[first]} of subject {subject} shows nsdId {expected[first]} by {path}"
        other = f"{design.images[trial[first] - 1]} by {design.path}"
        raise DataError(f"{fault} but {other}; get both files again", path=path)
    if shared and len(design.shared) and shared != set(design.shared.tolist()):
        raise DataError.of(path, f"and {design.path} name different shared images; get both files again")


def nsd_shared_images(path: str | PathLike[str], *, three_times: bool = False) -> tuple[str, ...]:
    """Ids of the images that all eight subjects of NSD share, for ``split_with_test``.

    Args:
        path: the folder that holds ``nsddata``.
        three_times: only those that every subject saw three times in its 30 to 40 sessions (515 of 1,000).

    Returns:
        Ids such as ``nsd-00013``, ascending.

    Raises:
        DataError: if ``nsd_expdesign.mat`` is missing or damaged, or names no shared images.

    Example:
        >>> shared = ft.nsd_shared_images("nsd")
        >>> all(name.startswith("nsd-") for name in shared)
        True
    """
    file, sessions = design_file(Path(path)), published_sessions()
    designs = {subject: read_design(file, subject) for subject in sessions}
    shared = designs[1].shared
    if not len(shared):
        raise DataError.of(file, "has no sharedix; get nsd_expdesign.mat again")
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
