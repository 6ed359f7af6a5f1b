"""A mapping as a model of BERG (Gifford et al., the Brain Encoding Response Generator)."""

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped
from PIL import Image

from factortopy.cortex import HEMISPHERES, VERTICES
from factortopy.errors import DataError, UnknownNameError
from factortopy.exchange.sharing import load_mapping, plain_text, share
from factortopy.images import ImageSet
from factortopy.mapping import Mapping, Predictor, predict
from factortopy.storage import write_text

SIDES = dict(zip(("lh", "rh"), HEMISPHERES, strict=True))
COUNT = VERTICES["fsaverage"]
"""Vertices of a hemisphere in BERG; those of a coarser surface are the first of them."""
SELECTION = ("roi", "lh_vertices", "rh_vertices")
SCORES = {"correlation": "r", "r2": "r2", "noise_ceiling": "ceiling"}
MODULE = '''"""{network} mapped onto {subject} by factortopy; needs factortopy and BERG."""

from pathlib import Path

from berg.core.model_registry import register_model
from berg.interfaces.base_model import BaseModelInterface
from factortopy.exchange import BergModel


class FMRIEncodingModel(BergModel, BaseModelInterface):
    """See the model card."""

    MODEL_ID = {model_id!r}
    PLACE = {place!r}


register_model(
    model_id={model_id!r},
    module_path={module_path!r},
    class_name="FMRIEncodingModel",
    modality="fmri",
    training_dataset={dataset!r},
    yaml_path=str(Path(__file__).resolve().parents[1] / "model_cards" / {card!r}),
)
'''


class BergModel:
    """What BERG asks of a model, answered by a mapping; the module that is written makes a class of it and BERG's.

    Args:
        subject: number of the subject.
        selection: ``{"roi": NAME}``, or ``lh_vertices`` and ``rh_vertices``, zeros and ones of 163,842 vertices; all
            if None.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        berg_dir: BERG's folder, which has the mapping at ``PLACE``.
    """

    MODEL_ID: ClassVar[str] = ""
    PLACE: ClassVar[str] = ""
    """Folder of the mapping of a subject in BERG's, with ``{subject:02d}`` for its number."""

    def __init__(
        self,
        subject: int,
        selection: dict[str, Any] | None = None,
        device: str = "auto",
        berg_dir: str | None = None,
        **_: Any,
    ) -> None:
        self.subject, self.selection, self.berg_dir = subject, dict(selection or {}), berg_dir
        self.device = None if device == "auto" else device
        self.mapping: Mapping | None = None
        for name in self.selection:
            if name not in SELECTION:
                raise UnknownNameError("selection", name, SELECTION)

    @classmethod
    def get_model_id(cls) -> str:
        """Its name in BERG's registry."""
        return cls.MODEL_ID

    def load_model(self) -> None:
        """Read the mapping and its network; check the selection."""
        self.mapping = _mapping(self.PLACE, self.berg_dir, self.subject)
        self.chosen = _chosen(self.mapping, self.selection)
        self.predictor = Predictor.of(self.mapping, device=self.device, progress=False)

    def generate_response(
        self, stimulus: Shaped[np.ndarray, "image 3 side side"], show_progress: bool = True
    ) -> Float[np.ndarray, "image voxel"] | tuple[Float[np.ndarray, "image left"], Float[np.ndarray, "image right"]]:
        """Responses in standard deviations: of the left and the right vertices selected, NaN where none was measured.

        Args:
            stimulus: square RGB images of whole numbers in 0..255.
            show_progress: show a bar.

        Returns:
            Both hemispheres on fsaverage; one array (image, voxel) in a volume.
        """
        if self.mapping is None:
            self.load_model()
        mapping, images = self.mapping, _images(np.asarray(stimulus))
        assert mapping is not None
        options: dict[str, Any] = {"network": self.predictor.network, "device": self.device, "progress": show_progress}
        z_scored = "response_mean" in mapping.dataset
        values = predict(mapping, images, z_scored=z_scored, **options).read()
        if mapping.dataset.attrs.get("surface") not in VERTICES:
            return values[:, self.chosen["voxels"]]
        left, right = (_at(mapping, values, half, self.chosen[side]) for side, half in SIDES.items())
        return left, right

    @classmethod
    def get_metadata(
        cls, berg_dir: str | None = None, subject: int | None = None, model_instance: Any = None, **_: Any
    ) -> dict[str, Any]:
        """ROIs, scores and noise ceilings, as BERG names them."""
        mapping = getattr(model_instance, "mapping", None)
        if mapping is None:
            folder = berg_dir or getattr(model_instance, "berg_dir", None)
            mapping = _mapping(cls.PLACE, folder, subject or int(getattr(model_instance, "subject", 1)))
        return metadata(mapping)

    def cleanup(self) -> None:
        """Let go of the network and the mapping."""
        self.mapping = None
        self.__dict__.pop("predictor", None)


