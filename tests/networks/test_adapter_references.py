"""Tokens are what the libraries' own calls for features give."""

import sys

import pytest
import torch
import transformers
from test_adapter_contract import CASES, HALVES, SMALL, TOWER, batch, from_transformers, open_clip_tower
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.images import sample_views
from factortopy.networks import Preprocessing
from factortopy.networks.adapters import open_clip as open_clip_adapter
from factortopy.networks.adapters.open_clip import OPEN_CLIP
from factortopy.networks.adapters.torchvision import TORCHVISION, torchvision_preprocessing
from factortopy.networks.adapters.transformers import TRANSFORMERS
from factortopy.networks.module import network_from_module
from factortopy.networks.reading.hooked import HookedNetwork
from factortopy.networks.reading.outputs import TokenRule

# Its blocks keep the tokens sorted by mask unit, so they are put in order by its own `reroll`, below.
NOT_BY_HOOKS = {"timm Hiera"}
BY_HOOKS = {
    "timm Hiera": "its blocks keep the tokens sorted by mask unit",
    "timm EfficientNet": "its feature names are those of whole stages",
}
BY_HOOKS = [name for name in CASES if name.startswith("timm") and name not in NOT_BY_HOOKS]


@pytest.mark.parametrize("name", BY_HOOKS)
def test_timm_equals_hooks_on_its_blocks(name):
    torch.manual_seed(0)
    network = CASES[name]()
    rule = TokenRule(network.prefix_tokens, 0 if network.global_token == "class" else None)
    hooked = HookedNetwork(network._model, network.layers, name, network.preprocessing, rule=rule)
    images = batch(network, 2)
    with torch.no_grad():
        ours, theirs = network.tokens(images), hooked.tokens(images)
    assert hooked.layers == network.layers
    for i in range(len(network.layers)):
        torch.testing.assert_close(ours.local[i], theirs.local[i])
        torch.testing.assert_close(ours.global_[i], theirs.global_[i])


def test_timm_hiera_equals_its_blocks_put_in_order():
    torch.manual_seed(0)
    network = CASES["timm Hiera"]()
    images, seen = batch(network, 2), []
    hooks = [b.register_forward_hook(lambda _m, _i, output: seen.append(output)) for b in network._model.blocks]
    with torch.no_grad():
        tokens = network.tokens(images)
        for index, output in enumerate(seen):
            places = network._model.reroll(output, index).movedim(-1, 1)
            torch.testing.assert_close(tokens.local[index], places)
    assert len(hooks) == len(seen) == len(network.layers)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("timm", "transformers"))])
def test_layers_taken_alone_are_those_of_the_whole(name):
    network = CASES[name]()
    wanted = [network.layers[0], network.layers[1]]
    part = network_from_module(network._model, wanted[::-1], network.preprocessing)
    assert (type(part), part.layers, part.prefix_tokens) == (type(network), tuple(wanted), network.prefix_tokens)
    images = batch(network, 1)
    with torch.no_grad():
        whole, alone = network.tokens(images), part.tokens(images)
    for i in range(2):
        torch.testing.assert_close(alone.local[i], whole.local[i])
        torch.testing.assert_close(alone.global_[i], whole.global_[i])


@pytest.mark.parametrize("name", ["ViT-B-32", "RN50"])
def test_open_clip_equals_its_own_intermediates(name):
    sizes = TOWER if name == "ViT-B-32" else {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}
    visual = open_clip_tower(name, **sizes)
    network = network_from_module(visual, name=name)
    images = batch(network, 2)
    with torch.no_grad():
        tokens = network.tokens(images)
        own = visual.forward_intermediates(images, intermediates_only=True, output_extra_tokens=True)
    assert len(own["image_intermediates"]) == len(network.layers)
    for i, map_ in enumerate(own["image_intermediates"]):
        torch.testing.assert_close(tokens.local[i], map_)
        if name == "ViT-B-32":
            torch.testing.assert_close(tokens.global_[i], own["image_intermediates_prefix"][i][:, 0])


def test_open_clip_tag_decides_activation_and_preprocessing():
    first, second = (open_clip_tower(f"ViT-B-16/{tag}", layers=1) for tag in ("openai", "datacomp_l_s1b_b8k"))
    assert [type(tower.transformer.resblocks[0].mlp.gelu).__name__ for tower in (first, second)] == [
        "QuickGELU",
        "GELU",
    ]
    siglip = open_clip_tower("ViT-B-16-SigLIP/webli", timm_model_name="test_vit")
    rules = open_clip_adapter.open_clip_preprocessing(siglip)
    assert (rules.mean, rules.crop_mode) == ((0.5, 0.5, 0.5), "squash")


