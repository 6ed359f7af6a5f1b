"""Other mappings as the start of a fit: what they select where a new subject's voxels lie."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from factortopy.cortex import surface_name
from factortopy.errors import DataError
from factortopy.fitting import Donor, Examples, FitSettings, Trained, train_from
from factortopy.mapping import Mapping, load_model
from factortopy.model import PositionEncoding, Selection, TopologicalSelectors
from factortopy.storage import sha256_array
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore

SAME = 0.1
"""Farthest that one voxel may lie apart in two mappings, mm."""
REACH = 10.0
"""Farthest from a voxel of the donor that its selectors are asked, mm: beyond, they are what no data have seen."""


def donor_at(mappings: Sequence[Mapping], tokens: TokenStore, subject: Subject, settings: FitSettings) -> Donor:
    """What donors select where the voxels of a subject lie, the mean of several; and their channel aligns.

    A voxel farther than 10 mm from all of a donor's asks it at the nearest of these.

    Args:
        mappings: of other subjects, or of another network, on the subject's surface.
        tokens: that the subject is to be fitted with: layers and channels carry over between tokens of one network.
        subject: the new one.
        settings: of its fit.

    Raises:
        DataError: if there is none, one lies on another surface or elsewhere or has no coordinates, or the settings
            are not of a fit that can start from others.
    """
    if not mappings:
        raise DataError("the start names no mapping; give one or more, or fit without it")
    fixed = settings.fixed_space is not None or settings.uniform_layers or settings.fixed_scale is not None
    usual = settings.recipe == "default" and settings.topology and settings.closed_form and settings.parcels > 0
    if fixed or not usual:
        raise DataError(
            'a start needs recipe="default" with topology, parcels and closed_form, and no selector fixed; leave out '
            "those settings, or the start"
        )
    selections: list[Selection] = []
    layers, aligns = [], []
    for mapping in mappings:
        nearest, asked = _places(mapping, subject)
        model = load_model(mapping) if "channels" in mapping.parameters else None
        if model is None:
            parts = (torch.from_numpy(mapping.dataset[name].values[nearest]) for name in ("space", "layer", "scale"))
            selection = Selection(*(part.float() for part in parts))
        else:
            selection = _ask(model.selectors, nearest, asked, mapping)
        selections.append(selection)
        if _same_network(mapping, tokens):
            layers.append(selection.layer)
            aligns += [] if model is None else [model.align]
    return Donor(
        _mean([selection.space for selection in selections]),
        _mean([selection.scale for selection in selections]),
        _mean(layers) if layers else None,
        tuple(aligns),
    )


def train_started(
    mappings: Sequence[Mapping],
    tokens: TokenStore,
    subject: Subject,
    settings: FitSettings,
    sides: tuple[Examples, Examples],
    **options: Any,
) -> tuple[Trained, Float[np.ndarray, "voxel"], dict[str, Any]]:
    """Train with other mappings as start: the fit, the trust of every voxel in them, and what to say of it.

    Args:
        mappings, tokens, subject, settings: as for :func:`donor_at`.
        sides: training and validation images.
        options: as for :func:`factortopy.fitting.train_from`.

    Raises:
        DataError: as :func:`donor_at` and ``train_from``.
    """
    donor = donor_at(mappings, tokens, subject, settings)
    coordinates, bounds = (torch.from_numpy(part) for part in subject.voxels.positions)
    found = train_from(donor, settings, *sides, coordinates.float(), bounds, **options)
    facts = {"donors": donor_facts(mappings), "voxels": found.voxels, "validation_r2": found.validation_r2}
    return found.trained, found.trust.numpy(), facts


def donor_facts(mappings: Sequence[Mapping]) -> list[dict[str, Any]]:
    """Who the donors are: subject, network, and a digest of what each selects and of its parameters."""
    names = ("space", "layer", "scale")
    return [
        {
            **{name: str(mapping.dataset.attrs.get(name)) for name in ("subject", "network")},
            "sha256": sha256_array(
                *(mapping.dataset[name].values for name in names),
                *(mapping.parameters[name].numpy() for name in sorted(mapping.parameters)),
            ),
        }
        for mapping in mappings
    ]


def _places(mapping: Mapping, subject: Subject) -> tuple[Int[np.ndarray, "voxel"], Float[np.ndarray, "voxel 3"]]:
    """The donor's voxel that is nearest to each of the subject's, and where its selectors are asked."""
    name = str(mapping.dataset.attrs.get("subject"))
    own, other = subject.voxels, mapping.voxels
    places, given = own.positions[0], other.positions[0]
    surfaces = [None if one.surface is None else surface_name(one.surface) for one in (own, other)]
    words = "; give a mapping on the subject's surface, in the same coordinates"
    if surfaces[0] != surfaces[1]:
        lie = [surface or "no surface" for surface in surfaces]
        raise DataError(f"the start of {name!r} lies on {lie[1]}, subject {subject.name!r} on {lie[0]}{words}")
    distance, nearest = cKDTree(given).query(places)
    number = {key: row for row, key in enumerate(zip(other.hemisphere.tolist(), other.vertex.tolist(), strict=True))}
    keys = zip(own.hemisphere.tolist(), own.vertex.tolist(), strict=True)
    row = np.array([number.get(key, -1) for key in keys])
    both = row >= 0
    # In a volume the numbers of voxels mean nothing: only the same voxels, as of another network, can be known again.
    off = distance if surfaces[0] is None else np.linalg.norm(places[both] - given[row[both]], axis=1)
    if (off > SAME).any() or (distance > REACH).all():
        raise DataError(f"the voxels of the start of {name!r} lie elsewhere than those of {subject.name!r}{words}")
    return nearest, np.where((distance <= REACH)[:, None], places, given[nearest])


@torch.no_grad()
def _ask(selectors: Any, nearest: np.ndarray, asked: Float[np.ndarray, "voxel 3"], mapping: Mapping) -> Selection:
    """The selection at places: of smooth selectors there, of others that of the nearest voxel."""
    if not isinstance(selectors, TopologicalSelectors):
        found: Selection = selectors()
        return Selection(*(part[torch.from_numpy(nearest)] for part in found[:3] if part is not None))
    voxels = mapping.voxels
    if mapping.settings.get("bounds") == "voxels":
        voxels = voxels.bounded_alone()
    code = PositionEncoding(voxels.positions[1])
    there = TopologicalSelectors(torch.from_numpy(asked).float(), code, len(mapping.layers))
    there.load_state_dict(selectors.state_dict())
    return there()


def _same_network(mapping: Mapping, tokens: TokenStore) -> bool:
    """Whether layers and channels of a mapping are those of tokens."""
    facts = mapping.provenance.get("tokens", {})
    weights = facts.get("weights_hash", tokens.weights_hash)
    named = mapping.dataset.attrs.get("network"), mapping.layers
    return named == (tokens.network, tokens.layers) and weights == tokens.weights_hash


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([*parts]).mean(dim=0)
