"""Processor time of the feature-weighted receptive field: field by field with himalaya, and in closed form.

    python benchmarks/receptive_fields.py --images 3000 --voxels 1000

Some of the 192 fields are timed on random tokens and responses; what all fields share is timed once. The last
line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from factortopy.baselines.features import Features, Field
from factortopy.baselines.linear import fit_candidates
from factortopy.baselines.receptive_fields import fit_fields
from factortopy.networks import Tokens

LAYERS, COMPONENTS, GRID = 12, 32, 8


class SomeFields(Features):
    """Features of which only some receptive fields are tried."""

    def fields(self) -> list[Field]:
        """Every so many of the grid's, as many as ``wanted``."""
        every = super().fields()
        return every[:: len(every) // self.wanted][: self.wanted]

    wanted = 4


def random_features(counts: dict[str, int]) -> Features:
    """Tokens whose components fall in size as principal components do."""
    generator = torch.Generator().manual_seed(0)
    fall = torch.arange(1, COMPONENTS + 1).rsqrt()

    def draw(count: int, *places: int) -> torch.Tensor:
        drawn = torch.randn(count, COMPONENTS, *places, generator=generator)
        return (drawn * fall.view(-1, *[1] * len(places))).half()

    def tokens(count: int) -> Tokens:
        return Tokens(tuple(draw(count, GRID, GRID) for _ in range(LAYERS)), tuple(draw(count) for _ in range(LAYERS)))

    return SomeFields({side: tokens(count) for side, count in counts.items()}, 2 * LAYERS * COMPONENTS)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    """Time some fields both ways and print what all of them would take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=580, help="training images")
    parser.add_argument("--voxels", type=int, default=600)
    arguments = parser.parse_args()
    counts = {"train": arguments.images, "validation": arguments.images // 8, "test": arguments.images // 8}
    features, random = random_features(counts), np.random.default_rng(0)
    fields, every = features.fields(), len(Features.fields(features))
    weights = random.normal(size=(features.count, arguments.voxels)) / 20
    responses = {
        side: (features.of_field(fields[1])[side] @ weights + random.normal(size=(count, arguments.voxels)))
        .astype(np.float32)
        for side, count in counts.items()
    }  # fmt: skip
    candidates = [lambda field=field: [features.of_field(field)] for field in fields]
    before, expected = timed(lambda: fit_candidates(candidates, responses))
    few, found = timed(lambda: fit_fields(features, responses))
    SomeFields.wanted = 1
    one, _ = timed(lambda: fit_fields(features, responses))
    each = (few - one) / (len(fields) - 1)
    result = {
        "fields": every,
        "timed": len(fields),
        "seconds_before": round(before / len(fields) * every, 1),
        "seconds": round(one + each * (every - 1), 1),
        "same_field": float((found.chosen == expected.chosen).mean()),
        "largest_difference": float(np.abs(found.predictions - expected.predictions).max()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
