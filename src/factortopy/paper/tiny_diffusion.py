"""A diffusion model with Stable Diffusion's parts, tiny and of random weights, for simulations."""

from typing import Any

import torch

from factortopy.errors import MissingExtraError
from factortopy.machine import seeded
from factortopy.networks import STABLE_DIFFUSION_SCHEDULE, DiffusionNetwork, DiffusionParts, Network, parse_choice

TINY_DIFFUSION = "tiny-diffusion-random"
STEPS = 10


def tiny_diffusion(choice: str) -> Network:
    """The model, read at a step or at a block of its 10 steps of inversion.

    Args:
        choice: ``"t=4"`` or ``"block=up.3"``.

    Raises:
        MissingExtraError: if diffusers is not installed.
    """
    return DiffusionNetwork(
        _parts(),
        TINY_DIFFUSION,
        description="random weights, seed 0; Stable Diffusion's parts with two levels of 16 and 32 channels",
        pretrained=False,
        steps=STEPS,
        **parse_choice(TINY_DIFFUSION, choice),
    )


def _parts() -> DiffusionParts:
    diffusers = _library()
    with seeded(0):
        unet = diffusers.UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(16, 32),
            layers_per_block=2,
            norm_num_groups=4,
            cross_attention_dim=12,
            attention_head_dim=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
        vae = diffusers.AutoencoderKL(
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        )
        prompt = torch.randn(1, 7, 12)
    scheduler = diffusers.DDIMInverseScheduler(**STABLE_DIFFUSION_SCHEDULE, set_alpha_to_one=False, clip_sample=False)
    return DiffusionParts(unet.eval(), vae.eval(), scheduler, prompt)


def _library() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtraError("diffusion", f"{error.name} is not installed; install it") from None
    return diffusers
