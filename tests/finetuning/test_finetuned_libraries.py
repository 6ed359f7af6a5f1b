"""Fine-tuned networks of all libraries are read again with the tokens they had; a real one learns."""

import json
from dataclasses import replace

import pytest
import torch
import transformers
from small_network import coloured_images
from typer.testing import CliRunner

from factortopy.baselines import extract_untrained
from factortopy.cli import app
from factortopy.errors import DataError, UnavailableError
from factortopy.finetuning import finetune, labelled_digits
from factortopy.images import sample_views
from factortopy.networks import authors_preprocessing, load_network, network_skeleton, read_weights
from factortopy.networks.adapters.open_clip import OPEN_CLIP
from factortopy.networks.adapters.timm import TimmNetwork
from factortopy.networks.adapters.transformers import create_from_config
from factortopy.networks.module import network_from_module
from factortopy.tokens import extract

BRIEF = {"per_class": 2, "validation_per_class": 1, "steps": 2, "batch_size": 2, "learning_rate": 1e-3}


def tune(network, output, images=None, **changes):
    return finetune(network, images or coloured_images(), output, precision="fp32", progress=False, **(BRIEF | changes))


def tokens(network):
    torch.manual_seed(0)
    with torch.no_grad():
        return network.tokens(torch.randn(2, 3, *network.preprocessing.size))


def same(one, other):
    pairs = zip((*one.local, *one.global_), (*other.local, *other.global_), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


@pytest.mark.parametrize("name", ["timm/test_vit", "timm/test_resnet", "torchvision/shufflenet_v2_x0_5"])
def test_a_network_by_name_is_read_by_its_folder(tmp_path, name):
    network = load_network(name, untrained=True, device="cpu")
    before = tokens(network)
    tune(network, tmp_path / "out")
    again = load_network(str(tmp_path / "out"), device="cpu")
    assert again.name == f"{name}-untrained-0-finetuned-colours"
    assert again.pretrained
    assert again.weights_hash == network.weights_hash
    assert "fine-tuned on colours, 2 steps" in again.description
    assert same(tokens(again), tokens(network))
    assert not same(tokens(again), before)


def test_a_network_is_read_with_the_preprocessing_it_was_fine_tuned_with(tmp_path):
    network = load_network("timm/test_vit", untrained=True, device="cpu", preprocessing="authors")
    tune(network, tmp_path / "out")
    again = load_network(str(tmp_path / "out"), device="cpu")
    assert again.preprocessing == network.preprocessing == authors_preprocessing((160, 160))
    skeleton = network_skeleton(str(tmp_path / "out"))
    assert (skeleton.name, skeleton.preprocessing) == (again.name, again.preprocessing)
    control = load_network(str(tmp_path / "out"), untrained=True, device="cpu")
    assert (control.name, control.preprocessing) == ("timm/test_vit-untrained-0", again.preprocessing)
    given = load_network(str(tmp_path / "out"), weights=tmp_path / "out" / "weights.safetensors", device="cpu")
    assert (given.name, given.preprocessing) == ("timm/test_vit-from-weights", again.preprocessing)
    shown = CliRunner().invoke(app, ["networks", str(tmp_path / "out"), "--json"])
    assert json.loads(shown.stdout)["weights"] == "in the folder"
    assert json.loads(shown.stdout)["preprocessing"]["interpolation"] == "bilinear"


def test_tokens_say_what_the_network_is_built_as(tmp_path):
    """So the untrained network of ``baselines`` can be built, whatever the fine-tuned one is called."""
    tune(load_network("timm/test_vit", untrained=True, device="cpu"), tmp_path / "out")
    network = load_network(str(tmp_path / "out"), ["blocks.0", "blocks.2"], device="cpu")
    photographs = sample_views(3)
    store = extract(network, photographs, tmp_path / "tokens", (2, 2), precision="fp32", progress=False)
    random = extract_untrained(store, photographs, tmp_path / "untrained", progress=False)
    assert random.network == "timm/test_vit-untrained-0"
    assert random.layers == store.layers


def test_a_fine_tuned_network_is_fine_tuned_further(tmp_path):
    tune(load_network("timm/test_vit", untrained=True, device="cpu"), tmp_path / "one")
    twice = load_network(str(tmp_path / "one"), device="cpu")
    tune(twice, tmp_path / "two")
    again = load_network(str(tmp_path / "two"), device="cpu")
    assert again.name.endswith("-finetuned-colours-finetuned-colours")
    assert same(tokens(again), tokens(twice))


def test_a_damaged_folder_is_refused(tmp_path):
    tune(load_network("timm/test_vit", untrained=True, device="cpu"), tmp_path / "out")
    (tmp_path / "out" / "settings.toml").write_text("[network]\nname = 3\n")
    with pytest.raises(DataError, match="does not name a fine-tuned network"):
        load_network(str(tmp_path / "out"))


def test_towers_of_transformers_are_trained_and_read_again(tmp_path):
    config = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32,
        patch_size=8,
    )  # fmt: skip
    network = network_from_module(create_from_config(config, None, 0, "CLIP"))
    tune(network, tmp_path / "out")
    state = read_weights(tmp_path / "out" / "weights.safetensors")
    again = network_from_module(create_from_config(config, state, 0, "CLIP"))
    assert same(tokens(again), tokens(network))


@pytest.mark.parametrize("architecture", ["RN50", "ViT-B-16-SigLIP"])
def test_towers_of_open_clip_are_read_again(monkeypatch, architecture):
    """With what a fine-tuning saves; of a tower around a model of timm that is this model alone."""
    open_clip = pytest.importorskip("open_clip")
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: small_tower(name, open_clip_config(name)))
    network = OPEN_CLIP.build(OPEN_CLIP.source(architecture), seed=1)
    assert isinstance(network, TimmNetwork) == ("SigLIP" in architecture)
    state = {name: value.clone() for name, value in network.module.state_dict().items()}
    again = OPEN_CLIP.build(OPEN_CLIP.source(architecture), state, seed=2)
    assert same(tokens(again), tokens(network))


def open_clip_config(name):
    import open_clip.factory

    return open_clip.factory._MODEL_CONFIGS[name]


def small_tower(name, config):
    vision = dict(config["vision_cfg"])
    if "timm_model_name" in vision:
        vision["timm_model_name"] = "test_vit"
        return {"embed_dim": 64, "vision_cfg": vision | {"image_size": 160, "timm_proj": "none"}}
    return {"embed_dim": 16, "vision_cfg": vision | {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64}}


@pytest.mark.slow
def test_a_real_network_learns_digits(tmp_path):
    """SqueezeNet's real weights; digits have 8 x 8 pixels, so 64 show all there is of them."""
    try:
        real = load_network("squeezenet-1.1", device="cpu", progress=False)
    except UnavailableError as error:
        pytest.skip(f"no weights here: {error}")
    seen = replace(real.preprocessing, size=(64, 64))
    network = network_from_module(real.module, list(real.layers), seen, name="squeezenet")
    images = labelled_digits()
    recipe = {"per_class": 50, "validation_per_class": 20, "steps": 250, "batch_size": 4}
    tuned = tune(network, tmp_path / "out", images, **recipe, learning_rate=1e-4, validate_every=250)
    untrained, trained = tuned.history.accuracy[0], tuned.accuracy
    assert trained > 0.5  # chance is 0.1
    assert trained > untrained + 0.3
