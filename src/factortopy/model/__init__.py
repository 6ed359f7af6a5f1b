"""FactorTopy, the encoding model: position code, selectors, channel align and read-out."""

from factortopy.model.factortopy import AlignedTokens, ChannelAlign, ChannelMap, FactorTopy, UnitChannelMap
from factortopy.model.readout import read_out
from factortopy.model.selectors import (
    FixedSelectors,
    FreeSelectors,
    PartlyFixedSelectors,
    PositionEncoding,
    Selection,
    TopologicalSelectors,
    confidence,
    softness_penalty,
)

__all__ = [
    "AlignedTokens",
    "ChannelAlign",
    "ChannelMap",
    "FactorTopy",
    "FixedSelectors",
    "FreeSelectors",
    "PartlyFixedSelectors",
    "PositionEncoding",
    "Selection",
    "TopologicalSelectors",
    "UnitChannelMap",
    "confidence",
    "read_out",
    "softness_penalty",
]