def test_open_clip_preprocessing_is_its_own():
    import open_clip

    photograph = sample_views(3).image(1).resize((300, 260))
    for mode in ("shortest", "squash"):
        own = open_clip.image_transform((64, 64), is_train=False, resize_mode=mode, interpolation="bicubic")
        visual = torch.nn.Module()
        visual.preprocess_cfg = {**open_clip_adapter.SEEN, "size": 64, "resize_mode": mode}
        found = open_clip_adapter.open_clip_preprocessing(visual)(photograph)
        torch.testing.assert_close(found, own(photograph))


def test_open_clip_weights_and_names():
    tower = open_clip_tower("ViT-S-32", seed=3)
    state = {f"visual.{key}": value for key, value in tower.state_dict().items()}
    network = OPEN_CLIP.build(
        OPEN_CLIP.source("ViT-S-32"), state | {"token_embedding.weight": torch.zeros(3)}, layers=BLOCK_5
    )
    for key, value in network._model.state_dict().items():
        assert torch.equal(value, state[f"visual.{key}"])
    assert network.pretrained
    with pytest.raises(DataError, match="conv1"):
        OPEN_CLIP.build(OPEN_CLIP.source("ViT-S-32"), {k: v for k, v in state.items() if "conv1" not in k})
    with pytest.raises(UnknownNameError, match="ViT-B-16"):
        OPEN_CLIP.build(OPEN_CLIP.source("ViT-B-61"))
    with pytest.raises(UnknownNameError, match="datacomp_l_s1b_b8k"):
        OPEN_CLIP.build(OPEN_CLIP.source("ViT-B-16/datacomp_l"))


BLOCK_5 = ["transformer.resblocks.5"]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("transformers")])
def test_transformers_equals_its_hidden_states(name):
    network = CASES[name]()
    images = batch(network, 2)
    options = {"noise": torch.arange(16.0).expand(2, -1)} if "MAE" in name else {}
    with torch.no_grad():
        tokens = network.tokens(images)
        output = network._model(pixel_values=images, output_hidden_states=True, **options)
    prefix = 5 if "registers" in name or "v3" in name else 0 if network.global_token == "pooled" else 1
    assert network.prefix_tokens == prefix
    for i, layer in enumerate(network.layers):
        index = int(layer.removeprefix("hidden_states."))
        state = output.hidden_states[index]
        if "Hiera" in name:  # its sequences are not in the order of places
            state = output.reshaped_hidden_states[index].movedim(-1, 1)
        if state.ndim == 3:
            assert state.shape[1] == prefix + tokens.local[i][0, 0].numel()
            torch.testing.assert_close(tokens.local[i].flatten(2).transpose(1, 2), state[:, prefix:])
            if prefix:
                torch.testing.assert_close(tokens.global_[i], state[:, 0])
        else:
            torch.testing.assert_close(tokens.local[i], state)
    assert network.layers[0] == "hidden_states.1"


def test_masked_autoencoder_keeps_every_patch_in_place():
    """With the weights of a plain ViT it gives the plain ViT's tokens."""
    plain = from_transformers(transformers.ViTConfig(**SMALL), seed=1)
    masked = from_transformers(transformers.ViTMAEConfig(**SMALL), seed=2)
    state = plain._model.state_dict()
    masked._model.load_state_dict({k: v for k, v in state.items() if "pooler" not in k})
    images = batch(plain, 2)
    with torch.no_grad():
        expected, found = plain.tokens(images), masked.tokens(images)
    for i in range(3):
        torch.testing.assert_close(found.local[i], expected.local[i])


def test_transformers_without_hidden_states_names_the_class():
    class MuteModel(transformers.ViTModel):
        def forward(self, pixel_values, **options):
            output = super().forward(pixel_values)
            assert output.hidden_states is None
            return output

    with pytest.raises(UnavailableError, match=r"MuteModel gives no hidden states.*layers="):
        network_from_module(MuteModel(transformers.ViTConfig(**SMALL)))
    with pytest.raises(UnavailableError, match="Siglip2VisionModel does not run on a batch of RGB images"):
        from_transformers(transformers.Siglip2VisionConfig(**{**SMALL, "image_size": 32}))


