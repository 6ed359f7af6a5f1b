"""Writes tiny folders of LAION-fMRI: the names, types and axes of the real files, with planted betas."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
from PIL import Image

SUFFIXES = {1: "p01", 3: "p04", 5: "p03", 6: "p02", 7: "p05"}
GRID = (7, 6, 5)
AFFINE = np.array([[-1.778, 0, 0, 6.0], [0, 1.778, 0, -90.0], [0, 0, 1.778, -20.0], [0, 0, 0, 1]])
REGIONS = {
    "body": ("EBA", "FBA"),
    "face": ("OFA", "FFA-1", "FFA2"),
    "laion": ("laionEVC", "laionventral"),
    "place": ("PPA",),
    "retinotopic": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "VO1"),
}
OUTSIDE = ("shape", "gabor", "illusion-classic")


@dataclass
class WrittenLaion:
    """What was planted.

    Attributes:
        root: the folder.
        labels: image of every trial, by session.
        betas: (x, y, z, trial) by session, as they are after scaling.
        brain: the anatomical mask.
        percent: the map of 12 repeats.
        regions: masks by name as in the file.
        signal, noise: variances of every voxel (x, y, z).
        pictures: pixels of every image, RGBA where it is a PNG.
    """

    root: Path
    labels: dict[int, list[str]]
    betas: dict[int, np.ndarray]
    brain: np.ndarray
    percent: np.ndarray
    regions: dict[str, np.ndarray]
    signal: np.ndarray
    noise: np.ndarray
    pictures: dict[str, np.ndarray]

    @property
    def shown(self):
        """The image of every trial, session after session."""
        return [label for labels in self.labels.values() for label in labels]


def image_names(subject=1, twelve=8, four=6, outside=2, unique=10):
    """Labels by how often they are shown in the whole experiment, as the data set spells them."""
    many = [f"shared_12rep_LAION_cluster_{1000 + n}_i{n % 3}.jpg" for n in range(twelve - 2)]
    many += [f"shared_12rep_THINGS+_kmeans_{n}_balloon.jpg" for n in range(2)]
    few = [f"shared_4rep_NSD_special1000_{n}.jpg" for n in range(four)]
    few += [f"shared_4rep_OOD_{kind}_{n:02d}.{'png' if n else 'jpg'}" for kind in OUTSIDE for n in range(outside)]
    own = [f"unique_LAION_initial_cluster_{n}_i{n % 2}_{SUFFIXES[subject]}.jpg" for n in range(unique - 2)]
    own += [f"unique_THINGS+_{name}_{SUFFIXES[subject]}.jpg" for name in ("anvil", "zebra")]
    return {12: many, 4: few + own}


def write_laion(
    root,
    subject=1,
    *,
    sessions=(1, 2, 3),
    grid=GRID,
    dtype="float32",
    slope=1.0,
    anatomical=True,
    ceiling=12,
    stimuli=True,
    lost=1,
    seed=0,
):
    """Write one subject.

    Args:
        root: holds ``derivatives``, ``stimuli`` and ``splits`` afterwards.
        sessions: those on disk; all trials of the experiment are dealt to them.
        dtype, slope: of the stored betas.
        anatomical: whether the mask of the brain is there.
        ceiling: repeats of the map of noise ceilings, or None.
        lost: images of four repeats that lack one.
    """
    root, random, name = Path(root), np.random.default_rng([seed, subject]), f"sub-{subject:02d}"
    names = image_names(subject)
    trials = [image for times, images in names.items() for image in images for _ in range(times)]
    for image in names[4][:lost]:
        trials.remove(image)
    trials = random.permutation(trials).tolist()
    brain = random.random(grid) < 0.7
    brain[0, 0, 0] = brain[-1, -1, -1] = True
    signal, noise = random.uniform(0, 3, grid), random.uniform(0.5, 3, grid)
    responses = {image: random.standard_normal(grid) * np.sqrt(signal) for image in sorted(set(trials))}
    derivatives = root / "derivatives"
    betas_folder = derivatives / "glmsingle-tedana" / name
    # Sessions differ in length, as 12 runs of 87 or 89 trials do.
    cuts = np.cumsum([len(trials) // len(sessions) + (2 if n % 2 == 0 else -2) for n in range(len(sessions) - 1)])
    labels, betas = {}, {}
    for session, shown in zip(sessions, np.split(np.array(trials), cuts), strict=True):
        labels[session] = shown.tolist()
        gain, offset = random.uniform(0.5, 2), random.normal()
        data = np.stack([responses[image] + random.standard_normal(grid) * np.sqrt(noise) for image in shown], axis=-1)
        betas[session] = _write_session(
            betas_folder, name, session, labels[session], gain * data + offset, brain, dtype, slope
        )
    percent = np.where(brain, 100 * signal / (signal + noise / (ceiling or 12)), 0).astype(np.float32)
    prefix = betas_folder / f"{name}_task-images_space-T1w"
    if ceiling:
        nib.save(nib.Nifti1Image(percent, AFFINE), f"{prefix}_desc-Noiseceiling{ceiling}rep_statmap.nii.gz")
    rsquare = np.where(brain & (random.random(grid) < 0.8), 20.0, 0).astype(np.float32)
    rsquare[0, 0, 0] = 5
    nib.save(nib.Nifti1Image(rsquare, AFFINE), f"{prefix}_stat-rsquare_desc-R2mean_statmap.nii.gz")
    if anatomical:
        folder = derivatives / "anatomical" / name / "ses-PrismaAnat" / "anat"
        folder.mkdir(parents=True)
        file = folder / f"{name}_ses-PrismaAnat_space-T1w_res-1pt8_desc-brain_mask.nii.gz"
        nib.save(nib.Nifti1Image(brain.astype(np.uint8), AFFINE), file)
    regions = _write_regions(derivatives / "rois" / name, name, grid, random)
    pictures = (
        write_stimuli(root / "stimuli", [image for images in names.values() for image in images]) if stimuli else {}
    )
    write_splits(root / "splits", subject)
    return WrittenLaion(root, labels, betas, brain, percent, regions, signal, noise, pictures)


def _write_session(folder, name, session, labels, data, brain, dtype, slope):
    func = folder / f"ses-{session:02d}" / "func"
    func.mkdir(parents=True)
    prefix = func / f"{name}_ses-{session:02d}_task-images"
    stored = data / slope
    if np.dtype(dtype).kind == "f":
        stored[~brain] = np.nan
    else:
        stored = np.round(np.where(brain[..., None], stored, 0))
    image = nib.Nifti1Image(stored.astype(dtype), AFFINE)
    if slope != 1:
        image.header.set_slope_inter(slope, 0)
    nib.save(image, f"{prefix}_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz")
    if slope != 1:
        _force_slope(
            f"{prefix}_space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz", stored.astype(dtype), slope
        )
    with open(f"{prefix}_desc-SingletrialBetas_trials.tsv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["session", "run", "beta_index", "label"])
        for index, label in enumerate(labels):
            writer.writerow([f"ses-{session:02d}", index // 20 + 1, index, label])
    return stored.astype(dtype).astype(np.float64) * slope


def _force_slope(path, stored, slope):
    """Bytes of the array as they are, and the slope in the header: nibabel itself would divide the values first."""
    import gzip
    import struct

    header = nib.Nifti1Image(stored, AFFINE).header.copy()
    header.set_data_dtype(stored.dtype)
    head = bytearray(header.binaryblock)
    head[108:112] = struct.pack("<f", 352)
    head[112:120] = struct.pack("<ff", slope, 0)
    with gzip.open(path, "wb") as file:
        file.write(bytes(head) + b"\0\0\0\0" + stored.tobytes(order="F"))


def _write_regions(folder, name, grid, random):
    """Masks that overlap, some voxels outside of the brain; two resolutions and surface files lie beside."""
    regions = {}
    for category, labels in REGIONS.items():
        (folder / category).mkdir(parents=True)
        for label in labels:
            mask = random.random(grid) < 0.3
            mask[0, 0, 0] = label in ("V1v", "laionventral", "laionEVC")
            mask[-1, -1, -1] = label == "laionventral"
            file = folder / category / f"{name}_space-T1w_res-1pt8_label-{label}_mask.nii.gz"
            nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), file)
            finer = np.zeros((9, 8, 7), np.uint8)
            nib.save(nib.Nifti1Image(finer, np.eye(4)), str(file).replace("res-1pt8", "res-1pt5"))
            (folder / category / f"{name}_hemi-L_space-fsnative_label-{label}_mask.label").write_text("#!ascii\n0\n")
            regions[label.replace("-", "")] = mask
    return regions


def write_stimuli(folder, names, side=10, strangers=2):
    """Encoded files in one array of bytes, and the table that names its rows; some were shown to nobody here."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"unique_LAION_new_cluster_{n}_i0_p09.jpg" for n in range(strangers)] + list(names)
    pictures, encoded = {}, []
    for name in names:
        random = np.random.default_rng(list(name.encode()))
        png = name.endswith(".png")
        pixels = random.integers(0, 256, (side, side, 4 if png else 3), dtype=np.uint8)
        if png:
            pixels[..., 3] = np.resize([0, 255, 128, 51], (side, side))
        else:
            pixels[:] = pixels[:1, :1]  # JPEG keeps one colour nearly as it is
        pictures[name] = pixels
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, format="PNG" if png else "JPEG")
        encoded.append(np.frombuffer(content.getvalue(), np.uint8))
    with h5py.File(folder / "task-images_stimuli.h5", "w") as file:
        rows = file.create_dataset("images", (len(names),), dtype=h5py.vlen_dtype(np.uint8))
        for row, content in enumerate(encoded):
            rows[row] = content
    with open(folder / "task-images_metadata.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_name", "dataset", "participant", "unique_or_shared", "n_reps"])
        for name in names:
            kind, times = name.split("_")[0], "12rep" if "_12rep_" in name else "4rep"
            writer.writerow([name, "LAION", "all" if kind == "shared" else "one", kind, times])
    return pictures


def write_splits(folder, subject):
    """The JSON files of the package, for the shared images and for the subject's."""
    names = image_names(subject)
    images = [*names[12], *names[4]]
    outside = [image for image in images if "_OOD_" in image]
    for pool in ("shared", f"sub-{subject:02d}"):
        inside = [i for i in images if i not in outside and (pool != "shared" or i.startswith("shared_"))]
        _write_split(folder, pool, "ood", inside, outside)
        order = np.random.default_rng(len(inside)).permutation(inside).tolist()
        _write_split(folder, pool, "tau", order[len(order) // 5 :], order[: len(order) // 5])
        for kind in ("random", "cluster_k5"):
            for fold in range(5):
                test = order[fold::5]
                _write_split(folder, pool, f"{kind}_{fold}", [i for i in order if i not in test], test)


def _write_split(folder, pool, name, train, test):
    content = {
        "name": name,
        "pool": pool,
        "splitter": "toy",
        "params": {"seed": 42},
        "n_train": len(train),
        "n_test": len(test),
        "variants": [{"variant_id": 0, "train_ids": train, "test_ids": test}],
    }
    (folder / pool).mkdir(parents=True, exist_ok=True)
    (folder / pool / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
