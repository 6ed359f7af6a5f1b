"""MoCo v3's vision transformers, which timm does not have: fixed sine-cosine positions, 12 heads in ViT-S.

Credits: Chen, Xie and He 2021 (arXiv 2104.02057); weights under CC BY-NC 4.0.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import UnknownNameError
from factortopy.machine import seeded
from factortopy.networks.adapters.timm import TimmNetwork
from factortopy.networks.family import Layers, ModuleAndPreprocessing, ModuleFamily, NetworkSource, StateDict
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.weights.matching import load_fitting

GRID, PATCH = 14, 16
# Channels, blocks, heads. The authors' ViT-S has 12 heads where timm's and DeiT's has 6.
SIZES = {"vit_small": (384, 12, 12), "vit_base": (768, 12, 12), "vit_large": (1024, 24, 16)}
ENCODER = "module.base_encoder."


def build_mocov3(size: str, weights: Mapping[str, Tensor] | None, seed: int = 0) -> nn.Module:
    """A timm vision transformer with MoCo v3's positions, and the authors' weights or random ones.

    Args:
        size: ``"vit_small"``, ``"vit_base"`` or ``"vit_large"``.
        weights: the state dict of the authors' file: of pre-training, from which the base encoder is taken
            and the momentum encoder left, or of their linear classifier. None for random weights.
        seed: of the random weights.

    Raises:
        UnknownNameError: if there is no such size.
        DataError: if the weights do not fit.
    """
    from timm.models.vision_transformer import VisionTransformer

    if size not in SIZES:
        raise UnknownNameError("MoCo v3 size", size, SIZES)
    channels, blocks, heads = SIZES[size]
    with seeded(seed):
        model: nn.Module = VisionTransformer(
            embed_dim=channels, depth=blocks, num_heads=heads, patch_size=PATCH, num_classes=0
        )
    # Fixed, so no part of the state dict: those in a file are left out, as they can be no others.
    del model.pos_embed
    model.register_buffer("pos_embed", sine_cosine_positions(channels), persistent=False)
    vars(model)["pretrained_cfg"] = {
        "input_size": (3, GRID * PATCH, GRID * PATCH),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bilinear",
        "crop_pct": 0.875,
        "classifier": "head",
    }
    if weights is not None:
        # In a file of pre-training the momentum encoder stands beside the base encoder.
        both = any(name.startswith(ENCODER) for name in weights)
        encoder = {
            name: tensor
            for name, tensor in weights.items()
            if name.startswith(ENCODER if both else "") and not name.endswith("pos_embed")
        }
        load_fitting(model, encoder, f"MoCo v3 {size}", ["head"])
    return model


def sine_cosine_positions(channels: int, grid: int = GRID) -> Float[Tensor, "1 token C"]:
    """MoCo v3's positions: ``[sin(r f), cos(r f), sin(c f), cos(c f)]`` of a patch's row r and column c.

    The frequencies are ``f_k = 10000^(-k / K)`` for k = 0 .. K - 1 with K = channels / 4. The class token
    comes first; its position is zero.
    """
    count = channels // 4
    frequencies = 10000.0 ** (-torch.arange(count) / count)
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    parts = []
    for position in (rows.flatten(), columns.flatten()):
        angles = position[:, None] * frequencies
        parts += [angles.sin(), angles.cos()]
    patches = torch.cat(parts, dim=1)
    return torch.cat([torch.zeros(1, channels), patches])[None]


class MoCoV3(ModuleFamily):
    """The authors' networks, read as timm's; no hub has their weights."""

    name = "mocov3"

    def create(self, source: NetworkSource, weights: StateDict | None, seed: int) -> ModuleAndPreprocessing:
        """Make the module."""
        return build_mocov3(source.architecture, weights, seed), None

    def network(self, module: nn.Module, layers: Layers, seen: Preprocessing | None, **facts: Any) -> Network:
        """All blocks, or those wanted."""
        return TimmNetwork(module, preprocessing=seen, layers=layers, **facts)


MOCOV3 = MoCoV3()
