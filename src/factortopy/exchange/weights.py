"""Weights under the authors' names as a mapping and back (`method.md`), and where their voxels lie."""

import os
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.cortex import HEMISPHERES, VERTICES, Voxels, coordinate_bounds, read_labels
from factortopy.datasets import AREAS
from factortopy.errors import DataError, ShapeError
from factortopy.fitting import build_paper_model, build_selectors, fit_settings, split_examples
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.mapping import Mapping, load_model, mapping_dataset, voxel_variables, with_values
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, TopologicalSelectors
from factortopy.networks import Network
from factortopy.provenance import provenance
from factortopy.storage import read_array
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import score_model

LabelFiles = tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""Label files of the left and the right hemisphere."""
SURFACE = "fsaverage"
Bounds = Literal["voxels", "surface"]
NEAR = 0.1
"""Farthest that a subject's voxel may lie from the imported one, mm."""
LOCAL, GLOBAL = "local_token_bottleneck", "global_token_bottleneck"
SELECTORS = {"space": "space_selector_mlp", "layer": "layer_selector_mlp", "scale": "scale_selector_mlp"}
# The authors' first module is the position code, so their linear layers are numbered 1, 3 and 5.
NUMBERS = {"1.weight": 0, "1.bias": 0, "3.weight": 2, "3.bias": 2, "5.weight": 4}


def voxels_from_labels(voxels: LabelFiles, rois: Sequence[LabelFiles] = ()) -> Voxels:
    """The vertices of fsaverage that have a label above 0, left hemisphere first.

    With NSD's ``lh.nsdgeneral.mgz`` and ``rh.nsdgeneral.mgz`` they are the 37,984 vertices of the paper.

    Args:
        voxels: labels that say which vertices are meant.
        rois: labels whose regions become ROIs; V1, V2V3, V4 and FFA are put together of their parts.

    Raises:
        DataError: if a file cannot be read, has another number of vertices, or labels none.
    """
    vertices = [np.flatnonzero(read_labels(file, vertices=VERTICES[SURFACE]).values > 0) for file in voxels]
    vertex = np.concatenate(vertices)
    if not len(vertex):
        raise DataError(f"{voxels[0]} and {voxels[1]} label no vertex; give labels of the voxels")
    chosen = Voxels.on_sphere(SURFACE, np.repeat(HEMISPHERES, [len(part) for part in vertices]), vertex)
    for files in rois:
        chosen = chosen.with_labels(dict(zip(HEMISPHERES, files, strict=True)))
    masks = chosen.rois
    for name, parts in AREAS.items():
        if set(parts) <= set(masks):
            masks[name] = np.any([masks[part] for part in parts], axis=0)
    return replace(chosen, rois={name: mask for name, mask in masks.items() if mask.any()})


