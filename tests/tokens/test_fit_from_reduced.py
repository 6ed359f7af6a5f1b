"""A fit from a reduced store is that from the whole one, and its mapping is of the network's own channels."""

import numpy as np
import pytest
import torch
from pixel_network import noise_images
from torch.nn import functional

from factortopy.fitting import fit_settings
from factortopy.mapping import Mapping, load_model
from factortopy.networks import Preprocessing, network_from_function
from factortopy.subjects import load_arrays
from factortopy.tokens import extract
from factortopy.workflow import fit_model

IMAGES, VOXELS, CHANNELS, KEPT = 240, 40, 24, 9
SEEN = Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3, "bicubic", 1.0)


def network():
    """Channels whose variance falls by half from one dimension to the next."""
    random = torch.Generator().manual_seed(0)
    filters = torch.linalg.qr(torch.randn(12, 12, generator=random))[0].view(12, 3, 2, 2)
    mixing = torch.linalg.qr(torch.randn(CHANNELS, 12, generator=random))[0] * 0.5 ** (torch.arange(12) / 2)

    def tokens(images):
        mixed = torch.einsum("ck,bkhw->bchw", mixing, functional.conv2d(images, filters, stride=2))
        return {"mixed": mixed, "coarse": functional.avg_pool2d(mixed, 2)}

    return network_from_function(tokens, SEEN, "falling")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder, options = tmp_path_factory.mktemp("stores"), {"grid": (4, 4), "precision": "fp32", "progress": False}
    made = {"whole": {}, "reduced": {"components": KEPT}}
    return {
        name: extract(network(), noise_images(IMAGES), folder / name, **options, **own) for name, own in made.items()
    }


def planted_subject(store):
    """Each voxel reads a random mix of channels at one place of one layer; no coordinates, which is quick to fit."""
    random, tokens = np.random.default_rng(0), store.read()
    signal = np.empty((IMAGES, VOXELS), np.float32)
    for voxel in range(VOXELS):
        place = tokens.local[voxel % 2].float().numpy()[:, :, 1 + voxel // 20, 1]
        signal[:, voxel] = (place - place.mean(0)) @ random.normal(size=CHANNELS)
    noisy = signal / signal.std(0) + 0.3 * random.normal(size=signal.shape)
    return load_arrays(responses=noisy.astype(np.float32), image_ids=noise_images(IMAGES).ids, name="planted")


def test_the_score_is_that_of_the_whole_store(stores, tmp_path):
    settings, subject = fit_settings(seed=0), planted_subject(stores["whole"])
    options = {"bootstrap": 0, "yardstick": False, "progress": False}
    fits = {name: fit_model(store, subject, settings, **options) for name, store in stores.items()}
    r2 = {name: float(fitted.mapping.dataset["r2"].mean()) for name, fitted in fits.items()}
    assert r2["whole"] > 0.3
    assert abs(r2["reduced"] - r2["whole"]) < 0.002
    # Its mapping is of the network's channels: saved and opened, it predicts from either store.
    fits["reduced"].mapping.save(tmp_path / "mapping")
    model, rows = load_model(Mapping.load(tmp_path / "mapping")), range(200, IMAGES)
    with torch.no_grad():
        predicted = [model(store.read(rows)).numpy() for store in (stores["reduced"], stores["whole"])]
        own = fits["reduced"].model(stores["reduced"].read(rows)).numpy()
    np.testing.assert_allclose(predicted[0], own, atol=1e-4)
    assert np.corrcoef(predicted[0].ravel(), predicted[1].ravel())[0, 1] > 0.999
    facts = Mapping.load(tmp_path / "mapping").provenance["tokens"]["components"]
    assert facts["count"] == KEPT
    assert min(facts["explained"]["local"]) > 0.9
