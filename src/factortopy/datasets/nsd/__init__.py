"""The Natural Scenes Dataset (NSD): the folder that holds ``nsddata`` and ``nsddata_betas``."""

from pathlib import Path
from typing import Any

import numpy as np

from factortopy.datasets.data_set import DataSet, holding, numbered
from factortopy.datasets.nsd.check import check_nsd
from factortopy.datasets.nsd.design import image_name, read_design
from factortopy.datasets.nsd.files import (
    betas_folders,
    design_file,
    preparations_in,
    published_sessions,
    stimuli_file,
)
from factortopy.datasets.nsd.reader import load_nsd
from factortopy.images import ImageSet, images_from_hdf5
from factortopy.subjects import Subject


def _load(path: Path, subject: int, **options: Any) -> Subject:
    """By default the first space and preparation that are there."""
    there = preparations_in(path / "nsddata_betas" / "ppdata" / f"subj{subject:02d}")
    return load_nsd(path, subject=subject, **(there[0] if there else {}) | options)


def _images(path: Path) -> ImageSet | None:
    """The images shown to the subjects whose betas are there (to all eight without betas), by nsdId."""
    if not stimuli_file(path).is_file():
        return None
    subjects = [int(folder.name[-1]) for folder in betas_folders(path)] or published_sessions()
    shown = np.unique(np.concatenate([read_design(design_file(path), subject).images for subject in subjects]))
    return images_from_hdf5(stimuli_file(path), ids=[image_name(number) for number in shown])


NSD = DataSet(
    name="nsd",
    title="Natural Scenes Dataset",
    expected="NSD (nsddata_betas)",
    recognises=holding("nsddata_betas", "nsddata"),
    subjects=numbered("nsddata_betas/ppdata/subj0*"),
    load=_load,
    images=_images,
    check=check_nsd,
    counts_file=Path(__file__).with_name("published.toml"),
    paper_options={"trials": "single"},
)
