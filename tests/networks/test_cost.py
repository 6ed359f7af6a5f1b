"""What a network takes: counted by hand for small networks, measured for the speed."""

import time

import pytest
import torch
from torch import nn

from factortopy.networks import NetworkCost, Preprocessing, cost, estimate_cost, load_network, network_skeleton
from factortopy.networks.cost import MemoryMeter
from factortopy.networks.module import network_from_module

SEEN = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0)
CPU = torch.device("cpu")


def two_convolutions():
    """3 x 32 x 32 -> 8 x 8 x 8 -> 16 x 4 x 4; without biases."""
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4, bias=False), nn.Conv2d(8, 16, 2, 2, bias=False))


def network(device="cpu"):
    with torch.device(device):
        return network_from_module(two_convolutions(), ["0", "1"], SEEN, pretrained=False)


def test_memory_and_operations_by_hand():
    found = estimate_cost(network("meta"), network, CPU, "fp32")
    assert found.parameters == 8 * 3 * 16 + 16 * 8 * 4
    assert found.parameter_bytes == 4 * found.parameters
    products = 8 * 64 * 3 * 16 + 16 * 16 * 8 * 4
    assert found.operations == 2 * products
    # Both maps and both means, which are the tokens, are held at the end.
    assert found.activation_bytes == 4 * (8 * 64 + 16 * 16 + 8 + 16)
    assert found.timed


def test_meter_counts_what_is_held_at_a_time():
    with MemoryMeter() as meter:
        first = torch.zeros(1000, device="meta")
        second = (first + 1).view(10, 100).T  # a view takes nothing
        del first
        third = second * 2
        del second
        torch.zeros(10, device="meta")
    assert third.numel() == 1000
    assert meter.peak == 8000


def test_speed_is_near_that_of_a_batch(monkeypatch):
    """In time of the processor, which other work on the machine changes little."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)

    def build():
        return load_network("timm/test_vit", untrained=True, device="cpu")

    found = estimate_cost(network_skeleton("timm/test_vit"), build, CPU, "fp32")
    loaded = build()
    images = torch.zeros(cost.BATCH, 3, 160, 160)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        with torch.no_grad():
            loaded.tokens(images)
        seconds.append(time.process_time() - start)
    assert 0.3 < found.images_per_second * min(seconds) / cost.BATCH < 3


def test_large_network_is_never_built():
    def build():
        raise AssertionError("built")

    found = estimate_cost(network_skeleton("dinov2-g"), build, CPU, "fp32")
    assert not found.timed
    assert found.parameters == pytest.approx(1.136e9, rel=0.01)  # Oquab et al. 2023: 1.1 billion
    tokens = 1025 * 1536 * 40 * 4
    assert tokens < found.activation_bytes < 3 * tokens
    # A multiplication and an addition for each weight and token, and those of the attention
    blocks = 2 * 1025 * (found.parameters - 2e6) + 40 * 2 * 2 * 1025**2 * 1536
    assert found.operations == pytest.approx(blocks, rel=0.03)
    assert isinstance(found, NetworkCost)
    assert found.images_per_second > 0


def test_vit_base_has_the_operations_of_its_paper():
    """ViT-B/16: 17.6 billion multiplications and additions at 224 pixels (Touvron et al. 2021, table 5)."""
    for name in ("mae-b", "imagenet-b", "clip-b16-datacomp-l"):
        skeleton = network_skeleton(name)
        with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
            skeleton.tokens(torch.zeros(1, 3, 224, 224, device="meta"))
        assert counter.get_total_flops() == pytest.approx(2 * 17.58e9, rel=0.01)
