"""Whether tokens are what a mapping reads."""

from factortopy.errors import DataError
from factortopy.mapping.mapping import Mapping
from factortopy.networks import Preprocessing
from factortopy.tokens import TokenStore


def check_tokens(mapping: Mapping, store: TokenStore) -> None:
    """Refuse tokens of another network, other weights, other layers or another preprocessing than a mapping's.

    Raises:
        DataError: if they are.
    """
    facts, name = mapping.provenance.get("tokens", {}), mapping.dataset.attrs.get("network", store.network)
    own = Preprocessing.from_dict(facts["preprocessing"]) if "preprocessing" in facts else store.preprocessing
    same = facts.get("weights_hash", store.weights_hash) == store.weights_hash and store.layers == mapping.layers
    if store.network != name or not same:
        raise DataError(
            f"{store.path} holds tokens of {store.network!r} ({len(store.layers)} layers), but the mapping "
            f"is of {name!r} ({len(mapping.layers)} layers) or of other weights; give that network's tokens, in the "
            "order of the mappings",
            path=store.path,
        )
    if store.preprocessing != own:
        raise DataError(
            f"{store.path} holds tokens of photographs shown as {store.preprocessing}, but the mapping is of {own}; "
            "extract them with the same preprocessing",
            path=store.path,
        )
