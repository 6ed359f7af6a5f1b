"""Writes tiny subjects in exactly the layout of Algonauts 2023: same names, dtypes and label files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = {
    "prf-visualrois": ["Unknown", "V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"],
    "floc-bodies": ["Unknown", "EBA", "FBA-1", "FBA-2", "mTL-bodies"],
    "floc-faces": ["Unknown", "OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"],
    "floc-places": ["Unknown", "OPA", "PPA", "RSC"],
    "floc-words": ["Unknown", "OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"],
    "streams": ["Unknown", "early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal"],
}


@dataclass
class Written:
    """What was written.

    Attributes:
        root: the subject's folder.
        responses: by "lh" and "rh".
        vertices: fsaverage vertices of the columns.
        labels: by side and class, in challenge space.
        names: file names of the training images.
    """

    root: Path
    responses: dict[str, np.ndarray]
    vertices: dict[str, np.ndarray]
    labels: dict[tuple[str, str], np.ndarray]
    names: list[str]


def write_algonauts(
    root,
    *,
    images=24,
    left=150,
    right=141,
    surface_vertices=10_242,
    test_images=2,
    ceiling=True,
    side_pixels=16,
    seed=0,
):
    """Write one subject's folder.

    The right hemisphere has fewer vertices, as NaN vertices were taken out of some subjects. Vertices lie
    anywhere on the surface. The true data have ``surface_vertices=163_842`` and images of 425 pixels.
    """
    random, root = np.random.default_rng(seed), Path(root)
    for folder in ("training_split/training_images", "training_split/training_fmri", "roi_masks"):
        (root / folder).mkdir(parents=True)
    (root / "test_split" / "test_images").mkdir(parents=True)
    ids = np.sort(random.choice(73_000, images + test_images, replace=False))
    names = [f"train-{row:04d}_nsd-{nsd:05d}.png" for row, nsd in enumerate(ids[:images], start=1)]
    tests = [f"test-{row:04d}_nsd-{nsd:05d}.png" for row, nsd in enumerate(ids[images:], start=1)]
    for split, files in (("training", names), ("test", tests)):
        for name in files:
            pixels = random.integers(0, 256, (side_pixels, side_pixels, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"{split}_split" / f"{split}_images" / name)
    written = Written(root, {}, {}, {}, names)
    for side, count in (("lh", left), ("rh", right)):
        responses = random.standard_normal((images, count)).astype(np.float32)
        np.save(root / "training_split" / "training_fmri" / f"{side}_training_fmri.npy", responses)
        written.responses[side] = responses
        written.vertices[side] = np.sort(random.choice(surface_vertices, count, replace=False))
        _write_masks(written, side, count, surface_vertices, random)
        if ceiling:
            (root / "test_split" / "noise_ceiling").mkdir(exist_ok=True)
            percent = random.uniform(0, 90, count).astype(np.float32)
            np.save(root / "test_split" / "noise_ceiling" / f"{side}_noise_ceiling.npy", percent)
    for name, labels in CLASSES.items():
        np.save(root / "roi_masks" / f"mapping_{name}.npy", dict(enumerate(labels)), allow_pickle=True)
    return written


def _write_masks(written, side, count, surface_vertices, random):
    """Labels of the challenge's vertices, and the same on the whole surface."""
    masks = written.root / "roi_masks"
    inside = np.zeros(surface_vertices, np.int64)
    inside[written.vertices[side]] = 1
    np.save(masks / f"{side}.all-vertices_fsaverage_space.npy", inside)
    for name, labels in CLASSES.items():
        # Half unlabelled, as in the floc classes; every label somewhere but the last in the right hemisphere.
        top = len(labels) - (side == "rh" and name == "floc-faces")
        values = random.integers(0, top, count) * random.integers(0, 2, count)
        written.labels[side, name] = values
        np.save(masks / f"{side}.{name}_challenge_space.npy", values)
        whole = np.zeros(surface_vertices, np.int64)
        whole[written.vertices[side]] = values
        np.save(masks / f"{side}.{name}_fsaverage_space.npy", whole)
