"""Writes tiny folders of THINGS-fMRI: the names, tables and HDF5 layouts of the release, by pandas itself."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

REGIONS = ("V1", "V2", "V3", "hV4", "LO1 (prf)", "lEBA", "rEBA", "lFFA", "rFFA", "lTOS", "rTOS", "IT")
AFFINE = np.array([[2.0, 0, 0, -18], [0, 2.0, 0, -90], [0, 0, 2.0, -30], [0, 0, 0, 1]])
GRID = (19, 23, 17)


@dataclass
class Written:
    """What was written.

    Attributes:
        root: the folder that holds ``betas_csv``.
        responses: (voxel, trial), in the order of the tables.
        voxels, trials: the two tables.
    """

    root: Path
    responses: np.ndarray
    voxels: pd.DataFrame
    trials: pd.DataFrame


def write_things(
    root,
    *,
    subject=1,
    voxels=60,
    concepts=4,
    images=3,
    test_images=3,
    sessions=2,
    layout="fixed",
    dtype="float32",
    text_names=False,
    with_ids=True,
    brain_mask=True,
    seed=0,
):
    """Write one subject: each training image once, each test image once a session (12 times in the release).

    ``layout`` is pandas' ``fixed`` or ``table``; ``text_names`` writes the trials' columns as texts. With
    ``dtype="float64"`` and whole-number ids as float64, everything lies in one block, ids first.
    """
    random, root = np.random.default_rng(seed), Path(root)
    tables = root / "betas_csv"
    tables.mkdir(parents=True, exist_ok=True)
    trials = _trials(random, subject, concepts, images, test_images, sessions)
    responses = (random.standard_normal((voxels, len(trials))) * 0.1).astype(dtype)
    table = _voxels(random, subject, voxels)
    frame = pd.DataFrame(responses)
    if with_ids:
        ids = table["voxel_id"].to_numpy()
        frame.insert(0, "voxel_id", ids.astype(dtype) if dtype == "float64" else ids)
    if text_names:
        frame.columns = [str(name) for name in frame.columns]
    stem = f"sub-{subject:02d}"
    with warnings.catch_warnings():
        # pandas warns that it pickles the names of the columns, as it does in the release.
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        frame.to_hdf(tables / f"{stem}_ResponseData.h5", key="ResponseData", mode="w", format=layout)
    table.to_csv(tables / f"{stem}_VoxelMetadata.csv", index=False)
    trials.to_csv(tables / f"{stem}_StimulusMetadata.csv", index=False)
    if brain_mask:
        (root / "brainmasks").mkdir(exist_ok=True)
        mask = nib.Nifti1Image(np.ones(GRID, np.uint8), AFFINE)
        nib.save(mask, root / "brainmasks" / f"{stem}_space-T1w_brainmask.nii.gz")
    return Written(root, responses, table, trials)


def _trials(random, subject, concepts, images, test_images, sessions):
    train = [(f"concept{c}", f"concept{c}_{i:02d}s.jpg") for c in range(concepts) for i in range(images)]
    test = [(f"tested{c}", f"tested{c}_13s.jpg") for c in range(test_images)]
    rows = []
    for session in range(1, sessions + 1):
        here = [("train", *pair) for pair in train[session - 1 :: sessions]] + [("test", *pair) for pair in test]
        for number in random.permutation(len(here)):
            kind, concept, stimulus = here[number]
            rows.append((kind, session, 1 + number % 2, subject, len(rows), stimulus, concept))
    names = ["trial_type", "session", "run", "subject_id", "trial_id", "stimulus", "concept"]
    return pd.DataFrame(rows, columns=names)


def _voxels(random, subject, count):
    # Distinct voxels of the volume, in its order, as the release has them.
    indices = np.sort(random.choice(np.prod(GRID), count, replace=False))
    x, y, z = np.unravel_index(indices, GRID)
    single = np.where(random.random(count) < 0.3, 0, random.uniform(0, 40, count))
    columns = {
        "voxel_id": np.arange(count),
        "subject_id": subject,
        "voxel_x": x,
        "voxel_y": y,
        "voxel_z": z,
        "nc_singletrial": single,
        "nc_testset": 100 * single / (single + (100 - single) / 12),
        "splithalf_uncorrected": random.uniform(-0.1, 0.6, count),
        "splithalf_corrected": random.uniform(-0.1, 0.8, count),
        "prf-eccentricity": random.uniform(0, 8, count),
        "prf-polarangle": random.uniform(0, 6, count),
        "prf-rsquared": random.uniform(0, 1, count),
        "prf-size": random.uniform(0, 4, count),
    }
    for number, region in enumerate(REGIONS):
        columns[region] = (np.arange(count) % (len(REGIONS) + 2) == number).astype(int)
        if region[0] in "lr":
            columns[region] *= (x < 9) if region[0] == "l" else (x >= 9)
    columns["glasser-V1"] = columns["V1"]
    columns["glasser-FFC"] = columns["IT"]
    return pd.DataFrame(columns)
