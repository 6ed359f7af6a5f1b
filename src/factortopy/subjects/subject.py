"""A subject: measured or simulated responses, where each voxel lies, and what is known about it."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from jaxtyping import Bool, Float, Int

from factortopy.cortex import Voxels
from factortopy.errors import DataError, ShapeError
from factortopy.images import ImageSet
from factortopy.storage import as_array, atomic_path, read_array
from factortopy.subjects.ceilings import check_ceiling
from factortopy.subjects.regions import FORMAT, region_files

PARTS = (
    "responses", "coordinates", "coordinate_bounds", "hemisphere", "vertex", "groups", "noise_ceiling", "repeats",
)  # fmt: skip
"""Arrays in a subject's folder, by the names of their files."""
TRUTH_ARRAYS = (
    "space", "layer", "scale", "depth", "layer_share", "scale_share", "noise_ceiling", "signal", "channel_weights",
    "offset")  # fmt: skip
TOKEN_KINDS = ("local", "global")


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map from a layer's tokens to the planted channels: ``weight @ token + bias``.

    It holds the standardisation of the tokens, so it applies to raw tokens; each output channel has mean 0
    and variance 1 over images (and positions).
    """

    weight: Float[np.ndarray, "planted_channel channel"]
    bias: Float[np.ndarray, "planted_channel"]


@dataclass(frozen=True, eq=False)
class PlantedTruth:
    """What a simulated subject was made from; see ``simulate_subject`` for the formula.

    Attributes:
        space: place read in the image, [-1, 1], x right, y down.
        layer: layer selector; each row sums to 1.
        scale: 0 local to 1 global.
        depth: planted (mean) depth in the network, 0 first layer to 1 last.
        layer_share: share of the signal's variance from each layer; rows sum to 1, may be negative.
        scale_share: share of the signal's variance from the global tokens.
        noise_ceiling: R^2 that the noise-free signal reaches on the subject's rows.
        signal: noise-free response of every row, on the scale of the responses, mean 0.
        local_projections, global_projections: per layer, tokens to planted channels.
        channel_weights: weights of the planted channels.
        offset: constant that makes the signal's mean 0.
        seed: seed of the simulation.
    """

    space: Float[np.ndarray, "voxel 2"]
    layer: Float[np.ndarray, "voxel layer"]
    scale: Float[np.ndarray, "voxel"]
    depth: Float[np.ndarray, "voxel"]
    layer_share: Float[np.ndarray, "voxel layer"]
    scale_share: Float[np.ndarray, "voxel"]
    noise_ceiling: Float[np.ndarray, "voxel"]
    signal: Float[np.ndarray, "image voxel"]
    local_projections: tuple[Projection, ...]
    global_projections: tuple[Projection, ...]
    channel_weights: Float[np.ndarray, "voxel planted_channel"]
    offset: Float[np.ndarray, "voxel"]
    seed: int

    def select(self, voxels: Int[np.ndarray, "selected"]) -> "PlantedTruth":
        """The truth of some voxels."""
        chosen: dict[str, Any] = {name: getattr(self, name)[voxels] for name in TRUTH_ARRAYS if name != "signal"}
        return replace(self, **chosen, signal=self.signal[:, voxels])

    def save(self, folder: Path) -> None:
        """Write the arrays to a folder of their own; the seed and the number of layers are not in it."""
        folder.mkdir()
        for name in TRUTH_ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        for kind in TOKEN_KINDS:
            for number, projection in enumerate(getattr(self, f"{kind}_projections")):
                np.save(folder / f"{kind}_weight_{number}.npy", projection.weight, allow_pickle=False)
                np.save(folder / f"{kind}_bias_{number}.npy", projection.bias, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, *, seed: int, layers: int) -> "PlantedTruth":
        """Read what :meth:`save` wrote.

        Raises:
            DataError: if a file is missing or damaged.
        """
        parts: dict[str, Any] = {name: read_array(folder / f"{name}.npy") for name in TRUTH_ARRAYS}
        for kind in TOKEN_KINDS:
            parts[f"{kind}_projections"] = tuple(
                Projection(*(read_array(folder / f"{kind}_{part}_{number}.npy") for part in ("weight", "bias")))
                for number in range(layers)
            )
        return cls(**parts, seed=seed)


@dataclass(frozen=True, eq=False)
class Subject:
    """Responses of one subject to images.

    Attributes:
        name: what the subject is called in tables and files.
        responses: float32, one row an image, one column a voxel (any measured unit).
        image_ids: id of the image of each row; unique unless ``single_trials``.
        voxels: where the voxels lie and which ROIs they belong to.
        noise_ceiling: R^2 in [0, 1] that a perfect model would reach.
        repeats: how many trials each row averages.
        single_trials: rows are trials, so an image's id stands in as many rows as it was shown. Split the
            distinct ids (``distinct_image_ids``): all trials of an image then stand on one side.
        group_mean: rows are means over several persons, not one's own.
        truth: for a simulated subject, what was planted.
        images: the photographs themselves, where they are known: those of ``image_ids``, and maybe more.
        provenance: JSON-ready record of where the responses come from.

    Example:
        >>> subject.responses.shape == (len(subject.image_ids), len(subject.voxels))
        True
    """

    name: str
    responses: Float[np.ndarray, "image voxel"]
    image_ids: tuple[str, ...]
    voxels: Voxels
    noise_ceiling: Float[np.ndarray, "voxel"] | None = None
    repeats: Int[np.ndarray, "image"] | None = None
    single_trials: bool = False
    group_mean: bool = False
    truth: PlantedTruth | None = None
    images: ImageSet | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            _check_shapes(self)
            self.voxels.check()
            _check_values(self)
        except DataError as error:
            raise type(error)(f"subject {self.name!r}: {error}") from None
        # Choosing columns leaves an image's responses far apart; they are read image by image, which is then slow.
        # One column that stands for all, as of a fit that is only reckoned, takes no memory and stays as it is.
        if 0 not in self.responses.strides:
            object.__setattr__(self, "responses", np.ascontiguousarray(self.responses))

    @property
    def simulated(self) -> bool:
        """Whether the responses were simulated."""
        return self.truth is not None

    @property
    def scores_of(self) -> str | None:
        """What its rows are, and so what scores are of: single trials, own means, group means; None if unknown."""
        if self.single_trials or self.group_mean:
            return "single trials" if self.single_trials else "group mean"
        known = self.repeats is not None or self.provenance.get("trials") == "averaged"
        return "own mean" if known else None

    @property
    def distinct_image_ids(self) -> tuple[str, ...]:
        """Each image once, in the order of the rows."""
        return tuple(dict.fromkeys(self.image_ids))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the subject to a folder, all of it or nothing; ``load_subject`` reads it.

        The folder holds ``subject.toml`` (name, surface, provenance), ``image_ids.txt`` (one a line),
        ``responses.npy``, ``coordinates.npy`` and so on, ``rois/NAME.npy`` (``rois/NUMBER.npy``
        where a name cannot be a file's), and for a simulated subject ``truth/*.npy``; nothing is pickled.

        Args:
            path: the folder; one that stands there is replaced as a whole, unless it holds other files too.

        Raises:
            DataError: if it cannot be written, other files would be lost, or an id cannot stand in a file.
        """
        if any(len(name.splitlines()) != 1 for name in self.image_ids):
            raise DataError("image ids must be single lines and not empty to be written; rename the images")
        with atomic_path(path, sign="subject.toml") as folder:
            _check_nothing_lost(Path(path))
            (folder / "rois").mkdir(parents=True)
            for name, array in arrays_of(self).items():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
            for name, file in region_files(self.voxels.rois).items():
                np.save(folder / file, self.voxels.rois[name], allow_pickle=False)
            (folder / "image_ids.txt").write_text("\n".join(self.image_ids) + "\n", encoding="utf-8")
            if self.truth is not None:
                self.truth.save(folder / "truth")
            (folder / "subject.toml").write_text(tomli_w.dumps(_without_none(_facts(self))), encoding="utf-8")
        return Path(path)

    def select(self, voxels: Int[np.ndarray, "selected"] | Bool[np.ndarray, "voxel"]) -> "Subject":
        """The same subject with some of its voxels; position bounds stay those of the whole.

        Args:
            voxels: indices, or a mask over all voxels.
        """
        voxels = np.asarray(voxels)
        return replace(
            self,
            responses=self.responses[:, voxels],
            voxels=self.voxels.select(voxels),
            noise_ceiling=None if self.noise_ceiling is None else self.noise_ceiling[voxels],
            truth=self.truth and self.truth.select(voxels),
        )


