"""Real weights of CLIP ViT-B/16: tokens equal transformers' and are like ONNX Runtime's."""

import numpy as np
import pytest
import torch
import transformers
from real_wheels import as_sequence, close, graph_values, real_network, run, transformers_model

from factortopy.networks.weights.onnx_weights import onnx_state_dict


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield run(*real_network("clip-b16-openai", tmp_path_factory.mktemp("clip"), patch))


def test_clip_equals_transformers(clip):
    _network, file, images, tokens = clip
    config = transformers.CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_attention_heads=12, patch_size=16, hidden_act="quick_gelu"
    )
    state = onnx_state_dict(file, "visual_projection")
    model = transformers_model(transformers.CLIPVisionModelWithProjection, config, state)
    with torch.no_grad():
        states = model(images, output_hidden_states=True).hidden_states
    for layer in range(12):
        close(as_sequence(tokens, layer), states[layer + 1], 1e-4)


def test_clip_resembles_onnx_runtime(clip):
    """ONNX Runtime also rounds what goes into each matrix to int8, so its tokens are only alike."""
    _network, file, images, tokens = clip
    # The last layer's output is one of the graph's own, and named as such.
    names = [f"/vision_model/encoder/layers.{layer}/Add_1_output_0" for layer in range(11)]
    values = graph_values(file, [*names, "onnx::Gather_1524"], images)
    for layer in range(12):
        found = as_sequence(tokens, layer).numpy() - as_sequence(tokens, layer).numpy().mean((0, 1))
        expected = values[layer] - values[layer].mean((0, 1))
        similarity = (found * expected).sum(-1)
        similarity /= np.linalg.norm(found, axis=-1) * np.linalg.norm(expected, axis=-1)
        assert np.median(similarity) > 0.9, layer
