"""A model made again from a saved mapping predicts what the trained one did."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from factortopy.cortex import Voxels, load_surface, sphere_coordinates
from factortopy.errors import DataError
from factortopy.fitting import fit_settings
from factortopy.mapping import Mapping, load_model
from factortopy.model import Selection
from factortopy.subjects import Subject
from factortopy.workflow import fit_model

IMAGES, VOXELS = 32, 20
FAST = {"steps": 4, "validate_every": 2, "width": 4, "batch_size": 16}
GIVEN = Selection(torch.rand(VOXELS, 2) - 0.5, torch.full((VOXELS, 6), 1 / 6), torch.rand(VOXELS))
KINDS = {
    "default": ("default", {}, None),
    "paper": ("paper", {}, None),
    "no topology": ("paper", {"topology": False}, None),
    "fixed in part": ("default", {"fixed_scale": 0.3, "fixed_space": (0.1, 0.2)}, None),
    "free and fixed in part": ("default", {"topology": False, "uniform_layers": True}, None),
    "given": ("default", {}, GIVEN),
    "given with sizes": ("default", {}, GIVEN._replace(size=0.2 + torch.rand(VOXELS))),
    "no clipping": ("paper", {"gradient_clip": None}, None),
}


@pytest.fixture(scope="module")
def tokens(tokens_of_noise):
    return tokens_of_noise(IMAGES, (3, 3))


@pytest.fixture(scope="module")
def subject(tokens):
    """On a standard surface, so that an earlier version's mapping, without coordinates, has them too."""
    vertex = np.arange(40, 40 + VOXELS)
    rng = np.random.default_rng(1)
    return Subject(
        name="arrays",
        responses=rng.normal(size=(IMAGES, VOXELS)).astype(np.float32),
        image_ids=tokens.image_ids,
        voxels=Voxels.on_sphere("fsaverage5", np.full(VOXELS, "right"), vertex),
    )


def fitted(tokens, subject, kind):
    recipe, changes, selection = KINDS[kind]
    settings = fit_settings(recipe, **FAST, **changes)
    return fit_model(tokens, subject, settings, selection=selection, bootstrap=0, progress=False)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_those_of_the_trained_model(kind, tokens, subject, tmp_path):
    result = fitted(tokens, subject, kind)
    loaded = Mapping.load(result.mapping.save(tmp_path / "mapping"))
    batch = tokens.read([0, 3, 5])
    with torch.no_grad():
        expected, found = result.model(batch), load_model(loaded)(batch)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.std() > 0
    size = getattr(KINDS[kind][2], "size", None)
    assert ("size" in loaded.dataset) == (size is not None)
    if size is not None:
        np.testing.assert_allclose(loaded.dataset["size"], size, rtol=1e-6)


def test_an_earlier_mapping_takes_its_coordinates_from_the_surface_or_the_subject(tokens, subject):
    result = fitted(tokens, subject, "default")
    earlier = replace(result.mapping, dataset=result.mapping.dataset.drop_vars("coordinates"))
    batch = tokens.read([1, 2])
    with torch.no_grad():
        expected = result.model(batch)
        np.testing.assert_allclose(load_model(earlier)(batch), expected, atol=1e-4)
    elsewhere = replace(earlier, dataset=earlier.dataset.assign_attrs(surface=""))
    with pytest.raises(DataError, match="give the subject"):
        load_model(elsewhere)
    with torch.no_grad():
        np.testing.assert_allclose(load_model(elsewhere, subject)(batch), expected, atol=1e-5)


def test_wrong_coordinates_and_parameters_are_refused(tokens, subject):
    mapping = fitted(tokens, subject, "default").mapping
    elsewhere = sphere_coordinates(load_surface("fsaverage5"))[5_000 : 5_000 + VOXELS]
    moved = replace(subject, voxels=replace(subject.voxels, coordinates=elsewhere))
    with pytest.raises(DataError, match="other positions"):
        load_model(mapping, moved)
    with pytest.raises(DataError, match="no trained parameters"):
        load_model(replace(mapping, parameters={}))
    short = {name: value for name, value in mapping.parameters.items() if name != "bias"}
    with pytest.raises(DataError, match="do not fit together"):
        load_model(replace(mapping, parameters=short))