def voxels_from_coordinates(path: str | os.PathLike[str]) -> Voxels:
    """Voxels from an array of coordinates (voxel, 3) in mm, on no surface.

    Raises:
        DataError: if the file cannot be read or holds NaN.
        ShapeError: if it is no such array.
    """
    coordinates = np.asarray(read_array(path))
    if coordinates.ndim != 2 or coordinates.shape[1] != 3 or not len(coordinates):
        raise ShapeError.of(path, f"has shape {coordinates.shape}; coordinates must be (voxel, 3) in mm")
    if coordinates.dtype.kind != "f" or not np.isfinite(coordinates).all():
        raise DataError.of(path, f"({coordinates.dtype}) must hold finite decimal numbers")
    return Voxels.at(coordinates)


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

    Example:
        >>> weights = ft.export_weights(paper_mapping)
        >>> again = ft.import_weights(weights, subject, network, bounds="surface")
        >>> bool(np.allclose(again.dataset["space"], paper_mapping.dataset["space"], atol=1e-5))
        True
    """
    bad = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise DataError(f"the weights {', '.join(bad)} hold NaN or infinity; get the file again")
    subject = voxels if isinstance(voxels, Subject) else None
    voxels = voxels.voxels if isinstance(voxels, Subject) else voxels
    if bounds == "voxels":
        voxels = replace(voxels, bounds=coordinate_bounds(voxels.positions[0]))
    given = {name: value.float() for name, value in weights.items()}
    positions, scaled = voxels.positions
    coordinates = torch.from_numpy(positions).float()
    model = from_paper_weights(given, coordinates, scaled).eval()
    channels = _channels(model)
    if channels != network.channels:
        raise DataError(
            f"the weights read {len(channels)} layers of {_range(channels)} channels, {network.name} has "
            f"{len(network.channels)} of {_range(network.channels)}; name the network they were trained with"
        )
    with torch.no_grad():
        selection = model.select()
        values = {
            "space": selection.space.numpy(),
            "layer": selection.layer.numpy(),
            "scale": selection.scale.numpy(),
            "channels": model.channels.numpy().copy(),
            "r2": np.full(len(coordinates), np.nan, np.float32),
        }
    located, facts = voxel_variables(voxels)
    facts |= {
        "network": name or network.name,
        "global_token": network.global_token,
        "subject": subject.name if subject else "unknown",
        "simulated": int(subject is not None and subject.simulated),
        "recipe": "paper",
    }
    settings = fit_settings("paper", width=model.channels.shape[1])
    return Mapping(
        dataset=mapping_dataset(values | located, network.layers, voxels.rois, facts),
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
    scores = score_model(model, test, subject, split, Machine.choose("cpu"), bootstrap=bootstrap)
    facts = {**scores.facts, "split": split.digest, "images_test": len(split.test)}
    return replace(mapping, dataset=with_values(mapping.dataset, scores.values).assign_attrs(facts))


def export_weights(mapping: Mapping) -> dict[str, Tensor]:
    """The trained weights of a mapping of ``recipe="paper"`` under the authors' names.

    Raises:
        DataError: if the mapping is of another recipe, was fitted without topology, or holds no weights.

    Example:
        >>> weights = ft.export_weights(paper_mapping)
        >>> weights["weight"].shape[0] == paper_mapping.dataset.sizes["voxel"]
        True
    """
    recipe = mapping.settings.get("recipe")
    if recipe != "paper":
        raise DataError(f'only recipe="paper" has the authors\' form; this mapping is of recipe {recipe!r}')
    return to_paper_weights(load_model(mapping))


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
    if not np.abs(others.positions[0] - own.positions[0]).max() < NEAR:
        raise DataError(f"the voxels of subject {subject.name!r} lie elsewhere than those of the weights")


def _channels(model: FactorTopy) -> tuple[int, ...]:
    return tuple(layer.weight.shape[1] for layer in model.align.global_ if isinstance(layer, ChannelMap))


def _range(channels: tuple[int, ...]) -> str:
    return str(channels[0]) if len(set(channels)) == 1 else f"{min(channels)} to {max(channels)}"


def to_paper_weights(model: FactorTopy) -> dict[str, Tensor]:
    """Weights of a model of ``recipe="paper"`` under the authors' names.

    Returns:
        ``local_token_bottleneck.<layer>.weight`` (D, C, 1, 1), ``global_token_bottleneck.<layer>.weight``
        (D, C), ``{space,layer,scale}_selector_mlp.{1,3,5}.weight`` with ``.bias`` on 1 and 3, ``weight``
        (N, D) and ``bias`` (N).

    Raises:
        DataError: if the model is not of the paper's form (no topology, or an offset in a channel map).
    """
    selectors = model.selectors
    if not isinstance(selectors, TopologicalSelectors) or not _plain_maps(model.align):
        raise DataError('only a model of recipe="paper" with topology has weights under the authors\' names')
    own = model.state_dict()
    names = _own_names([str(number) for number in range(len(model.align.local))])
    weights = {theirs: own[ours].clone() for theirs, ours in names.items()}
    return {name: value[:, :, None, None] if name.startswith(LOCAL) else value for name, value in weights.items()}


def from_paper_weights(
    weights: MappingType[str, Tensor], coordinates: Float[Tensor, "N 3"], bounds: Float[np.ndarray, "2 3"]
) -> FactorTopy:
    """A model of ``recipe="paper"`` from weights under the authors' names.

    Args:
        weights: as :func:`to_paper_weights` returns; layers are taken in the order of their numbers.
        coordinates: coordinates of the voxels, mm.
        bounds: smallest and largest coordinate of the surface, mm.

    Raises:
        DataError: if a weight is missing or not expected.
        ShapeError: if a weight has another shape than the rest imply.
    """
    numbers = {name.split(".")[1] for name in weights if name.startswith(f"{LOCAL}.")}
    layers = sorted(numbers, key=lambda layer: (len(layer), layer))
    names = _own_names(layers)
    missing, unexpected = sorted(names.keys() - weights.keys()), sorted(weights.keys() - names.keys())
    if missing or unexpected:
        raise DataError(f"not the authors' weights: missing {missing or 'none'}, unexpected {unexpected or 'none'}")
    voxels, width = weights["weight"].shape
    if len(coordinates) != voxels:
        raise ShapeError(f"the weights are of {voxels} voxels, the coordinates of {len(coordinates)}")
    channels = [weights[f"{GLOBAL}.{layer}.weight"].shape[1] for layer in layers]
    settings = fit_settings("paper", width=width)
    selectors = build_selectors(settings, coordinates, torch.from_numpy(bounds), len(layers))
    model = build_paper_model(settings, selectors, voxels, tuple(channels))
    try:
        own = {ours: weights[theirs] for theirs, ours in names.items()}
        own |= {name: value.flatten(1) for name, value in own.items() if name.startswith("align.local")}
        model.load_state_dict(own, strict=False)
    except RuntimeError as error:
        raise ShapeError(f"the weights do not fit together: {str(error).splitlines()[-1].strip()}") from None
    return model


def _plain_maps(align: ChannelAlign) -> bool:
    maps = [*align.local, *align.global_]
    return all(isinstance(layer, ChannelMap) and layer.offset is None for layer in maps)


def _own_names(layers: Sequence[str]) -> dict[str, str]:
    """Names of a model's parameters by the authors' names."""
    names = {"weight": "channels", "bias": "bias"}
    for number, layer in enumerate(layers):
        names[f"{LOCAL}.{layer}.weight"] = f"align.local.{number}.weight"
        names[f"{GLOBAL}.{layer}.weight"] = f"align.global_.{number}.weight"
    for ours, theirs in SELECTORS.items():
        for name, index in NUMBERS.items():
            names[f"{theirs}.{name}"] = f"selectors.{ours}.{index}.{name.split('.')[1]}"
    return names
