"""Betas session by session, however they are stored, and the subject they make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import compress
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from factortopy.cortex import Voxels
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.progress import progress_bar
from factortopy.subjects.ceilings import NCSNR_FORMULA, noise_ceiling_from_ncsnr, repeat_counts
from factortopy.subjects.subject import Subject
from factortopy.subjects.trials import TrialRows, Trials, ZScore

COLUMNS_AT_ONCE = 4096
MOST_LEFT_OUT = 0.5
"""Of the voxels; where more are without values, the files are not what they should be."""


class ReadBetas(Protocol):
    """Reads stored numbers of one session."""

    def __call__(
        self, session: int, part: str, columns: Int[np.ndarray, "column"], trials: slice = slice(None)
    ) -> Shaped[np.ndarray, "trial column"]:
        """Numbers of a session (its number), a part, some of its columns (ascending) and some trials."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordedVoxels(Voxels):
    """The voxels of a recording, part after part, ascending within each.

    Attributes:
        part: ``"left"``, ``"right"`` or ``"volume"``: the file, or array, that holds each voxel.
        column: its index in there.
        kinds: names of the ROIs by the kind (file) of labels they come from.
        ncsnr: signal to noise ratio of each voxel; NaN where it has none.
    """

    part: np.ndarray
    column: Int[np.ndarray, "voxel"]
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ncsnr: Float[np.ndarray, "voxel"] | None = None

    @classmethod
    def of_volume(cls, voxels: Voxels, **kinds: tuple[str, ...]) -> "RecordedVoxels":
        """Voxels of one file, in its order."""
        part, column = np.full(len(voxels), "volume"), np.arange(len(voxels))
        return RecordedVoxels(**vars(voxels), part=part, column=column, kinds=kinds)

    @property
    def plain(self) -> Voxels:
        """Where they lie alone, as a subject has it."""
        return Voxels(**{item.name: getattr(self, item.name) for item in fields(Voxels)})

    def choose(self, name: str) -> "RecordedVoxels":
        """The voxels of a ROI, of any ROI of a kind, or ``"all"``.

        Raises:
            UnknownNameError: if there is no such ROI or kind.
            DataError: if it has no voxel.
        """
        if name == "all":
            return self
        names = self.kinds.get(name, (name,))
        for roi in names:
            if roi not in self.rois:
                raise UnknownNameError("ROI", roi, ["all", *self.kinds, *self.rois])
        inside = np.any([self.rois[roi] for roi in names], axis=0)
        if not inside.any():
            raise DataError(f"ROI {name!r} has no voxel here; choose another or 'all'")
        return self.select(inside)


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
        source: the file of a session and part, or what stands for it in messages.
        facts: JSON-ready record of where they come from.
    """

    name: str
    sessions: tuple[int, ...]
    images: Shaped[np.ndarray, "session trial"]
    voxels: RecordedVoxels
    dtype: np.dtype
    divisor: int
    by_trial: bool
    read: ReadBetas
    source: Callable[[int, str], str]
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
        chosen = {int(number) for number in sessions}
        missing = sorted(chosen - set(self.sessions))
        if missing or not chosen:
            raise DataError(f"{self.name} has the sessions {self.sessions}, not {missing or 'none'}; choose among them")
        kept = np.isin(self.sessions, list(chosen))
        return replace(self, sessions=tuple(compress(self.sessions, kept)), images=self.images[kept])


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
    voxels = recording.voxels
    sessions = np.repeat(recording.sessions, recording.trials)
    rows = TrialRows(recording.images.reshape(-1), sessions, len(voxels), trials, zscore, keep_constant=False)
    _read(recording, rows, progress)
    ceiling = None
    if voxels.ncsnr is not None:
        rows.alive &= np.isfinite(voxels.ncsnr)
        _check_alive(rows.alive, f"the ncsnr of {recording.name}")
        ceiling = noise_ceiling_from_ncsnr(voxels.ncsnr, repeat_counts(rows.repeats))
    left_out: dict[str, Any] = {"reason": "NaN, or no variance in a session, or no ncsnr"}
    left_out |= {part: _ranges(voxels.vertex[(voxels.part == part) & ~rows.alive]) for part in recording.parts}
    facts = {
        "noise_ceiling": "none: there is no ncsnr" if ceiling is None else NCSNR_FORMULA,
        "rois": list(voxels.kinds),
        "median_sd_percent": round(float(np.median(rows.spread[rows.alive])), 4),
        "left_out": left_out,
    }
    return rows.subject(recording.name, voxels.plain, ceiling, images, recording.facts | facts)


def _read(recording: Recording, rows: TrialRows, progress: bool) -> None:
    """Take in all betas of a recording."""
    voxels, count = recording.voxels, recording.trials
    with progress_bar("Betas", len(recording.sessions) * len(recording.parts), show=progress) as advance:
        for number, session in enumerate(recording.sessions):
            shown = slice(number * count, (number + 1) * count)
            for part in recording.parts:
                here = np.flatnonzero(voxels.part == part)
                betas = recording.read(session, part, voxels.column[here])
                for start in range(0, len(here), COLUMNS_AT_ONCE):
                    columns = slice(start, start + COLUMNS_AT_ONCE)
                    block = betas[:, columns].astype(np.float32) / np.float32(recording.divisor)
                    if np.isinf(block).any():
                        source = recording.source(session, part)
                        raise DataError.of(source, "holds infinite betas; get it again")
                    # A part's voxels stand side by side: a slice is added several times faster.
                    rows.add(shown, slice(here[columns][0], here[columns][-1] + 1), block)
                _check_alive(rows.alive[here], recording.source(session, part))
                advance()


def _check_alive(alive: Bool[np.ndarray, "voxel"], source: str) -> None:
    if alive.mean() < MOST_LEFT_OUT:
        raise DataError(
            f"{source} and what was read before it have no values (NaN, or the same in all trials) in "
            f"{(~alive).sum()} of {len(alive)} voxels; the file is empty or damaged: get it again"
        )


def _ranges(numbers: Int[np.ndarray, "number"]) -> list[list[int]]:
    """[first, last] of each run of neighbouring numbers: many voxels of a volume lie outside the brain."""
    runs = np.split(np.sort(numbers), np.flatnonzero(np.diff(np.sort(numbers)) > 1) + 1)
    return [[int(run[0]), int(run[-1])] for run in runs if len(run)]
