"""Latent diffusion models: features of the UNet while an image is turned into noise by DDIM inversion.

The image's latent goes through DDIM's steps backwards (Song et al. 2021, arXiv 2010.02502, formula 12 with
sigma = 0 and times exchanged), with the empty prompt and no guidance. Step s is the s-th evaluation of the
UNet. Layers are either the UNet's blocks at one step, or the steps at one block.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError, UnknownNameError
from factortopy.networks.diffusion.parts import DiffusionParts, unet_units
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.reading.hooks import recorded
from factortopy.networks.reading.layered import LayeredNetwork, choose_layers, hash_of
from factortopy.networks.reading.outputs import MapAndExtras, without_extras
from factortopy.storage import sha256_array, sha256_text

STEPS = 50


class DiffusionNetwork(LayeredNetwork):
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
        chosen = choose_layers(known, layers)
        self._parts, self._block = parts, block
        self._units = {name: units[name] for name in (chosen if block is None else (block,))}
        self._steps = {step: ""} if step else {int(layer[2:]): layer for layer in chosen}
        parts.scheduler.set_timesteps(steps)
        name = f"{name}@{f't={step}' if step else f'block={block}'}" + ("" if steps == STEPS else f"-of-{steps}")
        super().__init__(
            None,
            name,
            _preprocessing(parts),
            description=f"{description}; DDIM inversion in {steps} steps, empty prompt",
            pretrained=pretrained,
            layers=chosen,
            weights_hash=_hash(parts),
        )

    def _outputs(self, images: Float[Tensor, "B 3 H W"]) -> Mapping[str, Any]:
        """A map of each layer."""
        maps: dict[str, Tensor] = {}
        for number, outputs, _ in self.invert(self.latents(images), max(self._steps)):
            maps |= outputs if self._block is None else {f"t.{number}": outputs[self._block]} if outputs else {}
        return maps

    def _read(self, _layer: str, output: Any, /) -> MapAndExtras:
        return without_extras(output)

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

    def _look(self, wanted: Sequence[str] | None) -> None:
        """Learn the layers' shapes from one evaluation of the UNet."""
        config, parts = self._parts.unet.config, self._parts
        self.device = parts.prompt.device
        self.layers = tuple(wanted or ())
        latents = torch.zeros(1, config.in_channels, config.sample_size, config.sample_size, device=self.device)
        with torch.no_grad(), recorded(self._units) as outputs:
            parts.unet(latents, 1, parts.prompt)
        self._settle_shapes([without_extras(outputs[self._block or layer]) for layer in self.layers])
        self._settle_tokens(None, ())


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
