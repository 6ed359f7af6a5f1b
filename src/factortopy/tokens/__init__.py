"""Tokens on disk: extracted once, read many times."""

from factortopy.tokens.extract import ExtractionEstimate, estimate_extraction, extract
from factortopy.tokens.store import TokenStore

__all__ = ["ExtractionEstimate", "TokenStore", "estimate_extraction", "extract"]
