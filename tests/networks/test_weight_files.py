"""Files of weights of every sort, whole or broken: the right weights, or one line that names the file."""

import random
import re
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import timm
import torch
import transformers
from onnx import helper, numpy_helper
from safetensors.torch import save_file

from factortopy.errors import DataError
from factortopy.networks import load_network, read_weights
from factortopy.networks.adapters.timm import build_timm
from factortopy.networks.adapters.torchvision import TORCHVISION
from factortopy.networks.weights.onnx_weights import onnx_state_dict

SMALL = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


@pytest.mark.parametrize("name", ["w.safetensors", "w.SAFETENSORS", "w.bin", "w.pth"])
@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_the_bytes_tell_the_format(tmp_path, name, kind):
    if kind == "safetensors":
        save_file(SMALL, tmp_path / name)
    else:
        torch.save(SMALL, tmp_path / name, _use_new_zipfile_serialization=kind == "zip")
    found = read_weights(tmp_path / name)
    assert found.keys() == SMALL.keys()
    assert all(torch.equal(found[key], value) for key, value in SMALL.items())


STRAY = {
    "page.pth": (b"\n<!DOCTYPE html><html><body>404 Not Found</body></html>", "is a web page"),
    "marked.pth": (b"\xef\xbb\xbf<html></html>", "is a web page"),
    "pointer.bin": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 346293852\n", "git lfs pull"),
    "empty.pt": (b"", "is empty; download it again"),
    "text.pth": (b"hello", "is neither of PyTorch nor of safetensors"),
    "arrays.h5": (b"\x89HDF\r\n\x1a\n" + bytes(200), "is neither of PyTorch nor of safetensors"),
    "short.safetensors": (struct.pack("<Q", 999) + b'{"a":', "cannot read weights file"),
    "code.pth": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "holds more than tensors, or is damaged"),
}


@pytest.mark.parametrize("name", STRAY)
def test_what_stands_where_the_weights_should(tmp_path, name):
    content, text = STRAY[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=text) as caught:
        read_weights(tmp_path / name)
    assert caught.value.path == tmp_path / name
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_of_a_file_of_pytorch_is_found(tmp_path):
    path = tmp_path / "w.pth"
    torch.save(SMALL, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = next(entry for entry in archive.infolist() if entry.filename.endswith("data/0"))
    place = content.find(SMALL["a.weight"].numpy().tobytes(), member.header_offset)
    content[place + 7] ^= 1
    path.write_bytes(bytes(content))
    assert not torch.equal(torch.load(path, weights_only=True)["a.weight"], SMALL["a.weight"])  # PyTorch takes it
    with pytest.raises(DataError, match=r"is damaged \(checksum of .*data/0\); download it again"):
        read_weights(path)


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (torch.zeros(2, device="meta"), r"a has no values \(device meta\)"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "a has values of kind torch.qint8"),
        (torch.eye(2).to_sparse(), "a has values of kind .*sparse"),
    ],
)
def test_tensors_without_plain_values(tmp_path, tensor, text):
    torch.save({"a": tensor}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=text):
        read_weights(tmp_path / "w.pth")


def vit_state(seed=0):
    torch.manual_seed(seed)
    return timm.create_model("test_vit", pretrained=False).state_dict()


@pytest.mark.parametrize(
    ("entries", "taken"),
    [
        (("state_dict", "state_dict_ema"), "state_dict_ema"),
        (("model", "model_ema"), "model_ema"),
        (("model", "state_dict"), "state_dict"),
        (("model", "model_ema", "state_dict_ema"), "state_dict_ema"),
    ],
)
def test_averaged_weights_are_taken_as_timm_takes_them_and_said(tmp_path, entries, taken):
    path = tmp_path / "c.pth"
    torch.save({entry: vit_state(index) for index, entry in enumerate(entries)} | {"epoch": 3}, path)
    timms = timm.models.load_state_dict(str(path))
    network = load_network("timm/test_vit", weights=path, device="cpu")
    assert all(torch.equal(value, timms[name]) for name, value in network.module.state_dict().items())
    assert network.description == f"weights from c.pth ({taken}); timm/test_vit"


def test_averaged_weights_of_parameters_alone_beside_the_others_are_refused(tmp_path):
    """An average that leaves out what batch normalisation counts is still a second network in the file."""
    state = timm.create_model("test_resnet", pretrained=False).state_dict()
    both = {f"model.{name}": value for name, value in state.items()}
    both |= {f"average.{name}": value for name, value in state.items() if "running" not in name and "num" not in name}
    torch.save({"state_dict": both}, tmp_path / "c.ckpt")
    with pytest.raises(DataError, match=r"2 times, under model\., average\."):
        load_network("timm/test_resnet", weights=tmp_path / "c.ckpt")


def quantised(state):
    return {k: (v * 100).round().to(torch.int8) if v.ndim > 1 else v for k, v in state.items()}


def damaged(state):
    return state | {"blocks.0.mlp.fc1.bias": torch.full_like(state["blocks.0.mlp.fc1.bias"], torch.nan)}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(
    ("change", "text"), [(quantised, r"quantised: \d+ are torch.int8"), (damaged, "NaN or infinite in blocks.0.mlp")]
)
def test_int8_and_nan_are_refused(tmp_path, prefix, change, text):
    torch.save({prefix + name: value for name, value in change(dict(vit_state())).items()}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=text) as caught:
        load_network("timm/test_vit", weights=tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=text):
        load_network(build_timm("test_vit", None), weights=tmp_path / "w.pth")


