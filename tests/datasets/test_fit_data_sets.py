"""From a data set's own folder to a mapping, with nothing but the command line: extract, fit."""

import numpy as np
import pytest
from algonauts_fixture import write_algonauts
from bold5000_fixture import write_bold5000
from laion_fixture import write_laion
from nsd_fixture import write_nsd
from PIL import Image
from things_fixture import write_things
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.datasets import load_subject, open_images
from factortopy.errors import DataError
from factortopy.mapping import Mapping

FEW = ("--set", "steps=2", "--set", "components=8", "-q")


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result


def write_own(root):
    (root / "photographs").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(24):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "photographs" / f"{number:02d}.png")
    np.savez(root / "data.npz", responses=random.standard_normal((24, 6)), places=random.standard_normal((6, 3)))
    (root / "subject.toml").write_text(
        'responses = "data.npz:responses"\ncoordinates = "data.npz:places"\nimages = "photographs"\n'
    )


WRITERS = {
    "algonauts": lambda root: write_algonauts(root / "subj01", images=24, left=30, right=28, side_pixels=8),
    "nsd": lambda root: write_nsd(root, 1, space="nativesurface", sessions=(1, 2), planned=2, trials=36),
    "laion-fmri": write_laion,
    "bold5000": lambda root: write_bold5000(root, trials=(40, 33)),
    "arrays": write_own,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_folder_to_mapping(kind, tmp_path):
    root = tmp_path / "data"
    WRITERS[kind](root)
    subject, images = load_subject(root, progress=False), open_images(root)
    assert set(subject.image_ids) <= set(images.ids)
    run("extract", "timm/test_vit", root, tmp_path / "tokens", "--untrained", "--grid", 2, "-q")
    numbered = () if kind == "arrays" else ("--subject", 1)
    run("fit", tmp_path / "tokens", root, tmp_path / "mapping", *numbered, *FEW)
    mapping = Mapping.load(tmp_path / "mapping")
    assert mapping.dataset.sizes["voxel"] == len(subject.voxels)
    assert mapping.provenance["subject"]["kind"].lower() == kind


def test_things_to_mapping(tmp_path):
    """Its photographs come from elsewhere: a folder of them by the names in its tables."""
    written = write_things(tmp_path / "things", concepts=8)
    (tmp_path / "photographs").mkdir()
    for name in sorted(set(written.trials["stimulus"])):
        Image.new("RGB", (8, 8), hash(name) % 2**24).save(tmp_path / "photographs" / name)
    with pytest.raises(DataError, match="no images in"):
        open_images(tmp_path / "things")
    run("extract", "timm/test_vit", tmp_path / "photographs", tmp_path / "tokens", "--untrained", "--grid", 2, "-q")
    run("fit", tmp_path / "tokens", tmp_path / "things", tmp_path / "mapping", *FEW)
    assert Mapping.load(tmp_path / "mapping").provenance["subject"]["kind"] == "things"
