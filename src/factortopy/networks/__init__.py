"""Networks: a batch of images in, tokens of every layer out."""

from factortopy.networks.device import autocast, choose_device, choose_precision
from factortopy.networks.network import Network, Preprocessing, Tokens, describe
from factortopy.networks.zoo import ZooEntry, list_networks, load_network

__all__ = [
    "Network",
    "Preprocessing",
    "Tokens",
    "ZooEntry",
    "autocast",
    "choose_device",
    "choose_precision",
    "describe",
    "list_networks",
    "load_network",
]
