"""Tokens on disk: extracted once, read many times."""

from factortopy.tokens.check import check_store
from factortopy.tokens.estimate import ExtractionEstimate, estimate_extraction
from factortopy.tokens.extract import extract
from factortopy.tokens.outliers import OUTLIER_RATIO, TokenNorms, token_norms
from factortopy.tokens.store import TokenStore, images_done

__all__ = [
    "OUTLIER_RATIO",
    "ExtractionEstimate",
    "TokenNorms",
    "TokenStore",
    "check_store",
    "estimate_extraction",
    "extract",
    "images_done",
    "token_norms",
]
