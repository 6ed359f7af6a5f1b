"""factortopy: map pre-trained vision networks onto the human brain.

Names load on first use, so that importing the package costs little.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factortopy import plot as plot
    from factortopy.analysis import algonauts_score as algonauts_score
    from factortopy.analysis import change as change
    from factortopy.analysis import compare as compare
    from factortopy.analysis import hierarchy_slope as hierarchy_slope
    from factortopy.analysis import recovery as recovery
    from factortopy.analysis import subject_average as subject_average
    from factortopy.brain import Planted as Planted
    from factortopy.brain import Split as Split
    from factortopy.brain import Subject as Subject
    from factortopy.brain import algonauts_protocol as algonauts_protocol
    from factortopy.brain import convert_nsd as convert_nsd
    from factortopy.brain import load_algonauts as load_algonauts
    from factortopy.brain import load_arrays as load_arrays
    from factortopy.brain import load_betas as load_betas
    from factortopy.brain import load_nsd as load_nsd
    from factortopy.brain import load_subject as load_subject
    from factortopy.brain import load_surface as load_surface
    from factortopy.brain import nsd_shared_images as nsd_shared_images
    from factortopy.brain import open_subject as open_subject
    from factortopy.brain import paper_protocol as paper_protocol
    from factortopy.brain import simulate_subject as simulate_subject
    from factortopy.brain import split_images as split_images
    from factortopy.brain import split_with_test as split_with_test
    from factortopy.finetuning import finetune as finetune
    from factortopy.finetuning import open_labelled as open_labelled
    from factortopy.fitting import FactorTopyRegressor as FactorTopyRegressor
    from factortopy.images import ImageSet as ImageSet
    from factortopy.images import images_from_folder as images_from_folder
    from factortopy.images import images_from_hdf5 as images_from_hdf5
    from factortopy.images import images_from_list as images_from_list
    from factortopy.images import leave_out_broken as leave_out_broken
    from factortopy.images import sample_views as sample_views
    from factortopy.mapping import Mapping as Mapping
    from factortopy.networks import Network as Network
    from factortopy.networks import Preprocessing as Preprocessing
    from factortopy.networks import list_networks as list_networks
    from factortopy.networks import load_diffusion as load_diffusion
    from factortopy.networks import load_network as load_network
    from factortopy.networks import network_from_function as network_from_function
    from factortopy.reporting import report as report
    from factortopy.tokens import TokenStore as TokenStore
    from factortopy.tokens import estimate_extraction as estimate_extraction
    from factortopy.tokens import extract as extract
    from factortopy.tokens import token_norms as token_norms
    from factortopy.workflow import fit as fit

_HOME = {
    "FactorTopyRegressor": "fitting",
    "ImageSet": "images",
    "Mapping": "mapping",
    "Network": "networks",
    "Planted": "brain",
    "Preprocessing": "networks",
    "Split": "brain",
    "Subject": "brain",
    "TokenStore": "tokens",
    "algonauts_protocol": "brain",
    "algonauts_score": "analysis",
    "compare": "analysis",
    "change": "analysis",
    "convert_nsd": "brain",
    "estimate_extraction": "tokens",
    "extract": "tokens",
    "finetune": "finetuning",
    "fit": "workflow",
    "hierarchy_slope": "analysis",
    "images_from_folder": "images",
    "images_from_hdf5": "images",
    "images_from_list": "images",
    "leave_out_broken": "images",
    "list_networks": "networks",
    "load_algonauts": "brain",
    "load_arrays": "brain",
    "load_betas": "brain",
    "load_diffusion": "networks",
    "load_network": "networks",
    "load_nsd": "brain",
    "nsd_shared_images": "brain",
    "load_subject": "brain",
    "load_surface": "brain",
    "network_from_function": "networks",
    "open_labelled": "finetuning",
    "open_subject": "brain",
    "paper_protocol": "brain",
    "recovery": "analysis",
    "report": "reporting",
    "sample_views": "images",
    "simulate_subject": "brain",
    "split_images": "brain",
    "subject_average": "analysis",
    "split_with_test": "brain",
    "token_norms": "tokens",
}
__all__ = [*_HOME, "plot"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "plot":
        return import_module("factortopy.plot")
    if name not in _HOME:
        raise AttributeError(f"module 'factortopy' has no attribute {name!r}")
    return getattr(import_module(f"factortopy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
