"""A folder of photographs and a subject by hand, small enough that a whole run takes seconds."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.cortex import ROI_NAMES, coordinate_bounds, load_surface, sphere_coordinates, visual_region
from factortopy.images import sample_views

IMAGES, VOXELS = 40, 150
NETWORK = "timm/test_vit"


@pytest.fixture(scope="session")
def run():
    """Run the command line in this process."""
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    views = sample_views(IMAGES)
    for index in range(IMAGES):
        views.image(index).resize((64, 64)).save(folder / f"view-{index:02d}.png")
    return folder


def back_of_the_brain(count=VOXELS):
    """A patch of vertices of the left hemisphere, from the occipital pole on."""
    left = load_surface("fsaverage5").left
    visual = np.flatnonzero(visual_region(left))
    return visual[np.argsort(left.white.coordinates[visual, 1])[:count]]


def write_subject(folder, images=IMAGES, **changes):
    """A subject's folder by hand: a patch of fsaverage5's visual cortex with random responses."""
    surface = load_surface("fsaverage5")
    everywhere = sphere_coordinates(surface)
    vertex = back_of_the_brain()
    random = np.random.default_rng(0)
    arrays = {
        "responses": random.standard_normal((images, len(vertex)), dtype=np.float32),
        "coordinates": everywhere[vertex],
        "coordinate_bounds": coordinate_bounds(everywhere),
        "hemisphere": np.full(len(vertex), "left"),
        "vertex": vertex,
    } | changes
    (folder / "rois").mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    for index, name in enumerate(ROI_NAMES):
        np.save(folder / "rois" / f"{name}.npy", np.arange(len(vertex)) * len(ROI_NAMES) // len(vertex) == index)
    ids = [f"view-{index:02d}.png" for index in range(IMAGES)]
    (folder / "image_ids.txt").write_text("\n".join(ids) + "\n")
    (folder / "subject.toml").write_text('name = "by hand"\nsurface = "fsaverage5"\n')
    return folder


@pytest.fixture(scope="session")
def subject(tmp_path_factory):
    return write_subject(tmp_path_factory.mktemp("subject") / "by-hand")


@pytest.fixture(scope="session")
def tokens(run, photographs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "tokens"
    result = run("extract", NETWORK, photographs, folder, "--untrained", "--grid", 4, "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def split(tmp_path_factory):
    """Ten test images, the fewest that have limits."""
    ids = [f"view-{index:02d}.png" for index in np.random.default_rng(0).permutation(IMAGES)]
    path = tmp_path_factory.mktemp("split") / "split.json"
    path.write_text(json.dumps({"train": ids[:25], "validation": ids[25:30], "test": ids[30:]}))
    return path


@pytest.fixture(scope="session")
def mapping(run, tokens, subject, split, tmp_path_factory):
    folder, few = tmp_path_factory.mktemp("run") / "mapping", ("--set", "steps=5", "--set", "components=16", "--quiet")
    result = run("fit", tokens, subject, folder, "--split", split, *few)
    assert result.exit_code == 0, result.stderr
    return folder
