"""timm networks: the same contract for transformers, convolutional and hierarchical networks."""

from functools import reduce

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from factortopy.errors import DataError, ShapeError, UnavailableError, UnknownNameError
from factortopy.images import sample_views
from factortopy.machine import choose_device, choose_precision
from factortopy.networks import Tokens, describe, load_network
from factortopy.networks.adapters.timm import TimmNetwork, build_timm
from factortopy.networks.weights.remote import HubFile


def batch(network, count=2):
    return torch.randn(count, 3, *network.preprocessing.size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vit():
    return load_network("timm/test_vit", untrained=True, device="cpu")


def test_transformer_tokens_equal_hooks_on_blocks(vit):
    seen = []
    hooks = [b.register_forward_hook(lambda _m, _i, output: seen.append(output)) for b in vit._model.blocks]
    with torch.no_grad():
        tokens = vit.tokens(batch(vit))
    for hook in hooks:
        hook.remove()
    assert vit.layers == tuple(f"blocks.{i}" for i in range(6))
    for index, output in enumerate(seen):
        torch.testing.assert_close(tokens.global_[index], output[:, 0])
        for y, x in [(0, 0), (3, 7), (9, 9)]:
            torch.testing.assert_close(tokens.local[index][:, :, y, x], output[:, 1 + 10 * y + x])


def test_registers_are_apart():
    torch.manual_seed(0)
    model = timm.create_model("test_vit", reg_tokens=3)
    network = TimmNetwork(model, "registers")
    seen = []
    model.blocks[2].register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        tokens = network.tokens(batch(network))
    assert (network.prefix_tokens, network.register_tokens, network.global_token) == (4, 3, "class")
    torch.testing.assert_close(tokens.global_[2], seen[0][:, 0])
    torch.testing.assert_close(tokens.registers[2], seen[0][:, 1:4])
    torch.testing.assert_close(tokens.local[2].flatten(2).transpose(1, 2), seen[0][:, 4:])


def test_registers_without_class_token_are_pooled():
    network = load_network("test_vit2", untrained=True, device="cpu")
    with torch.no_grad():
        tokens = network.tokens(batch(network))
    assert (network.prefix_tokens, network.register_tokens, network.global_token) == (1, 1, "pooled")
    torch.testing.assert_close(tokens.global_[3], tokens.local[3].mean((2, 3)))
    assert tokens.registers[3].shape == (2, 1, 64)


def test_convolutional_network_has_maps_of_unequal_size():
    network = load_network("test_resnet", untrained=True, device="cpu")
    seen = {}
    for name in ("layer2", "layer4"):
        module = network._model.get_submodule(name)
        module.register_forward_hook(lambda _m, _i, output, name=name: seen.update({name: output}))
    with torch.no_grad():
        tokens = network.tokens(batch(network))
    assert network.layers == ("act1", "layer1", "layer2", "layer3", "layer4")
    assert network.global_token == "pooled"
    assert network.grid == network.grids[0] == (80, 80)
    assert network.grids[-1] == (5, 5)
    for index, name in ((2, "layer2"), (4, "layer4")):
        torch.testing.assert_close(tokens.local[index], seen[name])
        torch.testing.assert_close(tokens.global_[index], seen[name].flatten(2).sum(2) / seen[name][0, 0].numel())
    assert network.channels == tuple(tensor.shape[1] for tensor in tokens.local)


def test_channels_last_network_gives_channels_first():
    network = load_network("swin_tiny_patch4_window7_224", untrained=True, device="cpu")
    seen = []
    network._model.layers[1].register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        tokens = network.tokens(batch(network, 1))
    assert network.channels == (96, 192, 384, 768)
    torch.testing.assert_close(tokens.local[1], seen[0].permute(0, 3, 1, 2))


def test_layers_are_chosen_in_order_of_depth():
    whole = load_network("test_vit", untrained=True, device="cpu")
    part = load_network("test_vit", layers=["blocks.4", "blocks.1"], untrained=True, device="cpu")
    assert part.layers == ("blocks.1", "blocks.4")
    assert part.weights_hash == whole.weights_hash
    with torch.no_grad():
        torch.testing.assert_close(part.tokens(batch(part)).local[1], whole.tokens(batch(whole)).local[4])


@pytest.mark.parametrize(
    ("layers", "error", "text"),
    [(["blocks.99"], UnknownNameError, "blocks.9"), ([], DataError, "empty"), (["blocks.1"] * 2, DataError, "repeat")],
)
def test_bad_layers(layers, error, text):
    with pytest.raises(error, match=text):
        load_network("test_vit", layers=layers, untrained=True, device="cpu")


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="clip-b16-openai"):
        load_network("clip-b16-opena")
    with pytest.raises(UnknownNameError, match=r"vit_base_patch16_224\.mae"):
        load_network("timm/vit_base_patch16_224.maee")


