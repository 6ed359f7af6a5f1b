"""Networks: a batch of images in, tokens of every layer out."""

from factortopy.networks.adapters.diffusion import DiffusionNetwork, load_diffusion, parse_choice
from factortopy.networks.adapters.diffusion_parts import SCHEDULE, DiffusionParts
from factortopy.networks.adapters.function import network_from_function
from factortopy.networks.cost import Cost, estimate_cost, peak_memory
from factortopy.networks.loading import load_network, network_skeleton
from factortopy.networks.network import Network, Preprocessing, Tokens, describe
from factortopy.networks.weights.finetuned import SETTINGS, WEIGHTS
from factortopy.networks.weights.weights import HUB_FILES, read_weights
from factortopy.networks.weights.wheels import cached_file
from factortopy.networks.zoo import ZooEntry, find_entry, list_networks

__all__ = [
    "HUB_FILES",
    "SCHEDULE",
    "SETTINGS",
    "WEIGHTS",
    "Cost",
    "DiffusionNetwork",
    "DiffusionParts",
    "Network",
    "Preprocessing",
    "Tokens",
    "ZooEntry",
    "cached_file",
    "describe",
    "estimate_cost",
    "find_entry",
    "list_networks",
    "load_diffusion",
    "load_network",
    "network_from_function",
    "network_skeleton",
    "parse_choice",
    "peak_memory",
    "read_weights",
]
