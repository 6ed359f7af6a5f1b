"""What a figure or table of the paper will take: time, memory and disk, before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from factortopy.cli.estimate import FitEstimate, estimate_fit
from factortopy.cli.options import readable_bytes, readable_seconds
from factortopy.cortex import Voxels
from factortopy.errors import UnavailableError
from factortopy.networks import Network, Tokens, estimate_cost, load_network, network_skeleton
from factortopy.paper import TINY_DIFFUSION, Item, Job, Member, Study
from factortopy.subjects import Subject
from factortopy.tokens import planned_bytes

if TYPE_CHECKING:
    from factortopy.tokens import TokenStore

NSD_IMAGES, NSD_TRIALS, NSD_VOXELS = 10_000, 27_750, 37_984
SIMULATED_VOXELS = 2_442
BATCH = 32


class RandomTokens:
    """Tokens of no network, of the sizes of one: enough to time a fit with.

    Args:
        channels: of each layer.
        grid: height and width.
        image_ids: ids of the images.
    """

    network, weights_hash, global_token, precision, outliers = "random", "", "class", "fp32", "kept"
    image_groups = None

    def __init__(self, channels: Sequence[int], grid: tuple[int, int], image_ids: tuple[str, ...]) -> None:
        self.channels, self.grid, self.image_ids = tuple(channels), grid, image_ids
        self.provenance: dict[str, Any] = {}
        self.layers = tuple(f"layer {number}" for number in range(len(self.channels)))

    def __len__(self) -> int:
        return len(self.image_ids)

    def read(self, indices: Sequence[int] | None = None) -> Tokens:
        """Random tokens of as many images as there are indices."""
        count = len(self) if indices is None else len(indices)
        local = (torch.randn(count, channels, *self.grid).half() for channels in self.channels)
        return Tokens(tuple(local), tuple(torch.randn(count, channels).half() for channels in self.channels))


@dataclass(frozen=True)
class PaperEstimate:
    """What items need beyond what is in the work folder.

    Args:
        study: the plan and its folder.
        items: what is to be made.
    """

    study: Study
    items: Sequence[Item]

    @cached_property
    def jobs(self) -> list[Job]:
        """Every fit once, in order."""
        jobs = (job for item in self.items for job in item.jobs(self.study))
        # One network may bear another name in another table.
        return list({(job.member.network, job.subject, job.topology): job for job in jobs}.values())

    def rows(self) -> list[tuple[str, str]]:
        """As a table.

        Raises:
            UnavailableError: if none of the networks can be had.
        """
        members = {job.member.network: job.member for job in self.jobs}
        looked = {name: self._network(member) for name, member in members.items()}
        had = {name: network for name, network in looked.items() if isinstance(network, Network)}
        missing = {members[name].label: reason for name, reason in looked.items() if isinstance(reason, str)}
        if not had:
            raise UnavailableError("; ".join(missing.values()))
        tuned = max(item.fine_tuned(self.study) for item in self.items)
        rows = [
            ("items", ", ".join(item.name for item in self.items)),
            ("data", self._data()),
            ("networks", ", ".join(member.label for member in members.values())),
            ("fits", f"{len(self.jobs)}" + (f", and {tuned} after fine-tuning" if tuned else "")),
            *self._costs(members, had),
        ]
        rows += [("not to be had", f"{label}: {reason}") for label, reason in missing.items()]
        more = dict.fromkeys(item.more for item in self.items if item.more)
        return rows + ([("also", "; ".join(more))] if more else [])

    def _costs(self, members: dict[str, Member], had: dict[str, Network]) -> list[tuple[str, str]]:
        """Memory, disk and time of all extractions and fits, save those after fine-tuning."""
        simulated, grid = self.study.plan.simulated, self.study.plan.grid
        by_channels: dict[tuple[int, ...], FitEstimate] = {}
        for network in had.values():
            if network.channels not in by_channels:
                by_channels[network.channels] = self._fit(network)
        jobs = [job for job in self.jobs if job.member.network in had]
        runs = [by_channels[had[job.member.network].channels] for job in jobs]
        # Simulated subjects see the same images, so that one store of tokens serves all.
        stores = {(job.member.network, 0 if simulated else job.subject) for job in jobs}
        each = {name: self._images / self._speed(members[name], network) for name, network in had.items()}
        tokens = sum(planned_bytes(self._images, had[name].channels, grid) for name, _ in stores)
        return [
            ("memory", f"about {readable_bytes(max(run.memory for run in runs))}"),
            ("disk", f"about {readable_bytes(tokens + sum(run.disk for run in runs))}"),
            ("extraction", f"about {readable_seconds(sum(each[name] for name, _ in stores))}"),
            ("fitting", f"about {readable_seconds(sum(run.seconds for run in runs))}"),
        ]

    def _data(self) -> str:
        plan = self.study.plan
        subjects = len({job.subject for job in self.jobs})
        if plan.simulated:
            return f"none: {subjects} SIMULATED subjects, {plan.views} views, {SIMULATED_VOXELS:,} voxels"
        return (
            f"{subjects} subjects, reckoned with {NSD_IMAGES:,} images, {NSD_TRIALS:,} trials and "
            f"{NSD_VOXELS:,} voxels each, as NSD's"
        )

    @property
    def _images(self) -> int:
        return self.study.plan.views if self.study.plan.simulated else NSD_IMAGES

    def _network(self, member: Member) -> Network | str:
        if member.network.startswith(TINY_DIFFUSION):
            try:
                return member.load(None, "cpu")
            except UnavailableError as error:
                return str(error)
        try:
            return network_skeleton(member.network)
        except UnavailableError as error:
            return str(error)

    def _speed(self, member: Member, network: Network) -> float:
        machine = self.study.plan.machine
        if member.network.startswith(TINY_DIFFUSION):
            return 20.0
        return estimate_cost(
            network,
            lambda: load_network(member.network, untrained=True),
            machine.device,
            machine.precision,
        ).images_per_second

    def _fit(self, network: Network) -> FitEstimate:
        simulated = self.study.plan.simulated
        ids = tuple(f"{number:05d}" for number in range(self._images))
        trials = ids if simulated else tuple(np.resize(np.array(ids), NSD_TRIALS).tolist())
        random = np.random.default_rng(0)
        voxels = SIMULATED_VOXELS if simulated else NSD_VOXELS
        # One column for all voxels: the size of the real array, and none of its memory.
        column = random.standard_normal((len(trials), 1), dtype=np.float32)
        sides = np.repeat(["left", "right"], [voxels // 2, voxels - voxels // 2])
        subject = Subject(
            name="reckoned",
            responses=np.broadcast_to(column, (len(trials), voxels)),
            image_ids=trials,
            single_trials=not simulated,
            voxels=Voxels.at(random.uniform(-100, 100, (voxels, 3)), sides),
        )
        tokens = cast("TokenStore", RandomTokens(network.channels, self.study.plan.grid, ids))
        return estimate_fit(tokens, subject, self.study.plan.settings(), None, self.study.plan.machine)
