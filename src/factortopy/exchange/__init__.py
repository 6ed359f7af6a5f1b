"""Mappings to and from the weights that the paper's authors released (`docs/authors-weights.md`)."""

from factortopy.exchange.weights import (
    LabelFiles,
    export_weights,
    import_weights,
    score_weights,
    voxels_from_coordinates,
    voxels_from_labels,
)

__all__ = [
    "LabelFiles",
    "export_weights",
    "import_weights",
    "score_weights",
    "voxels_from_coordinates",
    "voxels_from_labels",
]
