"""Tokens of a common set of images, on which commands fix the gauge of a mapping's channels."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.mapping import Mapping
    from factortopy.networks import Tokens
    from factortopy.tokens import TokenStore

MOST_IMAGES, BATCH = 512, 32


def gauge_tokens(path: Path, mapping: "Mapping") -> Callable[[], "Iterator[Tokens]"]:
    """Gives batches of at most 512 images of a store, evenly spread, each time it is called.

    Args:
        path: folder of the store.
        mapping: whose channels are compared over the images.

    Raises:
        DataError: if the store is of another network or of other layers than the mapping.
    """
    from factortopy.tokens import TokenStore

    store = TokenStore.open(path)
    check_network(store, mapping)
    chosen = list(range(0, len(store), -(-len(store) // MOST_IMAGES)))
    return lambda: (store.read(chosen[first : first + BATCH]) for first in range(0, len(chosen), BATCH))


def check_network(store: "TokenStore", mapping: "Mapping") -> None:
    """Check that tokens are of the network and layers that were mapped.

    Raises:
        DataError: if they are not.
    """
    mapped = mapping.provenance.get("tokens", {}).get("weights_hash", store.weights_hash)
    if store.weights_hash != mapped or store.layers != mapping.layers:
        raise DataError(
            f"{store.path} holds tokens of {store.network}, {len(store.layers)} layers; this mapping is of "
            f"{mapping.dataset.attrs.get('network')}, {len(mapping.layers)} layers: extract tokens of "
            "the same weights and layers"
        )