def test_transformers_weights_of_a_larger_model():
    classifier = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL))
    state = classifier.state_dict()
    network = from_transformers(transformers.ViTConfig(**SMALL), state)
    own = network._model.state_dict()
    assert torch.equal(own["layers.1.mlp.fc1.weight"], state["vit.layers.1.mlp.fc1.weight"])
    short = {k: v for k, v in state.items() if "layers.1.mlp.fc1" not in k}
    with pytest.raises(DataError, match=r"2 missing \(layers\.1\.mlp\.fc1\.bias"):
        from_transformers(transformers.ViTConfig(**SMALL), short)
    with pytest.raises(DataError, match="unexpected"):
        from_transformers(transformers.ViTConfig(**{**SMALL, "num_hidden_layers": 2}), state)


def test_library_that_is_missing_is_said_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UnavailableError, match=r"pip install 'factortopy\[open-clip\]'"):
        OPEN_CLIP.build(OPEN_CLIP.source("ViT-B-32"))
    with pytest.raises(UnavailableError, match=r"pip install 'factortopy\[transformers\]'"):
        TRANSFORMERS.build(TRANSFORMERS.source("facebook/dinov2-base"))


def test_transformers_folder(tmp_path):
    transformers.Dinov2Config(**SMALL).save_pretrained(tmp_path)
    transformers.BitImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}).save_pretrained(
        tmp_path
    )
    network = TRANSFORMERS.build(TRANSFORMERS.source(str(tmp_path)), seed=4)
    assert network.preprocessing.size == (32, 32)
    assert network.channels == (32, 32, 32)
    (tmp_path / "config.json").write_text('{"model_type": "of nobody"}')
    with pytest.raises(DataError, match="cannot be read"):
        TRANSFORMERS.build(TRANSFORMERS.source(str(tmp_path)))


TORCHVISION_MODELS = {
    "resnet": (models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1]), 64),
    "vit": (models.VisionTransformer(32, 8, 3, 2, 32, 48), 32),
    "swin": (models.SwinTransformer([4, 4], 12, [1, 1, 1], [1, 1, 1], [4, 4]), 64),
    "vgg": (models.vgg11(), 32),
    "squeezenet": (models.squeezenet1_1(), 64),
}


@pytest.mark.parametrize("name", TORCHVISION_MODELS)
def test_torchvision_equals_its_feature_extractor(name):
    model, size = TORCHVISION_MODELS[name]
    network = network_from_module(model, preprocessing=Preprocessing((size, size), *HALVES))
    images = batch(network, 2)
    extractor = create_feature_extractor(model, {layer: layer for layer in network.layers}).eval()
    with torch.no_grad():
        tokens, own = network.tokens(images), extractor(images)
    for i, layer in enumerate(network.layers):
        if name == "vit":
            torch.testing.assert_close(tokens.global_[i], own[layer][:, 0])
            torch.testing.assert_close(tokens.local[i].flatten(2).mT, own[layer][:, 1:])
        else:
            expected = own[layer].movedim(-1, 1) if name == "swin" else own[layer]
            torch.testing.assert_close(tokens.local[i], expected)


def test_torchvision_names_tags_and_weights():
    state = models.resnet18().state_dict()
    network = TORCHVISION.build(
        TORCHVISION.source("resnet18"), {k: v for k, v in state.items() if not k.startswith("fc.")}
    )
    assert torch.equal(network._model.state_dict()["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    assert network.layers == ("relu", "layer1", "layer2", "layer3", "layer4")
    with pytest.raises(UnknownNameError, match="resnet50"):
        TORCHVISION.build(TORCHVISION.source("resnet5"))
    with pytest.raises(UnknownNameError, match="IMAGENET1K_V2"):
        TORCHVISION.build(TORCHVISION.source("resnet50/IMAGENET1K_V3"))


@pytest.mark.parametrize("name", ["resnet50", "vit_l_16", "swin_t", "efficientnet_b0", "inception_v3"])
def test_torchvision_preprocessing_is_its_own(name):
    photograph = sample_views(3).image(1).resize((300, 260))
    own = models.get_model_weights(name).DEFAULT.transforms()
    torch.testing.assert_close(torchvision_preprocessing(TORCHVISION.source(name))(photograph), own(photograph))
