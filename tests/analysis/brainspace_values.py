"""Writes ``brainspace_values.json``, BrainSpace's Moran eigenvalues and surrogates of one small map.

Run it where BrainSpace 0.3 is installed: ``python tests/analysis/brainspace_values.py``.
"""

import json
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    from brainspace.null_models.moran import compute_mem, moran_randomization
    from scipy.spatial.distance import pdist, squareform

    random = np.random.default_rng(0)
    coordinates = random.uniform(0, 50, (24, 3)).round(3)
    values = random.normal(size=24).round(3)
    eigenvectors, eigenvalues = compute_mem(squareform(1 / pdist(coordinates)))
    surrogates = moran_randomization(values, eigenvectors, n_rep=3, random_state=1)
    named = {
        "coordinates": coordinates,
        "values": values,
        "eigenvalues": eigenvalues,
        "eigenvectors": eigenvectors,
        "surrogates": surrogates,
    }
    text = json.dumps({name: value.tolist() for name, value in named.items()})
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")
