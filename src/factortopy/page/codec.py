"""Numbers of vertices as few bytes: whole numbers, told from the vertices between which each one lies.

Standard surfaces are refinements of one icosahedron: every vertex but the first twelve lies halfway between two
earlier ones, its parents. So faces need not be written at all, and of a number only what the mean of its parents
does not say: small whole numbers, which gzip shortens. `viewer/src/data/codec.ts` reads them.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.cortex import VERTICES

CORNERS = 12
"""Vertices of the icosahedron."""
ICOSAHEDRON = np.array(
    [
        (0, 3, 4), (0, 4, 5), (0, 5, 1), (0, 1, 2), (0, 2, 3), (3, 2, 8), (3, 8, 9), (3, 9, 4), (4, 9, 10), (4, 10, 5),
        (5, 10, 6), (5, 6, 1), (1, 6, 7), (1, 7, 2), (2, 7, 8), (8, 11, 9), (9, 11, 10), (10, 11, 6), (6, 11, 7),
        (7, 11, 8),
    ]
)  # fmt: skip
"""Faces of FreeSurfer's icosahedron, of which fsaverage5 is the fifth refinement."""
ABSENT = -1
"""In place of a parent that has no number."""


@cache
def icosphere(vertices: int) -> tuple[Int[np.ndarray, "face 3"], Int[np.ndarray, "vertex 2"]]:
    """Faces and parents of a refinement with so many vertices, in FreeSurfer's order.

    Each refinement numbers the middles of edges in the order in which they are met when triangles are gone through
    one by one, edges (3rd, 1st), (2nd, 3rd), (1st, 2nd).
    """
    faces, count = ICOSAHEDRON, CORNERS
    parents = np.full((vertices, 2), ABSENT, dtype=np.int64)
    while count < vertices:
        a, b, c = faces.T
        edges = np.sort(np.stack([np.stack([c, a], 1), np.stack([b, c], 1), np.stack([a, b], 1)], 1).reshape(-1, 2), 1)
        _, first, number = np.unique(edges @ [count, 1], return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        parents[count : count + len(order)] = edges[first[order]]
        ca, bc, ab = (count + rank[number]).reshape(-1, 3).T
        corner = np.stack([a, ab, ca], 1)
        others = np.stack([np.stack([ca, bc, c], 1), np.stack([ab, bc, ca], 1), np.stack([ab, b, bc], 1)], 1)
        faces, count = np.concatenate([corner, others.reshape(-1, 3)]), count + len(order)
    return faces, parents


def parents_of(surface: str) -> Int[np.ndarray, "vertex 2"]:
    """Parents of the vertices of both hemispheres of a standard surface, the left one's first."""
    count = VERTICES[surface]
    _, parents = icosphere(count)
    return np.concatenate([parents, np.where(parents == ABSENT, ABSENT, parents + count)])


def parents_among(parents: Int[np.ndarray, "vertex 2"], chosen: Int[np.ndarray, "voxel"]) -> Int[np.ndarray, "voxel 2"]:
    """Parents as positions among chosen vertices, in rising order; ``ABSENT`` where a parent was not chosen."""
    place = np.full(len(parents) + 1, ABSENT)  # the last stands for ABSENT itself
    place[chosen] = np.arange(len(chosen))
    return np.asarray(place[parents[chosen]])


def residuals(numbers: Int[np.ndarray, "item *rest"], parents: Int[np.ndarray, "item 2"]) -> np.ndarray:
    """What the mean of the parents does not say of each number; of one parent it is that, of none the one before."""
    known = parents != ABSENT
    first, second = (numbers[parents[:, place]] for place in (0, 1))
    before = np.concatenate([np.zeros_like(numbers[:1]), numbers[:-1]])
    shape = (-1, *(1,) * (numbers.ndim - 1))
    both, one, other = (mask.reshape(shape) for mask in (known.all(axis=1), known[:, 0], known[:, 1]))
    expected = np.where(both, (first + second) >> 1, np.where(one, first, np.where(other, second, before)))
    return np.asarray(numbers - expected)


@dataclass(eq=False)
class Blob:
    """Arrays one after the other as bytes, each with where and how it was written.

    Attributes:
        parts: the bytes.
        size: how many there are.
    """

    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def bits(self, mask: np.ndarray) -> dict[str, int]:
        """Write yes or no, eight a byte."""
        return self._add(np.packbits(mask, bitorder="little").tobytes()) | {"count": int(mask.size)}

    def numbers(self, numbers: Int[np.ndarray, "item *rest"], parents: Int[np.ndarray, "item 2"]) -> dict[str, int]:
        """Write whole numbers in 0..16383, component by component, low bytes apart from high ones."""
        rest = residuals(numbers.astype(np.int64), parents)
        # Small numbers of either sign become small ones without: 0, -1, 1, -2, 2 ...
        folded = np.where(rest < 0, -2 * rest - 1, 2 * rest).reshape(len(numbers), -1).T
        planes = np.ascontiguousarray(folded.astype("<u2")).view(np.uint8).reshape(*folded.shape, 2)
        place = self._add(planes[..., 0].tobytes() + planes[..., 1].tobytes())
        return place | {"count": len(numbers), "components": len(folded)}

    def values(
        self,
        values: Float[np.ndarray, "item *rest"],
        parents: Int[np.ndarray, "item 2"],
        bits: int,
        coarsest: float = np.inf,
    ) -> dict[str, Any]:
        """Write numbers in so many bits between the least and the largest; 0 stands for none (NaN).

        Where that is in coarser steps than ``coarsest``, as one extreme number makes them, all are written as they
        are, four bytes each, which is said by no steps.
        """
        finite = np.isfinite(values)
        low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
        steps = 2**bits - 2
        if high - low > steps * coarsest:
            columns = np.where(finite, values, np.nan).astype("<f4").reshape(len(values), -1).T
            place = self._add(columns.tobytes()) | {"count": len(values), "components": len(columns)}
            return place | {"low": low, "high": high, "steps": 0}
        scaled = (np.where(finite, values, low) - low) * (steps / (high - low) if high > low else 0.0)
        whole = np.where(finite, 1 + np.rint(scaled).astype(np.int64), 0)
        return self.numbers(whole, parents) | {"low": low, "high": high, "steps": steps}

    def _add(self, data: bytes) -> dict[str, int]:
        place = {"at": self.size}
        self.parts.append(data)
        self.size += len(data)
        return place
