"""What a study is made of: the data, the networks, the sizes and where it is kept."""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from factortopy.datasets import data_set_of, load_subject
from factortopy.errors import DataError
from factortopy.fitting import FitSettings, Recipe, fit_settings
from factortopy.machine import Machine
from factortopy.plot import Palette
from factortopy.simulation import simulate_subject
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore

SIMULATED_SUBJECTS = (1, 2)
PAPER_SUBJECTS = (1, 2, 3)
SIMULATED_CHANGES: MappingType[str, Any] = {"steps": 40, "validate_every": 20, "width": 32, "components": 32}
"""Of the default recipe: enough to show each figure, far from enough to judge a network."""
SIMULATED_FINETUNING: MappingType[str, Any] = {
    "per_class": 10, "validation_per_class": 4, "steps": 25, "validate_every": 25, "learning_rate": 1e-4
}  # fmt: skip
"""Of the paper's 50 images a class, 3,000 steps at 3e-5."""
SIMULATED_GRID, PAPER_GRID = (4, 4), (8, 8)
FEWEST_VIEWS = 100
PLANTED_CHANNELS = 5
"""Of simulated subjects: few enough to be learnt from few images, as in the demo."""


@dataclass(frozen=True)
class KeptFit:
    """A fit that is there, such as one of a sweep.

    Attributes:
        network: its name, as tables of the paper or ``networks`` of a plan name it.
        subject: name of the subject.
        folder: of the mapping.
        recipe: of the fit.
        seed: of the fit.
        topology: whether selectors are smooth over the cortex.
        simulated: whether the subject is.
    """

    network: str
    subject: str
    folder: Path
    recipe: Recipe = "default"
    seed: int = 0
    topology: bool = True
    simulated: bool = False


@dataclass(frozen=True)
class StudyPlan:
    """What the figures and tables are made from.

    Attributes:
        work: folder of the tokens, fits and results.
        simulated: subjects that are simulated, and networks that need no model hub.
        data: folders of measured subjects, each of one subject or of a data set with several.
        kept: fits that are there already, such as a sweep's: with any, no others are made.
        subjects: numbers of the subjects, where a folder holds several; those of the paper (1, 2, 3), or two
            where they are simulated, if empty.
        networks: names of networks instead of the paper's.
        weights: local files of weights by the name of their network.
        labelled: images with classes for fine-tuning, as ``open_labelled`` takes them.
        root: folder in which torchvision keeps its data sets.
        recipe: ``"paper"`` or ``"default"``; the paper's where data are measured if None.
        preprocessing: how photographs are shown to networks: as each was trained to see them (``"own"``), or all in
            the way of the paper's ``"authors"``; theirs with the paper's recipe if None.
        changes: settings of the fits other than the recipe's.
        views: photographs of a simulated subject.
        seed: of the views, the subjects, the splits and the fits.
        device: where to compute; the best there is if None.
        precision: of the matrix products.
        palette: of the figures.
        progress: whether to show progress bars.
    """

    work: Path
    simulated: bool = False
    data: tuple[Path, ...] = ()
    kept: tuple[KeptFit, ...] = ()
    subjects: tuple[int, ...] = ()
    networks: tuple[str, ...] = ()
    weights: MappingType[str, Path] = field(default_factory=dict)
    labelled: tuple[str, ...] = ()
    root: Path | None = None
    recipe: Recipe | None = None
    preprocessing: Literal["own", "authors"] | None = None
    changes: MappingType[str, Any] = field(default_factory=dict)
    views: int = 160
    seed: int = 0
    device: str | None = None
    precision: str | None = None
    palette: Palette = "default"
    progress: bool = True

    def __post_init__(self) -> None:
        if self.simulated and self.views < FEWEST_VIEWS:
            raise DataError(f"a simulated subject needs at least {FEWEST_VIEWS} views; got {self.views}")

    @property
    def subject_sources(self) -> tuple[tuple[Path | None, int | None], ...]:
        """Each subject: its folder and, where that holds several, its number."""
        numbers = self.subjects or (SIMULATED_SUBJECTS if self.simulated else PAPER_SUBJECTS)
        if self.simulated or not self.data:
            return tuple((None, number) for number in numbers)
        folder = self.data[0]
        if len(self.data) > 1 or not data_set_of(folder).subject_numbers(folder):
            return tuple((folder, None) for folder in self.data)
        return tuple((folder, number) for number in numbers)

    def open_subject(self, index: int, sees: TokenStore | None = None) -> Subject:
        """A subject by its index in the plan, from 0; of NSD with single trials, as in the paper.

        A simulated one sees through the network whose tokens are given.

        Raises:
            DataError: if no data were given, or they cannot be read.
        """
        folder, number = self.subject_sources[index]
        if sees is not None:
            number = number or 1
            return simulate_subject(
                sees, seed=self.seed + number - 1, planted_channels=PLANTED_CHANNELS,
                name=f"simulated-{number:02d}", progress=self.progress,
            )  # fmt: skip
        if folder is None:
            raise DataError("no data were given; give the folder of NSD, Algonauts 2023 or your own")
        return load_subject(folder, subject=number, progress=self.progress, **data_set_of(folder).paper_options)

    @property
    def labelled_sources(self) -> tuple[str, ...]:
        """The labelled images: those given, else scikit-learn's digits for a simulation."""
        return self.labelled or (("sklearn/digits",) if self.simulated else ())

    @property
    def finetuning(self) -> MappingType[str, Any]:
        """Settings of fine-tuning other than the paper's."""
        return SIMULATED_FINETUNING if self.simulated else {}

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the token maps that are kept."""
        return SIMULATED_GRID if self.simulated else PAPER_GRID

    @property
    def bootstrap(self) -> int:
        """Draws of test images for intervals."""
        return 200 if self.simulated else 1_000

    @property
    def machine(self) -> Machine:
        """Where fits are computed."""
        return Machine.choose(self.device, self.precision)

    @property
    def chosen_recipe(self) -> Recipe:
        """The recipe of the fits; of fits that are there, the first one's."""
        if self.kept:
            return self.recipe or self.kept[0].recipe
        return self.recipe or ("default" if self.simulated else "paper")

    @property
    def shown(self) -> Literal["authors"] | None:
        """How photographs are shown to networks, as ``load_network`` takes it."""
        by_recipe = self.preprocessing is None and self.chosen_recipe == "paper"
        return "authors" if by_recipe or self.preprocessing == "authors" else None

    def settings(self, topology: bool = True) -> FitSettings:
        """Settings of a fit, with the topological constraint or without."""
        recipe = self.chosen_recipe
        small = dict(SIMULATED_CHANGES) if self.simulated and recipe == "default" else {}
        return fit_settings(recipe, seed=self.seed, **{**small, "topology": topology, **self.changes})
