"""Tokens of a common set of images, on which the gauge of a mapping's channels is fixed."""

from collections.abc import Iterator

from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.networks import Tokens
from factortopy.tokens import TokenStore

MOST_IMAGES, BATCH = 512, 32


def gauge_tokens(store: TokenStore, mapping: Mapping) -> Iterator[Tokens]:
    """Batches of at most 512 images of a store, evenly spread.

    Args:
        store: tokens of images over which channels are compared.
        mapping: whose channels they are.

    Raises:
        DataError: if the store is of another network or of other layers than the mapping.
    """
    mapped = mapping.provenance.get("tokens", {}).get("weights_hash", store.weights_hash)
    if store.weights_hash != mapped or store.layers != mapping.layers:
        raise DataError(
            f"{store.path} holds tokens of {store.network}, {len(store.layers)} layers; this mapping is of "
            f"{mapping.dataset.attrs.get('network')}, {len(mapping.layers)} layers: extract tokens of "
            "the same weights and layers"
        )
    chosen = list(range(0, len(store), -(-len(store) // MOST_IMAGES)))
    return (store.read(chosen[first : first + BATCH]) for first in range(0, len(chosen), BATCH))