def test_wrong_image_size(vit):
    with pytest.raises(ShapeError, match=r"takes \(B, 3, 160, 160\)"):
        vit.tokens(torch.zeros(1, 3, 64, 64))


def test_untrained_control_is_seeded_and_named(vit):
    state = torch.random.get_rng_state()
    other = load_network("test_vit", untrained=True, seed=1, device="cpu")
    again = load_network("test_vit", untrained=True, device="cpu")
    assert torch.equal(state, torch.random.get_rng_state())
    assert again.weights_hash == vit.weights_hash != other.weights_hash
    assert other.name == "timm/test_vit-untrained-1"
    assert not other.pretrained


def test_preprocessing_by_hand_and_by_timm():
    """Resize the short side to floor(size / fraction), cut the centre, subtract mean, divide by std."""
    network = load_network("vit_tiny_patch16_224", layers=["blocks.0"], untrained=True, device="cpu")
    rules = network.preprocessing
    photograph = sample_views(3).image(1).resize((300, 260))
    found = rules(photograph)
    short = int(224 / rules.crop_fraction)
    resized = photograph.resize((int(short * 300 / 260), short), Image.Resampling.BICUBIC)
    left, top = round((resized.width - 224) / 2), round((short - 224) / 2)
    pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)), dtype=np.float32) / 255
    by_hand = ((pixels - rules.mean) / rules.std).transpose(2, 0, 1)
    assert (rules.interpolation, rules.crop_mode) == ("bicubic", "center")
    np.testing.assert_allclose(found.numpy(), by_hand, atol=1e-5)
    config = timm.data.resolve_model_data_config(network._model)
    torch.testing.assert_close(found, timm.data.create_transform(**config)(photograph))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("head", ["whole", "absent", "ten classes"])
def test_local_weights(tmp_path, suffix, head):
    torch.manual_seed(3)
    state = dict(timm.create_model("test_vit").state_dict())
    if head != "whole":
        state = {k: v for k, v in state.items() if not k.startswith("head.")}
    if head == "ten classes":
        state |= {"head.weight": torch.zeros(10, 64), "head.bias": torch.zeros(10)}
    path = save(state, tmp_path / f"weights{suffix}")
    network = load_network("test_vit", weights=path, device="cpu")
    for name, tensor in network._model.state_dict().items():
        if not name.startswith("head."):
            torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
    assert network.pretrained


def save(state, path):
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state}, path)
    return path


def test_local_weights_that_do_not_fit(tmp_path):
    state = dict(timm.create_model("test_vit").state_dict())
    missing = {k: v for k, v in state.items() if k != "blocks.3.mlp.fc1.weight"}
    with pytest.raises(DataError, match=r"blocks\.3\.mlp\.fc1\.weight"):
        load_network("test_vit", weights=save(missing, tmp_path / "missing.pth"))
    with pytest.raises(DataError, match="surplus"):
        load_network("test_vit", weights=save(state | {"surplus": torch.zeros(1)}, tmp_path / "more.pth"))


