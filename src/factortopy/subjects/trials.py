"""Rows of responses out of single trials, whatever the data set: z-scored by session, repeats averaged."""

from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.cortex import Voxels
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.machine import available_memory
from factortopy.subjects.ceilings import repeat_counts
from factortopy.subjects.subject import Subject

Trials = Literal["averaged", "single"]
ZScore = Literal["session", "none"]
SCALED = {
    "session": "by session: mean and sd (divisor n) over all its trials, test images too",
    "none": "none: in the data set's own unit",
}
"""How the provenance describes each way to z-score."""


class TrialRows:
    """Takes single trials block by block and makes the rows of a subject of them.

    Args:
        images: id of the image of each trial.
        sessions: session of each trial.
        voxels: how many there are.
        trials: ``"averaged"``, a row an image by ascending id, or ``"single"``, a row a trial.
        zscore: ``"session"``: each voxel's trials of a session become (beta - mean) / sd, test trials
            included, divisor n; or ``"none"``.
        keep_constant: whether voxels that do not vary in a session stay where nothing is z-scored.

    Attributes:
        repeats: trials that each row averages.
        alive: which voxels have values in all that was taken in; those with NaN anywhere or without variance
            in a session are left out of the subject.
        spread: standard deviation of each voxel in the last session taken in.

    Raises:
        UnknownNameError: if ``trials`` or ``zscore`` is another.
        DataError: if memory is too small for the rows.
    """

    def __init__(
        self,
        images: np.ndarray,
        sessions: Int[np.ndarray, "trial"],
        voxels: int,
        trials: Trials,
        zscore: ZScore,
        *,
        keep_constant: bool = True,
    ) -> None:
        for what, value, names in (("trials", trials, get_args(Trials)), ("zscore", zscore, get_args(ZScore))):
            if value not in names:
                raise UnknownNameError(what, value, names)
        self.trials, self.zscore, self._keep_constant = trials, zscore, keep_constant
        self.images, self.sessions = np.asarray(images), np.asarray(sessions)
        self.ids, self._row, self.repeats = np.unique(self.images, return_inverse=True, return_counts=True)
        if trials == "single":
            self.ids, self._row = self.images, np.arange(len(self.images))
            self.repeats = np.ones(len(self.ids), dtype=np.int64)
        self._sums = _empty_rows(len(self.ids), voxels)
        self.alive, self.spread = np.ones(voxels, dtype=bool), np.zeros(voxels)

    def add(
        self, trials: Int[np.ndarray, "taken"] | slice, columns: slice, block: Float[np.ndarray, "taken voxel"]
    ) -> Float[np.ndarray, "taken voxel"]:
        """Take in some trials of some voxels; with ``zscore="session"`` all trials of each session at once.

        Args:
            trials: numbers of the trials.
            columns: which voxels.
            block: their responses, float32; changed in place.

        Returns:
            The block as it was taken in, 0 where a voxel has NaN or, if z-scored, does not vary.
        """
        sessions = self.sessions[trials]
        for session in np.unique(sessions):
            here = sessions == session
            # All trials of one session are standardised in place, without a copy.
            of_session = block if here.all() else block[here]
            self.spread[columns], fine = self._standardise(of_session)
            if of_session is not block:
                block[here] = of_session
            self.alive[columns] &= fine
        for beta, row in zip(block, self._row[trials], strict=True):
            self._sums[row, columns] += beta
        return block

    def _standardise(
        self, block: Float[np.ndarray, "trial voxel"]
    ) -> tuple[Float[np.ndarray, "voxel"], Bool[np.ndarray, "voxel"]]:
        """Z-score the trials of a session in place if asked (divisor n); voxels without values become 0.

        Returns the standard deviation of each voxel, and which voxels have values (and vary).
        """
        mean = block.mean(axis=0, dtype=np.float64)
        spread = block.std(axis=0, dtype=np.float64)
        fine = np.isfinite(mean) & np.isfinite(spread)
        if self.zscore == "session" or not self._keep_constant:
            # The mean of equal numbers is not exact: what it leaves is no variance.
            fine &= spread > 1e-6 * np.abs(mean)
        if self.zscore == "session":
            block -= mean.astype(np.float32)
            block /= np.where(fine, spread, 1).astype(np.float32)
        block[:, ~fine] = 0
        return spread, fine

    def subject(
        self,
        name: str,
        voxels: Voxels,
        ceiling: Float[np.ndarray, "voxel"] | None,
        images: ImageSet | None,
        facts: dict[str, Any],
    ) -> Subject:
        """The subject of all rows; voxels that are not ``alive`` are left out and counted in the provenance.

        Nothing can be added afterwards.

        Args:
            name: of the subject.
            voxels: where they lie.
            ceiling: R^2 of a perfect model on these rows.
            images: the photographs.
            facts: record of where the responses come from; goes before what is recorded here.

        Raises:
            DataError: if no voxel has values.
        """
        if not self.alive.any():
            raise DataError(f"{name}: no voxel has values in all sessions; the files are empty or damaged")
        if self.trials == "averaged":
            self._sums /= self.repeats[:, None].astype(np.float32)
        recorded = {
            "sessions": np.unique(self.sessions).tolist(),
            "trials": self.trials,
            "z_score": SCALED[self.zscore],
            "images_by_repeats": repeat_counts(self.repeats).tolist(),
            "left_out": f"{(~self.alive).sum()} voxels with NaN or infinity, or without variance in a session",
        }
        return Subject(
            name=name,
            responses=self._compact(),
            image_ids=tuple(self.ids.tolist()),
            voxels=voxels if self.alive.all() else voxels.select(self.alive),
            noise_ceiling=None if ceiling is None else ceiling[self.alive].astype(np.float32),
            repeats=self.repeats,
            images=images,
            single_trials=self.trials == "single",
            provenance=recorded | facts,
        )

    def _compact(self) -> Float[np.ndarray, "row kept"]:
        """The columns that are alive, moved together in place: a copy would take the memory twice."""
        sums, kept = self._sums, int(self.alive.sum())
        if kept == len(self.alive):
            return sums
        compact = sums.reshape(-1)[: len(sums) * kept].reshape(len(sums), kept)
        for target, source in zip(compact, sums, strict=True):
            target[:] = source[self.alive]
        return compact


def _empty_rows(rows: int, voxels: int) -> Float[np.ndarray, "row voxel"]:
    needed, free = 4 * rows * voxels, available_memory()
    if needed > free:
        raise DataError(
            f"responses of {rows} rows and {voxels} voxels take {needed / 1e9:.1f} GB of memory, "
            f"{free / 1e9:.1f} GB are free; choose fewer voxels (a ROI, nsdgeneral), fewer sessions, or averaged trials"
        )
    return np.zeros((rows, voxels), dtype=np.float32)
