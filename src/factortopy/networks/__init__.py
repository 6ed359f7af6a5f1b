"""Networks: a batch of images in, tokens of every layer out."""

from factortopy.networks.cost import Cost, estimate_cost
from factortopy.networks.device import autocast, choose_device, choose_precision
from factortopy.networks.diffusion import load_diffusion
from factortopy.networks.function import network_from_function
from factortopy.networks.loading import load_network, network_skeleton
from factortopy.networks.network import Network, Preprocessing, Tokens, describe
from factortopy.networks.zoo import ZooEntry, find_entry, list_networks

__all__ = [
    "Cost",
    "Network",
    "Preprocessing",
    "Tokens",
    "ZooEntry",
    "autocast",
    "choose_device",
    "choose_precision",
    "describe",
    "estimate_cost",
    "find_entry",
    "list_networks",
    "load_diffusion",
    "load_network",
    "network_from_function",
    "network_skeleton",
]
