"""Reads a page's numbers as its format says, number by number: another program than those that write and show it."""

import base64
import gzip
import json
import re

import numpy as np

PART = r'<script type="[^"]*" data-part="{name}">(.*?)</script>'


class Payload:
    """Header and numbers of a page."""

    def __init__(self, path):
        source = path.read_text(encoding="utf-8")
        self.header = json.loads(re.search(PART.format(name="header"), source, re.DOTALL)[1])
        packed = re.search(PART.format(name="numbers"), source, re.DOTALL)[1]
        self.blob = gzip.decompress(base64.b64decode(packed))
        self.vertices = self.header["surface"]["vertices"]
        one = parents(self.vertices)
        self.parents = one + [(a + self.vertices, b + self.vertices) if a >= 0 else (-1, -1) for a, b in one]

    def bits(self, place):
        data = self.blob[place["at"] : place["at"] + (place["count"] + 7) // 8]
        return np.array([(data[k // 8] >> (k % 8)) & 1 for k in range(place["count"])], dtype=bool)

    def numbers(self, place, parents):
        count, components = place["count"], place["components"]
        low = self.blob[place["at"] : place["at"] + count * components]
        high = self.blob[place["at"] + count * components : place["at"] + 2 * count * components]
        read = np.zeros((count, components), dtype=int)
        for component in range(components):
            numbers = []
            for k in range(count):
                folded = low[component * count + k] + 256 * high[component * count + k]
                rest = -(folded + 1) // 2 if folded % 2 else folded // 2
                numbers.append(rest + expected(numbers, *parents[k]))
            read[:, component] = numbers
        return read

    def values(self, place, parents):
        if place["steps"] == 0:
            shape = place["components"], place["count"]
            return np.frombuffer(self.blob, "<f4", np.prod(shape), place["at"]).reshape(shape).T
        whole = self.numbers(place, parents)
        step = (place["high"] - place["low"]) / place["steps"]
        return np.where(whole == 0, np.nan, place["low"] + (whole - 1) * step)

    def voxels(self, mapping):
        """Vertices of a mapping's voxels over both hemispheres, and the parents among them."""
        chosen = np.flatnonzero(self.bits(mapping["measured"])).tolist()
        place = {vertex: number for number, vertex in enumerate(chosen)}
        return chosen, [tuple(place.get(parent, -1) for parent in self.parents[vertex]) for vertex in chosen]


def expected(numbers, first, second):
    if first >= 0 and second >= 0:
        return (numbers[first] + numbers[second]) // 2
    if first >= 0 or second >= 0:
        return numbers[max(first, second)]
    return numbers[-1] if numbers else 0


def parents(vertices):
    """Ends of the edges whose middles the vertices are, in FreeSurfer's order; -1 for the first twelve."""
    from factortopy.page.codec import ICOSAHEDRON

    faces, found = ICOSAHEDRON.tolist(), [(-1, -1)] * 12
    while len(found) < vertices:
        number, corner, others = {}, [], []
        for a, b, c in faces:
            middles = []
            for edge in ((c, a), (b, c), (a, b)):
                key = tuple(sorted(edge))
                if key not in number:
                    number[key] = len(found)
                    found.append(key)
                middles.append(number[key])
            ca, bc, ab = middles
            corner.append((a, ab, ca))
            others += [(ca, bc, c), (ab, bc, ca), (ab, b, bc)]
        faces = corner + others
    return found
