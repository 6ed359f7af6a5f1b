"""Diffusion models by name, from a folder or a pipeline in memory."""

import re
from collections.abc import Sequence
from typing import Any

import torch

from factortopy.errors import DataError
from factortopy.machine import choose_device
from factortopy.networks.diffusion.network import STEPS, DiffusionNetwork
from factortopy.networks.diffusion.parts import (
    REPOSITORY,
    STABLE_DIFFUSION,
    load_parts,
    parts_of_pipeline,
    untrained_parts,
)
from factortopy.networks.family import Family, NetworkSource, Wanted
from factortopy.networks.network import Network
from factortopy.networks.zoo import ZooEntry


class Diffusion(Family):
    """Latent diffusion models, whose names end in ``@t=25`` or ``@block=up.6``: several modules in one folder."""

    name = "diffusion"

    def source(self, text: str, input_size: int | None = None) -> NetworkSource:
        """Read a repository or folder, and the choice of layers as its tag."""
        repository, _, choice = text.partition("@")
        return NetworkSource(self.name, repository, choice or None, input_size)

    def load(self, source: NetworkSource, entry: ZooEntry | None, wanted: Wanted) -> Network:
        """Load a model with its own weights, or Stable Diffusion 1.5 with random ones."""
        if wanted.weights is not None:
            raise DataError("a diffusion model of one's own is a folder, not a file: diffusion/FOLDER@t=25")
        name = entry.name if entry else source.architecture
        chosen = parse_choice(name, source.tag or "")  # before gigabytes are fetched
        options: dict[str, Any] = {"untrained": wanted.untrained, "seed": wanted.seed, "device": "cpu"}
        return load_diffusion(name, wanted.layers, **options, **chosen)

    def skeleton(self, source: NetworkSource, entry: ZooEntry | None, layers: Sequence[str] | None) -> Network:
        """Stable Diffusion 1.5, at the first step where the name says none."""
        name = entry.name if entry else source.architecture
        facts: dict[str, Any] = {"description": "no weights", "pretrained": False, "layers": layers}
        return DiffusionNetwork(untrained_parts(0), name, **facts, **parse_choice(name, source.tag or "t=1"))


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

    Example:
        >>> stable = ft.load_diffusion(pipeline, block="up_blocks.1", steps=4, untrained=True)  # doctest: +SKIP
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
        name = f"{base}-untrained-{seed}"
    else:
        repository = REPOSITORY if base == STABLE_DIFFUSION else base
        parts, description, name = load_parts(repository), f"weights of {repository}", base
    network = DiffusionNetwork(parts, name, description=description, pretrained=not untrained, **chosen)
    known = base if base == STABLE_DIFFUSION else f"{DIFFUSION.name}/{base}"
    network.architecture = known + network.name.removeprefix(name)
    return network.to(target)


def parse_choice(name: str, choice: str) -> dict[str, Any]:
    """What stands behind the ``@`` of a name: ``t=25`` or ``block=up.6``, with ``-of-10`` of so many steps.

    Raises:
        DataError: if it is neither.
    """
    found = re.fullmatch(r"(?:t=(?P<step>[0-9]+)|block=(?P<block>.+?))(?:-of-(?P<steps>[0-9]+))?", choice)
    if found:
        step, block, steps = found["step"], found["block"], found["steps"]
        return {"step": step and int(step), "block": block} | ({"steps": int(steps)} if steps else {})
    raise DataError(f"{name!r}: behind @ stands {choice!r}; expected t=NUMBER or block=NAME, as in @t=25")


DIFFUSION = Diffusion()
