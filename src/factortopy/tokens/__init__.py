"""Tokens on disk: extracted once, read many times."""

from factortopy.tokens._extract import estimate_extraction, extract
from factortopy.tokens.clusters import split_clusters
from factortopy.tokens.outliers import OUTLIER_RATIO, TokenNorms, token_norms
from factortopy.tokens.store import TokenFolder, TokenStore, images_done, planned_bytes

__all__ = [
    "OUTLIER_RATIO",
    "TokenFolder",
    "TokenNorms",
    "TokenStore",
    "estimate_extraction",
    "extract",
    "images_done",
    "planned_bytes",
    "split_clusters",
    "token_norms",
]
