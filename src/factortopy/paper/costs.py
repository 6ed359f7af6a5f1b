"""What figures and tables of the paper will take: time, memory and disk, before anything is loaded."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from factortopy.errors import UnavailableError
from factortopy.machine import Cost
from factortopy.networks import Network, estimate_cost, load_network, network_skeleton
from factortopy.paper.item import Item
from factortopy.paper.members import TINY_DIFFUSION, Member
from factortopy.paper.plan import StudyPlan
from factortopy.paper.study import Study
from factortopy.tokens import planned_bytes
from factortopy.workflow import reckon_fit

NSD_IMAGES, NSD_TRIALS, NSD_VOXELS = 10_000, 27_750, 37_984
SIMULATED_VOXELS = 2_442
TINY_SPEED = 20.0
"""Images a second of the tiny diffusion model."""


def estimate_items(items: Sequence[Item], study: Study) -> tuple[Cost, Cost]:
    """What items need beyond what is in the work folder, save what follows fine-tuning.

    Returns:
        What extractions take, with the facts of the whole, and what fits take.

    Raises:
        UnavailableError: if none of the networks can be had.
    """
    plan = study.plan
    every = (job for item in items for job in item.jobs(study))
    # One network may bear another name in another table.
    jobs = list({(job.member.network, job.subject, job.topology): job for job in every}.values())
    members = {job.member.network: job.member for job in jobs}
    networks, missing = _networks(members)
    possible = [job for job in jobs if job.member.network in networks]
    by_channels = {network.channels: network for network in networks.values()}
    fits = {channels: _fit(network, plan) for channels, network in by_channels.items()}
    fitting = sum((fits[networks[job.member.network].channels] for job in possible), Cost())
    # Simulated subjects see the same images, so that one store of tokens serves all.
    stores = {(job.member.network, 0 if plan.simulated else job.subject) for job in possible}
    each = {name: _extraction(members[name], network, plan) for name, network in networks.items()}
    extraction = sum((each[name] for name, _ in stores), Cost())
    tuned = max(item.fine_tuned(study) for item in items)
    facts = {
        "items": ", ".join(item.name for item in items),
        "data": _data(plan, len({job.subject for job in jobs})),
        "networks": ", ".join(member.label for member in members.values()),
        "fits": f"{len(jobs)}" + (f", and {tuned} after fine-tuning" if tuned else ""),
    }
    if missing:
        facts["not to be had"] = "; ".join(f"{label}: {reason}" for label, reason in missing.items())
    if more := dict.fromkeys(item.more for item in items if item.more):
        facts["also"] = "; ".join(more)
    return replace(extraction, facts=facts), replace(fitting, facts={})


def _networks(members: dict[str, Member]) -> tuple[dict[str, Network], dict[str, str]]:
    """The networks that can be had, without weights, by name; the reasons for the others by label."""
    networks, missing = {}, {}
    for name, member in members.items():
        try:
            tiny = name.startswith(TINY_DIFFUSION)
            networks[name] = member.load(None, "cpu") if tiny else network_skeleton(name)
        except UnavailableError as error:
            missing[member.label] = str(error)
    if not networks:
        raise UnavailableError("; ".join(missing.values()))
    return networks, missing


def _data(plan: StudyPlan, subjects: int) -> str:
    if plan.simulated:
        return f"none: {subjects} SIMULATED subjects, {plan.views} views, {SIMULATED_VOXELS:,} voxels"
    return (
        f"{subjects} subjects, reckoned with {NSD_IMAGES:,} images, {NSD_TRIALS:,} trials and "
        f"{NSD_VOXELS:,} voxels each, as NSD's"
    )


def _images(plan: StudyPlan) -> int:
    return plan.views if plan.simulated else NSD_IMAGES


def _extraction(member: Member, network: Network, plan: StudyPlan) -> Cost:
    """Of one network's tokens of one subject's images."""
    disk = planned_bytes(_images(plan), network.channels, plan.grid)
    return Cost(seconds=_images(plan) / _speed(member, network, plan), disk=disk)


def _speed(member: Member, network: Network, plan: StudyPlan) -> float:
    """Images a second."""
    if member.network.startswith(TINY_DIFFUSION):
        return TINY_SPEED
    untrained, machine = partial(load_network, member.network, untrained=True), plan.machine
    return estimate_cost(network, untrained, machine.device, machine.precision).images_per_second


def _fit(network: Network, plan: StudyPlan) -> Cost:
    """Of one fit, to a subject of the size of NSD's or of a simulated one."""
    size = (_images(plan), _images(plan), SIMULATED_VOXELS) if plan.simulated else (NSD_IMAGES, NSD_TRIALS, NSD_VOXELS)
    return reckon_fit(network.channels, plan.grid, *size, plan.settings(), plan.machine)
