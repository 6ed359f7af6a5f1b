"""Betas session by session, however they are stored, and the subject they make."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from factortopy.cortex import Voxels
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.progress import progress_bar
from factortopy.subjects.ceilings import NCSNR_FORMULA, noise_ceiling_from_ncsnr, repeat_counts
from factortopy.subjects.subject import Subject
from factortopy.subjects.trials import Trials, ZScore, empty_rows, standardise

SCALED = {
    "session": "by session: mean and sd (divisor n) over all its trials, test images too",
    "none": "none: per cent signal change",
}
"""What is said of the ways to z-score."""
COLUMNS_AT_ONCE = 4096
MOST_LEFT_OUT = 0.5
"""Of the voxels; where more are without values, the files are not what they should be."""


class ReadBetas(Protocol):
    """Reads stored numbers of one session."""

    def __call__(
        self, session: int, part: str, columns: Int[np.ndarray, "column"], trials: slice = slice(None)
    ) -> Shaped[np.ndarray, "trial column"]:
        """Numbers of a session (its number), a part, some of its columns (ascending) and some trials."""


class Source(Protocol):
    """Says where betas come from."""

    def __call__(self, session: int, part: str) -> str:
        """The file, or what stands for it in a message."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Single-trial betas of one subject.

    Attributes:
        name: of the subject.
        sessions: numbers of the sessions, from 1.
        images: id of the image of every trial of each session.
        voxels: where they lie.
        dtype: of the stored numbers.
        divisor: stored numbers divided by it are per cent signal change.
        by_trial: whether they are quickest read trial after trial, and not voxel after voxel.
        read: reads them.
        source: says in messages where they come from.
        facts: JSON-ready record of where they come from.
    """

    name: str
    sessions: tuple[int, ...]
    images: Shaped[np.ndarray, "session trial"]
    voxels: Voxels
    dtype: np.dtype
    divisor: int
    by_trial: bool
    read: ReadBetas
    source: Source
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """Trials of a session."""
        return int(self.images.shape[1])

    @property
    def parts(self) -> dict[str, int]:
        """Number of voxels of each part, in their order."""
        names, first, counts = np.unique(self.voxels.part, return_index=True, return_counts=True)
        return {str(names[index]): int(counts[index]) for index in np.argsort(first)}

    def columns(self, part: str) -> Int[np.ndarray, "column"]:
        """Where the voxels of a part stand in what is read."""
        return self.voxels.column[self.voxels.part == part]

    def choose_sessions(self, sessions: Sequence[int] | None) -> "Recording":
        """The recording of some sessions, in their order.

        Raises:
            DataError: if one is not there.
        """
        if sessions is None:
            return self
        missing = sorted(set(sessions) - set(self.sessions))
        if missing or not sessions:
            raise DataError(f"{self.name} has the sessions {self.sessions}, not {missing or 'none'}; choose among them")
        rows = [index for index, session in enumerate(self.sessions) if session in set(sessions)]
        kept = tuple(self.sessions[row] for row in rows)
        return replace(self, sessions=kept, images=self.images[rows])


def subject_of(
    recording: Recording,
    *,
    trials: Trials = "averaged",
    zscore: ZScore = "session",
    images: ImageSet | None = None,
    progress: bool = True,
) -> Subject:
    """Read the betas of a recording, a session at a time, and make a subject of them.

    With ``zscore="session"`` each voxel's betas of a session become ``(beta - mean) / sd``, over all trials
    of that session, those of later test images too, and the sd of the population (divisor n). Voxels with a
    NaN anywhere, or without variance in a session (int16 files have 0 for NaN), are left out and listed in
    the provenance.

    Args:
        recording: the betas.
        trials: ``"averaged"``: a row an image, the mean of its trials, by ascending image id;
            ``"single"``: a row a trial, as they were shown, image ids repeat.
        zscore: ``"session"`` or ``"none"`` (per cent signal change).
        images: the photographs, where they are known.
        progress: show a bar.

    Raises:
        DataError: if memory is too small, betas are infinite, or most voxels have no values.
    """
    _check_choice("trials", trials, ("averaged", "single"))
    _check_choice("zscore", zscore, tuple(SCALED))
    ids, row, repeats = np.unique(recording.images.reshape(-1), return_inverse=True, return_counts=True)
    if trials == "single":
        ids, row = recording.images.reshape(-1), np.arange(recording.images.size)
        repeats = np.ones(len(ids), dtype=np.int64)
    responses, alive, spread = _read(recording, row.reshape(recording.images.shape), zscore, progress)
    if trials == "averaged":
        responses /= repeats[:, None].astype(np.float32)
    voxels, left_out = _keep(recording, alive)
    responses = _compact(responses, alive)
    return Subject(
        name=recording.name,
        responses=responses,
        image_ids=tuple(ids.tolist()),
        coordinates=voxels.coordinates,
        coordinate_bounds=voxels.coordinate_bounds,
        hemisphere=voxels.hemisphere,
        vertex=voxels.vertex,
        surface=voxels.surface,
        rois=voxels.rois,
        noise_ceiling=_ceiling(voxels, repeats),
        repeats=repeats,
        images=images,
        single_trials=trials == "single",
        provenance=recording.facts
        | _used(recording, trials, zscore, repeats)
        | {"median_sd_percent": round(float(np.median(spread[alive])), 4), "left_out": left_out},
    )


def _ceiling(voxels: Voxels, repeats: Int[np.ndarray, "row"]) -> Float[np.ndarray, "voxel"] | None:
    if voxels.ncsnr is None:
        return None
    return noise_ceiling_from_ncsnr(voxels.ncsnr, repeat_counts(repeats)).astype(np.float32)


def _used(recording: Recording, trials: Trials, zscore: ZScore, repeats: Int[np.ndarray, "row"]) -> dict[str, Any]:
    return {
        "sessions": list(recording.sessions),
        "trials": trials,
        "z_score": SCALED[zscore],
        "images_by_repeats": repeat_counts(repeats).tolist(),
        "noise_ceiling": "none: there is no ncsnr" if recording.voxels.ncsnr is None else NCSNR_FORMULA,
    }


def _check_choice(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UnknownNameError(what, given, known)


def _read(
    recording: Recording, row: Int[np.ndarray, "session trial"], zscore: ZScore, progress: bool
) -> tuple[Float[np.ndarray, "row voxel"], Bool[np.ndarray, "voxel"], Float[np.ndarray, "voxel"]]:
    """Sums of the trials of each row, which voxels have values in all sessions, and their sd in the last."""
    voxels = recording.voxels
    responses = empty_rows(int(row.max()) + 1, len(voxels), "fewer voxels (nsdgeneral), sessions, or averaged trials")
    alive, spread = np.ones(len(voxels), dtype=bool), np.zeros(len(voxels))
    with progress_bar("Betas", row.shape[0] * len(recording.parts), show=progress) as advance:
        for number, session in enumerate(recording.sessions):
            for part in recording.parts:
                here = np.flatnonzero(voxels.part == part)
                betas = recording.read(session, part, voxels.column[here])
                for start in range(0, len(here), COLUMNS_AT_ONCE):
                    columns = slice(start, start + COLUMNS_AT_ONCE)
                    block = betas[:, columns].astype(np.float32) / np.float32(recording.divisor)
                    if np.isinf(block).any():
                        raise DataError(
                            f"{recording.source(session, part)} holds infinite betas; get it again",
                            path=recording.source(session, part),
                        )
                    spread[here[columns]], varies = standardise(block, zscore)
                    alive[here[columns]] &= varies
                    # A part's voxels stand side by side: a slice is added several times faster.
                    place = slice(here[columns][0], here[columns][-1] + 1)
                    for beta, target in zip(block, row[number], strict=True):
                        responses[target, place] += beta
                _check_alive(alive[here], recording.source(session, part))
                advance()
    return responses, alive, spread


def _check_alive(alive: Bool[np.ndarray, "voxel"], source: str) -> None:
    if alive.mean() < MOST_LEFT_OUT:
        raise DataError(
            f"{source} and what was read before it have no values (NaN, or the same in all trials) in "
            f"{(~alive).sum()} of {len(alive)} voxels; the file is empty or damaged: get it again"
        )


def _keep(recording: Recording, alive: Bool[np.ndarray, "voxel"]) -> tuple[Voxels, dict[str, Any]]:
    """The voxels with values, and a record of the others; voxels without ncsnr are marked dead, too."""
    voxels = recording.voxels
    if voxels.ncsnr is not None:
        alive &= np.isfinite(voxels.ncsnr)
        _check_alive(alive, f"the ncsnr of {recording.name}")
    left_out: dict[str, Any] = {"reason": "NaN, or no variance in a session, or no ncsnr"}
    for part in recording.parts:
        left_out[part] = _ranges(voxels.vertex[(voxels.part == part) & ~alive])
    return voxels.select(alive), left_out


def _ranges(numbers: Int[np.ndarray, "number"]) -> list[list[int]]:
    """[first, last] of each run of neighbouring numbers: many voxels of a volume lie outside the brain."""
    runs = np.split(np.sort(numbers), np.flatnonzero(np.diff(np.sort(numbers)) > 1) + 1)
    return [[int(run[0]), int(run[-1])] for run in runs if len(run)]


def _compact(
    responses: Float[np.ndarray, "row voxel"], alive: Bool[np.ndarray, "voxel"]
) -> Float[np.ndarray, "row kept"]:
    """The columns that are alive, moved together in place: a copy would take the memory twice."""
    kept = int(alive.sum())
    if kept == len(alive):
        return responses
    compact = responses.reshape(-1)[: len(responses) * kept].reshape(len(responses), kept)
    for target, source in zip(compact, responses, strict=True):
        target[:] = source[alive]
    return compact
