"""Which principal components a reduced store holds: those of some of its images, or those of another store."""

from dataclasses import dataclass
from typing import Any

from factortopy.errors import DataError
from factortopy.networks import Network
from factortopy.progress import progress_bar
from factortopy.storage import sha256_text
from factortopy.tokens.components import TokenBasis, TokenMoments
from factortopy.tokens.pipeline import Extraction
from factortopy.tokens.store import TokenStore

MEASURED_IMAGES = 1_024
"""Images that components are measured on, at most."""
BATCH = 64


@dataclass(frozen=True, eq=False)
class Reduction:
    """How many components are kept and what they are measured on.

    Attributes:
        count: components of a layer, at most.
        store: tokens whose components are taken; those of the images themselves if None.
    """

    count: int
    store: TokenStore | None

    @classmethod
    def of(cls, network: Network, count: int | None, store: TokenStore | None) -> "Reduction | None":
        """The reduction of a network's tokens that is asked for; None for whole tokens.

        Raises:
            DataError: if there is no component, or the store is of other tokens.
        """
        if store is not None:
            if (store.weights_hash, store.layers) != (network.weights_hash, network.layers):
                fault = (
                    f"holds tokens of {store.network!r}, other weights or other layers than those of {network.name!r}"
                )
                raise DataError.of(store.path, f"{fault}; give tokens of the same network and layers")
            if count is None and store.basis is None:
                raise DataError.of(store.path, "holds whole tokens; say how many components of them (--components 128)")
            count = store.basis.count if count is None and store.basis is not None else count
        if count is None:
            return None
        if count < 1:
            raise DataError(f"components are {count}; expected at least 1")
        return cls(count, store)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the components what they are, JSON-ready."""
        of = "these images" if self.store is None else sha256_text(self.store.weights_hash, *self.store.image_ids)
        return {"count": self.count, "of": of}

    def rows(self, images: int) -> range:
        """Those of so many images that are run through the network for the components alone."""
        return range(0, images if self.store is None else 0, -(-images // MEASURED_IMAGES))

    def measure(self, extraction: Extraction, progress: bool) -> TokenBasis:
        """The components, from the other store or from some of the images."""
        if self.store is not None and self.store.basis is not None:
            return self.store.basis.leading(self.count)
        rows = (
            range(0, len(self.store), -(-len(self.store) // MEASURED_IMAGES))
            if self.store
            else self.rows(len(extraction.images))
        )
        moments = TokenMoments(len(rows))
        with progress_bar("Principal components", len(rows), show=progress) as advance:
            if self.store is None:
                extraction.run(rows, lambda tokens, _: moments.add(tokens), advance, progress)
            else:
                for start in range(0, len(rows), BATCH):
                    moments.add(self.store.read(rows[start : start + BATCH]))
                    advance(len(rows[start : start + BATCH]))
        return TokenBasis.measure(moments, self.count)
