"""Read the JSON line of ``winning.py --quick`` from standard input and fail where a fit is worse than promised."""

import json
import sys

result = json.loads(sys.stdin.read().strip().splitlines()[-1])
promises = {
    "planted: R^2 at least half of the oracle's at 250 images": result["worst_of_oracle"] >= 0.5,
    "planted: no more than 0.02 below a ridge at 250 images": all(
        row["margin_to_ridge"] >= -0.02 for row in result["planted"]
    ),
    "planted: depth r at least 0.8 at 250 images": all(row["depth_r"] >= 0.8 for row in result["planted"]),
}
for promise, held in promises.items():
    print("held  " if held else "BROKEN", promise)
sys.exit(not all(promises.values()))
