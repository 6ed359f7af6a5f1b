"""Real weights of DINOv2 ViT-S/14: tokens equal ONNX Runtime's and transformers' on its own file."""

import onnx
import pytest
import torch
import transformers
from onnx import numpy_helper
from real_wheels import as_sequence, close, graph_values, real_network, run, transformers_model


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield run(*real_network("dinov2-s14-focus", tmp_path_factory.mktemp("dinov2"), patch))


def test_dinov2_equals_onnx_runtime(dinov2):
    _network, file, images, tokens = dinov2
    layers = range(12)
    values = graph_values(file, [f"/backbone/encoder/layer.{i}/Add_1_output_0" for i in layers], images)
    for layer in layers:
        close(as_sequence(tokens, layer), values[layer], 1e-4)


def test_dinov2_equals_transformers(dinov2):
    _network, file, images, tokens = dinov2
    config = transformers.Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14, attn_implementation="eager"
    )
    arrays = {i.name: torch.tensor(numpy_helper.to_array(i)) for i in onnx.load(file).graph.initializer}
    positions = [arrays.pop(name) for name in ("onnx::Concat_1957", "onnx::Reshape_1962")]
    state = {name.removeprefix("backbone."): value for name, value in arrays.items() if "backbone" in name}
    state["embeddings.position_embeddings"] = torch.cat(positions, dim=1)
    # Matrices have lost their names, but stand in the order in which transformers uses them.
    matrices = [value.T for name, value in arrays.items() if name.startswith("onnx::MatMul")]
    order = ["attention.attention.key", "attention.attention.value", "attention.attention.query"]
    order += ["attention.output.dense", "mlp.fc1", "mlp.fc2"]
    for index, matrix in enumerate(matrices):
        state[f"encoder.layer.{index // 6}.{order[index % 6]}.weight"] = matrix
    model = transformers_model(transformers.Dinov2Model, config, state, ["embeddings.mask_token"])
    with torch.no_grad():
        states = model(images, output_hidden_states=True).hidden_states
    for layer in range(12):
        close(as_sequence(tokens, layer), states[layer + 1], 1e-4)
