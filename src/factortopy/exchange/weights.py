"""Weights under the authors' names as a mapping, and a mapping's weights under the authors' names."""

from collections.abc import Mapping as MappingType
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from factortopy.analysis import CONFIDENCE, AlignedBatches, held_out_variables, raw_selectors, region_names
from factortopy.cortex import Voxels, coordinate_bounds
from factortopy.errors import DataError, ShapeError
from factortopy.exchange.paper_weights import from_paper_weights, to_paper_weights
from factortopy.fitting import fit_settings, image_of_rows, split_examples
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.mapping import Mapping, load_model
from factortopy.model import ChannelMap, FactorTopy
from factortopy.networks import Network
from factortopy.provenance import provenance
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import BATCH, ceiling_on_test

Bounds = Literal["voxels", "surface"]
NEAR = 0.1
"""Farthest that a subject's voxel may lie from the imported one, mm."""


def import_weights(
    weights: MappingType[str, Tensor],
    voxels: Voxels | Subject,
    network: Network,
    *,
    name: str | None = None,
    bounds: Bounds = "voxels",
    source: str = "",
) -> Mapping:
    """A mapping from weights under the authors' names (`method.md`), without any data.

    Selectors are as they were trained: their canonical gauge, shares and R^2 need tokens and responses
    (:func:`score_weights`). ``r2`` is NaN until then.

    Args:
        weights: by name; layers are taken in the order of their numbers.
        voxels: where the voxels lie, or the subject that they are of.
        network: whose layers the weights read; its own weights are not looked at.
        name: of the network in every result; its own if None.
        bounds: what the position code is scaled by: ``"voxels"``, the bounds of the voxels alone, as the authors'
            program takes them; or ``"surface"``, those of the whole surface, as this package's fits do.
        source: where the weights come from, for the provenance.

    Raises:
        DataError: if a weight is missing, not expected or not finite, or the network has other layers.
        ShapeError: if weights and coordinates are of other numbers of voxels, or weights do not fit together.
    """
    bad = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise DataError(f"the weights {', '.join(bad)} hold NaN or infinity; get the file again")
    subject = voxels if isinstance(voxels, Subject) else None
    voxels = voxels.voxels if isinstance(voxels, Subject) else voxels
    if bounds == "voxels":
        voxels = replace(voxels, bounds=coordinate_bounds(voxels.coordinates))
    given = {name: value.float() for name, value in weights.items()}
    coordinates = torch.from_numpy(voxels.coordinates).float()
    model = from_paper_weights(given, coordinates, voxels.bounds).eval()
    channels = _channels(model)
    if channels != network.channels:
        raise DataError(
            f"the weights read {len(channels)} layers of {_range(channels)} channels, {network.name} has "
            f"{len(network.channels)} of {_range(network.channels)}; name the network they were trained with"
        )
    with torch.no_grad():
        selection = model.select()
        variables: dict[str, Any] = {
            "space": (("voxel", "axis"), selection.space.numpy()),
            "layer": (("voxel", "layer"), selection.layer.numpy()),
            "scale": (("voxel",), selection.scale.numpy()),
            "channels": (("voxel", "channel"), model.channels.numpy().copy()),
            "r2": (("voxel",), np.full(len(coordinates), np.nan, np.float32)),
        }
    facts = {
        "subject": subject.name if subject else "unknown",
        "simulated": int(subject is not None and subject.simulated),
    }
    settings = fit_settings("paper", width=model.channels.shape[1])
    return Mapping(
        dataset=_dataset(variables, voxels, network, name or network.name).assign_attrs(facts),
        parameters=dict(model.state_dict()),
        settings=settings.model_dump(exclude_none=True),
        provenance=provenance(weights="imported under the authors' names", file=source, bounds=bounds),
    )


