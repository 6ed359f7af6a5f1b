"""Published data sets as they lie on disk, each with its reader and its check."""

from factortopy.datasets.algonauts.reader import load_algonauts
from factortopy.datasets.betas._convert import ConversionEstimate, convert, convert_nsd, estimate_conversion
from factortopy.datasets.betas.store import BetaStore, load_betas
from factortopy.datasets.check import check_path
from factortopy.datasets.findings import Count, Report
from factortopy.datasets.nsd.reader import load_nsd, open_nsd
from factortopy.datasets.nsd.shared import nsd_shared_images
from factortopy.datasets.nsd.voxels import AREAS
from factortopy.datasets.protocols import Protocol, algonauts_protocol, paper_protocol
from factortopy.datasets.recognise import known_layout, open_images, open_subject

__all__ = [
    "AREAS",
    "BetaStore",
    "ConversionEstimate",
    "Count",
    "Protocol",
    "Report",
    "algonauts_protocol",
    "check_path",
    "convert",
    "convert_nsd",
    "estimate_conversion",
    "known_layout",
    "load_algonauts",
    "load_betas",
    "load_nsd",
    "nsd_shared_images",
    "open_images",
    "open_nsd",
    "open_subject",
    "paper_protocol",
]
