"""Published data sets as they lie on disk, each with its reader and its check."""

from factortopy.datasets._convert import convert, convert_nsd, estimate_conversion
from factortopy.datasets.algonauts.reader import load_algonauts
from factortopy.datasets.betas import BetaStore, load_betas
from factortopy.datasets.bold5000.reader import load_bold5000
from factortopy.datasets.data_set import Count, DataSet, Report, holding, numbered
from factortopy.datasets.nsd.design import nsd_shared_images
from factortopy.datasets.nsd.reader import load_nsd, open_nsd
from factortopy.datasets.nsd.voxels import AREAS
from factortopy.datasets.protocols import Protocol, algonauts_protocol, paper_protocol
from factortopy.datasets.registry import (
    check_path,
    data_set_of,
    load_subject,
    open_images,
    recognise,
    register_data_set,
)
from factortopy.datasets.things.reader import load_things, things_test_images

__all__ = [
    "AREAS",
    "BetaStore",
    "Count",
    "DataSet",
    "Protocol",
    "Report",
    "algonauts_protocol",
    "check_path",
    "convert",
    "convert_nsd",
    "data_set_of",
    "estimate_conversion",
    "holding",
    "load_algonauts",
    "load_betas",
    "load_bold5000",
    "load_nsd",
    "load_subject",
    "load_things",
    "nsd_shared_images",
    "numbered",
    "open_images",
    "open_nsd",
    "paper_protocol",
    "recognise",
    "register_data_set",
    "things_test_images",
]
