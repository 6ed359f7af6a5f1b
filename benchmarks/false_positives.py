"""How often independent smooth maps on part of fsaverage5 are called related; the last line is JSON.

Gaussian random maps of three smoothnesses on vertices of the back of the left hemisphere, in independent
pairs: the rate of p <= 0.05 of a test that counts vertices, and of the spatial null. Needs the extra `nulls`.

Run: python benchmarks/false_positives.py [--pairs 200] [--vertices 300]
"""

import argparse
import json

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr

from factortopy.analysis import correlation_test
from factortopy.cortex import load_surface

LENGTHS = (5.0, 10.0, 20.0)
"""Standard deviations of the maps' Gaussian covariance, mm on the sphere of radius 100."""


def main() -> None:
    """Draw pairs and print both rates for each smoothness."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--vertices", type=int, default=300)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    sphere = np.asarray(load_surface("fsaverage5").hemisphere("left").sphere.coordinates)
    back = sphere[sphere[:, 1] < -40]
    places = back[rng.choice(len(back), given.vertices, replace=False)]
    rates = {}
    for length in LENGTHS:
        covariance = np.exp(-(cdist(places, places) ** 2) / (2 * length**2)) + 1e-4 * np.eye(len(places))
        root = np.linalg.cholesky(covariance)
        pairs = [(root @ rng.normal(size=(len(places), 2))).T for _ in range(given.pairs)]
        naive = np.mean([pearsonr(*pair).pvalue <= 0.05 for pair in pairs])
        ours = np.mean([correlation_test(*pair, places, count=99, seed=i).p <= 0.05 for i, pair in enumerate(pairs)])
        print(f"smooth over {length:g} mm: counting vertices {naive:.3f}, spatial null {ours:.3f}", flush=True)
        rates |= {f"naive_{length:g}mm": round(float(naive), 3), f"null_{length:g}mm": round(float(ours), 3)}
    print(json.dumps({"pairs": given.pairs, "vertices": given.vertices, **rates}))


if __name__ == "__main__":
    main()
