"""How long 1,000 resamples of R^2 over test images take for all voxels; the last line is one JSON object.

Run: python benchmarks/bootstrap.py [--images 1000] [--voxels 37984] [--resamples 1000]
"""

import argparse
import json
import resource
import sys
import time

import numpy as np

from factortopy.analysis import percentiles
from factortopy.analysis.estimates.bootstrap import chunks, draw_images, draw_r2


def main() -> None:
    """Draw responses and predictions of a known R^2 and time the intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--voxels", type=int, default=37_984)
    parser.add_argument("--resamples", type=int, default=1_000)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    predictions = rng.standard_normal((given.images, given.voxels), dtype=np.float32)
    # R^2 of 0.2 in truth.
    responses = predictions + 2 * rng.standard_normal(predictions.shape, dtype=np.float32)
    start, processor = time.perf_counter(), time.process_time()
    draws = draw_images(given.images, given.resamples)
    limits = [percentiles(draw_r2(responses[:, part], predictions[:, part], draws)) for part in chunks(given.voxels)]
    low, high = np.concatenate(limits, axis=1)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    # ru_maxrss is in bytes on macOS and in KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    covered = float(((low <= 0.2) & (high >= 0.2)).mean())
    print(f"{given.resamples} resamples of {given.images} images, {given.voxels} voxels: {seconds:.1f} s")
    print(
        json.dumps(
            {
                "images": given.images,
                "voxels": given.voxels,
                "resamples": given.resamples,
                "seconds": round(seconds, 2),
                "cpu_seconds": round(processor, 2),
                "coverage": round(covered, 3),
                "peak_memory_mb": round(peak / 1e6),
            }
        )
    )


if __name__ == "__main__":
    main()
