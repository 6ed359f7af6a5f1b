"""Every example runs: that of each public name's docstring, which prints what it says, and all Python of the pages.

They run in a folder with small stand-ins for what users have: photographs, data sets, tokens and a mapping.
"""

import doctest
import inspect
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

import factortopy as ft
from factortopy.datasets import registry

sys.path.insert(0, str(Path(__file__).parent / "datasets"))

NAMES = sorted(name for name in ft.__all__ if not inspect.ismodule(getattr(ft, name)))
SLOW = ("run_baselines", "estimate_baselines", "report")
"""tests/baselines makes the first call, the command's dry run the second; tests/reporting draws all of a report."""
IMAGES = 40
ROOT = Path(__file__).parents[1]
PAGES = [path for path in sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")]) if path.is_file()]
QUICK = {"steps": 3, "bootstrap": 0, "patches": False}


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
    areas = [np.flatnonzero(inside)[:30] for inside in whole.voxels.rois.values()]
    subject = whole.select(np.unique(np.concatenate(areas)))
    mapping = ft.fit(tokens, subject, **QUICK, progress=False)
    paper = ft.fit(tokens, subject, recipe="paper", **QUICK, progress=False)
    seed = ft.fit(tokens, subject, seed=1, **QUICK, split=ft.split_images(subject.image_ids), progress=False)
    return {
        "ft": ft,
        "np": np,
        "torch": torch,
        "network": network,
        "tokens": tokens,
        "subject": replace(subject, images=images),
        "mapping": mapping,
        "other_subject": called(mapping, subject="another"),
        "other_seed": seed,
        "paper_mapping": paper,
    }


def called(mapping, **attributes):
    """A mapping of another subject or network, by its name."""
    return ft.Mapping(mapping.dataset.assign_attrs(attributes), mapping.parameters, provenance=mapping.provenance)


@pytest.fixture
def here(folder, monkeypatch, tmp_path):
    """A folder of one's own, with what users have."""
    monkeypatch.chdir(tmp_path)
    for path in folder.iterdir():
        os.symlink(path, tmp_path / path.name)
    monkeypatch.setattr(registry, "_DATA_SETS", list(registry._DATA_SETS))  # an example adds one
    for resolution in ("plot.style.DPI", "reporting._report.DPI"):
        monkeypatch.setattr(f"factortopy.{resolution}", 50)  # most of the time would go into drawing
    return tmp_path


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NAMES]
)
def test_the_example_of_every_public_name_runs(name, names, here):
    text = inspect.getdoc(getattr(ft, name)) or ""
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, None)
    assert test.examples, f"ft.{name} has no example in its docstring"
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.fixture
def quickly(names, monkeypatch):
    """The pages' numbers of images and steps, made small, and a tiny untrained network in the place of the pages'.

    Reports are without figures: those tests/reporting draws.
    """
    fit, tune, views, load, report = ft.fit, ft.finetune, ft.sample_views(IMAGES), ft.load_network, ft.report

    def stand_in(source, /, *given, **more):
        named = isinstance(source, str) and not Path(source).exists()
        return load("timm/test_vit", untrained=True) if named else load(source, *given, **more)

    monkeypatch.setattr(ft, "load_network", stand_in)

    def without_figures(mappings, path, **more):
        return report(mappings, path, **{"figures": [{} for _ in mappings], **more})

    monkeypatch.setattr(ft, "report", without_figures)
    monkeypatch.setattr(ft, "fit", lambda *given, **more: fit(*given, **more | QUICK))
    monkeypatch.setattr(ft, "finetune", lambda *given: tune(*given, steps=2, validate_every=1, validation_per_class=1))
    monkeypatch.setattr(ft, "sample_views", lambda count: views.subset(views.ids[:count]))


