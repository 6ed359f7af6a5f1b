"""What a sweep file asks for: networks x checkpoints x time steps x subjects x recipes x seeds."""

import tomllib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from factortopy.errors import DataError
from factortopy.fitting import Recipe, fit_settings
from factortopy.settings import Settings
from factortopy.storage import SHARD_IMAGES, read_text


class NetworkChoice(Settings):
    """A network, or several of one architecture.

    Attributes:
        name: as ``load_network`` takes it, or the folder of a fine-tuned network beside the sweep file.
        weights: local file of weights.
        untrained: random weights instead.
        checkpoints: files of weights, each a network of its own.
        time_steps: of a diffusion model, each a network of its own.
        preprocessing: how photographs are shown.
    """

    name: str
    weights: Path | None = None
    untrained: bool = False
    checkpoints: tuple[Path, ...] = ()
    time_steps: tuple[int, ...] = ()
    preprocessing: Literal["own", "authors"] = "own"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.weights is not None and self.checkpoints:
            raise ValueError("give weights or checkpoints, not both")
        return self

    def each(self) -> Iterator["NetworkChoice"]:
        """The networks that are meant, one by one."""
        steps = [f"{self.name}@t={step}" for step in self.time_steps] or [self.name]
        for name in steps:
            for weights in self.checkpoints or (self.weights,):
                changes = {"name": name, "weights": weights, "checkpoints": (), "time_steps": ()}
                yield self.model_copy(update=changes)

    @property
    def label(self) -> str:
        """What tables call it."""
        marks = [self.name, *([self.weights.stem] if self.weights else []), *(["untrained"] if self.untrained else [])]
        return " ".join(marks)


class SubjectSizes(Settings):
    """How much there is of a subject that is not there yet: enough to tell what a sweep will take, not to run it."""

    images: Annotated[int, Field(ge=1)]
    trials: Annotated[int, Field(ge=1)]
    voxels: Annotated[int, Field(ge=1)]


class SubjectChoice(Settings):
    """A subject: its folder, and its number where that holds several; or for ``--dry-run`` its name and sizes."""

    folder: Path | None = None
    number: int | None = None
    name: str | None = None
    sizes: SubjectSizes | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.folder is None) == (self.sizes is None) or (self.name is None) != (self.sizes is None):
            raise ValueError("give a subject's folder, or its name and sizes")
        return self

    @property
    def label(self) -> str:
        """What it is called where it cannot be read, and its own name is not known."""
        if self.name is not None:
            return self.name
        return str(self.folder) if self.number is None else f"{self.folder} {self.number}"


class SweepSettings(Settings):
    """A sweep.

    Attributes:
        networks: each by name, or as a table of :class:`NetworkChoice`.
        subjects: each by folder, or as a table of :class:`SubjectChoice`.
        output: folder of all results, within that of the sweep file.
        recipes: of the fits.
        seeds: of split, start and order of images.
        settings: of the fits, other than the recipe's.
        grid: height and width of the maps that are kept of tokens.
        batch_size: images at a time in a network.
        bootstrap: draws of test images.
        device: where to compute; the best there is if None.
        precision: of the matrix products.
    """

    networks: Annotated[tuple[NetworkChoice, ...], Field(min_length=1)]
    subjects: Annotated[tuple[SubjectChoice, ...], Field(min_length=1)]
    output: Path = Path("sweep")
    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1)] = ("default",)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    settings: Annotated[dict[str, Any], Field(default_factory=dict)]
    grid: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (8, 8)
    batch_size: Annotated[int, Field(ge=1, le=SHARD_IMAGES)] = 32
    bootstrap: Annotated[int, Field(ge=0)] = 1_000
    device: str | None = None
    precision: Literal["bf16", "fp32"] | None = None

    @field_validator("networks", mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return [{"name": one} if isinstance(one, str) else one for one in given] if isinstance(given, list) else given

    @field_validator("subjects", mode="before")
    @classmethod
    def _by_folder(cls, given: Any) -> Any:
        return [{"folder": one} if isinstance(one, str) else one for one in given] if isinstance(given, list) else given

    @field_validator("recipes", "seeds")
    @classmethod
    def _each_once(cls, given: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(given)) < len(given):
            raise ValueError("give each once")
        return given

    @field_validator("settings")
    @classmethod
    def _of_fits_alone(cls, given: dict[str, Any]) -> dict[str, Any]:
        if {"recipe", "seed"} & set(given):
            raise ValueError("recipe and seed are no settings here; give recipes = [...] and seeds = [...]")
        return given

    def within(self, folder: Path) -> Self:
        """The same with all paths taken from a folder.

        Raises:
            DataError: if the output is not within it, or a setting of the fits does not exist.
        """
        if self.output.is_absolute() or ".." in PurePosixPath(self.output.as_posix()).parts:
            raise DataError(f"output = {str(self.output)!r} leaves the folder of the sweep file; give a name within it")
        for recipe in self.recipes:
            fit_settings(recipe, **self.settings)

        def placed(path: Path | None) -> Path | None:
            return None if path is None else folder / path.expanduser()

        networks = [
            one.model_copy(
                update={
                    "name": str(folder / one.name) if (folder / one.name).is_dir() else one.name,
                    "weights": placed(one.weights),
                    "checkpoints": tuple(folder / path.expanduser() for path in one.checkpoints),
                }
            )
            for one in self.networks
        ]
        subjects = [one.model_copy(update={"folder": placed(one.folder)}) for one in self.subjects]
        changes = {"networks": tuple(networks), "subjects": tuple(subjects), "output": folder / self.output}
        return self.model_copy(update=changes)


def read_sweep(path: str | PathLike[str]) -> SweepSettings:
    """Read a sweep file.

    Args:
        path: a TOML file; folders and files in it are taken from its own folder.

    Raises:
        DataError: if it cannot be read, a value is out of range or the output leaves its folder.
        UnknownNameError: if a setting does not exist.
    """
    path = Path(path).absolute()
    try:
        values = tomllib.loads(read_text(path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give a sweep file (TOML)", path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no TOML: {error}", path=path) from error
    return SweepSettings.checked(**values).within(path.parent)