def _check_nothing_lost(folder: Path) -> None:
    """Refuse to replace a folder that holds what no saved subject does, such as raw data or photographs."""
    own = {"subject.toml", "image_ids.txt", "rois", "truth", *(f"{part}.npy" for part in PARTS)}
    other = [file for file in folder.glob("*") if file.name not in own]
    other += [file for name in ("rois", "truth") for file in folder.glob(f"{name}/*") if file.suffix != ".npy"]
    # What a desktop leaves in a folder that was looked at is no loss.
    other = [file for file in other if file.is_dir() or not file.name.startswith(".")]
    if other:
        raise DataError.of(min(other), "would be lost: saving replaces the whole folder; choose another one")


def arrays_of(subject: Subject) -> dict[str, np.ndarray]:
    """The arrays of a subject by the names of their files."""
    voxels = subject.voxels
    arrays = {
        "responses": subject.responses,
        "coordinates": voxels.coordinates,
        "coordinate_bounds": voxels.bounds,
        "hemisphere": voxels.hemisphere if (voxels.hemisphere != "").any() else None,
        "vertex": voxels.vertex,
        "groups": voxels.groups,
        "noise_ceiling": subject.noise_ceiling,
        "repeats": subject.repeats,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _facts(subject: Subject) -> dict[str, Any]:
    """What stands in ``subject.toml``."""
    truth = subject.truth
    return {
        "format": FORMAT,
        "name": subject.name,
        "surface": subject.voxels.surface,
        "single_trials": subject.single_trials or None,
        "group_mean": subject.group_mean or None,
        "rois": region_files(subject.voxels.rois),
        "provenance": subject.provenance,
        "truth": None if truth is None else {"seed": truth.seed, "layers": len(truth.local_projections)},
    }


def _without_none(value: Any) -> Any:
    # TOML has no null: what is unknown is left out.
    if isinstance(value, dict):
        return {str(key): _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value if item is not None]
    return value


def check_distinct(image_ids: Sequence[str]) -> None:
    """Refuse ids that stand in several rows, which are then trials.

    Raises:
        DataError: names the first of them.
    """
    counts = Counter(image_ids)
    if len(counts) == len(image_ids):
        return
    twice = next(name for name, count in counts.items() if count > 1)
    times = f"{counts[twice]} times, and {len(counts)} images make all {len(image_ids)} rows"
    raise DataError(
        f"image id {twice!r} occurs {times}; say single_trials = true (subject.toml; in Python single_trials=True) "
        "if rows are trials, else average the trials of each image"
    )


def _check_shapes(subject: Subject) -> None:
    shape = subject.responses.shape
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(f"responses must be (image, voxel) and not empty, got shape {shape}; give one row an image")
    images, voxels = shape
    if len(subject.image_ids) != images:
        counts = f"{images} rows of responses but {len(subject.image_ids)} image ids"
        turned = len(subject.image_ids) == voxels
        remedy = "they are (voxel, image): transpose them" if turned else "give one id for each row, in the same order"
        raise ShapeError(f"{counts}; {remedy}")
    if len(subject.voxels) != voxels:
        raise ShapeError(f"{voxels} columns of responses but {len(subject.voxels)} voxels; give one for each")
    for name, length in (("noise_ceiling", voxels), ("repeats", images)):
        array = getattr(subject, name)
        if array is not None and array.shape != (length,):
            responses = f"responses of {images} images and {voxels} voxels"
            raise ShapeError(f"{name} has shape {array.shape}, expected {(length,)} for {responses}")


def _check_values(subject: Subject) -> None:
    as_array(subject.responses, "responses")  # sums would skip what is masked, and later work would not
    if subject.responses.dtype != np.float32:
        raise DataError(f"responses are {subject.responses.dtype}; convert with .astype('float32')")
    # One pass without a copy: a NaN or an infinity anywhere makes the sum of its column not finite.
    if not np.isfinite(subject.responses.sum(axis=0, dtype=np.float64)).all():
        bad = ~np.isfinite(subject.responses)
        counts = f"{bad.any(axis=0).sum()} voxels and {bad.any(axis=1).sum()} images"
        raise DataError(f"responses hold NaN or infinity in {counts}; leave them out before fitting")
    if not subject.single_trials:
        check_distinct(subject.image_ids)
    unseen = set(subject.image_ids) - set(subject.images.ids if subject.images else subject.image_ids)
    if unseen:
        missing = f"{len(unseen)} images are not among the photographs (first: {min(unseen)!r})"
        raise DataError(f"{missing}; image ids must be the photographs' file names, as must those of a folder images/")
    if subject.noise_ceiling is not None:
        check_ceiling(subject.noise_ceiling, subject.voxels.hemisphere)
    if subject.group_mean and subject.single_trials:
        raise DataError("rows cannot be single trials and means over persons; say which of the two they are")
    if subject.repeats is not None and (subject.repeats < 1).any():
        raise DataError("repeats must be at least 1 for each image")
