"""One contract for networks of every origin, each built small with random weights."""

import pytest
import timm
import torch
import transformers
from torch import nn
from torchvision import models

from factortopy.errors import ShapeError
from factortopy.networks import Preprocessing, describe, network_from_function
from factortopy.networks.adapters import open_clip as open_clip_adapter
from factortopy.networks.adapters.transformers import create_from_config
from factortopy.networks.module import network_from_module

SMALL = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 48}
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 1.0)
SMALL_IMAGES = Preprocessing((32, 32), *HALVES)


class Blocks(nn.Module):
    """A module of one's own: patches, a class token, blocks with dropout that give tuples."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.mix, self.drop = nn.LayerNorm(12), nn.Linear(12, 12), nn.Dropout(0.5)

        def forward(self, x):
            mean = x.mean(1, keepdim=True)
            return x + self.drop(self.mix(self.norm(x) + mean)), None

    def __init__(self):
        super().__init__()
        self.patches, self.cls = nn.Conv2d(3, 12, 8, 8), nn.Parameter(torch.randn(1, 1, 12))
        self.body = nn.ModuleList(self.Block() for _ in range(3))

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), 1, 12), x], 1)
        for block in self.body:
            x = block(x)[0]
        return x[:, 0]


def from_timm(name, size=None, **sizes):
    overlay = {"input_size": (3, size, size)} if size else None
    return network_from_module(timm.create_model(name, pretrained_cfg_overlay=overlay, **sizes), name=name)


def from_open_clip(name, **vision):
    return network_from_module(open_clip_tower(name, **vision), name=name)


def open_clip_tower(name, seed=0, **vision):
    return open_clip_adapter._image_tower(open_clip_adapter.OPEN_CLIP.source(name), seed, **vision)


def from_transformers(config, state=None, seed=0):
    module = create_from_config(config, state, seed, type(config).__name__)
    return network_from_module(module, pretrained=state is not None)


def from_torchvision(model, size):
    return network_from_module(model, preprocessing=Preprocessing((size, size), *HALVES))


def from_function():
    weights = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))

    def function(images):
        map_ = nn.functional.conv2d(images, weights.to(images), stride=4)
        return {"early": map_, "late": nn.functional.avg_pool2d(map_, 2).tanh().movedim(1, -1)}

    return network_from_function(function, SMALL_IMAGES, "filters")


VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 2}
TOWER = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 3, "head_width": 32}
CASES = {
    "timm ViT": lambda: from_timm("vit_base_patch16_224", **VIT),
    "timm DINOv2 with registers": lambda: from_timm("vit_base_patch14_reg4_dinov2", **VIT),
    "timm DINOv3": lambda: from_timm("vit_base_patch16_dinov3", **VIT),
    "timm SigLIP": lambda: from_timm("vit_base_patch16_siglip_224", **VIT),
    "timm Perception Encoder": lambda: from_timm("vit_pe_core_base_patch16_224", **VIT),
    "timm Perception Encoder G": lambda: from_timm("vit_pe_core_gigantic_patch14_448", **VIT),
    "timm EVA-02": lambda: from_timm("eva02_tiny_patch14_224", **VIT),
    "timm SAM": lambda: from_timm("samvit_base_patch16", **VIT, window_size=2),
    "timm Hiera": lambda: from_timm("hiera_tiny_224", 64, img_size=(64, 64), embed_dim=16, stages=(1, 1, 1, 1)),
    "timm SAM 2": lambda: from_timm("sam2_hiera_tiny", 64, embed_dim=16, stages=(1, 1, 1, 1)),
    "timm Swin": lambda: from_timm("swin_tiny_patch4_window7_224", img_size=64, window_size=4, embed_dim=12),
    "timm ConvNeXt": lambda: from_timm("convnext_atto", 64, depths=(1, 1, 1, 1), dims=(8, 12, 16, 20)),
    "timm ResNet": lambda: from_timm("test_resnet", 64),
    "timm EfficientNet": lambda: from_timm("test_efficientnet", 64),
    "timm DeiT, distilled": lambda: from_timm("deit_tiny_distilled_patch16_224", **VIT),
    "open_clip ViT": lambda: from_open_clip("ViT-B-32", **TOWER),
    "open_clip ResNet": lambda: from_open_clip("RN50", image_size=64, layers=[1, 1, 1, 1], width=16),
    "open_clip ConvNeXt": lambda: from_open_clip("convnext_base", timm_model_name="test_convnext"),
    "transformers ViT": lambda: from_transformers(transformers.ViTConfig(**SMALL)),
    "transformers CLIP": lambda: from_transformers(
        transformers.CLIPConfig(vision_config=SMALL, text_config={"vocab_size": 50000})
    ),
    "transformers SigLIP": lambda: from_transformers(transformers.SiglipVisionConfig(**SMALL)),
    "transformers DINOv2": lambda: from_transformers(transformers.Dinov2Config(**SMALL)),
    "transformers DINOv2 with registers": lambda: from_transformers(transformers.Dinov2WithRegistersConfig(**SMALL)),
    "transformers DINOv3": lambda: from_transformers(transformers.DINOv3ViTConfig(**SMALL, num_register_tokens=4)),
    "transformers MAE": lambda: from_transformers(transformers.ViTMAEConfig(**SMALL)),
    "transformers Hiera": lambda: from_transformers(
        transformers.HieraConfig(image_size=[64, 64], embed_dim=8, depths=[1] * 4, num_heads=[1, 2, 4, 8])
    ),
    "transformers Swin": lambda: from_transformers(
        transformers.SwinConfig(
            image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4
        )
    ),
    "transformers ConvNeXt": lambda: from_transformers(
        transformers.ConvNextConfig(image_size=64, depths=[1, 1, 1, 1], hidden_sizes=[8, 12, 16, 20])
    ),
    "transformers ResNet": lambda: from_transformers(
        transformers.ResNetConfig(depths=[1, 1], hidden_sizes=[8, 16], embedding_size=8)
    ),
    "torchvision ResNet": lambda: from_torchvision(models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1]), 64),
    "torchvision ViT": lambda: from_torchvision(models.VisionTransformer(32, 8, 3, 2, 32, 48), 32),
    "torchvision Swin": lambda: from_torchvision(models.SwinTransformer([4, 4], 12, [1, 1, 1], [1, 1, 1], [4, 4]), 64),
    "module of one's own": lambda: network_from_module(
        Blocks(), [f"body.{i}" for i in (2, 0, 1)], SMALL_IMAGES, name="blocks"
    ),
    "function": from_function,
}
REGISTERS = {"timm DINOv2 with registers": 4, "timm DINOv3": 4, "transformers DINOv2 with registers": 4}
REGISTERS |= {"transformers DINOv3": 4}
NO_CLASS = {"timm SigLIP", "timm SAM", "timm SAM 2", "timm Hiera", "timm Swin", "timm ConvNeXt", "timm ResNet"}
NO_CLASS |= {
    "timm EfficientNet",
    "timm Perception Encoder G",
    "open_clip ResNet",
    "open_clip ConvNeXt",
    "transformers SigLIP",
}
NO_CLASS |= {"transformers Hiera", "transformers Swin", "transformers ConvNeXt", "transformers ResNet", "function"}
NO_CLASS |= {"torchvision ResNet", "torchvision Swin"}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    torch.manual_seed(0)
    return request.param, CASES[request.param]()


def batch(network, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *network.preprocessing.size, generator=generator)


def hooks_of(network):
    modules = network._model.modules() if network._model is not None else ()
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)


def test_shapes_are_those_stated(case):
    _, network = case
    with torch.no_grad():
        tokens = network.tokens(batch(network))
    assert len(network.layers) == len(set(network.layers)) == len(tokens.local) > 1
    for local, global_, channels, grid in zip(
        tokens.local, tokens.global_, network.channels, network.grids, strict=True
    ):
        assert local.shape == (3, channels, *grid)
        assert global_.shape == (3, channels)
        assert bool(local.isfinite().all() and global_.isfinite().all())
    assert network.grid == max(network.grids)
    assert describe(network)["layers"][0]["grid"] == list(network.grids[0])


def test_global_token_and_registers(case):
    name, network = case
    assert network.global_token == ("pooled" if name in NO_CLASS else "class")
    assert network.register_tokens == REGISTERS.get(name, 0)
    with torch.no_grad():
        tokens = network.tokens(batch(network))
    assert [tuple(r.shape[:2]) for r in tokens.registers] == [(3, network.register_tokens)] * len(tokens.registers)
    for local, global_ in zip(tokens.local, tokens.global_, strict=True):
        is_mean = torch.allclose(global_, local.flatten(2).double().mean(2).float(), rtol=1e-4, atol=1e-5)
        assert is_mean == (name in NO_CLASS)


def test_an_image_gives_the_same_in_any_batch_and_again(case):
    _, network = case
    images = batch(network, 3)
    with torch.no_grad():
        together, alone = network.tokens(images), network.tokens(images[1:2])
        again = network.tokens(images)
    for i in range(len(network.layers)):
        torch.testing.assert_close(together.local[i][1:2], alone.local[i], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(together.global_[i][1:2], alone.global_[i], rtol=1e-3, atol=1e-4)
        assert torch.equal(together.local[i], again.local[i])


def test_places_are_where_they_are_in_the_image(case):
    """Changing the image's lower right corner changes first layers there more than in the upper left."""
    _, network = case
    images = batch(network, 1)
    changed = images.clone()
    height, width = network.preprocessing.size
    changed[..., height * 3 // 4 :, width * 3 // 4 :] += 5.0
    with torch.no_grad():
        before, after = network.tokens(images).local[0], network.tokens(changed).local[0]
    difference = (after - before).norm(dim=1)[0]
    rows, columns = difference.shape
    corner = difference[-(rows // 4) or None :, -(columns // 4) or None :].mean()
    assert corner > 2 * difference[: max(rows // 4, 1), : max(columns // 4, 1)].mean()


def test_gradients_flow_where_enabled(case):
    _, network = case
    images = batch(network, 1).requires_grad_()
    tokens = network.tokens(images)
    (gradient,) = torch.autograd.grad(tokens.local[-1].square().sum(), images)
    assert float(gradient.abs().sum()) > 0
    with torch.inference_mode():
        assert not network.tokens(batch(network, 1)).local[0].requires_grad


def test_eval_mode_and_no_hooks_left(case):
    _, network = case
    if network._model is not None:
        assert not any(module.training for module in network._model.modules())
    before = hooks_of(network)
    with torch.no_grad():
        network.tokens(batch(network, 1))
    assert hooks_of(network) == before


def test_depth_is_the_order_of_computing(case):
    """The last layer depends on more of the weights than the first."""
    _, network = case
    if network._model is None:
        pytest.skip("a function has no weights to change")
    images = batch(network, 1)
    parameters = [p for p in network._model.parameters() if p.requires_grad]
    first = network.tokens(images).local[0].sum()
    last = network.tokens(images).local[-1].sum()
    used = [
        sum(g is not None and bool(g.any()) for g in torch.autograd.grad(end, parameters, allow_unused=True))
        for end in (first, last)
    ]
    assert used[0] < used[1]


def test_wrong_size_and_hash(case):
    _, network = case
    with pytest.raises(ShapeError, match="use its preprocessing"):
        network.tokens(torch.zeros(1, 3, 17, 17))
    assert len(network.weights_hash) == 64
    assert int(network.weights_hash, 16) >= 0
