"""Latent diffusion models: features of the UNet while an image is turned into noise by DDIM inversion.

The image's latent goes through DDIM's steps backwards (Song et al. 2021, arXiv 2010.02502, formula 12 with
sigma = 0 and times exchanged), with the empty prompt and no guidance. Step s is the s-th evaluation of the
UNet. Layers are either the UNet's blocks at one step, or the steps at one block.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError, UnknownNameError
from factortopy.machine import choose_device
from factortopy.networks.adapters.diffusion_parts import (
    REPOSITORY,
    STABLE_DIFFUSION,
    DiffusionParts,
    load_parts,
    parts_of_pipeline,
    recorded,
    unet_units,
    untrained_parts,
)
from factortopy.networks.adapters.layered import choose_layers, hash_of
from factortopy.networks.network import Network, Preprocessing, Tokens, check_images
from factortopy.storage import sha256_array, sha256_text

STEPS = 50


class DiffusionNetwork(Network):
    """A latent diffusion model as a ``Network``; local tokens are the UNet's maps, global ones their means.

    Args:
        parts: the model.
        name: as the user calls it, without ``@``.
        description: where the weights come from.
        pretrained: whether the weights were trained.
        block: name of a block, whose layers are then the steps (``t.1``, ``t.2``, ...).
        step: number of a step from 1, whose layers are then the blocks (``down.0``, ..., ``up.11``).
        steps: of the inversion.
        layers: names of the layers to take; all if None.

    Raises:
        DataError: if not just one of ``block`` and ``step`` is given, or a number is out of range.
        UnknownNameError: if the block or a layer does not exist.
    """

    prefix_tokens, register_tokens, global_token = 0, 0, "pooled"

    def __init__(
        self,
        parts: DiffusionParts,
        name: str,
        *,
        description: str,
        pretrained: bool,
        block: str | None = None,
        step: int | None = None,
        steps: int = STEPS,
        layers: Sequence[str] | None = None,
    ) -> None:
        units = unet_units(parts.unet)
        _check(units, block, step, steps)
        known = tuple(units) if block is None else tuple(f"t.{number}" for number in range(1, steps + 1))
        self.layers = choose_layers(known, layers)
        self._parts, self._block = parts, block
        self._units = {name: units[name] for name in (self.layers if block is None else (block,))}
        self._steps = {step: ""} if step else {int(layer[2:]): layer for layer in self.layers}
        parts.scheduler.set_timesteps(steps)
        self.name = f"{name}@{f't={step}' if step else f'block={block}'}"
        self.name += "" if steps == STEPS else f"-of-{steps}"
        self.description = f"{description}; DDIM inversion in {steps} steps, empty prompt"
        self.pretrained = pretrained
        self.device = parts.prompt.device
        self.preprocessing = _preprocessing(parts)
        self.weights_hash = _hash(parts)
        self._look()

    def tokens(self, images: Float[Tensor, "B 3 H W"]) -> Tokens:
        """Tokens of preprocessed images, each layer at its own resolution. Gradients flow where enabled.

        Raises:
            ShapeError: if the images are not of the size this network takes.
        """
        check_images(self, images)
        last = max(self._steps)
        maps: dict[str, Tensor] = {}
        for number, outputs, _ in self.invert(self.latents(images), last):
            maps |= outputs if self._block is None else {f"t.{number}": outputs[self._block]} if outputs else {}
        local = tuple(maps[layer] for layer in self.layers)
        return Tokens(local, tuple(places.mean((2, 3), dtype=torch.float32) for places in local))

    def latents(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B c h w"]:
        """Latents of preprocessed images: the mean of what the autoencoder gives, scaled as in training."""
        vae = self._parts.vae
        latents: Tensor = vae.encode(images.to(self.device)).latent_dist.mode()
        return latents.float() * vae.config.scaling_factor

    def invert(
        self, latents: Float[Tensor, "B c h w"], last: int
    ) -> Iterator[tuple[int, dict[str, Tensor], Float[Tensor, "B c h w"]]]:
        """Turn latents into noise, step by step.

        Args:
            latents: of images.
            last: number of the step to end with.

        Yields:
            Number of the step from 1, the outputs of units by name (none at steps that are not taken), and
            the latents after it.
        """
        parts = self._parts
        for number, time in enumerate(parts.scheduler.timesteps[:last].tolist(), 1):
            with recorded(self._units if number in self._steps else {}) as outputs:
                noise = parts.unet(latents, time, parts.prompt.expand(len(latents), -1, -1)).sample
            latents = parts.scheduler.step(noise.float(), time, latents).prev_sample
            yield number, outputs, latents

    def to(self, device: torch.device | str) -> Self:
        """Move the weights to a device; returns the network itself."""
        self.device = torch.device(device)
        self._parts.unet.to(self.device)
        self._parts.vae.to(self.device)
        prompt = self._parts.prompt.to(self.device)
        self._parts = DiffusionParts(self._parts.unet, self._parts.vae, self._parts.scheduler, prompt)
        return self

    def _look(self) -> None:
        """Learn the layers' shapes from one evaluation of the UNet."""
        config, parts = self._parts.unet.config, self._parts
        size = config.sample_size
        latents = torch.zeros(1, config.in_channels, size, size, device=self.device)
        with torch.no_grad(), recorded(self._units) as outputs:
            parts.unet(latents, 1, parts.prompt)
        maps = [outputs[layer if self._block is None else self._block] for layer in self.layers]
        self.channels = tuple(places.shape[1] for places in maps)
        self.grids = tuple((places.shape[2], places.shape[3]) for places in maps)


