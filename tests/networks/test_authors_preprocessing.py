"""How the paper's authors showed photographs to networks, beside torchvision; what was shown otherwise is not mixed."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.errors import DataError
from factortopy.images import ImageSet, sample_views, split_images
from factortopy.mapping import Mapping, check_tokens, load_mapped_network
from factortopy.networks import Preprocessing, find_entry, list_networks, load_network
from factortopy.networks.loading import shown
from factortopy.paper.members import tiny_diffusion
from factortopy.subjects import load_arrays
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import fit

NAME = "timm/test_vit"
FEW = {"steps": 2, "validate_every": 2, "bootstrap": 0, "progress": False, "device": "cpu"}
AUTHORS = v2.Compose(
    [
        v2.ToImage(),
        v2.Resize((160, 160), v2.InterpolationMode.BILINEAR, antialias=True),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def pictures(count=20):
    rng = np.random.default_rng(0)
    noise = {f"image-{i:02d}": rng.integers(0, 255, (30, 44, 3), dtype=np.uint8) for i in range(count)}
    return ImageSet("noise", tuple(noise), lambda name: Image.fromarray(noise[name]))


@pytest.fixture(scope="module")
def network():
    return load_network(NAME, untrained=True, preprocessing="authors", device="cpu")


@pytest.fixture(scope="module")
def stores(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    own = load_network(NAME, untrained=True, device="cpu")
    options = {"grid": (2, 2), "progress": False}
    return extract(own, pictures(), folder / "own", **options), extract(network, pictures(), folder / "new", **options)


def test_the_whole_picture_bilinear_and_imagenets_statistics(network):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 420, 3), dtype=np.uint8))
    # torchvision resizes the bytes by itself, Pillow rounds otherwise: one grey level of 255 is 0.0175 here.
    torch.testing.assert_close(network.preprocessing(picture), AUTHORS(picture), atol=0.02, rtol=0)
    own = load_network(NAME, untrained=True, device="cpu").preprocessing(picture)
    assert (own - AUTHORS(picture)).abs().mean() > 0.2
    # Of one colour at the left edge only, which a central crop would leave out.
    edge = Image.new("RGB", (600, 300))
    edge.paste((255, 255, 255), (0, 0, 60, 300))
    assert network.preprocessing.seen(edge)[:, :10].mean() > 0.9


def test_networks_of_the_paper_have_the_authors_sizes():
    sizes = {entry.name: entry.input_size for entry in list_networks() if entry.paper and "diffusion" not in entry.name}
    assert len(sizes) >= 17
    expected = {name: 448 if "dinov2" in name else 1024 if "sam" in name else 224 for name in sizes}
    assert sizes == expected
    assert find_entry("clip-b16-datacomp-l").input_size == 224


def test_stores_say_which_and_are_not_mixed(stores, network):
    own, new = stores
    assert str(new.preprocessing).startswith("the authors': 160 x 160, whole picture, bilinear, mean 0.485")
    assert "the authors'" not in str(own.preprocessing)
    assert TokenStore.open(new.path).preprocessing == network.preprocessing
    assert not torch.equal(own.read().global_[0], new.read().global_[0])
    with pytest.raises(DataError, match="preprocessing"):
        extract(network, pictures(), own.path, grid=(2, 2), progress=False)


def test_a_mapping_says_which_and_its_network_sees_alike(stores, tmp_path):
    own, new = stores
    rng = np.random.default_rng(2)
    responses, places = rng.normal(size=(20, 5)).astype("f4"), rng.normal(size=(5, 3)).astype("f4")
    subject = load_arrays(responses=responses, image_ids=new.image_ids, coordinates=places, name="arrays")
    split = split_images(new.image_ids, seed=0)
    fitted = fit(new, subject, split=split, recipe="paper", width=2, **FEW)
    mapping = Mapping.load(fitted.save(tmp_path / "mapping"))
    assert mapping.dataset.attrs["preprocessing"] == str(new.preprocessing)
    assert load_mapped_network(mapping, device="cpu").preprocessing == new.preprocessing
    check_tokens(mapping, new)
    with pytest.raises(DataError, match="extract them with the same preprocessing"):
        check_tokens(mapping, own)


def test_lists_are_as_good_as_tuples():
    """As JSON keeps them."""
    given = Preprocessing([32, 48], [0.4] * 3, [0.5] * 3, "bilinear", 1.0, "border", border=[1.0, 1.0, 1.0])
    wanted = Preprocessing((32, 48), (0.4,) * 3, (0.5,) * 3, "bilinear", 1.0, "border", border=(1.0, 1.0, 1.0))
    assert given == wanted
    assert torch.equal(given(sample_views(1).image(0)), wanted(sample_views(1).image(0)))


def test_what_cannot_be_shown_is_refused():
    other = Preprocessing((96, 96), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
    with pytest.raises(DataError, match="takes 160 x 160 pixels"):
        load_network(NAME, untrained=True, preprocessing=other)
    pytest.importorskip("diffusers")
    with pytest.raises(DataError, match="in its own way only"):
        shown(tiny_diffusion("t=4"), "authors")


def test_the_command_takes_it(tmp_path):
    photographs = pictures(4)
    for index, name in enumerate(photographs.ids):
        photographs.image(index).save(tmp_path / f"{name}.png")
    words = ["extract", NAME, str(tmp_path), str(tmp_path / "tokens"), "--untrained", "--preprocessing", "authors"]
    result = CliRunner().invoke(app, [*words, "--device", "cpu"])
    assert result.exit_code == 0, result.stderr
    assert "whole picture" in " ".join(result.stdout.split())
    facts = json.loads((tmp_path / "tokens" / "zarr.json").read_text())["attributes"]["preprocessing"]
    assert (facts["crop_mode"], facts["crop_fraction"], facts["interpolation"]) == ("squash", 1.0, "bilinear")
