"""Writes tiny folders of BOLD5000 release 2: the names, axes and types of the release, with planted betas."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

PREPARATION = "TYPED-FITHRF-GLMDENOISE-RR"
GRID = (9, 8, 7)
AFFINE = np.array([[2.0, 0, 0, -8], [0, 2.0, 0, -70], [0, 0, 2.0, -20], [0, 0, 0, 1]])
SOURCES = {"Scene": "scene{:02d}.jpg", "COCO": "COCO_train2014_0000000{:02d}.jpg", "ImageNet": "n01_{:02d}.JPEG"}
REGIONS = ("EarlyVis", "LOC", "OPA", "PPA", "RSC")


@dataclass
class Written:
    """What was written.

    Attributes:
        root: the folder of the betas.
        betas: (x, y, z, trial) of each session, as stored.
        names: the image of each trial.
        brain: mask of the brain.
        regions: masks by file name, e.g. ``LHPPA``.
        signal: variance of the planted signal over single-trial noise, both 1 where there is signal.
    """

    root: Path
    betas: list[np.ndarray]
    names: list[str]
    brain: np.ndarray
    regions: dict[str, np.ndarray]
    signal: np.ndarray


def write_bold5000(
    root,
    *,
    subject=1,
    trials=(22, 19),
    repeated=4,
    repeats=4,
    grid=GRID,
    dtype="float32",
    compressed=True,
    brain_mask=True,
    stimuli=True,
    seed=0,
):
    """Write one subject: most images once, some ``repeats`` times, sessions of unequal length.

    Half of the brain has signal as strong as the noise of a trial, the rest has none; NaN outside the brain.
    The affine of the betas is not the true one, as in the release; that of the masks is.
    """
    random, root, name = np.random.default_rng(seed), Path(root), f"CSI{subject}"
    root.mkdir(parents=True, exist_ok=True)
    names = _names(random, sum(trials), repeated, repeats)
    brain = random.random(grid) < 0.6
    brain[0, 0, 0], brain[-1, -1, -1] = True, True
    signal = brain & (random.random(grid) < 0.5)
    images = {image: random.standard_normal(grid) for image in sorted(set(names))}
    betas, done = [], 0
    for session, count in enumerate(trials, start=1):
        shown = names[done : done + count]
        data = np.stack([images[image] * signal + random.standard_normal(grid) for image in shown], axis=-1)
        data[~brain] = np.nan
        betas.append(data.astype(dtype))
        ending = "nii.gz" if compressed else "nii"
        file = root / f"{name}_GLMbetas-{PREPARATION}_ses-{session:02d}.{ending}"
        nib.save(nib.Nifti1Image(betas[-1], np.eye(4)), file)
        done += count
    (root / f"{name}_imgnames.txt").write_text("".join(f"{image}\n" for image in names))
    if brain_mask:
        nib.save(nib.Nifti1Image(brain.astype(np.uint8), AFFINE), root / f"{name}_brainmask.nii.gz")
    regions = _write_regions(root, name, brain, random)
    if stimuli:
        _write_stimuli(root, names)
    return Written(root, betas, names, brain, regions, signal)


def _names(random, trials, repeated, repeats):
    singles = trials - repeated * repeats
    kinds = list(SOURCES.values())
    images = [kinds[number % 3].format(number) for number in range(singles + repeated)]
    shown = images[:singles] + images[singles:] * repeats
    return [shown[index] for index in random.permutation(trials)]


def _write_regions(root, name, brain, random):
    folder = root / "derivatives" / "spm" / f"sub-{name}"
    folder.mkdir(parents=True)
    regions = {}
    for number, region in enumerate(REGIONS):
        for half in ("LH", "RH"):
            mask = brain & (random.integers(0, 8, brain.shape) == number)
            middle = brain.shape[0] // 2
            mask[middle:] &= half == "RH"
            mask[:middle] &= half == "LH"
            mask.flat[np.flatnonzero(brain)[0 if half == "LH" else -1]] = True
            regions[f"{half}{region}"] = mask
            # The masks of this region are named otherwise for two subjects.
            spelled = "LO" if region == "LOC" and name in ("CSI2", "CSI3") else region
            image = nib.Nifti1Image(mask.astype(np.float32), AFFINE)
            nib.save(image, folder / f"sub-{name}_mask-{half}{spelled}.nii.gz")
    return regions


def _write_stimuli(root, names):
    presented = root / "BOLD5000_Stimuli" / "Scene_Stimuli" / "Presented_Stimuli"
    for source, pattern in SOURCES.items():
        (presented / source).mkdir(parents=True)
        for name in sorted(set(names)):
            if name.startswith(pattern.split("{")[0]):
                # Each its own picture: a fit of tokens that do not differ means nothing.
                pixels = np.random.default_rng(list(name.encode())).integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(presented / source / name)
