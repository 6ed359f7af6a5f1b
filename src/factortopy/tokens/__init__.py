"""Tokens on disk: extracted once, read many times."""

from factortopy.tokens._extract import extract
from factortopy.tokens.check import check_store
from factortopy.tokens.clusters import split_clusters
from factortopy.tokens.estimate import ExtractionEstimate, estimate_extraction
from factortopy.tokens.outliers import OUTLIER_RATIO, TokenNorms, token_norms
from factortopy.tokens.store import TokenStore, images_done, planned_bytes

__all__ = [
    "OUTLIER_RATIO",
    "ExtractionEstimate",
    "TokenNorms",
    "TokenStore",
    "check_store",
    "estimate_extraction",
    "extract",
    "images_done",
    "planned_bytes",
    "split_clusters",
    "token_norms",
]
