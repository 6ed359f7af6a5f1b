"""Algonauts 2023: a subject's folder, or the one above."""

from pathlib import Path
from typing import Any

from factortopy.datasets.algonauts.check import check_algonauts
from factortopy.datasets.algonauts.files import several_subjects, subject_folder, subject_folders
from factortopy.datasets.algonauts.reader import load_algonauts, training_images
from factortopy.datasets.data_set import DataSet
from factortopy.subjects import Subject


def _load(path: Path, subject: int | None = None, *, progress: bool = True, **options: Any) -> Subject:
    del progress  # it is read in seconds
    return load_algonauts(subject_folder(path, subject), **options)


ALGONAUTS = DataSet(
    name="algonauts",
    title="Algonauts 2023",
    expected="Algonauts 2023 (training_split, roi_masks)",
    recognises=lambda path: bool(subject_folders(path)),
    subjects=several_subjects,
    load=_load,
    images=lambda path: training_images(subject_folder(path)),
    check=check_algonauts,
    counts_file=Path(__file__).with_name("published.toml"),
)
