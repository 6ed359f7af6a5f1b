"""BOLD5000: the folder that holds ``CSI1_GLMbetas-*`` and ``CSI1_imgnames.txt``, or the folder above."""

from pathlib import Path

from factortopy.datasets.bold5000.check import check_bold5000
from factortopy.datasets.bold5000.files import STIMULI, listed_images
from factortopy.datasets.bold5000.reader import load_bold5000
from factortopy.datasets.data_set import DataSet, holding, numbered
from factortopy.images import ImageSet, images_by_name


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
