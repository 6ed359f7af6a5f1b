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
from factortopy.subjects.description import described_files, read_facts
from factortopy.subjects.folder import load_subject, save_subject
from factortopy.subjects.recording import Recording, subject_of
from factortopy.subjects.subject import PlantedTruth, Projection, Subject, with_labels
from factortopy.subjects.trial_rows import TrialRows
from factortopy.subjects.trials import Trials, ZScore

__all__ = [
    "REPEATS_FORMULA",
    "PlantedTruth",
    "Projection",
    "Recording",
    "RepeatVariance",
    "Subject",
    "TrialRows",
    "Trials",
    "ZScore",
    "described_files",
    "load_arrays",
    "load_subject",
    "noise_ceiling_at",
    "noise_ceiling_from_ncsnr",
    "noise_ceiling_from_percent",
    "read_facts",
    "read_ids",
    "repeat_counts",
    "repeat_variance",
    "save_subject",
    "subject_of",
    "with_labels",
]
