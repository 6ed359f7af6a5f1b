"""MoCo v3: fixed positions by their formula, and the authors' two kinds of file."""

import numpy as np
import pytest
import torch
from torch import nn

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.networks import find_entry, load_network
from factortopy.networks.adapters.mocov3 import build_mocov3


def formula(channels):
    """[sin(r f), cos(r f), sin(c f), cos(c f)] for row r and column c of 14 x 14, one number at a time."""
    table = np.zeros((197, channels))
    for row in range(14):
        for column in range(14):
            for k in range(channels // 4):
                frequency = 10000 ** (-4 * k / channels)
                angles = (row * frequency, column * frequency)
                waves = (np.sin(angles[0]), np.cos(angles[0]), np.sin(angles[1]), np.cos(angles[1]))
                table[1 + 14 * row + column, [k + part * channels // 4 for part in range(4)]] = waves
    return table


@pytest.mark.parametrize(("size", "channels"), [("vit_small", 384), ("vit_base", 768)])
def test_positions_are_the_formula_and_fixed(size, channels):
    with torch.device("meta" if size == "vit_base" else "cpu"):
        model = build_mocov3(size, None)
    assert "pos_embed" not in dict(model.named_parameters())
    if size == "vit_small":
        np.testing.assert_allclose(model.pos_embed[0].numpy(), formula(channels), atol=2e-6)
    assert model.pos_embed.shape == (1, 197, channels)


def test_vit_small_has_twelve_heads():
    assert all(block.attn.num_heads == 12 for block in build_mocov3("vit_small", None).blocks)


@pytest.fixture(scope="module")
def encoder():
    """Weights of a ViT-S under the authors' names, none of them as built."""
    state = build_mocov3("vit_small", None, seed=7).state_dict()
    positions = {"pos_embed": torch.tensor(formula(384), dtype=torch.float32)[None]}
    return {name: tensor + 0.01 for name, tensor in state.items()} | positions


def authors_file(encoder, kind, path):
    """A file of pre-training (both encoders, their projections, an optimiser) or of the linear classifier."""
    if kind == "pre-training":
        head = {"head.0.weight": torch.zeros(4, 384), "head.1.running_mean": torch.zeros(4)}
        state = {f"module.base_encoder.{name}": tensor for name, tensor in (encoder | head).items()}
        state |= {f"module.momentum_encoder.{name}": 0 * tensor for name, tensor in (encoder | head).items()}
        state["module.predictor.0.weight"] = torch.zeros(4, 4)
    else:
        head = {"head.weight": torch.zeros(1000, 384), "head.bias": torch.zeros(1000)}
        state = {f"module.{name}": tensor for name, tensor in (encoder | head).items()}
    optimiser = torch.optim.AdamW([nn.Parameter(torch.zeros(2))]).state_dict()
    torch.save({"epoch": 300, "arch": "vit_small", "state_dict": state, "optimizer": optimiser}, path)
    return path


@pytest.mark.parametrize("kind", ["pre-training", "linear classifier"])
def test_authors_file(encoder, kind, tmp_path):
    path = authors_file(encoder, kind, tmp_path / "vit-s-300ep.pth.tar")
    network = load_network("mocov3-s", weights=path, device="cpu")
    for name, tensor in network._model.state_dict().items():
        assert torch.equal(tensor, encoder[name]), name
    np.testing.assert_allclose(network._model.pos_embed[0].numpy(), formula(384), atol=2e-6)
    assert network.pretrained
    assert network.name == "mocov3-s-from-vit-s-300ep.pth"
    assert network.description == "weights from vit-s-300ep.pth.tar; mocov3/vit_small"


def test_another_networks_file_is_refused(encoder, tmp_path):
    path = authors_file(encoder, "linear classifier", tmp_path / "small.pth")
    with pytest.raises(DataError, match=r"under 'module\.' do not fit MoCo v3 vit_base: 149 of another shape"):
        load_network("mocov3-b", weights=path, device="cpu")
    with pytest.raises(UnknownNameError, match="vit_base"):
        build_mocov3("vit_bse", None)


def test_no_file_says_where_to_get_it():
    with pytest.raises(UnavailableError, match=r"weights=PATH") as caught:
        load_network("mocov3-b")
    assert find_entry("mocov3-b").checkpoint in str(caught.value)
