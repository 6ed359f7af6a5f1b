"""The zoo's data: the paper's networks with their exact checkpoints, names that lead somewhere, licences."""

from types import SimpleNamespace

import pytest
from timm.models import get_pretrained_cfg
from torch import nn

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.networks import find_entry, list_networks, load_network, network_skeleton
from factortopy.networks.diffusion import loading as diffusion
from factortopy.networks.weights.remote import HubFile, UrlFile
from factortopy.networks.weights.wheels import WHEELS

ENTRIES = list_networks()
DATACOMP, PUBLIC = "laion/CLIP-ViT-", "https://download.pytorch.org/models/"
# Table 2 of the paper, and the file that each of its networks is
TABLE_2 = {
    "clip-l14-datacomp-xl": (f"{DATACOMP}L-14-DataComp.XL-s13B-b90K", 224, "class"),
    "clip-b16-datacomp-l": (f"{DATACOMP}B-16-DataComp.L-s1B-b8K", 224, "class"),
    "clip-b32-datacomp-m": (f"{DATACOMP}B-32-DataComp.M-s128M-b4K", 224, "class"),
    "clip-b32-datacomp-s": (f"{DATACOMP}B-32-DataComp.S-s13M-b4K", 224, "class"),
    "imagenet-l": (f"{PUBLIC}vit_l_16-852ce7e3.pth", 224, "class"),
    "imagenet-b": (f"{PUBLIC}vit_b_16-c867db91.pth", 224, "class"),
    "sam-h": ("timm/samvit_huge_patch16.sa1b", 1024, "pooled"),
    "sam-l": ("timm/samvit_large_patch16.sa1b", 1024, "pooled"),
    "sam-b": ("timm/samvit_base_patch16.sa1b", 1024, "pooled"),
    "dinov2-g": ("timm/vit_giant_patch14_dinov2.lvd142m", 448, "class"),
    "dinov2-l": ("timm/vit_large_patch14_dinov2.lvd142m", 448, "class"),
    "dinov2-b": ("timm/vit_base_patch14_dinov2.lvd142m", 448, "class"),
    "mae-h": ("timm/vit_huge_patch14_224.mae", 224, "class"),
    "mae-l": ("timm/vit_large_patch16_224.mae", 224, "class"),
    "mae-b": ("timm/vit_base_patch16_224.mae", 224, "class"),
    "mocov3-l": (None, 224, "class"),
    "mocov3-b": (None, 224, "class"),
    "mocov3-s": (None, 224, "class"),
}
# Makers' files of which timm's are copies, as timm itself says
CHECKPOINTS = [e for e in ENTRIES if e.source.startswith("timm/") and e.hub and e.checkpoint not in e.source]
LICENCES = {"dinov3-license": "DINOv3 licence", "cc-by-nc-4.0": "CC BY-NC 4.0", "apache-2.0": "Apache-2.0"}
LICENCES |= {"mit": "MIT"}


@pytest.fixture
def asked(monkeypatch):
    """What is asked of hubs; nothing is to be had."""
    seen = []

    def refuse(remote, *_):
        seen.append(getattr(remote, "repository", None) or remote.url)
        raise UnavailableError("tests ask no hub")

    monkeypatch.setattr(HubFile, "fetch", refuse)
    monkeypatch.setattr(UrlFile, "fetch", refuse)
    return seen


def test_tables_of_the_paper_are_whole():
    assert {entry.name for entry in ENTRIES if "2" in entry.paper} == set(TABLE_2)
    first = [entry for entry in ENTRIES if "1" in entry.paper]
    families = {"CLIP, trained on DataComp", "DINOv2", "SAM", "MAE", "MoCo v3", "ImageNet"}
    assert families <= {entry.group for entry in first}


@pytest.mark.parametrize("name", TABLE_2)
def test_network_of_table_2_is_its_checkpoint(name, asked):
    place, size, rule = TABLE_2[name]
    entry = find_entry(name)
    assert (entry.input_size, entry.global_token) == (size, rule)
    with pytest.raises(UnavailableError, match="weights=PATH"):
        load_network(name, device="cpu")
    assert asked == ([] if place is None else [place])


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.hub], ids=lambda entry: entry.name)
def test_every_hub_knows_its_checkpoint(entry, asked):
    if entry.source.startswith("diffusion/"):
        pytest.skip("a pipeline of several files, which tests of its own load")
    with pytest.raises(UnavailableError, match="tests ask no hub"):
        load_network(entry.source, device="cpu")
    assert len(asked) == 1


