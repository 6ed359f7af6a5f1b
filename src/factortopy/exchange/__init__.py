"""Mappings to and from the weights that the paper's authors released (`docs/authors-weights.md`)."""

from factortopy.exchange.places import (
    LabelFiles,
    Places,
    places_from_coordinates,
    places_from_labels,
    places_of_subject,
)
from factortopy.exchange.weights import export_weights, import_weights, score_weights

__all__ = [
    "LabelFiles",
    "Places",
    "export_weights",
    "import_weights",
    "places_from_coordinates",
    "places_from_labels",
    "places_of_subject",
    "score_weights",
]
