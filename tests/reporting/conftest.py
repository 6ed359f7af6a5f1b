import sys
from pathlib import Path

# The mapping without a fit is shared with the tests of the figures.
sys.path.insert(0, str(Path(__file__).parents[1] / "plot"))