@pytest.mark.parametrize("entry", CHECKPOINTS, ids=lambda entry: entry.name)
def test_timm_has_a_copy_of_the_makers_file(entry):
    url = get_pretrained_cfg(entry.source.removeprefix("timm/")).url
    assert entry.checkpoint in url


def test_licences_are_those_timm_names():
    for entry in ENTRIES:
        config = get_pretrained_cfg(entry.source.removeprefix("timm/"))
        # timm names CLIP's and ConvNeXt's own licence, Apache-2.0, for weights that OpenAI gave under MIT
        if config and config.license and "OpenAI" not in entry.group:
            expected = LICENCES[config.license]
            assert entry.licence == expected or entry.name == "clip-b16-datacomp", entry.name


def test_names_are_one_and_short():
    names = [name for entry in ENTRIES for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))
    assert all(len(name) <= 22 and "/" not in name for name in names)
    old = {"clip-b16-openai", "clip-l14-openai", "clip-b16-datacomp", "dinov2-b14", "dinov2-l14"}
    assert old | {"sam-b16", "mae-b16", "imagenet-b16"} <= set(names)
    assert all(find_entry(name).hub or name in WHEELS or "mocov3" in name for name in names)
    assert set(WHEELS) <= set(names)


def test_alias_is_the_same_network():
    assert network_skeleton("mae-b16").name == "mae-b-untrained-0"


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("mocov3-m", UnknownNameError, "mocov3-s"),
        ("tim/resnet50", UnknownNameError, "source of networks 'tim'; did you mean 'timm'"),
        ("open_clip/ViT-B-61/openai", UnknownNameError, "ViT-B-16"),
        ("open_clip/ViT-B-16", UnavailableError, "name one: open_clip/ViT-B-16/openai"),
        ("open_clip/ViT-B-16/datacomp", UnknownNameError, "datacomp_l_s1b_b8k"),
        ("torchvision/resnet51", UnknownNameError, "resnet50"),
        ("torchvision/resnet50/IMAGENET1K_V3", UnknownNameError, "IMAGENET1K_V2"),
        ("timm/test_vit4.none", UnknownNameError, "test_vit"),
    ],
)
def test_wrong_names(name, error, text, asked):
    with pytest.raises(error, match=text):
        load_network(name, device="cpu")
    assert not asked


def test_stable_diffusion_by_name(monkeypatch):
    skeleton = network_skeleton("stable-diffusion-1.5@t=25")
    assert skeleton.name == "stable-diffusion-1.5@t=25"
    entry = find_entry("stable-diffusion-1.5")
    assert skeleton.preprocessing.size == (entry.input_size, entry.input_size)
    assert skeleton.global_token == entry.global_token
    assert (skeleton.layers[0], skeleton.layers[12], skeleton.layers[-1]) == ("down.0", "mid", "up.11")
    asked = []

    def ask(source, *_, step=None, block=None, **__):
        asked.append((source, step, block))
        return SimpleNamespace(architecture=None, to=lambda _device: None)

    monkeypatch.setattr(diffusion, "load_diffusion", ask)
    load_network("stable-diffusion-1.5@block=up.6", device="cpu")
    load_network("diffusion/somebody/tuned@t=40", device="cpu")
    assert asked == [("stable-diffusion-1.5", None, "up.6"), ("somebody/tuned", 40, None)]
    with pytest.raises(DataError, match="as in @t=25"):
        load_network("stable-diffusion-1.5")
    with pytest.raises(DataError, match="folder"):
        load_network("stable-diffusion-1.5@t=25", weights="file.safetensors")
    with pytest.raises(UnknownNameError, match=r"stable-diffusion-1\.5"):
        load_network("stable-difusion-1.5@t=25")


def test_any_source_and_ones_own_module():
    kept = load_network("torchvision/squeezenet1_1", untrained=True, seed=2, device="cpu")
    assert kept.name == "torchvision/squeezenet1_1-untrained-2"
    module = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU())
    own = load_network(module, layers=["0"], device="cpu", name="mine")
    assert (own.name, own.channels, own.grids) == ("mine", (4,), ((28, 28),))
    with pytest.raises(DataError, match="for networks by name"):
        load_network(module, layers=["0"], untrained=True)
    with pytest.raises(DataError, match="prefix_tokens"):
        load_network("test_vit", prefix_tokens=1)
