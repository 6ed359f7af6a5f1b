"""Outlines of regions on a flat mesh, and where their names can stand without touching."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.plot.flatmap import FlatSheet

Node = tuple[int, int]


def outline(sheet: FlatSheet, inside: Bool[np.ndarray, "vertex"]) -> list[Float[np.ndarray, "point 2"]]:
    """Lines around a region: halfway along the edges that lead out of it, and along the mesh's own border.

    Args:
        sheet: the flat mesh.
        inside: which vertices belong to the region.

    Returns:
        Polylines in mm, smoothed by less than the length of an edge; closed ones end where they start.
    """
    segments = [*_crossings(sheet.faces, inside), *_border(sheet.faces, inside)]
    return [_smooth(_positions(chain, sheet.points)) for chain in _chains(segments)]


def label_anchor(sheet: FlatSheet, inside: Bool[np.ndarray, "vertex"]) -> Float[np.ndarray, "2"] | None:
    """The vertex deepest inside a region: the one farthest from anything outside it; None if none is drawn.

    Args:
        sheet: the flat mesh.
        inside: which vertices belong to the region.
    """
    from scipy.spatial import KDTree

    drawn = np.isfinite(sheet.points).all(axis=1)
    members, others = sheet.points[drawn & inside], sheet.points[drawn & ~inside]
    if not len(members):
        return None
    if not len(others):
        return np.asarray(members.mean(axis=0))
    distance, _ = KDTree(others).query(members)
    # Near-ties go to the middle of the region, which keeps names away from the mesh's border.
    distance = distance - 0.15 * np.linalg.norm(members - members.mean(axis=0), axis=1)
    return np.asarray(members[distance.argmax()])


def spread(
    boxes: Float[np.ndarray, "label 4"], padding: float = 2.0, rounds: int = 400
) -> Float[np.ndarray, "label 2"]:
    """Shifts that move boxes apart, each step along the axis on which two boxes overlap least.

    Args:
        boxes: left, bottom, width, height of each box, in pixels.
        padding: free space to leave between boxes, pixels.
        rounds: largest number of passes; it ends as soon as nothing overlaps.

    Returns:
        Shift of each box, pixels.
    """
    corner, size = boxes[:, :2].astype(float), boxes[:, 2:] + padding
    start = corner.copy()
    for _ in range(rounds):
        moved = False
        for first in range(len(corner)):
            for second in range(first + 1, len(corner)):
                gap = corner[second] + size[second] / 2 - corner[first] - size[first] / 2
                overlap = (size[first] + size[second]) / 2 - np.abs(gap)
                if (overlap <= 1e-9).any():
                    continue
                axis = int(overlap.argmin())
                push = 0.51 * overlap[axis] * (1.0 if gap[axis] >= 0 else -1.0)
                corner[first, axis] -= push
                corner[second, axis] += push
                moved = True
        if not moved:
            break
    return np.asarray(corner - start)


def _crossings(faces: Int[np.ndarray, "face 3"], inside: np.ndarray) -> list[tuple[Node, Node]]:
    """One segment in each triangle that has corners in and out; a node is the edge it cuts."""
    mixed = faces[np.isin(inside[faces].sum(axis=1), (1, 2))]
    segments = []
    for triangle in mixed.tolist():
        flags = [bool(inside[vertex]) for vertex in triangle]
        lone = flags.index(sum(flags) == 1)
        others = [vertex for position, vertex in enumerate(triangle) if position != lone]
        segments.append((_edge(triangle[lone], others[0]), _edge(triangle[lone], others[1])))
    return segments


def _border(faces: Int[np.ndarray, "face 3"], inside: np.ndarray) -> list[tuple[Node, Node]]:
    """Segments along edges that belong to one triangle only, as far as they lie in the region."""
    edges = np.sort(np.concatenate([faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    segments = []
    for start, end in edges[count == 1].tolist():
        if inside[start] and inside[end]:
            segments.append(((start, start), (end, end)))
        elif inside[start] or inside[end]:
            member = start if inside[start] else end
            segments.append(((member, member), (start, end)))
    return segments


def _edge(first: int, second: int) -> Node:
    return (first, second) if first < second else (second, first)


def _chains(segments: Sequence[tuple[Node, Node]]) -> list[list[Node]]:
    """Join segments that share a node into chains as long as possible."""
    neighbours: dict[Node, list[Node]] = {}
    for start, end in segments:
        neighbours.setdefault(start, []).append(end)
        neighbours.setdefault(end, []).append(start)
    chains = []
    # Ends of open lines first, so that a line is not begun in its middle.
    for start in sorted(neighbours, key=lambda node: (len(neighbours[node]) != 1, node)):
        while neighbours[start]:
            chain = [start]
            while neighbours[chain[-1]]:
                following = neighbours[chain[-1]].pop()
                neighbours[following].remove(chain[-1])
                chain.append(following)
            chains.append(chain)
    return chains


def _positions(chain: list[Node], points: np.ndarray) -> Float[np.ndarray, "point 2"]:
    return np.asarray([(points[first] + points[second]) / 2 for first, second in chain])


def _smooth(line: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, "point 2"]:
    """Average each point with its neighbours, then cut corners twice (Chaikin 1974)."""
    closed = len(line) > 3 and np.allclose(line[0], line[-1])
    if closed:
        ring = line[:-1]
        ring = 0.5 * ring + 0.25 * (np.roll(ring, 1, axis=0) + np.roll(ring, -1, axis=0))
        line = np.concatenate([ring, ring[:1]])
    for _ in range(2):
        start, end = line[:-1], line[1:]
        cut = np.stack([0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end], axis=1).reshape(-1, 2)
        line = np.concatenate([cut, cut[:1]]) if closed else np.concatenate([line[:1], cut, line[-1:]])
    return line
