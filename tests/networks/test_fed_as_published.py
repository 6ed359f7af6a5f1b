"""Networks are built and fed as their libraries publish them, or what is not known is refused by name."""

import json

import numpy as np
import open_clip
import pytest
import torch
import transformers
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import nn
from torchvision import models

from factortopy.errors import DataError, FactortopyError
from factortopy.networks import Preprocessing, load_network, network_skeleton
from factortopy.networks.adapters.torchvision import TORCHVISION
from factortopy.networks.adapters.transformers_preprocessing import transformers_preprocessing
from factortopy.networks.module import network_from_module

# Every builder that does something of its own with weights, and some that do nothing
CHECKPOINTS = [
    *("googlenet", "inception_v3", "mnasnet0_5", "densenet121", "maxvit_t", "vit_b_32", "swin_t", "squeezenet1_1"),
    *("vit_b_16/IMAGENET1K_SWAG_E2E_V1", "vit_b_16/IMAGENET1K_SWAG_LINEAR_V1", "vit_h_14/IMAGENET1K_SWAG_E2E_V1"),
    *("regnet_y_400mf", "resnet50/IMAGENET1K_V1", "efficientnet_v2_s"),
]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_torchvision_builds_what_its_own_builder_builds(name, monkeypatch):
    source = TORCHVISION.source(name)
    checkpoint = models.get_model_weights(source.architecture)[source.tag or "DEFAULT"]
    # Regnets' builders compute sizes in tensors, which have no values on the device meta.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        ours, seen = TORCHVISION.create(source, None, 0)
        monkeypatch.setattr(nn.Module, "load_state_dict", lambda *_, **__: None)
        monkeypatch.setattr(type(checkpoint), "get_state_dict", lambda *_, **__: {})
        theirs = models.get_model(source.architecture, weights=checkpoint)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert shapes.items() <= {key: value.shape for key, value in ours.state_dict().items()}.items()
    for setting in ("transform_input", "image_size"):
        assert getattr(ours, setting, None) == getattr(theirs, setting, None)
    transform, picture = checkpoint.transforms(), noise(500, 400)
    torch.testing.assert_close(seen(picture), transform(picture))


def noise(width, height):
    """A picture of coarse noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_torchvision_googlenet_changes_its_input(tmp_path):
    """What its first layer sees is on the scale of -1 to 1, whatever the weights."""
    state = models.googlenet(weights=None, aux_logits=True, init_weights=False).state_dict()
    torch.save(state, tmp_path / "w.pth")
    network = load_network("torchvision/googlenet", weights=tmp_path / "w.pth", layers=["conv1"], device="cpu")
    picture, inputs = noise(400, 300), []
    network.module.conv1.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    with torch.no_grad():
        network.tokens(network.preprocessing(picture)[None])
    pixels = torch.from_numpy(network.preprocessing.seen(picture)).movedim(-1, 0)
    torch.testing.assert_close(inputs[0][0], 2 * pixels - 1, atol=1e-5, rtol=0)


def test_torchvision_takes_the_names_of_its_published_files(monkeypatch):
    """torchvision 0.13 and before saved ``mlp.linear_1``; DenseNet's files are of PyTorch 0.3 (``norm.1``)."""
    vit, dense = models.VisionTransformer(32, 8, 1, 2, 16, 24), models.DenseNet(4, (1, 1, 1, 1), 8)
    cases = {
        "vit_b_32": (vit, {".mlp.0.": ".mlp.linear_1.", ".mlp.3.": ".mlp.linear_2."}),
        "densenet121": (dense, {f"{part}{i}.": f"{part}.{i}." for part in ("norm", "relu", "conv") for i in (1, 2)}),
    }
    for name, (small, renames) in cases.items():
        state = {key: torch.full(value.shape, float(i)) for i, (key, value) in enumerate(small.state_dict().items())}
        published = {}
        for key, value in state.items():
            old = next((now for now in renames if now in key and ("layer_" in key or "denselayer" in key)), "")
            published[key.replace(old, renames[old]) if old else key] = value
        assert published.keys() != state.keys()
        monkeypatch.setattr(models, "get_model", lambda *_, small=small, **__: small)
        loaded, _ = TORCHVISION.create(TORCHVISION.source(name), published, 0)
        assert all(torch.equal(value, state[key].to(value)) for key, value in loaded.state_dict().items())


