"""The photographs that lie in a data set's own folder, for extracting their tokens."""

from pathlib import Path

import numpy as np

from factortopy.images import ImageSet, images_from_folder
from factortopy.storage import reading
from factortopy.subjects import read_facts


def nsd_images(root: Path) -> ImageSet | None:
    """The images shown to the subjects whose betas are there (to all eight without betas), by nsdId."""
    from factortopy.datasets.nsd.design import image_name, read_design
    from factortopy.images import images_from_hdf5

    stimuli = root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"
    design = root / "nsddata" / "experiments" / "nsd" / "nsd_expdesign.mat"
    if not stimuli.is_file():
        return None
    people = sorted((root / "nsddata_betas" / "ppdata").glob("subj0[1-8]"))
    subjects = [int(folder.name[-1]) for folder in people] or range(1, 9)
    shown = np.unique(np.concatenate([read_design(design, subject).images for subject in subjects]))
    return images_from_hdf5(stimuli, ids=[image_name(number) for number in shown])


def bold5000_images(root: Path) -> ImageSet | None:
    """The images named in the lists of the subjects that are there."""
    from factortopy.datasets.bold5000.files import LISTS, REPEATED, STIMULI
    from factortopy.datasets.stimulus_files import find_images

    if not (root / STIMULI).is_dir():
        return None
    shown: set[str] = set()
    for pattern in ("CSI?_imgnames.txt", "*/CSI?_imgnames.txt", f"{LISTS}/CSI?/CSI?_imgnames.txt"):
        for file in root.glob(pattern):
            with reading(file, "expected a text with one file name a line"):
                names = file.read_text(encoding="utf-8").split()
            shown |= {Path(name).name.removeprefix(REPEATED) for name in names}
    return find_images(root / STIMULI, sorted(shown), "BOLD5000 stimuli") if shown else None


def own_images(root: Path) -> ImageSet | None:
    """The folder of images that a ``subject.toml`` names."""
    folder = root if root.is_dir() else root.parent
    facts = read_facts(folder / "subject.toml" if root.is_dir() else root)
    return images_from_folder(folder / facts["images"]) if "images" in facts else None
