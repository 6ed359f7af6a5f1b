from .costs import estimate_baselines as estimate_baselines
from .methods import METHODS as METHODS
from .methods import REFERENCE as REFERENCE
from .methods import BaselineScores as BaselineScores
from .methods import Method as Method
from .methods import extract_untrained as extract_untrained
from .run import run_baselines as run_baselines
