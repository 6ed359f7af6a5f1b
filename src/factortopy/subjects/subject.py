"""A subject: measured or simulated responses, where each voxel lies, and what is known about it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.cortex import HEMISPHERES, VERTICES, read_labels, roi_masks
from factortopy.errors import DataError, ShapeError
from factortopy.images import ImageSet


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
        shared = ("signal", "local_projections", "global_projections", "seed")
        by_voxel = [item.name for item in fields(self) if item.name not in shared]
        chosen = {name: getattr(self, name)[voxels] for name in by_voxel}
        return replace(self, **chosen, signal=self.signal[:, voxels])


@dataclass(frozen=True, eq=False)
class Subject:
    """Responses of one subject to images.

    Attributes:
        name: what the subject is called in tables and files.
        responses: float32, one row an image, one column a voxel (any measured unit).
        image_ids: id of the image of each row; unique unless ``single_trials``.
        coordinates: position of each voxel in mm; on a surface, on its sphere (``sphere_coordinates``).
        coordinate_bounds: smallest and largest coordinate over the WHOLE surface or volume, so that a subset
            of voxels gets the same position code.
        hemisphere: ``"left"`` or ``"right"`` for each voxel.
        vertex: index within its hemisphere's mesh, or any index of the voxel.
        surface: name of the surface that ``vertex`` refers to; None for voxels in a volume.
        rois: masks by name.
        noise_ceiling: R^2 in [0, 1] that a perfect model would reach.
        repeats: how many trials each row averages.
        single_trials: rows are trials, so an image's id stands in as many rows as it was shown. Split the
            distinct ids (``distinct_image_ids``): all trials of an image then stand on one side.
        truth: for a simulated subject, what was planted.
        images: the photographs themselves, where they are known: those of ``image_ids``, and maybe more.
        provenance: JSON-ready record of where the responses come from.
    """

    name: str
    responses: Float[np.ndarray, "image voxel"]
    image_ids: tuple[str, ...]
    coordinates: Float[np.ndarray, "voxel 3"]
    coordinate_bounds: Float[np.ndarray, "2 3"]
    hemisphere: np.ndarray
    vertex: Int[np.ndarray, "voxel"]
    surface: str | None = None
    rois: dict[str, Bool[np.ndarray, "voxel"]] = field(default_factory=dict)
    noise_ceiling: Float[np.ndarray, "voxel"] | None = None
    repeats: Int[np.ndarray, "image"] | None = None
    single_trials: bool = False
    truth: PlantedTruth | None = None
    images: ImageSet | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)

    @property
    def simulated(self) -> bool:
        """Whether the responses were simulated."""
        return self.truth is not None

    @property
    def distinct_image_ids(self) -> tuple[str, ...]:
        """Each image once, in the order of the rows."""
        return tuple(dict.fromkeys(self.image_ids))

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(self.responses.shape[1])

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the subject to a folder (``.npy`` arrays and TOML); ``load_subject`` reads it.

        Args:
            path: the folder; one that stands there is replaced as a whole.

        Raises:
            DataError: if it cannot be written.
        """
        from factortopy.subjects.folder import save_subject

        return save_subject(self, path)

    def select(self, voxels: Int[np.ndarray, "selected"] | Bool[np.ndarray, "voxel"]) -> "Subject":
        """The same subject with some of its voxels; position bounds stay those of the whole.

        Args:
            voxels: indices, or a mask over all voxels.
        """
        voxels = np.asarray(voxels)
        chosen = {
            item.name: getattr(self, item.name)[voxels]
            for item in fields(self)
            if item.name in ("coordinates", "hemisphere", "vertex", "noise_ceiling")
            and getattr(self, item.name) is not None
        }
        return replace(
            self,
            **chosen,
            responses=self.responses[:, voxels],
            rois={name: mask[voxels] for name, mask in self.rois.items()},
            truth=self.truth and self.truth.select(voxels),
        )


