"""Rows of responses out of single trials that arrive in blocks: z-scored by session, repeats averaged."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.cortex import Voxels
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.subjects.ceilings import repeat_counts
from factortopy.subjects.subject import Subject
from factortopy.subjects.trials import Trials, ZScore, empty_rows, standardise

NAMES = {"trials": ("averaged", "single"), "zscore": ("session", "none")}


class TrialRows:
    """Takes single trials block by block and makes the rows of a subject of them.

    Args:
        images: id of the image of each trial.
        sessions: session of each trial.
        voxels: how many there are.
        trials: ``"averaged"``, a row an image by ascending id, or ``"single"``, a row a trial.
        zscore: ``"session"``: each voxel's trials of a session become (beta - mean) / sd, test trials
            included, divisor n; or ``"none"``.

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
    ) -> None:
        for what, given in (("trials", trials), ("zscore", zscore)):
            if given not in NAMES[what]:
                raise UnknownNameError(what, given, NAMES[what])
        self.trials, self.zscore = trials, zscore
        self.images, self.sessions = np.asarray(images), np.asarray(sessions)
        self.ids, self._row, self.repeats = np.unique(self.images, return_inverse=True, return_counts=True)
        if trials == "single":
            self.ids, self._row = self.images, np.arange(len(self.images))
            self.repeats = np.ones(len(self.ids), dtype=np.int64)
        self._sums = empty_rows(len(self.ids), voxels, "fewer voxels (a ROI) or averaged trials")
        self.alive = np.ones(voxels, dtype=bool)

    def add(
        self, trials: Int[np.ndarray, "taken"], columns: slice, block: Float[np.ndarray, "taken voxel"]
    ) -> Float[np.ndarray, "taken voxel"]:
        """Take in some trials of some voxels; with ``zscore="session"`` all trials of each session at once.

        Args:
            trials: numbers of the trials.
            columns: which voxels.
            block: their responses, float32; changed in place.

        Returns:
            The block as it was taken in, 0 where a voxel has NaN or, if z-scored, does not vary.
        """
        for session in np.unique(self.sessions[trials]):
            here = self.sessions[trials] == session
            session_trials = block[here]
            _, fine = standardise(session_trials, self.zscore, keep_constant=True)
            block[here] = session_trials
            self.alive[columns] &= fine
        for beta, row in zip(block, self._row[trials], strict=True):
            self._sums[row, columns] += beta
        return block

    def subject(
        self,
        name: str,
        voxels: Voxels,
        ceiling: Float[np.ndarray, "voxel"] | None,
        images: ImageSet | None,
        facts: dict[str, Any],
    ) -> Subject:
        """The subject of all rows; voxels with NaN anywhere are left out and counted in the provenance.

        Args:
            name: of the subject.
            voxels: where they lie.
            ceiling: R^2 of a perfect model on these rows.
            images: the photographs.
            facts: record of where the responses come from.

        Raises:
            DataError: if no voxel has values.
        """
        alive: Bool[np.ndarray, voxel] = self.alive
        if not alive.any():
            raise DataError(f"{name}: no voxel has values in all sessions; the files are empty or damaged")
        if self.trials == "averaged":
            self._sums /= self.repeats[:, None].astype(np.float32)
        kept = voxels if alive.all() else voxels.select(alive)
        return Subject(
            name=name,
            responses=self._sums if alive.all() else self._sums[:, alive],
            image_ids=tuple(self.ids.tolist()),
            coordinates=kept.coordinates,
            coordinate_bounds=kept.coordinate_bounds,
            hemisphere=kept.hemisphere,
            vertex=kept.vertex,
            rois=kept.rois,
            noise_ceiling=None if ceiling is None else ceiling[alive].astype(np.float32),
            repeats=self.repeats,
            images=images,
            single_trials=self.trials == "single",
            provenance=facts
            | {
                "sessions": np.unique(self.sessions).tolist(),
                "trials": self.trials,
                "z_score": "by session: mean and sd (divisor n) over all its trials, test images too"
                if self.zscore == "session"
                else "none: as in the files",
                "images_by_repeats": repeat_counts(self.repeats).tolist(),
                "left_out": f"{(~alive).sum()} voxels with NaN or infinity, or without variance in a session",
            },
        )
