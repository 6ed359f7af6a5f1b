"""A sweep of two tiny networks on two tiny subjects, made of random numbers, whose tasks take a second or less."""

import shutil

import numpy as np
import pytest
import tomli_w
from PIL import Image

from factortopy.sweep import InProcess, Record, plan_tasks, read_sweep, run_sweep

IMAGES, VOXELS = 40, 24
ROIS = ("V1", "V2", "V3", "OPA", "EBA", "FFA")
FITS = {"steps": 2, "validate_every": 1, "width": 4, "batch_size": 16, "components": 4}
ASKED = {
    "networks": [{"name": "timm/test_vit", "untrained": True}],
    "subjects": ["one"],
    "output": "study",
    "grid": [2, 2],
    "bootstrap": 0,
    "device": "cpu",
    "precision": "fp32",
    "settings": FITS,
}


def make_subject(folder, seed):
    random, pixels = np.random.default_rng(seed), np.random.default_rng(5)
    (folder / "images").mkdir(parents=True)
    names = [f"image-{number:03d}.png" for number in range(IMAGES)]
    for name in names:
        picture = pixels.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "images" / name)
    np.save(folder / "responses.npy", random.normal(size=(IMAGES, VOXELS)).astype(np.float32))
    np.save(folder / "coordinates.npy", random.uniform(0, 100, (VOXELS, 3)))
    (folder / "rois").mkdir()
    for place, name in enumerate(ROIS):
        np.save(folder / "rois" / f"{name}.npy", np.arange(VOXELS) % len(ROIS) == place)
    (folder / "image_ids.txt").write_text("\n".join(names) + "\n")
    (folder / "subject.toml").write_text(f'name = "{folder.name}"\nimages = "images"\n')


class Workplace:
    """A folder with two subjects and a sweep file."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "sweep.toml"
        for seed, name in enumerate(("one", "two")):
            make_subject(folder / name, seed)
        self.ask()

    def ask(self, **changes):
        self.file.write_text(tomli_w.dumps(ASKED | changes))
        return self

    @property
    def record(self):
        return Record(self.settings.output)

    @property
    def settings(self):
        return read_sweep(self.file)

    def plan(self):
        return plan_tasks(self.settings, progress=False)

    def run(self, engine=None, tell=lambda _: None):
        record = self.record
        return run_sweep(record, self.plan, engine or (lambda _: InProcess(record.folder)), tell)


@pytest.fixture
def workplace(tmp_path):
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def done_before(tmp_path_factory):
    """A workplace of the same data, whose sweep has run."""
    done = Workplace(tmp_path_factory.mktemp("before"))
    done.run()
    return done


@pytest.fixture
def done(workplace, done_before):
    """A workplace whose sweep has run."""
    shutil.copytree(done_before.folder / "study", workplace.folder / "study")
    return workplace