def _check_shapes(subject: Subject) -> None:
    if subject.responses.ndim != 2 or not subject.responses.size:
        raise ShapeError(
            f"subject {subject.name!r}: responses must be (image, voxel) and not empty, got shape "
            f"{subject.responses.shape}; give one row an image"
        )
    images, voxels = subject.responses.shape
    if len(subject.image_ids) != images:
        raise ShapeError(
            f"subject {subject.name!r}: {images} rows of responses but {len(subject.image_ids)} image ids; "
            "give one id for each row, in the same order"
        )
    expected: dict[str, tuple[int, ...]] = {
        "coordinates": (voxels, 3),
        "coordinate_bounds": (2, 3),
        "hemisphere": (voxels,),
        "vertex": (voxels,),
        "noise_ceiling": (voxels,),
        "repeats": (images,),
    }
    found = {name: getattr(subject, name) for name in expected}
    found |= {f"ROI {name!r}": mask for name, mask in subject.rois.items()}
    for name, array in found.items():
        shape = expected.get(name, (voxels,))
        if array is not None and array.shape != shape:
            raise ShapeError(
                f"subject {subject.name!r}: {name} has shape {array.shape}, expected {shape} "
                f"for responses of {images} images and {voxels} voxels"
            )


def _check_values(subject: Subject) -> None:
    where = f"subject {subject.name!r}"
    if subject.responses.dtype != np.float32:
        raise DataError(f"{where}: responses are {subject.responses.dtype}; convert with .astype('float32')")
    # One pass without a copy: a NaN or an infinity anywhere makes the sum of its column not finite.
    if not np.isfinite(subject.responses.sum(axis=0, dtype=np.float64)).all():
        bad = ~np.isfinite(subject.responses)
        raise DataError(
            f"{where}: responses hold NaN or infinity in {bad.any(axis=0).sum()} voxels and "
            f"{bad.any(axis=1).sum()} images; leave those voxels (or images) out before fitting"
        )
    if not subject.single_trials and len(subject.distinct_image_ids) != len(subject.image_ids):
        twice = next(name for name in subject.image_ids if subject.image_ids.count(name) > 1)
        raise DataError(f"{where}: image id {twice!r} occurs more than once; average its trials or rename")
    unseen = set(subject.image_ids) - set(subject.images.ids if subject.images else subject.image_ids)
    if unseen:
        raise DataError(f"{where}: {len(unseen)} images are not among the photographs (first: {min(unseen)!r})")
    for name in ("coordinates", "coordinate_bounds"):
        if not np.isfinite(getattr(subject, name)).all():
            raise DataError(f"{where}: {name} hold NaN or infinity; leave out voxels without a position")
    low, high = subject.coordinate_bounds
    if (low > high).any() or (subject.coordinates < low).any() or (subject.coordinates > high).any():
        raise DataError(f"{where}: coordinates lie outside coordinate_bounds; take the bounds over all voxels")
    unknown = set(np.unique(subject.hemisphere)) - set(HEMISPHERES)
    if unknown:
        raise DataError(f"{where}: hemisphere must be 'left' or 'right', got {sorted(map(str, unknown))}")
    for name, mask in subject.rois.items():
        if mask.dtype != bool:
            raise DataError(f"{where}: ROI {name!r} is {mask.dtype}; give a mask of booleans")
    ceiling = subject.noise_ceiling
    if ceiling is not None and not ((ceiling >= 0) & (ceiling <= 1)).all():
        raise DataError(f"{where}: noise_ceiling must lie in 0..1; divide percentages by 100")
    if subject.repeats is not None and (subject.repeats < 1).any():
        raise DataError(f"{where}: repeats must be at least 1 for each image")


def with_labels(
    subject: Subject,
    files: Mapping[str, str | os.PathLike[str]],
    *,
    vertices: Mapping[str, int] | None = None,
) -> Subject:
    """The same subject with the regions of label files as ROIs; a ROI of the same name is replaced.

    Args:
        subject: a subject on a surface.
        files: label file of ``"left"``, ``"right"`` or both.
        vertices: number of vertices of each hemisphere; those of fsaverage surfaces are known.

    Raises:
        DataError: if a file cannot be read or does not fit the subject's vertices.
    """
    known = dict.fromkeys(HEMISPHERES, VERTICES.get(subject.surface or "")) | dict(vertices or {})
    labels = {side: read_labels(path, vertices=known.get(side)) for side, path in files.items()}
    return replace(subject, rois=subject.rois | roi_masks(labels, subject.hemisphere, subject.vertex))
