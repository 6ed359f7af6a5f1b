"""Read the last line of ``factortopy paper all --simulated --json`` and fail where an item is missing."""

import json
import sys
from pathlib import Path

ITEMS = 10
result = json.loads(sys.stdin.read().strip().splitlines()[-1])
work = Path(sys.argv[1])
tables = {name: json.loads((work / name / f"{name}.json").read_text())["tables"] for name in result["items"]}
beside = [row for name in ("table1", "table2") for row in tables[name][name]]
promises = {
    "every figure and table is done": result["done"] == ITEMS,
    "none failed": result["failed"] == 0,
    "none was skipped": result["skipped"] == 0,
    "each has a picture": all((work / name / f"{name}.png").stat().st_size > 10_000 for name in tables),
    "the paper's numbers stand beside ours": sum("_paper" in column for row in beside for column in row) > 0,
    "fits are shared": result["reused"] > result["fitted"] / 2,
}
for promise, held in promises.items():
    print("held  " if held else "BROKEN", promise)
sys.exit(not all(promises.values()))
