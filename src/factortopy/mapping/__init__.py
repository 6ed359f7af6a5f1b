"""The result of one fit: selectors, shares and scores of every voxel, with the trained parameters."""

from factortopy.mapping._facts import facts, facts_line
from factortopy.mapping.mapping import Mapping
from factortopy.mapping.quantities import best_layer, layer_confidence
from factortopy.mapping.rebuild import load_mapped_network, load_model
from factortopy.mapping.schema import mapping_dataset, voxel_variables, with_values

__all__ = [
    "Mapping",
    "best_layer",
    "facts",
    "facts_line",
    "layer_confidence",
    "load_mapped_network",
    "load_model",
    "mapping_dataset",
    "voxel_variables",
    "with_values",
]
