"""Every public function and class has an example in its docstring, and each example runs and prints what it says.

They run in a folder with small stand-ins for what users have: photographs, data sets, tokens and a mapping.
"""

import doctest
import inspect
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import factortopy as ft
from factortopy.datasets import registry

sys.path.insert(0, str(Path(__file__).parent / "datasets"))

NAMES = sorted(name for name in ft.__all__ if not inspect.ismodule(getattr(ft, name)))
IMAGES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs, labelled images, own arrays, and every data set that has a reader, each tiny."""
    from algonauts_fixture import write_algonauts
    from bold5000_fixture import write_bold5000
    from laion_fixture import write_laion
    from nsd_fixture import write_nsd
    from nsd_synthetic_fixture import write_nsd_synthetic
    from things_fixture import write_things

    root = tmp_path_factory.mktemp("examples")
    write_algonauts(root / "algonauts_2023" / "subj01", images=30, left=9, right=7, side_pixels=2)
    write_bold5000(root / "bold5000")
    nsd = write_nsd(root / "nsd", 1, space="func1pt8mm", sessions=(1, 2), planned=2)
    write_nsd_synthetic(root / "nsd", 1, space="func1pt8mm", nsd=nsd)
    write_laion(root / "laion")
    write_things(root / "things")
    views = ft.sample_views(100).subset(ft.sample_views(100).ids[:IMAGES])
    (root / "photographs").mkdir()
    for index, name in enumerate(views.ids):
        views.image(index).resize((64, 64)).save(root / "photographs" / f"{Path(name).stem}.png")
    for kind, grey in (("dark", 40), ("light", 200)):
        (root / "labelled" / kind).mkdir(parents=True)
        for number in range(8):
            colour = (grey + number, grey, grey - number)
            Image.new("RGB", (64, 64), colour).save(root / "labelled" / kind / f"{kind}-{number}.png")
    (root / "own").mkdir()
    np.save(root / "own" / "responses.npy", np.random.default_rng(0).normal(size=(IMAGES, 8)))
    np.save(root / "own" / "coordinates.npy", np.arange(24.0).reshape(8, 3))
    names = sorted(path.name for path in (root / "photographs").iterdir())
    (root / "own" / "image_ids.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(scope="module")
def names(folder):
    """What the examples take as given: a network, its tokens, a simulated subject, a mapping."""
    network = ft.load_network("timm/test_vit", untrained=True)
    images = ft.open_images(folder / "photographs")
    tokens = ft.extract(network, images, folder / "run" / "tokens", progress=False)
    whole = ft.simulate_subject(tokens, planted_channels=4, progress=False)
    areas = [np.flatnonzero(inside)[:60] for inside in whole.voxels.rois.values()]
    subject = whole.select(np.unique(np.concatenate(areas)))
    mapping = ft.fit(tokens, subject, steps=3, bootstrap=0, progress=False)
    other = ft.Mapping(
        mapping.dataset.assign_attrs(subject="another"), mapping.parameters, provenance=mapping.provenance
    )
    paper = ft.fit(tokens, subject, recipe="paper", steps=3, bootstrap=0, progress=False)
    seed = ft.fit(
        tokens, subject, seed=1, steps=3, bootstrap=0, split=ft.split_images(subject.image_ids), progress=False
    )
    subject = replace(subject, images=images)
    return {
        "ft": ft,
        "np": np,
        "torch": torch,
        "network": network,
        "tokens": tokens,
        "subject": subject,
        "mapping": mapping,
        "other_subject": other,
        "other_seed": seed,
        "paper_mapping": paper,
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_every_public_name_runs(name, names, folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for path in folder.iterdir():
        os.symlink(path, tmp_path / path.name)
    monkeypatch.setattr(registry, "_DATA_SETS", list(registry._DATA_SETS))  # an example adds one
    text = inspect.getdoc(getattr(ft, name)) or ""
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, None)
    assert test.examples, f"ft.{name} has no example in its docstring"
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)
