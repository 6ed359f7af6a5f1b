"""Read the demo's JSON line from standard input and fail where the map it found is worse than promised."""

import json
import sys
from pathlib import Path

result = json.loads(sys.stdin.read().strip().splitlines()[-1])
promises = {
    "slope within 0.05 of the planted one": abs(result["slope_found"] - result["slope_planted"]) <= 0.05,
    "depth r at least 0.95": result["depth_r"] >= 0.95,
    "space r at least 0.9 on both axes": min(result["space_x_r"], result["space_y_r"]) >= 0.9,
    "scale r at least 0.9": result["scale_r"] >= 0.9,
    "R^2 at least 0.85 of the oracle's": result["r2"] >= 0.85 * result["oracle_r2"],
    "the oracle stays below the ceiling": result["oracle_r2"] <= result["ceiling_r2"],
    "a report": Path(result["report"]).stat().st_size > 100_000,
}
for promise, held in promises.items():
    print("held  " if held else "BROKEN", promise)
sys.exit(not all(promises.values()))