def score_weights(
    mapping: Mapping, tokens: TokenStore, subject: Subject, split: Split, *, bootstrap: int = 1_000
) -> Mapping:
    """An imported mapping with shares, canonical selectors, scores and limits on a subject's test images.

    Responses are z-scored by the split's training images, as in a fit.

    Args:
        mapping: from :func:`import_weights`.
        tokens: of (at least) the split's images in the mapping's network.
        subject: responses of the same voxels.
        split: its test images must be none that the weights were trained on.
        bootstrap: draws of test images for limits; 0 for none.

    Raises:
        DataError: if tokens, subject and mapping do not belong together.
        ShapeError: if the subject has other voxels.
    """
    model = load_model(mapping)
    _check_fit(mapping, model, tokens, subject)
    test = split_examples(tokens, subject, split)["test"]
    variables, _ = held_out_variables(
        model,
        AlignedBatches(model, lambda: test.batches(BATCH), Machine.choose("cpu").memory),
        test.all_responses(),
        image_of_rows(subject, split.test),
        subject.voxels.rois,
        bootstrap,
    )
    variables |= raw_selectors(model)
    if subject.noise_ceiling is not None:
        variables["ceiling"] = (("voxel",), ceiling_on_test(subject, split))
    data = mapping.dataset.assign(variables)
    facts: dict[str, Any] = {"gauge": "canonical", "split": split.digest, "images_test": len(split.test)}
    if "drawn_r2" in variables:
        data = data.assign_coords(region=np.array(region_names(subject.voxels.rois)))
        facts |= {"bootstrap": bootstrap, "confidence": CONFIDENCE}
    return replace(mapping, dataset=data.assign_attrs(facts))


def export_weights(mapping: Mapping) -> dict[str, Tensor]:
    """The trained weights of a mapping of ``recipe="paper"`` under the authors' names.

    Raises:
        DataError: if the mapping is of another recipe, was fitted without topology, or holds no weights.
    """
    recipe = mapping.settings.get("recipe")
    if recipe != "paper":
        raise DataError(f'only recipe="paper" has the authors\' form; this mapping is of recipe {recipe!r}')
    return to_paper_weights(load_model(mapping))


def _dataset(variables: dict[str, Any], voxels: Voxels, network: Network, name: str) -> xr.Dataset:
    variables["coordinates"] = (("voxel", "dimension"), voxels.coordinates)
    coordinates: dict[str, Any] = {
        "hemisphere": (("voxel",), voxels.hemisphere.astype("<U5")),
        "vertex": (("voxel",), voxels.vertex),
        "network_layer": (("layer",), np.array(network.layers)),
        "axis": ["x", "y"],
        **{f"roi_{name}": (("voxel",), inside) for name, inside in voxels.rois.items()},
    }
    attributes = {
        "network": name,
        "global_token": network.global_token,
        "surface": voxels.surface or "",
        "coordinate_bounds": voxels.bounds.ravel().tolist(),
        "rois": list(voxels.rois),
        "recipe": "paper",
    }
    return xr.Dataset(variables, coordinates, attributes)


def _check_fit(mapping: Mapping, model: FactorTopy, tokens: TokenStore, subject: Subject) -> None:
    channels = _channels(model)
    name = mapping.dataset.attrs["network"]
    if (tokens.network, tokens.layers, tokens.channels) != (name, mapping.layers, channels):
        raise DataError.of(
            tokens.path,
            f"holds {len(tokens.layers)} layers of {tokens.network}, the weights are of "
            f"{len(channels)} layers of {name}; give that network's tokens",
        )
    own, others = mapping.voxels, subject.voxels
    if len(others) != len(own):
        raise ShapeError(f"the weights are of {len(own)} voxels, subject {subject.name!r} has {len(others)}")
    if not np.abs(others.coordinates - own.coordinates).max() < NEAR:
        raise DataError(f"the voxels of subject {subject.name!r} lie elsewhere than those of the weights")


def _channels(model: FactorTopy) -> tuple[int, ...]:
    return tuple(layer.weight.shape[1] for layer in model.align.global_ if isinstance(layer, ChannelMap))


def _range(channels: tuple[int, ...]) -> str:
    return str(channels[0]) if len(set(channels)) == 1 else f"{min(channels)} to {max(channels)}"