OPENAI = {
    "patch_embed.proj": "conv1",
    "blocks.": "transformer.resblocks.",
    "norm_pre": "ln_pre",
    "norm1": "ln_1",
    "norm2": "ln_2",
    "norm.": "ln_post.",
    "attn.qkv.": "attn.in_proj_",
    "attn.proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def as_openai(state):
    """A state dict under the names of OpenAI's CLIP."""
    positions, token = state.pop("pos_embed")[0], state.pop("cls_token")[0, 0]
    renamed = {"visual.class_embedding": token, "visual.positional_embedding": positions}
    for name, value in state.items():
        theirs = reduce(lambda text, pair: text.replace(*pair), OPENAI.items(), name)
        renamed[f"visual.{theirs}"] = value
    return renamed


@pytest.mark.parametrize("release", ["timm", "prefixed", "OpenAI"])
def test_weights_of_another_patch_size_are_refused(release):
    """timm resamples them, and their positions, in silence."""
    small = {"embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 0}
    names = {size: f"vit_base_patch{size}_clip_224.openai" for size in (32, 16)}
    state = timm.create_model(names[32], **small).state_dict()
    prefix = "module." if release == "prefixed" else ""
    state = as_openai(state) if release == "OpenAI" else {prefix + name: value for name, value in state.items()}
    assert build_timm(names[32], dict(state), **small) is not None
    with pytest.raises(DataError, match=r"\.weight is \(32, 3, 32, 32\) for \(32, 3, 16, 16\)"):
        build_timm(names[16], dict(state), **small)


def test_unreadable_weights(tmp_path):
    torch.save({"weights": object()}, tmp_path / "code.pth")
    (tmp_path / "short.safetensors").write_bytes(b"1234")
    for name in ("code.pth", "short.safetensors", "absent.pth"):
        with pytest.raises(DataError, match=name):
            load_network("test_vit", weights=tmp_path / name)


def test_no_hub_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("factortopy.networks.weights.remote._reachable", lambda _address: False)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    with pytest.raises(UnavailableError, match="weights=PATH") as caught:
        load_network("mae-b16")
    assert "\n" not in str(caught.value)


def test_cached_weights_need_no_network(monkeypatch, tmp_path):
    def refuse(_address):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("factortopy.networks.weights.remote._reachable", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(tmp_path / "cached"))
    assert HubFile("timm/any").fetch() == tmp_path / "cached"


def test_weights_hash_tells_one_changed_value(vit):
    other = load_network("test_vit", untrained=True, device="cpu")
    with torch.no_grad():
        other._model.blocks[5].mlp.fc2.bias[0] += 1e-3
    assert TimmNetwork(other._model, "changed").weights_hash != vit.weights_hash


def test_downsample_equals_bilinear_by_hand():
    """Half-pixel centres: place (i + 0.5) * scale - 0.5, clamped at the border."""
    maps = torch.randn(2, 3, 14, 11, generator=torch.Generator().manual_seed(0))
    found = Tokens((maps,), (maps[:, :, 0, 0],)).downsample((8, 5)).local[0].numpy()

    def weights(size, target):
        matrix = np.zeros((target, size))
        for i in range(target):
            place = max((i + 0.5) * size / target - 0.5, 0)
            low = int(place)
            high = min(low + 1, size - 1)
            matrix[i, low] += 1 - (place - low)
            matrix[i, high] += place - low
        return matrix

    expected = np.einsum("yh,xw,bchw->bcyx", weights(14, 8), weights(11, 5), maps.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_tokens_rows_and_shapes():
    tokens = Tokens((torch.arange(24.0).reshape(3, 2, 2, 2),), (torch.arange(6.0).reshape(3, 2),))
    assert len(tokens) == 3
    assert tokens[[2, 0]].global_[0].tolist() == [[4, 5], [0, 1]]
    assert tokens[1:].local[0][0, 0, 0, 0] == 8
    assert tokens.to(dtype=torch.float16).local[0].dtype == torch.float16
    with pytest.raises(ShapeError, match="expected"):
        Tokens((torch.zeros(2, 3, 4),), (torch.zeros(2, 3),))


def test_devices_and_precisions():
    assert choose_device("cpu").type == "cpu"
    assert choose_precision(torch.device("cpu"), "fp32") == "fp32"
    with pytest.raises(UnknownNameError):
        choose_device("gpu")
    with pytest.raises(UnknownNameError):
        choose_precision(torch.device("cpu"), "fp8")
    if not torch.cuda.is_available():
        with pytest.raises(UnavailableError, match="there is cpu"):
            choose_device("cuda")


def test_describe(vit):
    facts = describe(vit)
    assert facts["layers"][5] == {"name": "blocks.5", "channels": 64, "grid": [10, 10]}
    assert facts["preprocessing"]["size"] == (160, 160)
