"""Writes NSD-synthetic into a tiny NSD folder: names, types and axes of the real files, all 744 trials."""

import csv
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from nsd_fixture import write_nsd, write_session
from scipy.io import savemat

REPEATS = {2: 236, 4: 32, 8: 8, 10: 8}
"""How many images were shown so many times."""
SHARED, OWN = 220, 64
HEIGHT, WIDTH = 8, 18
RUNS, PLACES = 8, 107
CLASSES = {
    "Noise": 12,
    "Natural scenes": 4,
    "Manipulated scenes": 12,
    "Contrast modulation": 20,
    "Phase-coherence modulation": 16,
    "Single words": 40,
    "Spiral gratings": 112,
    "Chromatic noise": 68,
}


@dataclass
class WrittenSynthetic:
    """What was planted.

    Attributes:
        root: the folder.
        order: number of the image of every trial, from 1.
        betas: per cent signal change by part, (trial, voxel); voxels of a volume with z fastest.
        signal, noise: variances that were planted, of every voxel by part.
        shared, own: images by number from 0, as stored: (image, height, width, 3).
        nsd: what ``write_nsd`` wrote beside.
    """

    root: Path
    order: np.ndarray
    betas: dict[str, np.ndarray]
    signal: dict[str, np.ndarray]
    noise: dict[str, np.ndarray]
    shared: np.ndarray
    own: np.ndarray
    nsd: object


def write_nsd_synthetic(
    root,
    subject=1,
    *,
    space="fsaverage",
    preparation="nsdsyntheticbetas_fithrf_GLMdenoise_RR",
    grid=(5, 4, 3),
    form="hdf5",
    seed=0,
    stimuli=True,
    nsd=None,
    **options,
):
    """Write it for one subject, NSD's own folder in the same space with it (``options``), unless that is given."""
    root = Path(root)
    nsd = nsd or write_nsd(root, subject, space=space, grid=grid, form=form, **options)
    order = write_design(root, seed)
    random = np.random.default_rng([seed, subject, 7])
    folder = root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}" / space / preparation
    folder.mkdir(parents=True, exist_ok=True)
    betas, signal, noise = {}, {}, {}
    for part, ncsnr in nsd.ncsnr.items():
        size = ncsnr.size
        signal[part], noise[part] = random.uniform(0, 4, size), random.uniform(1, 4, size)
        responses = random.standard_normal((SHARED + OWN, size)) * np.sqrt(signal[part])
        values = responses[order - 1] + random.standard_normal((len(order), size)) * np.sqrt(noise[part]) + 0.5
        values[:, np.isnan(ncsnr.reshape(-1))] = np.nan
        betas[part] = values.astype(np.float32)
        if space != "fsaverage":
            betas[part] = (np.round(np.nan_to_num(values) * 300) / 300).astype(np.float32)
        write_session(folder, part, "betas_nsdsynthetic", betas[part], space, grid, form)
    shared, own = (stored_images(random, count) for count in (SHARED, OWN))
    if stimuli:
        shared = write_stimuli(root, subject, shared, own)
    return WrittenSynthetic(root, order, betas, signal, noise, shared, own, nsd)


def write_design(root, seed=0):
    """``nsdsynthetic_expdesign.mat`` and the table of images; gives the number of every trial's image, from 1."""
    random = np.random.default_rng(seed)
    times = random.permutation(np.repeat(list(REPEATS), list(REPEATS.values())))
    order = random.permutation(np.repeat(np.arange(1, len(times) + 1), times))
    folder = root / "nsddata" / "experiments" / "nsdsynthetic"
    folder.mkdir(parents=True, exist_ok=True)
    pattern = np.zeros((1, RUNS, PLACES), dtype=np.uint8)
    pattern[:, :, 5 : 5 + len(order) // RUNS] = 1
    design = {"masterordering": order[None].astype(np.uint16), "stimpattern": pattern}
    savemat(folder / "nsdsynthetic_expdesign.mat", design, do_compression=True)
    kinds = np.repeat(list(CLASSES), list(CLASSES.values()))
    columns = ["Image", "Image number", "Image subclass", "Image subclass number", "Image class", "Image class number"]
    with open(folder / "nsdsyntheticimageinformation.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for number, kind in enumerate(kinds, start=1):
            writer.writerow([f"image_{number}", number, kind, 1, kind, list(CLASSES).index(kind) + 1])
    return order


def stored_images(random, count):
    """Every pixel its own, the number of the image in the middle one."""
    images = random.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    images[:, HEIGHT // 2, WIDTH // 2, 0] = np.arange(count)
    return images


def write_stimuli(root, subject, shared, own):
    """Both files of images; gives the shared ones that lie there, which are those of the first subject written."""
    folder = root / "nsddata_stimuli" / "stimuli" / "nsdsynthetic"
    folder.mkdir(parents=True, exist_ok=True)
    common = folder / "nsdsynthetic_stimuli.hdf5"
    if not common.is_file():
        with h5py.File(common, "w") as file:
            file.create_dataset("imgBrick", data=shared)
    with h5py.File(folder / f"nsdsynthetic_colorstimuli_subj{subject:02d}.hdf5", "w") as file:
        file.create_dataset("imgBrick", data=own)
    with h5py.File(common, "r") as file:
        return file["imgBrick"][:]
