"""Networks: a batch of images in, tokens of every layer out."""

from factortopy.networks.adapters.function import network_from_function
from factortopy.networks.cost import NetworkCost, estimate_cost, peak_memory
from factortopy.networks.diffusion.loading import load_diffusion, parse_choice
from factortopy.networks.diffusion.network import DiffusionNetwork
from factortopy.networks.diffusion.parts import STABLE_DIFFUSION_SCHEDULE, DiffusionParts
from factortopy.networks.families import register_family
from factortopy.networks.family import Family, ModuleFamily, NetworkSource
from factortopy.networks.loading import find_cached_weights, load_network, network_skeleton
from factortopy.networks.network import Network, Preprocessing, Tokens, describe
from factortopy.networks.reading.hooked import HookedNetwork
from factortopy.networks.reading.layered import LayeredNetwork
from factortopy.networks.reading.outputs import TokenRule
from factortopy.networks.weights.finetuned import FINETUNED_SETTINGS, FINETUNED_WEIGHTS
from factortopy.networks.weights.matching import fit_weights
from factortopy.networks.weights.remote import HubFile, Remote, UrlFile
from factortopy.networks.weights.state_dict import read_weights
from factortopy.networks.zoo import ZooEntry, find_entry, list_networks

__all__ = [
    "FINETUNED_SETTINGS",
    "FINETUNED_WEIGHTS",
    "STABLE_DIFFUSION_SCHEDULE",
    "DiffusionNetwork",
    "DiffusionParts",
    "Family",
    "HookedNetwork",
    "HubFile",
    "LayeredNetwork",
    "ModuleFamily",
    "Network",
    "NetworkCost",
    "NetworkSource",
    "Preprocessing",
    "Remote",
    "TokenRule",
    "Tokens",
    "UrlFile",
    "ZooEntry",
    "describe",
    "estimate_cost",
    "find_cached_weights",
    "find_entry",
    "fit_weights",
    "list_networks",
    "load_diffusion",
    "load_network",
    "network_from_function",
    "network_skeleton",
    "parse_choice",
    "peak_memory",
    "read_weights",
    "register_family",
]
