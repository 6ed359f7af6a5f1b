"""2,000 damaged folders and more, a quarter of them where it must be quick: read, or refused in one line with the file.

No other exception, no hang, no memory taken for what a damaged head announces.
"""

import resource
import warnings

import numpy as np
import pytest
from algonauts_fixture import write_algonauts
from mutations import mutated
from PIL import Image

from factortopy.cortex import load_surface
from factortopy.datasets import check_path, load_subject, recognise
from factortopy.errors import DataError, UnknownNameError
from factortopy.subjects import Subject

SECONDS = 20
MEGABYTES = 400
RUNS = {"algonauts": 550, "arrays": 550, "own-formats": 450, "nsd": 200, "things": 200, "bold5000": 200}
CHECKS = 60


def write_arrays(root):
    random = np.random.default_rng(0)
    (root / "rois").mkdir(parents=True)
    (root / "photographs").mkdir()
    parts = {
        "responses": random.standard_normal((6, 5)).astype(np.float32),
        "coordinates": random.standard_normal((5, 3)).astype(np.float32),
        "hemisphere": np.array(["left", "left", "right", "right", "left"]),
        "vertex": np.arange(5),
        "noise_ceiling": np.full(5, 0.5, np.float32),
        "repeats": np.full(6, 3),
        "rois/V1": np.arange(5) < 2,
    }
    for name, values in parts.items():
        np.save(root / f"{name}.npy", values)
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        Image.new("RGB", (4, 4)).save(root / "photographs" / name)
    (root / "image_ids.txt").write_text("\n".join(names) + "\n")
    (root / "rois.json").write_text('{"V2": [1, 2]}')
    (root / "subject.toml").write_text('name = "one"\nsurface = "fsaverage5"\nimages = "photographs"\n')
    return root


def write_own_formats(root):
    """One subject of which every part is of another format."""
    import h5py
    import nibabel as nib
    import zarr

    random = np.random.default_rng(0)
    root.mkdir(parents=True)
    with h5py.File(root / "responses.h5", "w") as file:
        values = random.standard_normal((6, 5)).astype(np.float32)
        file.create_dataset("betas", data=values, chunks=(3, 5), compression="gzip")
    np.savez_compressed(root / "coordinates.npz", places=random.standard_normal((5, 3)))
    ceiling = np.full((5, 1, 1), 0.5, np.float32)
    nib.save(nib.MGHImage(ceiling, np.eye(4)), root / "noise_ceiling.mgz")
    nib.save(nib.MGHImage(ceiling * 2, np.eye(4)), root / "mask.mgh")
    zarr.save_array(root / "repeats.zarr", np.full(6, 2))
    gifti = nib.GiftiImage(darrays=[nib.gifti.GiftiDataArray(np.arange(5, dtype=np.int32))])
    nib.save(gifti, root / "labels.gii")
    axes = nib.cifti2.ScalarAxis(["one"]), nib.cifti2.BrainModelAxis.from_mask(np.ones(5), name="cortex_left")
    nib.save(nib.Cifti2Image(np.ones((1, 5), np.float32), axes), root / "area.dscalar.nii")
    (root / "image_ids.txt").write_text("a\nb\nc\nd\ne\nf\n")
    (root / "subject.toml").write_text(
        '[rois]\nV1 = "mask.mgh"\nV2 = { labels = "labels.gii", values = [1, 2] }\nV3 = "area.dscalar.nii"\n'
    )
    return root


def written(name, root):
    """Write a data set and give what loads it; skip where its reader is not there."""
    if name == "algonauts":
        surface = load_surface("fsaverage5")
        write_algonauts(root, images=6, left=9, right=7, side_pixels=2)
        return lambda: load_subject(root, surface=surface)
    if name in ("arrays", "own-formats"):
        (write_arrays if name == "arrays" else write_own_formats)(root)
        return lambda: load_subject(root)
    pytest.importorskip(f"factortopy.datasets.{name}", reason=f"no reader of {name}")
    fixture = pytest.importorskip(f"{name}_fixture", reason=f"no fixture of {name}")
    if name != "nsd":
        getattr(fixture, f"write_{name}")(root)
        return lambda: load_subject(root, subject=1, progress=False)
    for space in ("nativesurface", "func1pt8mm"):
        fixture.write_nsd(root, 1, space=space, sessions=(1, 2), planned=2)

    def load():
        # Both spaces are read, so that a damaged file of either is found.
        load_subject(root, subject=1, space="func1pt8mm", progress=False)
        return load_subject(root, subject=1, space="nativesurface", progress=False)

    return load


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def outcome(call, damage, within):
    """What a call gives, and the line with which it refuses; everything else is a failure."""
    try:
        with within(SECONDS, damage):
            return call(), None
    except (DataError, UnknownNameError) as error:
        return None, str(error)
    except Exception as error:
        raise AssertionError(f"{damage}: {error!r}") from error


@pytest.mark.parametrize("part", [pytest.param(1, id="all", marks=pytest.mark.slow), pytest.param(4, id="a quarter")])
@pytest.mark.parametrize("name", RUNS)
def test_damaged_folders_are_read_or_refused(name, part, tmp_path, within):
    root = tmp_path / ("subj01" if name == "algonauts" else name)
    load = written(name, root)
    assert isinstance(load(), Subject)
    random, before = np.random.default_rng(len(name)), peak()
    runs, refused = RUNS[name] // part, 0
    for number in range(runs):
        with mutated(root, random) as damage, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, line = outcome(load, f"mutation {number}, {damage}", within)
            if line is not None:
                refused += 1
                assert "\n" not in line, damage
                assert str(root) in line, (damage, line)
    assert peak() - before < MEGABYTES
    # Damage that is harmless exists (a pixel, an unread file), but most of it must be found.
    assert refused > 0.3 * runs
    load()


@pytest.mark.parametrize("name", RUNS)
def test_check_answers_for_damaged_folders(name, tmp_path, within):
    root = tmp_path / ("subj01" if name == "algonauts" else name)
    written(name, root)
    random = np.random.default_rng(1)
    assert check_path(root).problems == 0
    problems = 0
    for _ in range(CHECKS):
        with mutated(root, random) as damage, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if recognise(root) is None:
                continue
            report, line = outcome(lambda: check_path(root), damage, within)
            assert line is None, damage
            problems += report.problems > 0
            assert all("\n" not in finding.message for finding in report.findings), damage
    assert problems > 0.15 * CHECKS


def test_there_are_two_thousand():
    assert sum(RUNS.values()) >= 2_000
