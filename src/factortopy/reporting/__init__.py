"""The report: one self-contained HTML page about one mapping or several."""

from factortopy.reporting._report import report
from factortopy.reporting.comparison import DIFFERENCES, find_results, write_comparison
from factortopy.reporting.folders import write_averages, write_change, write_channel_images, write_clusters
from factortopy.reporting.pages import headline
from factortopy.reporting.ranking import Results, ranked

__all__ = [
    "DIFFERENCES",
    "Results",
    "find_results",
    "headline",
    "ranked",
    "report",
    "write_averages",
    "write_change",
    "write_channel_images",
    "write_clusters",
    "write_comparison",
]
