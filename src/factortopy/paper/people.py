"""The subjects of a study: measured ones from their folders, or simulated ones that see through a network."""

from factortopy.errors import DataError
from factortopy.paper.plan import Plan
from factortopy.simulation import simulate_subject
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore

PLANTED_CHANNELS = 5
"""Few enough to be learnt from few images, as in the demo."""


def open_person(plan: Plan, person: int, sees: TokenStore | None = None) -> Subject:
    """A subject of a plan; of NSD with single trials, as in the paper.

    Args:
        plan: what the study is of.
        person: place of the subject in the plan, from 0.
        sees: tokens of the network through which a simulated subject sees.

    Raises:
        DataError: if no data were given, or they cannot be read.
    """
    folder, number = plan.people[person]
    if sees is not None:
        number = number or 1
        return simulate_subject(
            sees,
            seed=plan.seed + number - 1,
            planted_channels=PLANTED_CHANNELS,
            name=f"simulated-{number:02d}",
            progress=plan.progress,
        )
    if folder is None:
        raise DataError("no data were given; give the folder of NSD, Algonauts 2023 or your own")
    from factortopy.datasets import data_set_of, load_subject

    return load_subject(folder, subject=number, progress=plan.progress, **data_set_of(folder).paper_options)
