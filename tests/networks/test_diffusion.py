"""Stable Diffusion's features: inversion by an independent formula, there and back, names of its units."""

import copy
import sys
from dataclasses import replace
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.mapping import load_mapped_network
from factortopy.networks import DiffusionNetwork, find_entry, load_diffusion, load_network
from factortopy.networks.diffusion import loading
from factortopy.networks.diffusion.parts import parts_of_pipeline, untrained_parts
from factortopy.tokens import extract


@pytest.fixture(scope="module")
def pipeline():
    """All parts of Stable Diffusion, tiny and random: two levels instead of four."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=2,
        norm_num_groups=4,
        cross_attention_dim=12,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    text = transformers.CLIPTextConfig(
        vocab_size=50, hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=7, bos_token_id=48, eos_token_id=49,
    )  # fmt: skip
    scheduler = diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True
    )
    return diffusers.StableDiffusionPipeline(
        vae, transformers.CLIPTextModel(text), None, unet, scheduler, None, None, requires_safety_checker=False
    )


@pytest.fixture
def images():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def save_parts(pipeline, folder):
    """A folder in the layout of diffusers, without a tokenizer."""
    for name in ("unet", "vae", "text_encoder", "scheduler"):
        getattr(pipeline, name).save_pretrained(folder / name)


def save_tokenizer(folder):
    words = {f"{number}</w>": number for number in range(48)} | {"<|startoftext|>": 48, "<|endoftext|>": 49}
    transformers.CLIPTokenizer(vocab=words, merges=[]).save_pretrained(folder / "tokenizer")


def empty(pipeline):
    """The empty prompt, by CLIP's rule: the beginning, then ends."""
    return pipeline.text_encoder(torch.tensor([[48] + [49] * 6])).last_hidden_state


