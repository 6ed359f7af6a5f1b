"""Subjects: their responses, voxels, trials and noise ceilings."""

from factortopy.subjects.arrays import load_arrays, read_ids
from factortopy.subjects.ceilings import (
    REPEATS_FORMULA,
    RepeatVariance,
    noise_ceiling_at,
    noise_ceiling_from_ncsnr,
    noise_ceiling_from_percent,
    repeat_counts,
    repeat_variance,
)
from factortopy.subjects.folder import described_files, load_subject_folder, read_description
from factortopy.subjects.recording import RecordedVoxels, Recording, subject_of
from factortopy.subjects.subject import PlantedTruth, Projection, Subject
from factortopy.subjects.trials import TrialRows, Trials, ZScore

__all__ = [
    "REPEATS_FORMULA",
    "PlantedTruth",
    "Projection",
    "RecordedVoxels",
    "Recording",
    "RepeatVariance",
    "Subject",
    "TrialRows",
    "Trials",
    "ZScore",
    "described_files",
    "load_arrays",
    "load_subject_folder",
    "noise_ceiling_at",
    "noise_ceiling_from_ncsnr",
    "noise_ceiling_from_percent",
    "read_description",
    "read_ids",
    "repeat_counts",
    "repeat_variance",
    "subject_of",
]