def load_diffusion(
    source: Any,
    layers: Sequence[str] | None = None,
    *,
    block: str | None = None,
    step: int | None = None,
    steps: int = STEPS,
    untrained: bool = False,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> DiffusionNetwork:
    """Load a latent diffusion model; its layers are the blocks at a step, or the steps at a block.

    Args:
        source: ``"stable-diffusion-1.5"``, a repository of the model hub or a folder in diffusers' layout,
            any of them with ``@t=25`` (a step) or ``@block=up.6`` behind it; or a
            ``StableDiffusionPipeline``.
        layers: names of the layers to take; all if None.
        block: name of a block, ``"down.0"`` to ``"up.11"``, whose steps are the layers.
        step: number of a step, 1 to ``steps``, whose blocks are the layers.
        steps: of the inversion.
        untrained: Stable Diffusion 1.5's structure with random weights instead, as a control.
        seed: of the random weights.
        device: where to run; the best there is if None.

    Raises:
        DataError: if not just one of ``block`` and ``step`` is given, or a number is out of range.
        UnavailableError: if diffusers is not installed, or the weights cannot be had.
        UnknownNameError: if a block or layer does not exist.
    """
    target = choose_device(device)
    chosen: dict[str, Any] = {"block": block, "step": step, "steps": steps, "layers": layers}
    if not isinstance(source, str):
        name = type(source).__name__
        parts, description = parts_of_pipeline(source), f"weights of a {name} in memory"
        return DiffusionNetwork(parts, name, description=description, pretrained=True, **chosen).to(target)
    base, _, choice = source.partition("@")
    chosen |= parse_choice(source, choice) if choice else {}
    if untrained:
        if base != STABLE_DIFFUSION:
            raise DataError(f"untrained weights are for {STABLE_DIFFUSION}; {base} has a structure of its own")
        parts, description = untrained_parts(seed), f"random weights, seed {seed}; {STABLE_DIFFUSION}"
        base = f"{base}-untrained-{seed}"
    else:
        repository = REPOSITORY if base == STABLE_DIFFUSION else base
        parts, description = load_parts(repository), f"weights of {repository}"
    network = DiffusionNetwork(parts, base, description=description, pretrained=not untrained, **chosen)
    return network.to(target)


def parse_choice(name: str, choice: str) -> dict[str, Any]:
    """What stands behind the ``@`` of a name: ``t=25`` or ``block=up.6``.

    Raises:
        DataError: if it is neither.
    """
    kind, _, value = choice.partition("=")
    if kind == "t" and value.isdecimal():
        return {"step": int(value), "block": None}
    if kind == "block" and value:
        return {"block": value, "step": None}
    raise DataError(f"{name!r}: behind @ stands {choice!r}; expected t=NUMBER or block=NAME, as in @t=25")


def _check(units: dict[str, Any], block: str | None, step: int | None, steps: int) -> None:
    if (block is None) == (step is None):
        raise DataError(
            "a diffusion model is read at a step (step=25, or @t=25 in its name) or at a block "
            "(block='up.6', @block=up.6); give one of them"
        )
    if not 1 <= steps <= 1000:
        raise DataError(f"inversion in {steps} steps; expected 1 to 1000")
    if step is not None and not 1 <= step <= steps:
        raise DataError(f"step {step} of the inversion; expected 1 to {steps}")
    if block is not None and block not in units:
        raise UnknownNameError("block", block, units)


def _preprocessing(parts: DiffusionParts) -> Preprocessing:
    # The autoencoder halves the image at every stage but the last.
    side = parts.unet.config.sample_size * 2 ** (len(parts.vae.config.block_out_channels) - 1)
    return Preprocessing((side, side), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0)


def _hash(parts: DiffusionParts) -> str:
    if parts.prompt.device.type == "meta":
        return ""
    prompt = sha256_array(np.asarray(parts.prompt.cpu()))
    return sha256_text(hash_of(parts.unet), hash_of(parts.vae), prompt)
