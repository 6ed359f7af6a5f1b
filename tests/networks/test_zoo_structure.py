"""Every network with a short name, in full size and without weights: what its makers say of its structure."""

import re

import pytest

from factortopy.networks import find_entry, list_networks, network_skeleton

# Blocks and channels of vision transformers by the letter of their size, from their papers
SIZES = {"S": (12, 384), "B": (12, 768), "L": (24, 1024), "H": (32, 1280), "g": (40, 1536)}
SIZES |= {"H+": (32, 1280), "7B": (40, 4096), "400M": (27, 1152)}
# Channels and grids of the stages of the others
STAGES = {
    "resnet50": [(64, 112), (256, 56), (512, 28), (1024, 14), (2048, 7)],
    "hiera-b-mae": [(96, 56), (192, 28), (384, 14), (768, 7)],
    "convnext-l": [(192, 56), (384, 28), (768, 14), (1536, 7)],
    "convnext-b": [(128, 56), (256, 28), (512, 14), (1024, 7)],
    "dinov3-convnext-b": [(128, 56), (256, 28), (512, 14), (1024, 7)],
    "swin-b": [(128, 56), (256, 28), (512, 14), (1024, 7)],
    "efficientnet-lite0": [(16, 112), (24, 56), (40, 28), (112, 14), (320, 7)],
}
# A diffusion network is no stack of layers over one image: tests of its own hold it to its contract.
ENTRIES = [entry for entry in list_networks() if not entry.source.startswith("diffusion/")]
NAMES = [entry.name for entry in ENTRIES]


@pytest.mark.parametrize("name", NAMES)
def test_structure_at_full_size(name):
    entry = find_entry(name)
    network = network_skeleton(name)
    assert network.preprocessing.size == (entry.input_size, entry.input_size)
    assert network.global_token == entry.global_token
    found = list(zip(network.channels, network.grids, strict=True))
    size = re.search(r"ViT-(?P<size>[^/ ]+)/(?P<patch>\d+)", entry.description)
    if size:
        depth, channels = SIZES[size["size"]]
        side = entry.input_size // int(size["patch"])
        assert found == [(channels, (side, side))] * depth
    else:
        stages = [(count, (side, side)) for count, side in STAGES.get(name, [])]
        assert stages in (found, []), found
    registers = 4 if "register" in entry.description else 0
    assert (network.register_tokens, network.prefix_tokens) == (registers, registers + (entry.global_token == "class"))