@torch.no_grad()
def inverted(pipeline, images, count, steps):
    """x' = sqrt(a') (x - sqrt(1 - a) e) / sqrt(a) + sqrt(1 - a') e, with all in double precision but e."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alpha = np.cumprod(1 - betas)
    stride = 1000 // steps
    times = np.arange(steps) * stride + 1
    x = pipeline.vae.encode(images).latent_dist.mean.double() * pipeline.vae.config.scaling_factor
    prompt = empty(pipeline).expand(len(images), -1, -1)
    for time in times[:count]:
        before = alpha[time - stride] if time >= stride else alpha[0]
        noise = pipeline.unet(x.float(), int(time), prompt).sample.double()
        x = np.sqrt(alpha[time]) * (x - np.sqrt(1 - before) * noise) / np.sqrt(before)
        x = x + np.sqrt(1 - alpha[time]) * noise
    return x, int(times[count]) if count < steps else None


def test_layers_are_the_units_in_order(pipeline):
    network = load_diffusion(pipeline, step=3, steps=10, device="cpu")
    # conv_in, two units, the down-sampling, two units of the second level; three units a level on the way up
    assert network.layers == (*(f"down.{i}" for i in range(6)), "mid", *(f"up.{i}" for i in range(6)))
    assert network.channels == (8, 8, 8, 8, 16, 16, 16, 16, 16, 16, 8, 8, 8)
    assert [grid[0] for grid in network.grids] == [8, 8, 8, 4, 4, 4, 4, 4, 4, 4, 8, 8, 8]
    assert (network.global_token, network.prefix_tokens) == ("pooled", 0)
    assert network.name == "StableDiffusionPipeline@t=3-of-10"
    assert network.preprocessing.size == (16, 16)


def test_tokens_are_those_of_the_unet_on_inverted_latents(pipeline, images):
    network = load_diffusion(pipeline, step=4, steps=10, device="cpu")
    with torch.no_grad():
        tokens = network.tokens(images)
    latents, time = inverted(pipeline, images, 3, 10)
    with torch.no_grad():
        parts = pipeline.unet(latents.float(), time, empty(pipeline).expand(2, -1, -1), return_dict=True).sample
        # The last unit's output is what the UNet's own head sees.
        head = pipeline.unet.conv_out(torch.nn.functional.silu(pipeline.unet.conv_norm_out(tokens.local[-1])))
    torch.testing.assert_close(head, parts, rtol=1e-3, atol=1e-4)
    first = pipeline.unet.conv_in(latents.float())
    torch.testing.assert_close(tokens.local[0], first, rtol=1e-3, atol=1e-4)
    for local, global_ in zip(tokens.local, tokens.global_, strict=True):
        torch.testing.assert_close(global_, local.mean((2, 3)))


def test_steps_as_layers_are_the_same_features(pipeline, images):
    by_step = load_diffusion(pipeline, block="up.3", steps=10, device="cpu")
    assert by_step.layers == tuple(f"t.{number}" for number in range(1, 11))
    assert by_step.channels == (8,) * 10
    by_block = load_diffusion(pipeline, ["up.3"], step=7, steps=10, device="cpu")
    some = load_diffusion(pipeline, ["t.7", "t.2"], block="up.3", steps=10, device="cpu")
    with torch.no_grad():
        tokens = by_step.tokens(images)
        torch.testing.assert_close(tokens.local[6], by_block.tokens(images).local[0])
        torch.testing.assert_close(tokens.local[1], some.tokens(images).local[0])
    assert some.layers == ("t.2", "t.7")
    assert not torch.allclose(tokens.local[0], tokens.local[9])


def test_latents_follow_the_formula(pipeline, images):
    network = load_diffusion(pipeline, ["mid"], step=50, device="cpu")
    with torch.no_grad():
        *_, (_, _, noise) = network.invert(network.latents(images), 50)
    expected, _ = inverted(pipeline, images, 50, 50)
    torch.testing.assert_close(noise.double(), expected, rtol=1e-3, atol=1e-3)


def test_sampling_leads_back_to_the_latent(pipeline, monkeypatch):
    """Each step takes the noise of the place it starts from, there and back: more steps come back closer."""
    calm = copy.deepcopy(pipeline.unet)  # random weights give noise that changes from place to place
    calm.conv_out.weight.data *= 0.1
    monkeypatch.setattr(pipeline, "unet", calm)
    prompt = empty(pipeline).expand(2, -1, -1)
    start = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    errors = {}
    for steps in (10, 50):
        network = load_diffusion(pipeline, ["mid"], step=steps, steps=steps, device="cpu")
        sampler = diffusers.DDIMScheduler.from_config(
            pipeline.scheduler.config, clip_sample=False, set_alpha_to_one=False
        )
        sampler.set_timesteps(steps)
        with torch.no_grad():
            *_, (_, _, back) = network.invert(start, steps)
            assert float((back - start).norm() / start.norm()) > 0.5
            for time in sampler.timesteps:
                back = sampler.step(calm(back, time, prompt).sample, time, back).prev_sample
        errors[steps] = float((back - start).norm() / start.norm())
    assert errors[50] < 0.05
    assert errors[50] < errors[10] / 2


def test_images_of_a_batch_do_not_touch_each_other(pipeline, images):
    network = load_diffusion(pipeline, step=2, steps=10, device="cpu")
    with torch.no_grad():
        together, alone = network.tokens(images), network.tokens(images[1:])
    for a, b in zip(together.local, alone.local, strict=True):
        torch.testing.assert_close(a[1:], b, rtol=1e-3, atol=1e-4)


def test_a_folder_in_the_layout_of_diffusers_and_extraction(pipeline, tmp_path):
    folder = tmp_path / "model"
    save_parts(pipeline, folder)
    with pytest.raises(UnavailableError, match="tokenizer"):
        load_diffusion(f"{folder}@t=2", device="cpu")
    save_tokenizer(folder)
    network = load_diffusion(f"{folder}@t=2", ["mid", "up.5"], device="cpu")
    in_memory = load_diffusion(pipeline, ["mid", "up.5"], step=2, device="cpu")
    assert network.weights_hash == in_memory.weights_hash
    assert network.name == f"{folder}@t=2"
    photographs = ImageSet("grey", ("a", "b"), lambda name: Image.new("RGB", (20, 20), (ord(name), 80, 9)))
    store = extract(network, photographs, tmp_path / "tokens", (4, 4), precision="fp32", progress=False)
    pixels = torch.stack([network.preprocessing(photographs.image(row)) for row in range(2)])
    with torch.no_grad():
        expected = in_memory.tokens(pixels).local[0]
    torch.testing.assert_close(store.read().local[0].float(), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_read_in_single(pipeline, images, tmp_path, dtype):
    half = diffusers.StableDiffusionPipeline(
        **{name: copy.deepcopy(getattr(pipeline, name)).to(dtype) for name in ("unet", "vae", "text_encoder")},
        tokenizer=None, scheduler=pipeline.scheduler, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    save_parts(half, tmp_path)
    save_tokenizer(tmp_path)
    networks = [load_diffusion(half, step=2, device="cpu"), load_diffusion(f"{tmp_path}@t=2", device="cpu")]
    with torch.no_grad():
        expected = load_diffusion(pipeline, step=2, device="cpu").tokens(images)
        for network in networks:
            for own, single in zip(network.tokens(images).local, expected.local, strict=True):
                # Weights rounded to 8 bits give features within a few hundredths.
                torch.testing.assert_close(own, single, rtol=0.05, atol=0.05)
    assert (half.unet.dtype, half.vae.dtype, half.text_encoder.dtype) == (dtype,) * 3  # the user's own stays


@pytest.mark.parametrize(
    ("load", "name", "options", "known"),
    [
        (load_network, "stable-diffusion-1.5@t=2", {}, True),
        (load_network, "stable-diffusion-1.5@block=up.3", {}, True),
        (load_network, "stable-diffusion-1.5@t=2", {"untrained": True, "seed": 3}, True),
        (load_network, "diffusion/{}@t=2", {}, False),
        (load_diffusion, "{}@t=2", {}, False),
        (load_diffusion, "stable-diffusion-1.5", {"step": 2, "steps": 10}, True),
        (load_diffusion, "stable-diffusion-1.5", {"block": "mid", "steps": 10, "untrained": True, "seed": 3}, True),
    ],
)
def test_the_network_of_a_mapping_is_found_again(pipeline, tmp_path, monkeypatch, load, name, options, known):
    folder, parts = tmp_path / "model", parts_of_pipeline(pipeline)
    save_parts(pipeline, folder)
    save_tokenizer(folder)
    monkeypatch.setattr(loading, "REPOSITORY", str(folder))  # in place of the hub's

    def untrained(seed):
        torch.manual_seed(seed)
        unet = diffusers.UNet2DConditionModel.from_config(pipeline.unet.config)
        return replace(parts, unet=unet.eval())

    monkeypatch.setattr(loading, "untrained_parts", untrained)
    network = load(name.format(folder), device="cpu", **options)
    photographs = ImageSet("grey", ("a",), lambda _: Image.new("RGB", (20, 20)))
    store = extract(network, photographs, tmp_path / "tokens", (2, 2), precision="fp32", progress=False)
    mapping = SimpleNamespace(
        provenance={"tokens": store.facts},
        dataset=SimpleNamespace(attrs={"network": store.network}),
        layers=network.layers[1:3],
    )
    again = load_mapped_network(mapping, device="cpu")
    assert (again.name, again.layers, again.weights_hash) == (network.name, network.layers[1:3], network.weights_hash)
    # Its entry in the list of networks tells a model card the licence.
    assert (find_entry(store.facts["architecture"]) is not None) == known


def test_stable_diffusion_at_full_size_without_weights():
    """Channels and grids of table 5 of Rombach et al. 2022 (width 320; 1, 2, 4, 4) at 64 x 64 latents."""
    with torch.device("meta"):
        network = DiffusionNetwork(untrained_parts(0), "sd", description="", pretrained=False, step=1)
    channels, grids = [320] * 4 + [640] * 3 + [1280] * 5, [64] * 3 + [32] * 3 + [16] * 3 + [8] * 3
    assert network.layers == (*(f"down.{i}" for i in range(12)), "mid", *(f"up.{i}" for i in range(12)))
    assert network.channels[:12] == tuple(channels)
    assert network.channels[12:] == (1280,) * 7 + (640,) * 3 + (320,) * 3
    assert [grid[0] for grid in network.grids] == [*grids, 8, *grids[::-1]]
    assert network.preprocessing.size == (512, 512)
    with torch.device("meta"):
        tokens = network.tokens(torch.zeros(1, 3, 512, 512))
    assert [tuple(places.shape[1:]) for places in tokens.local] == [
        (count, *grid) for count, grid in zip(network.channels, network.grids, strict=True)
    ]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, DataError, "give one of them"),
        ({"step": 2, "block": "mid"}, DataError, "give one of them"),
        ({"step": 51}, DataError, "1 to 50"),
        ({"step": 1, "steps": 0}, DataError, "1 to 1000"),
        ({"block": "up.12"}, UnknownNameError, "up.12"),
        ({"step": 1, "layers": ["down.9"]}, UnknownNameError, "down.9"),
    ],
)
def test_bad_choices(pipeline, options, error, text):
    with pytest.raises(error, match=text):
        load_diffusion(pipeline, device="cpu", **options)


def test_names_that_cannot_be_read_and_weights_that_cannot_be_had(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="t=NUMBER"):
        load_diffusion("stable-diffusion-1.5@step=3", untrained=True, device="cpu")
    with pytest.raises(DataError, match="structure of its own"):
        load_diffusion("other@t=3", untrained=True, device="cpu")
    with pytest.raises(UnavailableError, match="diffusers' layout"):
        load_diffusion(f"{tmp_path}@t=3", device="cpu")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UnavailableError, match=r"pip install 'factortopy\[diffusion\]'"):
        load_diffusion("stable-diffusion-1.5@t=3", untrained=True, device="cpu")