PROCESSORS = {
    "flipped": (transformers.MobileViTImageProcessor, {"size": {"shortest_edge": 36}, "crop_size": 32}),
    "second normalisation": (transformers.EfficientNetImageProcessor, {"size": 32, "rescale_offset": True}),
    "squashed, then cropped": (transformers.DeiTImageProcessor, {"size": 36, "crop_size": 32}),
    "factor": (transformers.ViTImageProcessor, {"size": 32, "rescale_factor": 1 / 127.5}),
    "not rescaled": (transformers.ViTImageProcessor, {"size": 32, "do_rescale": False, "do_normalize": False}),
    "not normalised": (transformers.ViTImageProcessor, {"size": 32, "do_normalize": False}),
    "LeViT": (transformers.LevitImageProcessor, {"size": {"shortest_edge": 28}, "crop_size": 28}),
    "crop fraction": (transformers.PoolFormerImageProcessor, {"size": {"shortest_edge": 96}, "crop_size": 96}),
    "ConvNeXt": (transformers.ConvNextImageProcessor, {"size": {"shortest_edge": 32}, "crop_pct": 0.8}),
    "wide": (transformers.BlipImageProcessor, {"size": {"height": 32, "width": 48}}),
    "cropped before": (transformers.PerceiverImageProcessor, {"size": 28, "crop_size": 32}),
    "nearest": (transformers.ViTImageProcessor, {"size": 32, "resample": 0}),
    "Lanczos": (transformers.BitImageProcessor, {"size": {"shortest_edge": 40}, "crop_size": 32, "resample": 1}),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_transformers_processor_is_honoured(name, tmp_path):
    kind, settings = PROCESSORS[name]
    processor = kind(**settings)
    seen = transformers_preprocessing(processor)
    for picture in (noise(400, 300), noise(240, 320)):
        own = processor(picture, return_tensors="pt")["pixel_values"][0]
        assert own.shape[1:] == seen.size
        of_a_pixel = (seen(picture) - own).abs() * torch.tensor(seen.std)[:, None, None]
        # In 0..1: Pillow and PyTorch differ in rounding; the crop's half pixel may fall to either side
        assert float(of_a_pixel.mean()) < (0.03 if name in ("cropped before", "nearest") else 2 / 255)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"do_sharpen": True}, "ViTImageProcessor.* sets do_sharpen, which is not known"),
        ({"size": {"longest_edge": 64}, "image_processor_type": "SamImageProcessor"}, "sets do_pad"),
        ({"size": {"shortest_edge": 64}}, "gives no image of one size"),
        ({"image_processor_type": "NobodysImageProcessor"}, "cannot be read"),
    ],
)
def test_transformers_settings_that_are_not_known_are_refused_by_name(tmp_path, changes, text):
    small = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.ViTConfig(**small, intermediate_size=16).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size=32).save_pretrained(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    stated = json.loads(file.read_text())
    assert load_network(f"hf/{tmp_path}", untrained=True).preprocessing.size == (32, 32)
    file.write_text(json.dumps(stated | changes))
    with pytest.raises(DataError, match=text) as caught:
        load_network(f"hf/{tmp_path}", untrained=True)
    assert "\n" not in str(caught.value)


def test_processor_that_does_other_than_it_says_is_refused():
    class Inverting(transformers.ViTImageProcessor):
        def __call__(self, images, **options):
            found = super().__call__(images, **options)
            found["pixel_values"] = -found["pixel_values"]
            return found

    with pytest.raises(DataError, match="Inverting changes pictures otherwise than its settings say"):
        transformers_preprocessing(Inverting())


def clip(**stated):
    tower = {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
    model = open_clip.CLIP(16, tower, {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1})
    if stated:
        model.visual.preprocess_cfg = {**vars(PreprocessCfg(size=64)), **stated}
    return model.eval()


@pytest.mark.parametrize(
    "stated",
    [
        {"resize_mode": "shortest"},
        {"resize_mode": "squash", "interpolation": "bilinear"},
        {"resize_mode": "longest"},
        {"resize_mode": "longest", "fill_color": 99},
        {"interpolation": "random", "mean": (0.5, 0.4, 0.3)},
        {"size": (64, 64), "std": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("layers", [None, ["visual.transformer.resblocks.0"]], ids=["all", "named"])
def test_open_clip_module_is_fed_as_it_says(stated, layers):
    model, picture = clip(**stated), noise(300, 200)
    seen = network_from_module(model, layers).preprocessing
    own = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    torch.testing.assert_close(seen(picture), own(picture))


def test_open_clip_module_made_by_hand_says_what_is_assumed():
    network = network_from_module(clip())
    assert "open_clip's assumed" in network.description
    own = image_transform_v2(PreprocessCfg(size=64), is_train=False)
    torch.testing.assert_close(network.preprocessing(noise(300, 200)), own(noise(300, 200)))
    with pytest.raises(DataError, match="is not known"):
        network_from_module(clip(mode="L"))


def test_channels_and_border_of_a_preprocessing():
    halves = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 0.125), "interpolation": "bilinear", "crop_fraction": 1.0}
    red = Image.new("RGB", (32, 16), (255, 0, 0))
    plain = Preprocessing((16, 32), **halves)
    flipped = Preprocessing((16, 32), **halves, channels="BGR")
    torch.testing.assert_close(flipped(red), plain(red).flip(0))
    np.testing.assert_array_equal(flipped.seen(red), np.full((16, 32, 3), (1, 0, 0)))
    bordered = Preprocessing((32, 32), **halves, crop_mode="border", border=(0, 0, 1)).seen(red)
    assert bordered[0, 0].tolist() == [0, 0, 1]
    assert bordered[16, 16].tolist() == [1, 0, 0]


def test_structure_of_a_network_whose_builder_reads_numbers():
    skeleton = network_skeleton("torchvision/regnet_y_400mf")
    assert (skeleton.grid, skeleton.device.type) == ((56, 56), "meta")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"size": 64}, "size 64; give 2 numbers"),
        ({"mean": (0.5,)}, r"mean \(0.5,\); give 3 numbers"),
        ({"mean": (123.7, 116.8, 103.9)}, r"for values of 0 to 1 \(divide by 255\)"),
        ({"std": (0.2, 0.2, 0.0)}, "must be above 0"),
        ({"crop_fraction": 87.5}, "crop_fraction must be"),
        ({"interpolation": "linear"}, "unknown interpolation of a preprocessing 'linear'; did you mean 'bilinear'"),
        ({"crop_mode": "centre"}, "did you mean 'center'"),
        ({"channels": "bgr"}, "known: RGB, BGR"),
        ({"crops": 3}, "unexpected keyword"),
    ],
)
def test_a_preprocessing_that_is_none_is_refused(changes, text):
    facts = {"size": [64, 64], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "crop_fraction": 1}
    assert Preprocessing.from_dict(facts).size == (64, 64)
    with pytest.raises(FactortopyError, match=text):
        Preprocessing.from_dict(facts | changes)