def export_berg(mapping: Mapping, folder: Path, card: str, names: tuple[str, str]) -> list[Path]:
    """Write a mapping as a model of BERG: what goes into its source, and what goes into its folder of models.

    Args:
        mapping: on a standard surface, or in a volume.
        folder: ``berg/`` (module and card) and ``encoding_models/`` (the mapping) go there.
        card: text of the model card.
        names: of the model and of the data set, as :func:`berg_names` gives.

    Returns:
        The module, the card and the folder of the mapping.

    Raises:
        DataError: if it cannot be written.
    """
    model_id, dataset = names
    module = re.sub(r"\W", "_", model_id.removeprefix("fmri-"))
    place = f"encoding_models/modality-fmri/train_dataset-{dataset}/model-{model_id.rpartition('-')[2]}/"
    place += "encoding_models_weights/weights_subject-{subject:02d}"
    facts = mapping.dataset.attrs
    text = MODULE.format(
        network=plain_text(facts.get("network")), subject=plain_text(facts.get("subject")),
        model_id=model_id, place=place, module_path=f"berg.models.fmri.{module}", dataset=dataset,
        card=f"{model_id}.yaml",
    )  # fmt: skip
    models = folder / "berg" / "models"
    written = [
        write_text(models / "fmri" / f"{module}.py", text),
        write_text(models / "model_cards" / f"{model_id}.yaml", card),
    ]
    return [*written, share(mapping, folder / place.format(subject=subject_number(mapping)))]


def berg_names(mapping: Mapping) -> tuple[str, str]:
    """Names of the model and of its data set in BERG."""
    subject, facts = mapping.provenance.get("subject", {}), mapping.dataset.attrs
    kind = subject.get("kind") or facts.get("subject", "subject")
    dataset = _slug(f"{kind}_fsaverage" if facts.get("surface") in VERTICES else str(kind))
    return f"fmri-{dataset}-factortopy_{_slug(str(facts.get('network', 'network')))}", dataset


def subject_number(mapping: Mapping) -> int:
    """The subject's number in its data set; 1 where it has none."""
    number = mapping.provenance.get("subject", {}).get("subject")
    return number if isinstance(number, int) else 1


def metadata(mapping: Mapping) -> dict[str, Any]:
    """What BERG's ``get_metadata`` says of a mapping: ``fmri`` and ``encoding_models``."""
    data = mapping.dataset
    values = {name: data[own].values for name, own in SCORES.items() if own in data}
    if "noise_ceiling" in values:
        with np.errstate(divide="ignore", invalid="ignore"):
            values["explained_variance"] = 100 * values["r2"] / values["noise_ceiling"]
    suffix = "nsdcore" if mapping.provenance.get("subject", {}).get("kind") == "NSD" else "heldout"
    counts = {f"{side}_img_count": data.attrs.get(f"images_{side}") for side in ("train", "validation", "test")}
    models: dict[str, Any] = {**counts, "split": data.attrs.get("split")}
    if data.attrs.get("surface") not in VERTICES:
        rois = {name: np.flatnonzero(inside) for name, inside in mapping.rois.items()}
        scores = {f"{name}_{suffix}": array for name, array in values.items()}
        return {"fmri": {"rois": rois}, "encoding_models": models | scores}
    fmri = {f"{side}_fsaverage_rois": _vertices(mapping, half) for side, half in SIDES.items()}
    for name, array in values.items():
        every = np.arange(COUNT)
        models |= {f"{side}_{name}_{suffix}": _at(mapping, array, half, every) for side, half in SIDES.items()}
    return {"fmri": fmri, "encoding_models": models}


