"""BOLD5000: the folder that holds ``CSI1_GLMbetas-*`` and ``CSI1_imgnames.txt``, or the folder above."""

from pathlib import Path

import numpy as np

from factortopy.datasets.bold5000.reader import STIMULI, BoldFiles, betas_in, listed_images, load_bold5000, read_mask
from factortopy.datasets.data_set import DataSet, Report, check_spread, holding, numbered
from factortopy.datasets.volumes import check_volumes
from factortopy.images import ImageSet, images_by_name
from factortopy.storage import open_volume, read_values

SAMPLED_VOLUMES = 12


def check_bold5000(path: Path, report: Report) -> None:
    """Sessions, sizes, masks, names of images and the scale of betas of every subject and preparation."""
    betas = betas_in(path)
    for (subject, preparation), files in betas.items():
        _check_betas(report, preparation, BoldFiles(path, subject, dict(files)))
    if not betas:
        report.add("problem", path, "no betas are here (CSI1_GLMbetas-*)", "get those of one subject")
    if not (path / STIMULI).is_dir():
        report.add("note", path / STIMULI, "no photographs", "say where they are to extract tokens of them")


def _check_betas(report: Report, preparation: str, files: BoldFiles) -> None:
    subject = f"{files.name} {preparation.partition('-')[0]}"
    _check_sessions(report, preparation, files)
    shapes: list[tuple[int, ...]] = []
    for file in files.sessions.values():
        with report.problems_at(file):
            shape = check_volumes(report, file, open_volume(file))
            shapes += [] if shape is None else [shape]
    trials = sum(shape[3] for shape in shapes)
    report.count(subject, {"sessions": len(files.sessions), "trials": trials})
    grids = {shape[:3] for shape in shapes}
    if len(grids) > 1:
        sizes = ", ".join(map(str, sorted(grids)))
        report.add("problem", files.folder, f"sessions differ in size: {sizes}", "get them of one release")
    elif grids:
        _check_masks(report, files, grids.pop())
    with report.problems_at(files.folder / f"{files.name}_imgnames.txt"):
        report.count(subject, {"images": len(set(files.image_names(trials)))})
    first = next(iter(files.sessions.values()))
    with report.problems_at(first):
        volumes = np.asarray(read_values(open_volume(first), first, (..., slice(0, SAMPLED_VOLUMES))))
        check_spread(report, first, volumes.reshape(-1, volumes.shape[-1]).T)


def _check_sessions(report: Report, preparation: str, files: BoldFiles) -> None:
    published = report.published[files.name]["sessions"]
    missing = sorted(set(range(1, published + 1)) - set(files.sessions))
    if not missing:
        return
    listed = f"{missing[0]} to {missing[-1]}" if missing[0] > max(files.sessions) else str(missing)[1:-1]
    message = f"sessions {listed} of {preparation} are missing"
    if missing[0] < max(files.sessions):
        fix = "get them, or take away the later ones: trials follow the list of images in order"
        report.add("problem", files.folder, message, fix)
    else:
        report.add("note", files.folder, f"{message}: their images have no responses")


def _check_masks(report: Report, files: BoldFiles, grid: tuple[int, ...]) -> None:
    masks = files.region_masks()
    brain = files.brain_mask()
    if brain is None:
        report.add("note", files.folder, f"no {files.name}_brainmask.nii.gz: all voxels with values are taken")
    if not masks:
        report.add("note", files.root / "derivatives" / "spm", f"no masks of regions of {files.name}")
    for file in ([] if brain is None else [brain]) + list(masks.values()):
        with report.problems_at(file):
            read_mask(file, grid)


def _images(path: Path) -> ImageSet | None:
    names = listed_images(path) if (path / STIMULI).is_dir() else []
    return images_by_name(path / STIMULI, names, "BOLD5000 stimuli") if names else None


BOLD5000 = DataSet(
    name="bold5000",
    title="BOLD5000",
    expected="BOLD5000 (CSI1_GLMbetas-*)",
    recognises=holding("CSI?_GLMbetas-*", "CSI?_imgnames.txt", "*/CSI?_GLMbetas-*", "*/CSI?_imgnames.txt"),
    subjects=numbered("CSI?_GLMbetas-*", "*/CSI?_GLMbetas-*"),
    load=load_bold5000,
    images=_images,
    check=check_bold5000,
    counts_file=Path(__file__).with_name("published.toml"),
)