@pytest.fixture(scope="module")
def small_hf(tmp_path_factory):
    """The folder of a small network of transformers, and weights for it."""
    sizes = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.ViTConfig(**sizes, intermediate_size=24)
    folder = tmp_path_factory.mktemp("hf")
    config.save_pretrained(folder)
    transformers.ViTImageProcessor(size=32).save_pretrained(folder)
    return folder, dict(transformers.ViTModel(config).state_dict())


@pytest.mark.parametrize("prefix", ["", "vit.", "module.", "model._orig_mod."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_transformers_takes_every_prefix_and_type(small_hf, tmp_path, prefix, dtype):
    folder, state = small_hf
    torch.save({prefix + name: value.to(dtype) for name, value in state.items()}, tmp_path / "w.pth")
    loaded = load_network(f"hf/{folder}", weights=tmp_path / "w.pth", device="cpu").module.state_dict()
    assert {value.dtype for value in loaded.values()} == {torch.float32}
    for name, value in state.items():
        assert name.startswith("pooler.") or torch.equal(loaded[name], value.to(dtype).float())


LAYER_NORM = "layernorm.weight"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({LAYER_NORM: torch.tensor(1.0)}, "1 of another shape (layernorm.weight)"),
        ({LAYER_NORM: torch.zeros(3, 3)}, "1 of another shape (layernorm.weight)"),
        ({LAYER_NORM: torch.ones(16, dtype=torch.int8)}, "are quantised: 1 are torch.int8 (layernorm.weight)"),
        ({LAYER_NORM: torch.full((16,), torch.inf)}, "NaN or infinite in layernorm.weight"),
        ({LAYER_NORM: None}, "1 missing (layernorm.weight)"),
    ],
)
def test_transformers_refuses_what_does_not_fit(small_hf, tmp_path, change, text):
    folder, state = small_hf
    torch.save({k: v for k, v in (state | change).items() if v is not None}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=re.escape(text)) as caught:
        load_network(f"hf/{folder}", weights=tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


def test_broken_onnx_files(tmp_path):
    weight = numpy_helper.from_array(np.arange(12, dtype="f4").reshape(4, 3), "onnx::MatMul_1")
    bias = numpy_helper.from_array(np.zeros(3, "f4"), "fc.bias")
    nodes = [helper.make_node("MatMul", ["x", weight.name], ["y"]), helper.make_node("Add", [bias.name, "y"], ["z"])]
    ends = [helper.make_tensor_value_info(name, 1, [1, size]) for name, size in (("x", 4), ("z", 3))]
    content = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight, bias])).SerializeToString()
    path, rng = tmp_path / "w.onnx", random.Random(0)
    path.write_bytes(content)
    assert torch.equal(onnx_state_dict(path)["fc.weight"], torch.arange(12.0).reshape(4, 3).T)
    for _ in range(300):
        broken = bytearray(content)
        place = rng.randrange(len(broken))
        broken[place : place + rng.choice([1, 8, 64])] = bytes(rng.choice([0, 1, 8, 200]))
        path.write_bytes(bytes(broken))
        try:
            onnx_state_dict(path)
        except DataError as error:
            told = str(error)
        else:
            continue
        assert path.name in told
        assert "\n" not in told
    with pytest.raises(DataError, match="is neither of PyTorch nor of safetensors"):
        read_weights(path)


def test_one_dimensional_weight(tmp_path):
    state = dict(vit_state())
    for name in ("patch_embed.proj.weight", "blocks.1.attn.qkv.weight", "norm.weight"):
        torch.save(state | {name: torch.zeros(5)}, tmp_path / "w.pth")
        with pytest.raises(DataError, match=rf"of another shape \({name} is \(5,\)"):
            load_network("timm/test_vit", weights=tmp_path / "w.pth")


def test_version_of_a_modules_names_is_kept():
    """MNASNet refuses a state dict that does not say its version."""
    model, _ = TORCHVISION.create(TORCHVISION.source("mnasnet0_5"), None, 0)
    plain = dict(model.state_dict())
    other, _ = TORCHVISION.create(TORCHVISION.source("mnasnet0_5"), plain, 1)
    assert all(torch.equal(value, plain[name]) for name, value in other.state_dict().items())


def test_a_hundred_broken_files_end_in_one_line_or_the_right_weights(tmp_path):
    """Bytes flipped, cut and doubled: never another error; of PyTorch's files never other numbers."""
    rng, wrong = random.Random(0), []
    for number in range(100):
        kind = ("zip", "legacy", "safetensors")[number % 3]
        path = tmp_path / f"{number}.bin"
        if kind == "safetensors":
            save_file(SMALL, path)
        else:
            torch.save(OrderedDict(SMALL), path, _use_new_zipfile_serialization=kind == "zip")
        content = bytearray(path.read_bytes())
        place = rng.randrange(len(content))
        change = rng.choice(["flip", "cut", "double"])
        if change == "flip":
            content[place] ^= 1 << rng.randrange(8)
        else:
            content[place:] = content[place:] * 2 if change == "double" else b""
        path.write_bytes(bytes(content))
        try:
            found = read_weights(path)
        except DataError as error:
            wrong += [(number, str(error))] if path.name not in str(error) or "\n" in str(error) else []
            continue
        names = [name for name in SMALL if name in found]
        if kind == "zip" and not (names and all(torch.equal(found[name], SMALL[name]) for name in names)):
            wrong.append((number, change, place))
    assert not wrong