def _mapping(place: str, berg_dir: str | None, subject: int) -> Mapping:
    if berg_dir is None:
        raise DataError("berg_dir is None; give BERG's folder, which holds encoding_models")
    return load_mapping(Path(berg_dir) / place.format(subject=subject))


def _vertices(mapping: Mapping, half: str) -> dict[str, Int[np.ndarray, "some"]]:
    hemisphere, vertex = mapping.dataset["hemisphere"].values, mapping.dataset["vertex"].values
    return {name: np.sort(vertex[inside & (hemisphere == half)]) for name, inside in mapping.rois.items()}


def _at(
    mapping: Mapping, values: Shaped[np.ndarray, "*rest voxel"], half: str, vertices: Int[np.ndarray, "some"]
) -> Float[np.ndarray, "*rest some"]:
    """Values at vertices of a hemisphere, NaN where none was measured; nothing as large as a surface for each image."""
    here = np.flatnonzero(mapping.dataset["hemisphere"].values == half)
    columns = np.full(COUNT, -1)
    columns[mapping.dataset["vertex"].values[here]] = here
    chosen = columns[vertices]
    found = np.full((*values.shape[:-1], len(vertices)), np.nan, np.float32)
    found[..., chosen >= 0] = values[..., chosen[chosen >= 0]]
    return found


def _chosen(mapping: Mapping, selection: dict[str, Any]) -> dict[str, Any]:
    """Rows of each hemisphere, or of the volume, that are selected."""
    roi = selection.get("roi")
    if roi is not None and roi not in mapping.rois:
        raise UnknownNameError("ROI", str(roi), mapping.rois)
    if mapping.dataset.attrs.get("surface") not in VERTICES:
        return {"voxels": slice(None) if roi is None else np.flatnonzero(mapping.rois[roi])}
    if roi is not None:
        return {side: _vertices(mapping, half)[roi] for side, half in SIDES.items()}
    return {side: _selected(side, selection.get(f"{side}_vertices")) for side in SIDES}


def _selected(side: str, flags: Any) -> Int[np.ndarray, "some"]:
    if flags is None:
        return np.arange(COUNT)
    array = np.asarray(flags)
    if array.shape != (COUNT,) or not np.isin(array, (0, 1)).all():
        raise DataError(f"{side}_vertices must be {COUNT:,} zeros and ones, got {array.dtype} of shape {array.shape}")
    return np.flatnonzero(array)


def _images(stimulus: np.ndarray) -> ImageSet:
    shape = stimulus.shape
    if stimulus.ndim != 4 or shape[1] != 3 or shape[2] != shape[3] or not len(stimulus):
        raise DataError(f"stimulus is of shape {shape}; expected square images (image, 3, side, side)")
    if stimulus.dtype.kind not in "ui" or stimulus.min() < 0 or stimulus.max() > 255:
        raise DataError(
            f"stimulus is {stimulus.dtype} of {stimulus.min()} to {stimulus.max()}; expected whole 0 to 255"
        )
    pixels = {f"stimulus-{row:06d}": image.transpose(1, 2, 0).astype(np.uint8) for row, image in enumerate(stimulus)}
    return ImageSet("stimuli", tuple(pixels), lambda name: Image.fromarray(np.ascontiguousarray(pixels[name])))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"
