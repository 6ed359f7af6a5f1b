"""Run beside an unpacked wheel: the package comes from the wheel, is whole, and imports quickly."""

import subprocess
import sys
import time
from pathlib import Path

start = time.perf_counter()
import factortopy  # noqa: E402

seconds = time.perf_counter() - start
place = Path(factortopy.__file__).resolve()
assert "unpacked" in place.parts, f"imported {place}, not the wheel"
assert seconds < 0.5, f"import factortopy took {seconds:.2f} s"
assert "torch" not in sys.modules, "import factortopy loaded torch"
for name in factortopy.__all__:
    getattr(factortopy, name)
for part in ("py.typed", "reporting/templates/report.html.j2", "page/static/viewer.js", "page/static/viewer.css"):
    assert (place.parent / part).is_file(), f"the wheel lacks {part}"
subprocess.run([sys.executable, "-P", "-m", "factortopy", "doctor"], check=True, timeout=600)
print(f"the wheel works (import {seconds:.2f} s)")
