"""Weights under the authors' names as a mapping and back (`method.md`), and their scores."""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.cortex import Voxels
from factortopy.errors import DataError, ShapeError
from factortopy.exchange.names import GLOBAL, LOCAL, AuthorsFile, depth_numbers, own_names
from factortopy.exchange.places import check_places, subject_at
from factortopy.fitting import AS_SHIPPED, build_paper_model, build_selectors, fit_settings, split_examples
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.mapping import Mapping, check_tokens, load_model, mapping_dataset, voxel_variables, with_values
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, TopologicalSelectors
from factortopy.networks import Network
from factortopy.provenance import provenance
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import score_model

Bounds = Literal["voxels", "surface"]
Responses = Literal["shipped", "z-scored"]


def import_weights(
    weights: MappingType[str, Tensor],
    voxels: Voxels | Subject | None,
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
        weights: by name, in the order of the file, which says which output of the layer selector is which layer's.
            Names may begin with ``model.``, ``module.`` or ``_orig_mod.``; ``backbone.*`` is left out.
        voxels: where the voxels lie, or the subject that they are of; where ``coords`` among the weights say if None.
        network: whose layers the weights read; its own weights are not looked at.
        name: of the network in every result; its own if None.
        bounds: what the position code is scaled by: ``"voxels"``, the bounds of the voxels alone, as the authors'
            program takes them; or ``"surface"``, those of the whole surface, as this package's fits do.
        source: where the weights come from, for the provenance.

    Raises:
        DataError: if a weight is missing, not expected or not finite, the network has other layers, or it is not
            known where the voxels lie, or elsewhere than the weights say.
        ShapeError: if weights and coordinates are of other numbers of voxels, or weights do not fit together.

    Example:
        >>> weights = ft.export_weights(paper_mapping)
        >>> again = ft.import_weights(weights, subject, network, bounds="surface")
        >>> bool(np.allclose(again.dataset["space"], paper_mapping.dataset["space"], atol=1e-5))
        True
    """
    file = AuthorsFile.read(weights).by_depth(network.layers, network.name)
    subject = voxels if isinstance(voxels, Subject) else None
    voxels = _voxels(file, voxels)
    if bounds == "voxels":
        voxels = voxels.bounded_alone()
    positions, scaled = voxels.positions
    coordinates = torch.from_numpy(positions).float()
    model = from_paper_weights(file, coordinates, scaled).eval()
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
    settings = fit_settings("paper", width=model.channels.shape[1], bounds=bounds)
    return Mapping(
        dataset=mapping_dataset(values | located, network.layers, voxels.rois, facts),
        parameters=dict(model.state_dict()),
        settings=settings.model_dump(exclude_none=True),
        provenance=provenance(weights="imported under the authors' names", file=source, bounds=bounds),
    )


def score_weights(
    mapping: Mapping,
    tokens: TokenStore,
    subject: Subject,
    split: Split,
    *,
    responses: Responses = "shipped",
    bootstrap: int = 1_000,
) -> Mapping:
    """An imported mapping with shares, canonical selectors, scores and limits on a subject's test images.

    Args:
        mapping: from :func:`import_weights`.
        tokens: of (at least) the split's images in the mapping's network.
        subject: responses of the same voxels, and of others, which are left out.
        split: its test images must be none that the weights were trained on.
        responses: ``"shipped"`` as they are, which the authors' weights predict; or ``"z-scored"`` by the split's
            training images, which fits of this package predict.
        bootstrap: draws of test images for limits; 0 for none.

    Raises:
        DataError: if tokens, subject and mapping do not belong together.
    """
    check_tokens(mapping, tokens)
    subject = subject_at(subject, mapping.voxels)
    test = split_examples(tokens, subject, split, standardise=responses == "z-scored")["test"]
    model, machine = load_model(mapping), Machine.choose("cpu")
    scores = score_model(model, test, subject, split, machine, bootstrap=bootstrap)
    facts = {**scores.facts, "split": split.digest, "images_test": len(split.test)}
    facts |= {"preprocessing": str(tokens.preprocessing)}
    facts |= {"responses": AS_SHIPPED} if responses == "shipped" else {}
    dataset = with_values(mapping.dataset, scores.values).assign_attrs(facts)
    return replace(mapping, dataset=dataset, provenance={**mapping.provenance, "tokens": tokens.facts})


def export_weights(mapping: Mapping) -> dict[str, Tensor]:
    """The trained weights of a mapping of ``recipe="paper"`` under the authors' names.

    Layers are named by the numbers in their own names where these increase with depth, else from 0 on.

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
    numbers = depth_numbers(mapping.layers)
    return to_paper_weights(load_model(mapping), None if numbers is None else [str(number) for number in numbers])


def _voxels(file: AuthorsFile, given: Voxels | Subject | None) -> Voxels:
    """Where the voxels lie: as given, if the weights' own coordinates do not contradict, else as these say."""
    own = None if file.coordinates is None else Voxels.at(file.coordinates)
    if isinstance(given, Subject):
        # A data set may ship more vertices than the weights were trained on.
        given = given.voxels if own is None or len(own) == len(given.voxels) else subject_at(given, own).voxels
    if given is not None and own is not None:
        check_places(own.positions[0], given.positions[0])
    voxels = own if given is None else given
    if voxels is None:
        raise DataError(
            "the weights do not say where their voxels lie (no coords); give the voxels: their subject (--data), "
            "labels (--labels) or coordinates (--coordinates)"
        )
    return voxels


def _channels(model: FactorTopy) -> tuple[int, ...]:
    return tuple(layer.weight.shape[1] for layer in model.align.global_ if isinstance(layer, ChannelMap))


def _range(channels: tuple[int, ...]) -> str:
    return str(channels[0]) if len(set(channels)) == 1 else f"{min(channels)} to {max(channels)}"


def to_paper_weights(model: FactorTopy, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Weights of a model of ``recipe="paper"`` under the authors' names.

    Args:
        model: whose weights they are.
        layers: what the layers are named, from shallow to deep; from 0 on if None.

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
    names = own_names(layers or [str(number) for number in range(len(model.align.local))])
    weights = {theirs: own[ours].clone() for theirs, ours in names.items()}
    return {name: value[:, :, None, None] if name.startswith(LOCAL) else value for name, value in weights.items()}


def from_paper_weights(
    file: AuthorsFile, coordinates: Float[Tensor, "N 3"], bounds: Float[np.ndarray, "2 3"]
) -> FactorTopy:
    """A model of ``recipe="paper"`` from weights under the authors' names.

    Args:
        file: the weights, layers by depth.
        coordinates: coordinates of the voxels, mm.
        bounds: smallest and largest coordinate that positions are scaled by, mm.

    Raises:
        ShapeError: if a weight has another shape than the rest imply.
    """
    names, weights = own_names(file.layers), file.weights
    voxels, width = weights["weight"].shape
    if len(coordinates) != voxels:
        raise ShapeError(f"the weights are of {voxels} voxels, the coordinates of {len(coordinates)}")
    channels = [weights[f"{GLOBAL}.{layer}.weight"].shape[1] for layer in file.layers]
    settings = fit_settings("paper", width=width)
    selectors = build_selectors(settings, coordinates, torch.from_numpy(bounds), len(file.layers))
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
