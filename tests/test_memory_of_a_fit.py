"""What a fit is said to take of memory is what it takes, and it ends well where it may take little more."""

import json
import subprocess
import sys

import pytest

CHILD = """
import json, resource, sys
import numpy as np, psutil
from factortopy.cortex import Voxels
from factortopy.fitting import fit_settings
from factortopy.machine import Machine
from factortopy.networks import peak_memory
from factortopy.subjects import Subject
from factortopy.workflow import fit_model, reckon_fit
from factortopy.workflow.reckoned import RandomTokens

images, voxels, channels, side, width = map(int, sys.argv[1:])
settings = fit_settings(steps=2, validate_every=2, width=width)
how = {"machine": Machine.choose("cpu", "fp32"), "bootstrap": 0}
said = reckon_fit(channels=[channels] * 3, grid=(side, side), images=images, trials=images, voxels=voxels,
                  settings=settings, timed=False, **how).memory
held = psutil.Process().memory_info()
resource.setrlimit(resource.RLIMIT_AS, (held.vms - held.rss + int(1.3 * said),) * 2)
random, ids = np.random.default_rng(0), tuple(f"{number:05d}" for number in range(images))
with peak_memory() as peak:
    places = Voxels.at(random.uniform(0, 100, (voxels, 3)))
    responses = random.standard_normal((images, voxels), dtype=np.float32)
    subject = Subject(name="noise", responses=responses, image_ids=ids, voxels=places)
    tokens = RandomTokens([channels] * 3, (side, side), ids)
    found = fit_model(tokens, subject, settings, progress=False, **how)
print(json.dumps([said, peak[0], held.rss, found.predictions.shape]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
@pytest.mark.parametrize(
    "sizes",
    [(1_600, 100, 96, 8, 8), pytest.param((80, 12_000, 16, 4, 8), marks=pytest.mark.slow)],
    ids=["many images", "many voxels"],
)
def test_a_fit_takes_what_it_is_said_to_take_and_ends_where_it_may_take_little_more(sizes):
    words = [sys.executable, "-c", CHILD, *map(str, sizes)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, took, libraries, shape = json.loads(done.stdout)
    assert shape == [sizes[0] // 10, sizes[1]]
    assert took > libraries + 300e6  # so that it is not the libraries alone that are told
    assert 1 / 1.3 < said / took < 1.3
