"""The parts of a latent diffusion model that features are read from: loaded, built, or of a pipeline."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import UnavailableError, first_line, import_extra
from factortopy.machine import seeded
from factortopy.networks.weights.remote import HubFile

STABLE_DIFFUSION = "stable-diffusion-1.5"
REPOSITORY = "stable-diffusion-v1-5/stable-diffusion-v1-5"
STABLE_DIFFUSION_SCHEDULE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
}
SCHEDULE_FACTS = (*STABLE_DIFFUSION_SCHEDULE, "num_train_timesteps", "trained_betas", "prediction_type")


@dataclass(frozen=True)
class DiffusionParts:
    """What DDIM inversion of an image needs.

    Args:
        unet: predicts the noise; a ``UNet2DConditionModel``.
        vae: makes the latent; an ``AutoencoderKL``.
        scheduler: a ``DDIMInverseScheduler`` without its steps set.
        prompt: the empty prompt, as the text encoder sees it.
    """

    unet: Any
    vae: Any
    scheduler: Any
    prompt: Float[Tensor, "1 word channel"]


def parts_of_pipeline(pipeline: Any) -> DiffusionParts:
    """The parts of a ``StableDiffusionPipeline`` in memory, in single precision."""
    unet, vae, encoder = (_single(part).eval() for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder))
    return DiffusionParts(unet, vae, _inverse(pipeline.scheduler.config), empty_prompt(encoder, pipeline.tokenizer))


def load_parts(source: str) -> DiffusionParts:
    """Trained parts from a hub's repository, or from a folder of diffusers' layout; safetensors only.

    They come in single precision, whatever their files hold.

    Raises:
        MissingExtraError: if diffusers is not installed.
        UnavailableError: if the weights cannot be had.
    """
    diffusers, transformers = (import_extra(name, "diffusion") for name in ("diffusers", "transformers"))
    if not Path(source).is_dir():
        HubFile(source, ["unet/config.json"]).fetch()  # one short question, as the libraries ask for minutes
    try:
        unet = diffusers.UNet2DConditionModel.from_pretrained(source, subfolder="unet", use_safetensors=True)
        vae = diffusers.AutoencoderKL.from_pretrained(source, subfolder="vae", use_safetensors=True)
        encoder = transformers.CLIPTextModel.from_pretrained(source, subfolder="text_encoder", use_safetensors=True)
        tokenizer = transformers.CLIPTokenizer.from_pretrained(source, subfolder="tokenizer")
        scheduler = diffusers.DDIMInverseScheduler.load_config(source, subfolder="scheduler")
    except OSError as error:
        raise UnavailableError(
            f"the diffusion model {source} cannot be had: {first_line(error)}; give a folder of diffusers' layout"
        ) from error
    if len(tokenizer) != encoder.config.vocab_size:  # what transformers makes of a folder without its files
        raise UnavailableError(
            f"the diffusion model {source} lacks the files of its tokenizer; get them, or give another folder"
        )
    prompt = empty_prompt(encoder.float().eval(), tokenizer)
    return DiffusionParts(unet.float().eval(), vae.float().eval(), _inverse(scheduler), prompt)


def untrained_parts(seed: int) -> DiffusionParts:
    """Stable Diffusion 1.5 with random weights, as a control.

    Raises:
        MissingExtraError: if diffusers is not installed.
    """
    diffusers = import_extra("diffusers", "diffusion")
    with seeded(seed):
        unet = diffusers.UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        vae = diffusers.AutoencoderKL(
            sample_size=512,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        )
        # The text encoder only ever sees the empty prompt; its random weights give random words.
        prompt = torch.randn(1, 77, 768)
    return DiffusionParts(unet.eval(), vae.eval(), _inverse(STABLE_DIFFUSION_SCHEDULE), prompt)


def empty_prompt(encoder: Any, tokenizer: Any | None) -> Float[Tensor, "1 word channel"]:
    """The empty prompt as the text encoder sees it.

    Args:
        encoder: a ``CLIPTextModel``.
        tokenizer: its tokenizer; without one, CLIP's own rule is taken: its vocabulary ends with the marks
            of beginning and end, and the end fills up.
    """
    length = encoder.config.max_position_embeddings
    if tokenizer is not None:
        ids = tokenizer("", padding="max_length", max_length=length, return_tensors="pt").input_ids
    else:
        end = encoder.config.vocab_size - 1
        ids = torch.tensor([[end - 1] + [end] * (length - 1)])
    with torch.no_grad():
        prompt: Tensor = encoder(ids.to(next(encoder.parameters()).device)).last_hidden_state
    return prompt


def unet_units(unet: Any) -> dict[str, nn.Module]:
    """The units of a UNet in order of depth: ``down.0 ... mid ... up.0 ...``.

    A unit is a residual block with the attention behind it, numbered as Stable Diffusion's authors do:
    ``down.0`` is the first convolution, and a down-sampling is a unit of its own (``down.3``, ``6`` and ``9``
    of Stable Diffusion, which has ``down.0`` to ``down.11`` and ``up.0`` to ``up.11``). An up-sampling
    belongs to the unit after it.
    """
    down: list[nn.Module] = [unet.conv_in]
    for block in unet.down_blocks:
        down += [*_residual_units(block), *(block.downsamplers or ())]
    up = [unit for block in unet.up_blocks for unit in _residual_units(block)]
    return {
        **{f"down.{number}": unit for number, unit in enumerate(down)},
        "mid": unet.mid_block,
        **{f"up.{number}": unit for number, unit in enumerate(up)},
    }


def _residual_units(block: Any) -> list[nn.Module]:
    """Residual blocks, each with its attention where the block has any: the output after it."""
    return list(getattr(block, "attentions", None) or block.resnets)


def _single(part: Any) -> Any:
    """A part in single precision: a copy where it is of another, as the pipeline stays its owner's."""
    return part if all(own.dtype == torch.float32 for own in part.parameters()) else copy.deepcopy(part).float()


def _inverse(config: Any) -> Any:
    diffusers = import_extra("diffusers", "diffusion")
    facts = {fact: config[fact] for fact in SCHEDULE_FACTS if fact in config}
    # As of Stable Diffusion: the image is taken to have the least noise, not none; latents are no pictures
    # and may lie beyond what a scheduler would clip.
    return diffusers.DDIMInverseScheduler(**facts, set_alpha_to_one=False, clip_sample=False)
