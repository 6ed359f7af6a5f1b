"""FactorTopy, the encoding model: position code, selectors, channel align and read-out."""

from factortopy.model.align import AlignedTokens, ChannelAlign, ChannelMap, UnitChannelMap
from factortopy.model.factortopy import FactorTopy
from factortopy.model.position import PositionEncoding
from factortopy.model.readout import read_out
from factortopy.model.selectors import (
    FixedSelectors,
    FreeSelectors,
    PartlyFixedSelectors,
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