def given_of(page, names, here):  # noqa: PLR0911, PLR0912
    """What a page takes as given beyond what all examples do."""
    from algonauts_fixture import write_algonauts
    from nsd_fixture import write_nsd, write_stimuli

    mapping = names["mapping"]
    if page == "architecture.md":
        toys = {name: lambda *given, **more: None for name in ("load_toy", "toy_images", "check_toy")}
        return {"Path": Path, "__file__": str(here / "toy.py"), **toys}
    if page == "README.md":
        (here / "algonauts_2023").unlink()
        write_algonauts(here / "algonauts_2023" / "subj01", images=30)
    if page == "brain.md":
        files = sorted((here / "photographs").iterdir())
        for name, some in (("faces", files[:20]), ("houses", files[20:])):
            (here / name).mkdir()
            for file in some:
                (here / name / file.name).symlink_to(file)
        voxels = mapping.dataset.sizes["voxel"]
        sure = mapping.with_variables({name: (("voxel",), np.full(voxels, 0.2)) for name in ("r2", "r2_low")})
        ft.reporting.write_card(sure, here / "shared")
        ft.exchange.zip_folder(here / "shared", here / "shared.zip")
        return {"mapping": sure}
    if page == "ceilings.md":
        ceiling = np.full(mapping.dataset.sizes["voxel"], 0.3)
        return {"r2": mapping.dataset["r2"].values, "ceiling": ceiling}
    if page == "channels.md":
        mapping.save(here / "runs" / "mapping")
        (here / "runs" / "tokens").symlink_to(names["tokens"].path)
    if page == "compare.md":
        subjects = {f"clip_s{number}": called(mapping, subject=f"subj0{number}") for number in (1, 2, 5)}
        return {"clip": mapping, "mae": called(mapping, network="mae"), **subjects}
    if page == "data.md":
        root = here / "natural-scenes-dataset"
        shown = [write_nsd(root, number, stimuli=False).images for number in (1, 2, 3)]
        write_stimuli(root, np.concatenate(shown), side=12)
        images = ft.images.leave_out_broken(ft.open_images(root), progress=False)
        return {"tokens": ft.extract(names["network"], images, here / "nsd-tokens", progress=False)}
    if page == "finetuning.md":
        mapping.save(here / "mapping-before")
        mapping.save(here / "mapping-after")
    if page == "nsd.md":
        (here / "nsd").unlink()
        write_nsd(here / "nsd")
    if page == "page.md":
        return {"photograph": ft.sample_views(1).image(0)}
    if page == "simulation.md":
        return {"left_map": np.full(10_242, 0.3), "right_map": np.full(10_242, 0.2)}
    if page == "surfaces.md":
        for side in ("lh", "rh"):
            labels = np.ones((10_242, 1, 1), dtype=np.int32)
            nibabel.save(nibabel.MGHImage(labels, np.eye(4)), here / f"{side}.streams.mgz")
            (here / f"{side}.streams.mgz.ctab").write_text("0 Unknown 0 0 0 0\n1 early 1 1 1 0\n")
        image = nibabel.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4))
        vertices = {"hemisphere": np.array(["left", "right"]), "vertex": np.array([5, 9])}
        (here / "THINGS-fMRI").symlink_to(here / "things")
        (here / "BOLD5000").symlink_to(here / "bold5000")
        return {"image": image, "indices": np.array([[0, 1, 2], [3, 3, 3]]), **vertices}
    if page == "uncertainty.md":
        seeds = {f"seed{number}": called(mapping, seed=number) for number in range(3)}
        return {"clip": mapping, "dino": called(mapping, network="dino"), **seeds}
    return {}


WITH_PYTHON = [path for path in PAGES if "```python" in path.read_text("utf-8")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda path: path.name)
def test_the_python_of_a_page_runs(page, names, here, quickly):
    """Block after block, as a reader would type them."""
    text = page.read_text("utf-8")
    photographs = ft.open_images(here / "photographs")
    (here / "run").unlink()  # what the pages write there, they make themselves
    known = names | {"photographs": photographs} | given_of(page.name, names, here)
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) == text.count("```python"), "a block that is not read as one never runs"
    for match in blocks:
        before = text[: match.start()].count("\n") + 1
        exec(compile("\n" * before + match[1], page.name, "exec"), known)  # a fault names the page's line
    plt.close("all")
