"""Every network with a short name, built small with random weights: one contract."""

import re
from dataclasses import replace

import pytest
import torch
from torchvision import models

from factortopy.networks import find_entry, list_networks
from factortopy.networks.adapters import mocov3
from factortopy.networks.adapters import open_clip as open_clip_adapter
from factortopy.networks.adapters.timm import TimmNetwork, build_timm, timm_preprocessing
from factortopy.networks.families import parse_source
from factortopy.networks.module import network_from_module
from factortopy.networks.preprocessing import IMAGENET_PREPROCESSING

# A diffusion network is no stack of layers over one image: tests of its own hold it to its contract.
ENTRIES = [entry for entry in list_networks() if not entry.source.startswith("diffusion/")]
NAMES = [entry.name for entry in ENTRIES]

VIT = {"embed_dim": 96, "depth": 2, "num_heads": 4}
# How to build a timm network small, by the beginning of its name; a transformer gets a grid of 4 x 4
SMALL = {
    "samvit": {**VIT, "window_size": 2, "global_attn_indexes": (1,), "img_size": 64},
    "hiera": {"embed_dim": 16, "stages": (1, 1, 1, 1), "img_size": 64},
    "convnext": {"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 20)},
    "swin": {"embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), "img_size": 64},
    "tf_efficientnet": {},
}


def build_small(name):
    """The network of a short name with few and thin layers, on small images."""
    family, source = parse_source(find_entry(name).source)
    if source.family == "timm":
        return small_timm(source.architecture, name)
    if source.family == "open_clip":
        tower = {"width": 64, "layers": 2, "head_width": 16, "image_size": 128}
        return network_from_module(open_clip_adapter._image_tower(source, 0, **tower), name=name, pretrained=False)
    if source.family == "torchvision":
        seen = replace(IMAGENET_PREPROCESSING, size=(64, 64))
        if source.architecture.startswith("vit"):
            model = models.VisionTransformer(64, 16, 2, 4, 64, 128)
        else:
            model = models.ResNet(models.resnet.Bottleneck, [1, 1, 1, 1])
        return network_from_module(model, preprocessing=seen, name=name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mocov3.SIZES, source.architecture, (96, 2, 4))
        return family.build(source, name=name)


def small_timm(architecture, name):
    patch = re.search(r"patch(\d+)", architecture)
    sizes = {**VIT, "img_size": 4 * int(patch[1])} if patch else {}
    sizes = next((small for start, small in SMALL.items() if architecture.startswith(start)), sizes)
    model = build_timm(architecture, None, **sizes)
    seen = timm_preprocessing(model)
    size = sizes.get("img_size", 64)
    return TimmNetwork(model, name, replace(seen, size=(size, size)), pretrained=False)


@pytest.fixture(scope="module", params=NAMES)
def small(request):
    return build_small(request.param)


def images_of(network, count=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, *network.preprocessing.size, generator=generator)


def test_small_network_keeps_the_contract(small):
    images = images_of(small)
    with torch.inference_mode():
        tokens, alone = small.tokens(images), small.tokens(images[2:])
        again = small.tokens(images)
    assert not any(module.training for module in small._model.modules())
    assert len(tokens.local) == len(small.layers) == len(set(small.layers)) > 1
    rows = zip(small.channels, small.grids, tokens.local, tokens.global_, strict=True)
    for i, (channels, grid, local, global_) in enumerate(rows):
        assert (local.shape, global_.shape) == ((3, channels, *grid), (3, channels))
        assert bool(local.isfinite().all() and global_.isfinite().all())
        assert not local.requires_grad
        assert torch.equal(local, again.local[i])
        torch.testing.assert_close(local[2:], alone.local[i], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(global_[2:], alone.global_[i], rtol=1e-3, atol=1e-4)
        is_mean = torch.allclose(global_, local.mean((2, 3)), rtol=1e-4, atol=1e-5)
        assert is_mean == (small.global_token == "pooled")


def test_small_network_has_the_tokens_of_the_full_one(small):
    entry = find_entry(small.name)
    assert small.global_token == entry.global_token
    assert small.register_tokens == (4 if "register" in entry.description else 0)


def test_gradients_reach_the_first_block(small):
    images = images_of(small, 1)
    shallow, deep = (small.tokens(images).local[i].square().sum() for i in (0, -1))
    parameters = list(small._model.parameters())
    reached = [
        {i for i, g in enumerate(torch.autograd.grad(end, parameters, allow_unused=True)) if g is not None}
        for end in (shallow, deep)
    ]
    assert reached[0] < reached[1]
