"""Writes tiny NSD folders: the names, types, byte orders and axes of the real files, with planted betas."""

import csv
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
from scipy.io import savemat

IMAGES = 73_000
SUBJECTS = 8
RUNS, PLACES = 12, 75
SHARED = 3
VISUAL = ("Unknown", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4")
BODIES = ("Unknown", "EBA", "FBA-1", "FBA-2", "mTL-bodies")


@dataclass
class WrittenNsd:
    """What was planted, in the order of the files.

    Attributes:
        root: the folder.
        images: nsdId (from 0) of every trial, session after session.
        betas: per cent signal change by part ("left", "right", or "volume" as (trial, x, y, z)); NaN where
            the vertex is not measured.
        ncsnr, labels: by part; labels by kind.
        shared: nsdId of the shared images.
    """

    root: Path
    subject: int
    trials: int
    sessions: tuple[int, ...]
    images: np.ndarray
    betas: dict[str, np.ndarray]
    ncsnr: dict[str, np.ndarray]
    labels: dict[str, dict[str, np.ndarray]]
    shared: np.ndarray


def write_nsd(
    root,
    subject=1,
    *,
    space="fsaverage",
    preparation="betas_fithrf_GLMdenoise_RR",
    sessions=(1, 2, 3),
    planned=4,
    trials=6,
    vertices=(30, 26),
    grid=(5, 4, 3),
    not_measured=2,
    image_side=12,
    stimuli=True,
    stimulus_info="shown",
    form="hdf5",
    seed=0,
):
    """Write a folder of one subject in one space; call again for other subjects or spaces.

    Args:
        root: holds ``nsddata``, ``nsddata_betas`` and ``nsddata_stimuli`` afterwards.
        sessions: those on disk, of ``planned`` in the design.
        trials: of a session; the real ones have 750.
        vertices: of left and right; on fsaverage both the first.
        grid: X, Y, Z of a volume.
        not_measured: vertices with NaN (0 in HDF5) in each part.
        stimulus_info: rows of the csv: "shown", "all" (73,000 as in the real one, a second) or None.
        form: of a volume's betas, "hdf5" or "nii.gz".
    """
    root, random = Path(root), np.random.default_rng([seed, subject])
    images, shared = write_design(root, subject, planned, trials, seed, stimulus_info)
    if stimuli:
        write_stimuli(root, images, image_side)
    name = f"subj{subject:02d}"
    folder = root / "nsddata_betas" / "ppdata" / name / space / preparation
    folder.mkdir(parents=True, exist_ok=True)
    if space.startswith("func"):
        sizes = {"volume": int(np.prod(grid))}
    else:
        sizes = {"left": vertices[0], "right": vertices[0] if space == "fsaverage" else vertices[1]}
    rows = np.concatenate([np.arange((s - 1) * trials, s * trials) for s in sessions])
    betas, ncsnr, labels = {}, {}, {}
    for part, size in sizes.items():
        signal = random.standard_normal((IMAGES // 1000, size))[images[rows] % (IMAGES // 1000)]
        values = 1.5 * signal + 2.0 * random.standard_normal(signal.shape) + 0.5
        dead = random.choice(size, min(not_measured, size // 2), replace=False)
        values[:, dead] = np.nan
        ncsnr[part] = random.uniform(0, 1.2, size).astype(np.float32)
        ncsnr[part][dead] = np.nan
        labels[part] = _labels(size, random, volume=part == "volume")
        betas[part] = _stored(values, space)
        for number, session in enumerate(sessions):
            block = betas[part][number * trials : (number + 1) * trials]
            write_session(folder, part, f"betas_session{session:02d}", block, space, grid, form)
    _write_anatomy(root, name, space, sizes, grid, ncsnr, labels, folder, random)
    truth = WrittenNsd(root, subject, trials, tuple(sessions), images[rows], betas, ncsnr, labels, shared)
    for part in ("volume",) if "volume" in sizes else ():
        for values in (betas, ncsnr):
            values[part] = values[part].reshape(*values[part].shape[:-1], *grid)
        labels[part] = {kind: values.reshape(grid) for kind, values in labels[part].items()}
    return truth


def _stored(values, space):
    """What the file's number means: float32, or a whole number of 300ths, 0 where not measured."""
    if space == "fsaverage":
        return values.astype(np.float32)
    raw = np.clip(np.round(np.nan_to_num(values) * 300), -32768, 32767)
    return (raw / 300).astype(np.float32)


def write_design(root, subject, planned, trials, seed=0, stimulus_info="shown"):
    """``nsd_expdesign.mat`` (from 1) and ``nsd_stim_info_merged.csv`` (from 0); three trials an image."""
    total = planned * trials
    kinds = max(SHARED + 1, -(-total // 3))
    random = np.random.default_rng(seed)
    ordering = random.permutation(np.resize(np.arange(1, kinds + 1), total))
    # The extremes of all ids are there: whoever shifts them twice, or not at all, leaves 0..72999.
    shared = np.concatenate([[1, IMAGES], random.choice(np.arange(2, IMAGES), SHARED - 2, replace=False)])
    rest = random.permutation(np.setdiff1d(np.arange(2, IMAGES), shared))
    own = rest[: SUBJECTS * (kinds - SHARED)].reshape(SUBJECTS, -1)
    subjectim = np.concatenate([np.tile(shared, (SUBJECTS, 1)), own], axis=1)
    pattern = np.zeros((planned, RUNS * PLACES))
    pattern[:, :trials] = 1
    folder = root / "nsddata" / "experiments" / "nsd"
    folder.mkdir(parents=True, exist_ok=True)
    design = {
        "masterordering": ordering[None].astype(np.uint16),
        "subjectim": subjectim.astype(np.float64),
        "sharedix": shared[None].astype(np.float64),
        "stimpattern": pattern.reshape(planned, RUNS, PLACES).astype(np.uint8),
        "basiccnt": np.zeros((3, planned)),
    }
    savemat(folder / "nsd_expdesign.mat", design, do_compression=True)
    if stimulus_info:
        rows = range(IMAGES) if stimulus_info == "all" else np.unique(subjectim - 1)
        _write_stimulus_info(folder / "nsd_stim_info_merged.csv", ordering, subjectim, shared, rows)
    return subjectim[subject - 1, ordering - 1] - 1, shared - 1


def _write_stimulus_info(path, ordering, subjectim, shared, rows):
    trials = {}
    for trial, position in enumerate(ordering, start=1):
        for subject in range(SUBJECTS):
            trials.setdefault((subjectim[subject, position - 1] - 1, subject), []).append(trial)
    names = ["", "cocoId", "cocoSplit", "cropBox", "loss", "nsdId", "flagged", "BOLD5000", "shared1000"]
    names += [f"subject{subject + 1}" for subject in range(SUBJECTS)]
    names += [f"subject{subject + 1}_rep{number}" for subject in range(SUBJECTS) for number in range(3)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for image in rows:
            own = [trials.get((image, subject), []) for subject in range(SUBJECTS)]
            row = [image, 10_000 + image, "val2017", "(0, 0, 0.1, 0.1)", 0.1, image, False, False]
            row += [image + 1 in shared, *(int(bool(numbers)) for numbers in own)]
            writer.writerow(row + [number for numbers in own for number in [*numbers, 0, 0, 0][:3]])


def write_stimuli(root, images, side):
    """``nsd_stimuli.hdf5``; only the images that are shown take space."""
    path = root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        shape = (IMAGES, side, side, 3)
        brick = file.create_dataset("imgBrick", shape, "uint8", chunks=(1, side, side, 3))
        for image in np.unique(images):
            brick[image] = picture(image, side)


def picture(image, side):
    """The pixels planted for an image."""
    return np.random.default_rng(int(image)).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _labels(size, random, volume):
    """0 is none; a volume has -1 outside cortex."""
    general = (random.random(size) < 0.7).astype(np.int32)
    general[:2] = 1
    kinds = {
        "nsdgeneral": general,
        "prf-visualrois": random.integers(0, len(VISUAL), size).astype(np.int32),
        "floc-bodies": random.integers(0, len(BODIES), size).astype(np.int32),
    }
    if volume:
        outside = random.random(size) < 0.2
        kinds = {kind: np.where(outside, -1, values).astype(np.int32) for kind, values in kinds.items()}
    return kinds


def write_session(folder, part, stem, block, space, grid, form="hdf5"):
    """The betas (trial, voxel) of a session in one part, as NSD writes them."""
    path = folder / ({"left": "lh.", "right": "rh.", "volume": ""}[part] + stem)
    if space == "fsaverage":
        # nibabel writes MGH as it is defined: big-endian, the first axis fastest.
        image = nib.MGHImage(block.T.reshape(-1, 1, 1, len(block)).astype(np.float32), np.eye(4))
        image.to_filename(f"{path}.mgh")
        return
    raw = np.round(block * 300).astype(np.int16)
    if part == "volume":
        raw = raw.reshape(len(raw), *grid)
    if part == "volume" and form == "nii.gz":
        nib.Nifti1Image(raw.transpose(1, 2, 3, 0), affine()).to_filename(f"{path}.nii.gz")
        return
    if part == "volume":
        # MATLAB writes (X, Y, Z, trial); every other program sees the axes the other way round.
        raw = raw.transpose(0, 3, 2, 1)
    with h5py.File(f"{path}.hdf5", "w") as file:
        file.create_dataset("betas", data=raw, chunks=(len(raw), *[1] * (raw.ndim - 1)))


def _write_anatomy(root, name, space, sizes, grid, ncsnr, labels, folder, random):
    own = root / "nsddata" / "freesurfer" / ("fsaverage" if space == "fsaverage" else name)
    (own / "label").mkdir(parents=True, exist_ok=True)
    _write_table(own / "label" / "prf-visualrois.mgz.ctab", VISUAL)
    _write_table(own / "label" / "floc-bodies.mgz.ctab", BODIES)
    for part, size in sizes.items():
        if part == "volume":
            roi = root / "nsddata" / "ppdata" / name / space / "roi"
            roi.mkdir(parents=True, exist_ok=True)
            for kind, values in labels[part].items():
                nib.Nifti1Image(values.reshape(grid), affine()).to_filename(roi / f"{kind}.nii.gz")
            nib.Nifti1Image(ncsnr[part].reshape(grid), affine()).to_filename(folder / "ncsnr.nii.gz")
            continue
        prefix = {"left": "lh", "right": "rh"}[part]
        for kind, values in labels[part].items():
            _write_map(own / "label" / f"{prefix}.{kind}.mgz", values)
        _write_map(folder / f"{prefix}.ncsnr.mgh", ncsnr[part])
        (own / "surf").mkdir(exist_ok=True)
        sphere = random.standard_normal((size, 3))
        sphere *= 100 / np.linalg.norm(sphere, axis=1, keepdims=True)
        faces = np.stack([np.arange(size), np.roll(np.arange(size), 1), np.roll(np.arange(size), 2)], axis=1)
        nib.freesurfer.write_geometry(own / "surf" / f"{prefix}.sphere.reg", sphere, faces)


def affine():
    """Of the volumes: 1.8 mm, turned about z so that an axis mix-up shows."""
    return np.array([[1.8, 0.1, 0, -4.0], [-0.1, 1.8, 0, -3.0], [0, 0, 1.8, -2.5], [0, 0, 0, 1]])


def _write_map(path, values):
    nib.MGHImage(values.reshape(-1, 1, 1), np.eye(4)).to_filename(path)


def _write_table(path, names):
    path.write_text("".join(f"{number} {name}\n" for number, name in enumerate(names)), encoding="utf-8")
