"""Random and fine-tuned weights are named in every output: tokens, provenance, mapping, figures, report."""

import numpy as np
import pytest
import torch
from PIL import Image

from factortopy.images import ImageSet
from factortopy.mapping import Mapping, facts_line
from factortopy.networks import load_network
from factortopy.networks.adapters.timm import build_timm
from factortopy.reporting import report
from factortopy.subjects import load_arrays
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import fit

IMAGES, VOXELS = 24, 12
FAST = {"steps": 2, "validate_every": 2, "width": 4, "batch_size": 8, "components": 4}


def control(_folder):
    return load_network("timm/test_vit", untrained=True, seed=3, device="cpu")


def tuned(folder):
    torch.save(build_timm("test_vit", None, seed=9).state_dict(), folder / "skin-lesions.pth")
    return load_network("timm/test_vit", weights=folder / "skin-lesions.pth", device="cpu")


@pytest.mark.parametrize(
    ("network", "name", "words"),
    [
        (control, "timm/test_vit-untrained-3", "random weights, seed 3"),
        (tuned, "timm/test_vit-from-skin-lesions", "weights from skin-lesions.pth"),
    ],
)
def test_every_output_says_whose_weights(network, name, words, tmp_path):
    random = np.random.default_rng(0)
    noise = {f"{i:02d}": random.integers(0, 255, (16, 16, 3), dtype=np.uint8) for i in range(IMAGES)}
    images = ImageSet("noise", tuple(noise), lambda key: Image.fromarray(noise[key]))
    loaded = network(tmp_path)
    assert loaded.pretrained == (network is tuned)
    extract(loaded, images, tmp_path / "tokens", grid=(2, 2), progress=False)
    tokens = TokenStore.open(tmp_path / "tokens")
    assert tokens.network == name
    subject = load_arrays(
        responses=random.normal(size=(IMAGES, VOXELS)).astype(np.float32),
        image_ids=images.ids,
        coordinates=random.uniform(0, 100, size=(VOXELS, 3)),
        name="arrays",
    )
    fit(tokens, subject, progress=False, **FAST).save(tmp_path / "mapping")
    mapping = Mapping.load(tmp_path / "mapping")
    assert mapping.dataset.attrs["network"] == name
    assert words in mapping.provenance["tokens"]["description"]
    assert mapping.provenance["tokens"]["pretrained"] == loaded.pretrained
    assert f"network {name} " in facts_line(mapping.dataset)  # the line under every figure
    report([mapping], tmp_path / "report.html")
    assert name in (tmp_path / "report.html").read_text()
