"""Maps of unequal size come to one grid in a token store, which says what size they had."""

import torch
from torch import nn

import factortopy as ft

SEEN = ft.Preprocessing((24, 24), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0)


def test_store_says_each_layers_own_grid(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 6, 4, 4))
    network = ft.load_network(module, ["0", "1"], preprocessing=SEEN, device="cpu")
    images = ft.sample_views(2)
    store = ft.extract(network, images, tmp_path / "tokens", (4, 4), precision="fp32", progress=False)
    assert store.provenance["native_grids"] == [[12, 12], [3, 3]]
    stored = store.read([1])
    assert [tuple(layer.shape) for layer in stored.local] == [(1, 4, 4, 4), (1, 6, 4, 4)]
    with torch.no_grad():
        fine = network.tokens(SEEN(images.image(1))[None]).local[0]
    # From 12 to 4 rows the bilinear sample of a place falls on the middle one of three.
    torch.testing.assert_close(stored.local[0].float(), fine[:, :, 1::3, 1::3], atol=2e-3, rtol=2e-3)
