"""Every command does what it says, from photographs to the report."""

import inspect
import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from factortopy import reporting
from factortopy.cli import app
from factortopy.images import split_images
from factortopy.mapping import Mapping
from factortopy.tokens import TokenStore

KEYS = [
    "seconds",
    "r2",
    "oracle_r2",
    "ceiling_r2",
    "slope_found",
    "slope_planted",
    "depth_r",
    "space_x_r",
    "space_y_r",
    "scale_r",
    "report",
]


def test_help_is_quick_and_loads_no_heavy_library():
    code = (
        "import sys\nfrom factortopy.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(3 if {'torch', 'xarray', 'matplotlib', 'timm'} & set(sys.modules) else 0)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = os.times()
    # Processor time: other work on this machine must not fail a test.
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert done.returncode == 0, done.stderr
    assert seconds < 1.5  # about 0.4 s on an idle machine
    for name in ("demo", "networks", "extract", "fit", "plot", "report", "doctor"):
        assert name in done.stdout


def test_commands_are_counted_and_their_options_are_of_one_kind_everywhere():
    commands = typer.main.get_command(app).commands
    assert len(commands) == 21
    leaves = [leaf for one in commands.values() for leaf in getattr(one, "commands", {"": one}).values()]
    kinds = {}
    for leaf in leaves:
        annotations = inspect.signature(leaf.callback).parameters
        for option in (item for item in leaf.params if item.param_type_name == "option"):
            kind = annotations[option.name].annotation.__origin__
            kinds.setdefault(max(option.opts, key=len), set()).add(next(iter(get_args(kind)), kind))
    # Of several mappings there are several stores; fit --split also takes `cluster`; paper names whose weights.
    allowed = {"--tokens", "--data", "--split", "--weights", "--recipe"}
    assert {name for name, types in kinds.items() if len(types) > 1} <= allowed, kinds


def test_module_prints_the_version_as_the_package_has_it():
    done = subprocess.run([sys.executable, "-m", "factortopy", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


def test_extract_writes_tokens_of_all_images(tokens, photographs):
    store = TokenStore.open(tokens)
    assert store.image_ids == tuple(sorted(os.listdir(photographs)))
    assert store.grid == (4, 4)
    assert "untrained" in store.network


def test_extract_takes_layers_and_a_dry_run_writes_nothing(run, photographs, tmp_path):
    words = ("extract", "timm/test_vit", photographs, tmp_path / "tokens", "--untrained")
    dry = run(*words, "--dry-run", "--layers", "blocks.1,blocks.4")
    assert dry.exit_code == 0
    assert "2" in dry.stdout
    assert not list(tmp_path.iterdir())
    assert run(*words, "--layers", "blocks.4, blocks.1", "-q").exit_code == 0
    assert TokenStore.open(tmp_path / "tokens").layers == ("blocks.1", "blocks.4")


def test_fit_writes_a_mapping_with_the_settings_asked_for(mapping, subject):
    loaded = Mapping.load(mapping)
    responses = np.load(subject / "responses.npy")
    assert loaded.dataset.sizes["voxel"] == responses.shape[1]
    assert loaded.settings["steps"] == 5
    assert loaded.settings["components"] == 16
    assert loaded.dataset.attrs["subject"] == "by hand"
    assert not loaded.simulated


def test_fit_takes_a_split_and_prints_scores_and_slopes(run, tokens, subject, tmp_path):
    split = split_images(TokenStore.open(tokens).image_ids, fractions=(0.5, 0.25, 0.25), seed=3)
    file = tmp_path / "split.json"
    file.write_text(json.dumps(split.to_dict()))
    settings = ("--set", "steps=2", "--set", "components=8", "--split", file, "--recipe", "paper")
    result = run("fit", tokens, subject, tmp_path / "mapping", *settings)
    assert result.exit_code == 0, result.stderr
    assert "slope (share)" in result.stdout
    assert "slope (selector)" in result.stdout
    loaded = Mapping.load(tmp_path / "mapping")
    assert loaded.dataset.attrs["split"] == split.digest
    assert f"{float(loaded.dataset['r2'].mean()):.3f}" in result.stdout


@pytest.mark.parametrize(
    ("typed", "found"), [("factortopy fi", {"fit", "finetune"}), ("factortopy fit --star", {"--start", "--starts"})]
)
def test_the_shell_completes(typed, found):
    shell = {"_FACTORTOPY_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    result = CliRunner().invoke(app, prog_name="factortopy", env=shell)
    assert set(result.stdout.split()) == found, result.output


def test_fit_hands_on_how_many_starts(run, tokens, subject, tmp_path):
    result = run("fit", tokens, subject, tmp_path / "mapping", "--recipe", "paper", "--starts", 2)
    assert result.exit_code == 2
    assert "starts = 2" in result.stderr
    settings = ("--starts", 2, "--set", "steps=2", "--set", "components=8", "--bootstrap", 0)
    result = run("fit", tokens, subject, tmp_path / "mapping", *settings)
    assert result.exit_code == 0, result.stderr
    assert Mapping.load(tmp_path / "mapping").settings["starts"] == 2


def test_fit_dry_run_states_its_cost_and_writes_nothing(run, tokens, subject, tmp_path):
    settings = ("--set", "steps=4", "--set", "components=8", "--recipe", "paper")
    result = run("fit", tokens, subject, tmp_path / "mapping", *settings, "--dry-run")
    assert result.exit_code == 0, result.stderr
    voxels = np.load(subject / "responses.npy").shape[1]
    for word in ("32 train, 4 validation, 4 test", str(voxels), "memory", "disk", "time"):
        assert word in result.stdout
    assert not list(tmp_path.iterdir())


def test_plot_writes_the_figures_and_formats_asked_for(run, mapping, tmp_path):
    result = run("plot", mapping, "-f", "scale", "--format", "png", "-o", tmp_path, "-q")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scale.png"]
    assert (tmp_path / "scale.png").read_bytes()[:4] == b"\x89PNG"


def test_plot_shows_the_cortex_from_the_sides_asked_for(run, mapping, tmp_path):
    views = ("--views", "lateral,ventral", "--format", "pdf", "--transparent")
    result = run("plot", mapping, "-f", "scale", "-f", "hierarchy", *views, "-o", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hierarchy.pdf", "scale.pdf"]
    assert "Views: lateral, ventral".encode("utf-16-be") in (tmp_path / "scale.pdf").read_bytes()
    result = run("plot", mapping, "-f", "scale", "--views", "flat,sideways", "-o", tmp_path / "none")
    assert result.exit_code == 2
    assert "unknown view 'sideways'" in result.stderr
    assert not (tmp_path / "none").exists()


def test_maps_fade_where_the_mapping_has_limits(run, mapping, tokens, subject, split, tmp_path):
    result = run("plot", mapping, "-f", "scale", "--format", "png", "-o", tmp_path / "faded", "-q", "--fade")
    assert result.exit_code == 0, result.stderr
    assert b"pale where" in (tmp_path / "faded" / "scale.png").read_bytes()
    few = ("--set", "steps=2", "--set", "components=8", "--bootstrap", 0, "--split", split)
    result = run("fit", tokens, subject, tmp_path / "mapping", *few)
    assert result.exit_code == 0, result.stderr
    unlimited = Mapping.load(tmp_path / "mapping")
    assert "r2_low" not in unlimited.dataset
    unlimited.dataset["r2"] = unlimited.dataset["r2"] * 0 + 0.2  # something was found
    unlimited.save(tmp_path / "found")
    result = run("plot", tmp_path / "found", "-f", "scale", "--fade", "-q")
    assert result.exit_code == 2
    assert "bootstrap" in result.stderr


def test_report_is_one_page_with_the_training_curve(run, mapping, tmp_path):
    result = run("report", mapping, tmp_path / "page.html", "-q")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "page.html").read_text()
    assert "by hand" in page
    assert "Training" in page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_report_can_be_the_picture_alone(run, mapping, tmp_path):
    result = run("report", mapping, tmp_path / "page.html", "--only-picture", "--cluster-count", "3")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "data-factortopy" in page
    assert '"cluster":{' in page
    assert "<table" not in page.split("<script>")[0]
    assert str(tmp_path / "page.html") in result.stdout


def test_report_takes_several_mappings_and_the_page_last(run, mapping, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(reporting, "report", lambda *words, **_: asked.extend(words))
    assert run("report", mapping, mapping, tmp_path / "page.html").exit_code == 0
    assert [loaded.dataset.attrs["subject"] for loaded in asked[0]] == ["by hand", "by hand"]
    assert asked[1] == tmp_path / "page.html"


def test_networks_lists_and_shows_one_without_weights(run):
    assert "clip-b16-openai" in run("networks").stdout
    listed = json.loads(run("networks", "--json").stdout)["networks"]
    assert {"name", "source", "description"} <= set(listed[0])
    shown = json.loads(run("networks", "timm/test_vit", "--json").stdout)
    assert shown["name"] == "timm/test_vit"
    assert [layer["name"] for layer in shown["layers"]] == [f"blocks.{index}" for index in range(6)]
    assert shown["cost"]["images_per_second"] > 0
    table = run("networks", "timm/test_vit").stdout
    assert "class token" in table
    assert "nothing was downloaded" in table


def test_doctor_names_versions_devices_caches_and_extras(run):
    import torch

    result = run("doctor", "--json")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert facts["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert "cpu" in facts["devices"]
    assert "weights of the demo" in facts["caches"]
    assert {"test", "dev"} <= set(facts["extras"])
    assert run("doctor").exit_code == 0


def test_demo_prints_json_last_and_says_simulated(run, tmp_path, monkeypatch):
    factortopy_demo = pytest.importorskip("factortopy.demo")
    asked = {}
    values = dict.fromkeys(KEYS, 0.5)

    def stand_in(folder, **options):
        asked.update(options, folder=folder)
        rows = [("held-out R2", "0.500", "0.600 ceiling")]
        return SimpleNamespace(
            as_dict=lambda: values, rows=lambda: rows, times={"fit": 61.0}, report=folder / "report.html"
        )

    monkeypatch.setattr(factortopy_demo, "run_demo", stand_in)
    result = run("demo", "-o", tmp_path / "demo", "--seed", 7, "--palette", "colour-blind", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == values
    assert "SIMULATED" in result.stdout
    assert "1 min 1 s" in result.stdout
    expected = {"seed": 7, "palette": "colour-blind", "network": "clip-b16-openai", "images": 720}
    assert asked == {"folder": tmp_path / "demo", "progress": True, **expected}
