"""Betas rewritten as one Zarr: all trials of some voxels and all voxels of some trials are both quick.

Layout: ``betas/left`` and ``betas/right``, or ``betas/volume`` (trial, column), sessions one after another,
the numbers bit by bit as the data set has them (float32, or int16 with a divisor). A chunk holds up to 75
trials of up to 4,096 voxels; many chunks make one file (a shard). Betas hardly shrink under compression, so
there is none; every chunk has a checksum. Beside them stands all that a subject needs besides its responses:
image ids, coordinates, ROIs, signal to noise ratio. ``completed.json`` is written last.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr

from factortopy.datasets.data_set import DataSet, Report, check_recorded
from factortopy.images import ImageSet
from factortopy.storage import ShardedStore, check_zarr
from factortopy.subjects import RecordedVoxels, Recording, Subject, Trials, ZScore, subject_of

COLUMNS_AT_ONCE = 16_384


class BetaFolder(ShardedStore):
    """The folder of a ``BetaStore``, complete or not."""

    noun = "store of converted betas"
    unit = "blocks"
    action = "conversion"
    format = "factortopy-betas-1"


class BetaStore:
    """Converted betas of one subject, opened for reading; open with ``BetaStore.open``.

    Attributes:
        path: folder of the store.
        recording: the betas and what is known about them.
        provenance: of the conversion.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        facts: dict[str, Any] = dict(group.attrs)
        self.path = path
        self.provenance: dict[str, Any] = facts["provenance"]
        self._group = group
        self.recording = Recording(
            name=facts["name"],
            sessions=tuple(facts["sessions"]),
            images=np.array(facts["images"]),
            voxels=self._voxels(facts),
            dtype=np.dtype(facts["dtype"]),
            divisor=facts["divisor"],
            by_trial=facts["by_trial"],
            read=self.read,
            source=lambda session, part: f"session {session} ({part}) of {path}",
            facts=facts["facts"],
        )

    def _voxels(self, facts: dict[str, Any]) -> RecordedVoxels:
        arrays = dict(self._group["voxels"].arrays())  # type: ignore[union-attr]
        for name, array in arrays.items():
            check_zarr(array, self.path / "voxels" / name)
        arrays = {name: np.asarray(array[:]) for name, array in arrays.items()}
        left = arrays["left"]
        return RecordedVoxels(
            part=np.repeat(list(facts["parts"]), list(facts["parts"].values())),
            column=np.concatenate([np.arange(count) for count in facts["parts"].values()]),
            coordinates=arrays["coordinates"],
            bounds=arrays["coordinate_bounds"],
            hemisphere=np.where(left, "left", "right"),
            vertex=arrays["vertex"],
            surface=facts["surface"],
            rois={name: arrays["rois"][number] for number, name in enumerate(facts["rois"])},
            kinds={kind: tuple(names) for kind, names in facts["kinds"].items()},
            ncsnr=arrays.get("ncsnr"),
        )

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a complete store.

        Raises:
            DataError: if there is none at ``path``, or it is incomplete, truncated or damaged.
        """
        folder = BetaFolder(Path(path))
        group = folder.open()
        folder.check_whole(folder.marker()["of"])
        try:
            return cls(folder.path, group)
        except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
            raise folder.damaged(f"what stands beside the betas cannot be read: {error}") from error

    def read(self, session: int, part: str, columns: np.ndarray, trials: slice = slice(None)) -> np.ndarray:
        """Numbers of one session as the data set had them; ``recording.divisor`` makes them per cent.

        Args:
            session: its number, from 1.
            part: ``"left"``, ``"right"`` or ``"volume"``.
            columns: indices of the voxels in the part, ascending.
            trials: of the session.
        """
        array: Any = self._group[f"betas/{part}"]
        count = self.recording.trials
        first, last, _ = trials.indices(count)
        before = self.recording.sessions.index(session) * count
        rows = np.empty((last - first, len(columns)), self.recording.dtype)
        try:
            for start in range(0, array.shape[1], COLUMNS_AT_ONCE):
                inside = slice(*np.searchsorted(columns, [start, start + COLUMNS_AT_ONCE]))
                if inside.start < inside.stop:
                    block = array[before + first : before + last, start : start + COLUMNS_AT_ONCE]
                    rows[:, inside] = block[:, columns[inside] - start]
        except (OSError, ValueError, RuntimeError) as error:
            raise BetaFolder(self.path).damaged(f"betas/{part} cannot be read: {error}") from error
        return rows


def load_betas(
    store: BetaStore | str | os.PathLike[str],
    *,
    voxels: str = "all",
    trials: Trials = "averaged",
    sessions: tuple[int, ...] | None = None,
    zscore: ZScore = "session",
    images: ImageSet | None = None,
    progress: bool = True,
) -> Subject:
    """The subject of converted betas: read, z-scored and averaged a session at a time.

    Args:
        store: the store, or its folder.
        voxels: a kind of labels, a ROI, or all that were converted.
        trials: ``"averaged"`` or ``"single"``.
        sessions: those to use; all by default.
        zscore: ``"session"`` or ``"none"``; see ``subject_of``.
        images: the photographs, where they are known.
        progress: show a bar.

    Raises:
        DataError: if the store is incomplete or damaged, or has no such session.
        UnknownNameError: if there is no such ROI.

    Example:
        >>> store = ft.convert_nsd("nsd", subject=1, output="betas", space="func1pt8mm", progress=False)
        >>> single = ft.load_betas(store, trials="single", progress=False)
        >>> single.single_trials
        True
    """
    opened = store if isinstance(store, BetaStore) else BetaStore.open(store)
    recording = opened.recording.choose_sessions(sessions)
    recording = replace(
        recording,
        voxels=recording.voxels.choose(voxels),
        facts=recording.facts | {"voxels_read": voxels, "converted": opened.provenance.get("created")},
    )
    return subject_of(recording, trials=trials, zscore=zscore, images=images, progress=progress)


def _check(path: Path, report: Report) -> None:
    """Sizes of all files, and the values of a few voxels."""
    recording = BetaStore.open(path).recording
    counted = {"sessions": len(recording.sessions), "trials": recording.images.size}
    counted |= {"images": len(np.unique(recording.images)), "voxels": len(recording.voxels)}
    report.count(recording.name, counted)
    check_recorded(report, path, recording, next(iter(recording.parts)))


CONVERTED_BETAS = DataSet(
    name="betas", title="Converted betas", recognises=BetaFolder.recognises, load=load_betas, check=_check
)
