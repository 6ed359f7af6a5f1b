"""Responses that a mapping predicts for any photographs, through its own network and as when it was fitted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from factortopy.errors import DataError
from factortopy.fitting import AS_SHIPPED
from factortopy.images import ImageSet
from factortopy.machine import choose_device
from factortopy.mapping.mapping import Mapping
from factortopy.mapping.predictions import PredictionFolder, Predictions, PredictionWriter, Units
from factortopy.mapping.rebuild import load_mapped_network, load_model
from factortopy.model import FactorTopy
from factortopy.networks import Network, Preprocessing, Tokens
from factortopy.progress import progress_bar
from factortopy.provenance import provenance
from factortopy.storage import sha256_array
from factortopy.tokens import compare_images, prepare_extraction

BATCH = 32
KEPT = "kept"
"""What provenance says of tokens of extreme norm that were not masked."""
Take = Callable[[Float[np.ndarray, "image voxel"], Sequence[bytes]], None]
"""Takes responses to the next images, and the SHA-256 of their pixels."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A mapping's model behind its network: photographs in, responses of every voxel out.

    Attributes:
        mapping: whose model it is.
        network: that was mapped, with the weights, layers and preprocessing of the fit.
        units: of what is predicted.
        options: how photographs become tokens, as when the mapping was fitted; ``prepare_extraction`` takes them.
    """

    mapping: Mapping
    network: Network
    units: Units
    options: dict[str, Any]

    @classmethod
    def of(
        cls,
        mapping: Mapping,
        network: Network | None = None,
        *,
        z_scored: bool = False,
        batch_size: int = BATCH,
        workers: int | None = None,
        device: str | torch.device | None = None,
        precision: str | None = None,
        weights: str | Path | None = None,
        progress: bool = True,
    ) -> "Predictor":
        """Load the network and check that it is the one that was mapped; see :func:`predict`."""
        facts = mapping.provenance.get("tokens", {})
        if "grid" not in facts:
            raise DataError(
                "this mapping does not say the grid of the tokens it was fitted to, so photographs cannot be shown to "
                "it in the same way; fit it again, or import its weights with tokens, data and a split"
            )
        target = choose_device(device)
        if network is None:
            network = load_mapped_network(mapping, weights=weights, device=target, progress=progress)
        _check_network(network, mapping)
        options = {"grid": tuple(facts["grid"]), "batch_size": batch_size, "workers": workers, "device": target}
        options |= {"precision": precision or facts["precision"], "mask_outliers": facts["outliers"] != KEPT}
        return cls(mapping, network, _units(mapping, z_scored), options)

    @property
    def assumption(self) -> str | None:
        """What is assumed in showing photographs to this mapping, in words; None if nothing is."""
        reduced = self.mapping.provenance["tokens"].get("components")
        if reduced is None:
            return None
        return (
            f"the fit read {reduced['count']} principal components of each layer's tokens; whole tokens are shown "
            "here, so that responses differ a little from the fit's own"
        )

    def identity(self, images: ImageSet) -> dict[str, Any]:
        """What decides the responses, JSON-ready."""
        parameters = [value.numpy() for _, value in sorted(self.mapping.parameters.items())]
        return {
            "network": self.network.name,
            "weights_hash": self.network.weights_hash,
            "mapping": sha256_array(*parameters, *self._scale()),
            "units": self.units,
            "precision": self.options["precision"],
            "image_ids": images.ids,
        }

    def run(self, images: ImageSet, take: Take, *, first: int = 0, progress: bool = True) -> None:
        """Predict responses to all images from ``first`` on and hand them to ``take`` in order, a batch at a time.

        Raises:
            DataError: if images are broken (all are named).
        """
        extraction = prepare_extraction(self.network, images, **self.options)
        device = self.network.device
        model: FactorTopy = load_model(self.mapping).to(device)
        mean, spread = self._scale()
        with torch.inference_mode():
            selection = model.select()

        def predict_batch(tokens: Tokens, digests: Sequence[bytes]) -> None:
            with torch.inference_mode():
                responses = model(tokens.to(device), selection).float().cpu().numpy()
            take(responses * spread + mean, digests)

        with progress_bar("Predictions", len(images), show=progress, done=first) as advance:
            extraction.run(range(first, len(images)), predict_batch, advance, progress)

    def to_zarr(self, images: ImageSet, path: str | Path, *, progress: bool = True) -> Predictions:
        """As :func:`predict`, into a group of Zarr; one left unfinished goes on."""
        folder, data = PredictionFolder(Path(path)), self.mapping.dataset
        about = {name: data.attrs.get(name) for name in ("subject", "surface")}
        record = provenance(**about, image_set=images.name, assumption=self.assumption)
        with folder.only_writer():
            writer = PredictionWriter(folder, self.identity(images), record, data.sizes["voxel"])
            compare_images(folder, images)
            if writer.done < len(images):
                self.run(images, writer.add, first=writer.done, progress=progress)
        return Predictions(self.mapping, images.ids, self.units, Path(path))

    def _scale(self) -> tuple[Float[np.ndarray, "voxel"], Float[np.ndarray, "voxel"]]:
        data = self.mapping.dataset
        if self.units == "training responses" and "response_mean" in data:
            mean, spread = (data[name].values.astype(np.float32) for name in ("response_mean", "response_spread"))
            return mean, spread
        count = data.sizes["voxel"]
        return np.zeros(count, np.float32), np.ones(count, np.float32)


def predict(
    mapping: Mapping,
    images: ImageSet,
    path: str | Path | None = None,
    *,
    network: Network | None = None,
    z_scored: bool = False,
    batch_size: int = BATCH,
    workers: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    weights: str | Path | None = None,
    progress: bool = True,
) -> Predictions:
    """Responses of every voxel of a mapping to any photographs.

    The photographs go the way of the fit's own: through the same network (its weights are compared by their hash),
    preprocessing, layers and grid. For the fit's test images these are the fit's own predictions.

    Args:
        mapping: with trained parameters.
        images: any photographs, of any number.
        path: a Zarr group that is filled as images are done; a run that was stopped goes on where it was. All
            responses are held in memory if None.
        network: that was mapped, where it is a module of one's own; loaded by its name if None.
        z_scored: responses in standard deviations of each voxel's training responses, which are their units if not.
        batch_size: images at a time, 1 to 64.
        workers: threads that decode images; one a core if None.
        device: where to run; the best there is if None.
        precision: in which the network runs, ``"bf16"`` or ``"fp32"``; as for the fit's own tokens if None.
        weights: local file of the network's weights, where it was loaded from one.
        progress: show a bar.

    Returns:
        The responses, with their units, ROI means and ways to write them.

    Raises:
        DataError: if the network has other weights than the one that was mapped, the mapping does not say how its
            tokens were made, images are broken or no set of photographs, or ``path`` holds other predictions.
        UnavailableError: if the weights cannot be had.

    Example:
        >>> photographs = ft.open_images("photographs")
        >>> responses = ft.predict(mapping, photographs, progress=False)
        >>> responses.read().shape == (len(photographs), len(subject.voxels))
        True
    """
    if not isinstance(images, ImageSet):
        raise DataError(
            f"photographs are needed to predict responses to, not a {type(images).__name__}; give what `open_images` "
            "makes of their folder"
        )
    options: dict[str, Any] = {"z_scored": z_scored, "batch_size": batch_size, "workers": workers}
    options |= {"device": device, "precision": precision, "weights": weights, "progress": progress}
    predictor = Predictor.of(mapping, network, **options)
    if path is None:
        parts: list[np.ndarray] = []
        predictor.run(images, lambda responses, _: parts.append(responses), progress=progress)
        return Predictions(mapping, images.ids, predictor.units, np.concatenate(parts))
    return predictor.to_zarr(images, path, progress=progress)


def _check_network(network: Network, mapping: Mapping) -> None:
    """Refuse a network other than the one that was mapped."""
    facts = mapping.provenance["tokens"]
    if network.weights_hash != facts["weights_hash"] or network.layers != mapping.layers:
        raise DataError(
            f"{network.name} ({len(network.layers)} layers, weights SHA-256 {network.weights_hash[:8]}...) is not what "
            f"was mapped: {facts['network']} ({len(mapping.layers)} layers, {facts['weights_hash'][:8]}...); give that "
            "network"
        )
    if network.preprocessing != Preprocessing.from_dict(facts["preprocessing"]):
        raise DataError(
            f"{network.name} shows photographs otherwise than the mapping's; give it the same preprocessing"
        )


def _units(mapping: Mapping, z_scored: bool) -> Units:
    shipped = mapping.dataset.attrs.get("responses") == AS_SHIPPED
    if shipped and z_scored:
        raise DataError(
            "this mapping predicts responses as they were shipped and does not know their spread; ask for those"
        )
    known = shipped or "response_mean" in mapping.dataset
    return "training responses" if known and not z_scored else "z-scored"
