"""How often 95 % limits of R^2 over few test images hold the truth; the last line is one JSON object.

Run: python benchmarks/few_images.py [--voxels 3000] [--resamples 1000]

Responses of independent voxels are drawn with an R^2 of 0, 0.1, 0.3 and 0.6; the number given is the smallest
coverage of these.
"""

import argparse
import json

import numpy as np

from factortopy.analysis import percentiles
from factortopy.analysis.estimates.bootstrap import draw_r2

IMAGES = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
R2 = (0.0, 0.1, 0.3, 0.6)


def coverage(images: int, r2: float, voxels: int, resamples: int) -> float:
    """Part of the voxels whose limits hold their R^2."""
    rng = np.random.default_rng(images)
    signal, noise = rng.standard_normal((2, images, voxels))
    draws = rng.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float32)
    draws = draws[(draws < images).all(axis=1)]  # one image alone has no variance
    predictions = np.sqrt(r2) * signal
    low, high = percentiles(draw_r2(predictions + np.sqrt(1 - r2) * noise, predictions, draws))
    return float(((low <= r2) & (r2 <= high)).mean())


def main() -> None:
    """Print the coverage of each number of test images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=3_000)
    parser.add_argument("--resamples", type=int, default=1_000)
    given = parser.parse_args()
    found = {}
    for images in IMAGES:
        held = [coverage(images, r2, given.voxels, given.resamples) for r2 in R2]
        found[images] = round(min(held), 2)
        texts = [f"{part:.0%} at R^2 {r2:g}" for r2, part in zip(R2, held, strict=True)]
        print(f"{images:3d} images: {', '.join(texts)}")
    print(json.dumps({"smallest_coverage": found}))


if __name__ == "__main__":
    main()
