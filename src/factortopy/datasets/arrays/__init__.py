"""Own arrays: the folder of a subject, as ``Subject.save`` writes it or made by hand, or a ``subject.toml``."""

from pathlib import Path

from factortopy.datasets.arrays.check import check_arrays
from factortopy.datasets.data_set import DataSet, holding
from factortopy.images import ImageSet, images_from_folder
from factortopy.subjects import Subject, load_subject_folder, read_description

_IN_FOLDER = holding("subject.toml", "responses.*")


def _images(path: Path) -> ImageSet | None:
    folder, facts = read_description(path)
    return images_from_folder(folder / facts["images"]) if "images" in facts else None


def _load(path: Path, *, progress: bool = True) -> Subject:
    del progress  # it is read in seconds
    return load_subject_folder(path)


OWN_ARRAYS = DataSet(
    name="arrays",
    title="Own arrays",
    expected="own arrays (responses.npy or subject.toml)",
    recognises=lambda path: path.suffix == ".toml" if path.is_file() else _IN_FOLDER(path),
    load=_load,
    images=_images,
    check=check_arrays,
)
