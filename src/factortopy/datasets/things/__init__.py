"""THINGS-fMRI: the folder that holds ``betas_csv``, or that one itself; it ships no photographs."""

from pathlib import Path

from factortopy.datasets.data_set import DataSet, holding, numbered
from factortopy.datasets.things.check import check_things
from factortopy.datasets.things.reader import load_things

THINGS = DataSet(
    name="things",
    title="THINGS-fMRI",
    expected="THINGS-fMRI (betas_csv)",
    recognises=holding("sub-*_ResponseData.h5", "betas_csv/sub-*_ResponseData.h5", "betas_vol/sub-*"),
    subjects=numbered("sub-0?_ResponseData.h5", "betas_csv/sub-0?_ResponseData.h5"),
    load=load_things,
    check=check_things,
    counts_file=Path(__file__).with_name("published.toml"),
)
