"""How long it takes to paint every vertex of fsaverage5; the last line is one JSON object.

Run: python benchmarks/painting.py
"""

import json
import resource
import statistics
import sys
import time

import numpy as np

from factortopy.cortex import load_surface
from factortopy.plot import layer_colours, paint

REPEATS = 5


def main() -> None:
    """Paint both hemispheres several times and print the median."""
    surface = load_surface()
    generator = np.random.default_rng(0)
    colours = {
        half.name: layer_colours(generator.random(half.vertices), generator.random(half.vertices))
        for half in surface.hemispheres
    }
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        picture = paint(surface, colours, zoom=False, width=2000)
        seconds.append(time.perf_counter() - start)
    # ru_maxrss is in bytes on macOS and in KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"painted {picture.image.shape[1]} x {picture.image.shape[0]} pixels, {REPEATS} times")
    print(
        json.dumps(
            {
                "vertices": sum(half.vertices for half in surface.hemispheres),
                "seconds": round(statistics.median(seconds), 3),
                "seconds_first": round(seconds[0], 3),
                "peak_memory_mb": round(peak / 1e6),
            }
        )
    )


if __name__ == "__main__":
    main()
