"""
Your own network
================

Any PyTorch module takes one line: the module and the names of the layers to read.
"""

import torch

import factortopy as ft

torch.manual_seed(0)
module = torch.nn.Sequential(
    torch.nn.Conv2d(3, 16, 7, stride=4), torch.nn.ReLU(),
    torch.nn.Conv2d(16, 32, 5, stride=2), torch.nn.ReLU(),
    torch.nn.Conv2d(32, 64, 3, stride=2), torch.nn.ReLU(),
)  # fmt: skip
network = ft.load_network(module, layers=["1", "3", "5"], preprocessing=ft.Preprocessing(
    size=(64, 64), mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic", crop_fraction=1.0
))  # fmt: skip
print(network.name, network.layers)

# %%
# Tokens of it, as of any other network. The store knows which weights made it: tokens of others are never mixed in.
tokens = ft.extract(network, ft.sample_views(300, seed=0), "run/own-network", progress=False)
print(tokens.layers, tokens.channels, tokens.grid)
