"""Keys of tasks: what is changed gets new ones with all that follows, what is not keeps its own; bad files."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tomli_w
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.errors import DataError, UnknownNameError
from factortopy.machine import Cost
from factortopy.networks import load_network
from factortopy.sweep import State, cost_rows, estimate_tasks
from factortopy.sweep import costs as costs_module
from factortopy.sweep import tasks as tasks_module

TWO = [{"name": "timm/test_vit", "untrained": True}, {"name": "timm/test_vit2", "untrained": True}]


@pytest.fixture
def loaded_here(monkeypatch):
    """Processes that would be started to time their loading: here this one loads the same, which takes no time."""
    started = []

    def run(words, check):
        started.append(words)
        exec(words[2], {})

    monkeypatch.setattr(costs_module, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(costs_module, "VIEWS", 1)
    return started


def keys(tasks, **like):
    """Keys of tasks by kind, network and subject."""
    return {
        (task.kind, (task.facts or {}).get("label"), str((task.facts or {}).get("subject"))): task.key for task in tasks
    }


def changed(before, after):
    """Kinds of tasks whose keys differ, with their counts."""
    before, after = keys(before), keys(after)
    assert before.keys() == after.keys()
    kinds = [name[0] for name in before if before[name] != after[name]]
    return {kind: kinds.count(kind) for kind in kinds}


def test_one_extraction_serves_all_fits_that_need_it(workplace):
    workplace.ask(networks=TWO, subjects=["one", "two"], seeds=[0, 1, 2], recipes=["default", "paper"])
    tasks = workplace.plan()
    count = {kind: sum(task.kind == kind for task in tasks) for kind in ("extract", "fit", "score", "compare")}
    # Both subjects saw the same photographs.
    assert count == {"extract": 2, "fit": 24, "score": 24, "compare": 12}
    place = {task.key: index for index, task in enumerate(tasks)}
    assert all(place[key] < place[task.key] for task in tasks for key in task.needs)
    assert len({task.result for task in tasks}) == len(tasks)


def edit_pixel(folder):
    file = folder / "one" / "images" / "image-007.png"
    pixels = np.asarray(Image.open(file)).copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(file)


def edit_response(folder):
    responses = np.load(folder / "one" / "responses.npy")
    responses[3, 4] = np.nextafter(responses[3, 4], np.float32(9))
    np.save(folder / "one" / "responses.npy", responses)


def edit_place(folder):
    places = np.load(folder / "one" / "coordinates.npy")
    places[0, 0] += 1e-3
    np.save(folder / "one" / "coordinates.npy", places)


def edit_vertex(folder):
    np.save(folder / "one" / "vertex.npy", np.arange(24)[::-1])


def edit_repeats(folder):
    np.save(folder / "one" / "repeats.npy", np.full(40, 3))


ALL_OF_ONE = {"extract": 1, "fit": 1, "score": 1}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (edit_pixel, ALL_OF_ONE),
        (edit_response, {"fit": 1, "score": 1}),
        (edit_place, {"fit": 1, "score": 1}),
        (edit_vertex, {"fit": 1, "score": 1}),
        (edit_repeats, {"fit": 1, "score": 1}),
        (lambda folder: None, {}),
    ],
)
def test_what_follows_from_a_change_gets_a_new_key_and_nothing_else(workplace, edit, expected):
    workplace.ask(subjects=["one", "two"])
    # The second subject gets photographs of its own, so that nothing of it hangs on the first's.
    edit_pixel_of = workplace.folder / "two" / "images" / "image-000.png"
    Image.new("RGB", (16, 16)).save(edit_pixel_of)
    before = workplace.plan()
    edit(workplace.folder)
    assert changed(before, workplace.plan()) == expected


def test_a_changed_weight_changes_all_of_its_network_alone(workplace):
    weights = workplace.folder / "vit.safetensors"
    network = load_network("timm/test_vit", untrained=True, device="cpu")
    save_file({name: value.contiguous() for name, value in network.module.state_dict().items()}, weights)
    workplace.ask(networks=[{"name": "timm/test_vit", "weights": "vit.safetensors"}, TWO[1]])
    before = workplace.plan()
    assert changed(before, workplace.plan()) == {}
    values = load_file(weights)
    name = next(iter(values))
    values[name].view(-1)[0] += 1e-4
    save_file(values, weights)
    assert changed(before, workplace.plan()) == {**ALL_OF_ONE, "compare": 1}


def test_a_folder_of_the_network_s_name_where_the_command_is_given_changes_no_key(workplace, tmp_path, monkeypatch):
    workplace.ask(networks=["squeezenet-1.1"])
    monkeypatch.setattr(tasks_module, "find_cached_weights", lambda _: workplace.file)
    named = workplace.plan()
    (tmp_path / "elsewhere" / "squeezenet-1.1").mkdir(parents=True)
    (tmp_path / "elsewhere" / "squeezenet-1.1" / "weights").touch()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert changed(named, workplace.plan()) == {}


def test_other_settings_and_other_code_are_other_fits(workplace, monkeypatch):
    before = workplace.plan()
    workplace.ask(settings={"steps": 3})
    assert changed(before, workplace.plan()) == {"fit": 1, "score": 1}
    workplace.ask(grid=[3, 3])
    assert changed(before, workplace.plan()) == ALL_OF_ONE
    workplace.ask()
    monkeypatch.setattr(tasks_module, "code_digest", lambda: "other")
    assert changed(before, workplace.plan()) == ALL_OF_ONE


def test_time_steps_and_checkpoints_are_networks_of_their_own(workplace):
    workplace.ask(networks=[{"name": "a", "time_steps": [1, 2], "checkpoints": ["x.pt", "y.pt"]}])
    each = [one for choice in workplace.settings.networks for one in choice.each()]
    assert [one.label for one in each] == ["a@t=1 x", "a@t=1 y", "a@t=2 x", "a@t=2 y"]
    assert {one.weights.parent for one in each} == {workplace.folder}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"output": "../elsewhere"}, DataError, "leaves the folder"),
        ({"output": "/tmp/elsewhere"}, DataError, "leaves the folder"),
        ({"seeds": []}, DataError, "seeds"),
        ({"seeds": [0, 0]}, DataError, "seeds .* each once"),
        ({"seeds": [-1]}, DataError, "seeds"),
        ({"recipes": ["paper", "paper"]}, DataError, "recipes .* each once"),
        ({"grid": [0, 0]}, DataError, "grid"),
        ({"batch_size": 0}, DataError, "batch_size"),
        ({"batch_size": 65}, DataError, "batch_size"),
        ({"settings": {"seed": 1}}, DataError, "seeds = "),
        ({"settings": {"recipe": "paper"}}, DataError, "recipes = "),
        ({"networks": [{"name": "a", "weights": "w.pt", "checkpoints": ["x.pt"]}]}, DataError, "or checkpoints"),
        ({"subject": ["one"]}, UnknownNameError, "subjects"),
        ({"settings": {"stepz": 3}}, UnknownNameError, "steps"),
        ({"networks": [TWO[0], TWO[0]]}, DataError, "named twice"),
        ({"subjects": ["one", "one"]}, DataError, "bear the name"),
    ],
)
def test_a_bad_file_is_one_line(workplace, changes, error, words):
    workplace.ask(**changes)
    with pytest.raises(error, match=words):
        workplace.plan()
    said = CliRunner().invoke(app, ["sweep", str(workplace.file), "-q"])
    assert said.exit_code == 2
    assert len(said.stderr.splitlines()) == 1


def test_what_cannot_be_had_holds_back_its_own_tasks_alone_and_is_told_once(workplace, loaded_here, monkeypatch):
    (workplace.folder / "two" / "responses.npy").write_bytes(b"damaged")
    missing = {"name": "timm/test_vit2", "weights": "missing.safetensors"}
    workplace.ask(networks=[TWO[0], missing, "no-such-network"], subjects=["one", "two"])
    tasks = workplace.plan()
    assert not [task for task in tasks if task.kind == "compare"]  # one network is left
    faults = {task.fault for task in tasks if task.fault}
    assert len(faults) == 3  # of two networks and of a subject
    said = CliRunner().invoke(app, ["sweep", str(workplace.file)])
    assert said.exit_code == 2
    lines = said.stderr.splitlines()
    assert [sum(word in line for line in lines) for word in ("missing.safetensors", "no-such", "responses.npy")] == [
        1
    ] * 3
    assert "missing" not in said.stdout
    states = workplace.record.states(tasks)
    done = [task for task in tasks if states[task.key] is State.DONE]
    assert sorted(task.kind for task in done) == ["extract", "fit", "score"]
    assert all("vit" in task.name and "vit2" not in task.name for task in done)
    assert all(cost.memory for cost in estimate_tasks(tasks, timed=False, progress=False).values())
    monkeypatch.setattr(costs_module, "reckon_fit", lambda *_, **_options: Cost())  # another test times one
    dry = CliRunner().invoke(app, ["sweep", str(workplace.file), "--dry-run", "-q"])
    assert dry.exit_code == 2
    assert len(dry.stderr.splitlines()) == 3


def test_names_of_results_stay_in_their_folder(workplace):
    (workplace.folder / "one" / "subject.toml").write_text('name = "../../escape/.."\nimages = "images"\n')
    for task in workplace.plan():
        assert len(task.result.parts) == 2
        assert ".." not in task.result.parts[1].split("-")
        assert "/" not in task.name


def kinds_with_a_file(printed):
    return [line[2:] for line in printed.splitlines() if line[:2] == "# " and line[2:] in tasks_module.FOLDERS]


def test_a_dry_run_prints_needs_and_the_file_for_slurm_and_writes_nothing(workplace, loaded_here):
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    words = ["sweep", str(workplace.file), "--dry-run", "-q", "--engine", "slurm", "--minutes", "90", "--gpus", "1"]
    said = CliRunner().invoke(app, [*words, "--partition", "brains"])
    assert said.exit_code == 0, said.stderr
    assert "nothing was written" in said.stdout
    assert len(loaded_here) == 2  # of an extraction, and of a fit
    assert not (workplace.folder / "study").exists()
    for line in ("--partition=brains", "--time=90", "--gpus-per-node=1", "--requeue", "--mem="):
        assert f"#SBATCH {line}" in said.stdout
    assert kinds_with_a_file(said.stdout) == ["extract", "fit"]


def test_a_dry_run_prints_arrays_of_what_would_be_submitted_alone(done, loaded_here, monkeypatch):
    """Scores and comparisons are made by the driver; two jobs do five fits, three and two."""
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    monkeypatch.setattr(costs_module, "reckon_fit", lambda *_, **_options: Cost())
    done.ask(seeds=[0, 1, 2, 3, 4, 5])  # the first of which is done
    words = ["sweep", str(done.file), "--dry-run", "-q", "--engine", "slurm", "--jobs", "2"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.stderr
    assert kinds_with_a_file(said.stdout) == ["fit"]
    assert "#SBATCH --array=0-1%2" in said.stdout


def test_estimates_count_disk_and_what_is_done_takes_nothing_more(workplace):
    tasks = workplace.ask(seeds=[0, 1]).plan()
    costs = estimate_tasks(tasks, timed=False, progress=False)
    rows = cost_rows(tasks, costs, {task.key: task.kind == "extract" for task in tasks})
    by_kind = {row["task"]: row for row in rows}
    assert (by_kind["extract"]["left"], by_kind["extract"]["disk"]) == (0, 0)
    assert (by_kind["fit"]["tasks"], by_kind["all"]["tasks"], by_kind["all"]["left"]) == (2, 5, 4)
    extraction = next(costs[task.key] for task in tasks if task.kind == "extract")
    network = load_network("timm/test_vit", untrained=True, device="cpu")
    layers, width = len(network.layers), network.channels[0]
    assert extraction.disk == pytest.approx(2 * 40 * layers * width * 5, rel=0.15)  # beside checksums


def test_a_sweep_file_is_read_as_toml(workplace):
    workplace.file.write_text("networks = [")
    with pytest.raises(DataError, match="no TOML"):
        _ = workplace.settings
    workplace.file.write_text(tomli_w.dumps({"networks": ["x"], "subjects": [{"folder": "one", "number": 3}]}))
    assert json.loads(workplace.settings.subjects[0].model_dump_json())["number"] == 3


def test_what_a_subject_of_sizes_alone_would_take_is_told_and_nothing_is_done(workplace, monkeypatch):
    asked = []
    monkeypatch.setattr(costs_module, "reckon_fit", lambda *sizes, **_: asked.append(sizes[1:5]) or Cost(60.0))
    monkeypatch.setattr(costs_module, "start_seconds", {"extract": 0.0, "fit": 60.0}.get)
    planned = {"name": "far", "sizes": {"images": 90, "trials": 270, "voxels": 500}}
    workplace.ask(subjects=[planned], seeds=[0, 1, 2])
    said = CliRunner().invoke(app, ["sweep", str(workplace.file), "--dry-run", "-q"])
    assert said.exit_code == 0, said.stderr
    assert asked == [((2, 2), 90, 270, 500)]  # fits of one size are measured once
    assert "6 min" in said.stdout  # each with the start of its process
    done = CliRunner().invoke(app, ["sweep", str(workplace.file), "-q"])
    assert done.exit_code == 2
    assert "'far' has sizes alone" in done.stderr
    for wrong in (
        {"folder": "one", "name": "x", "sizes": planned["sizes"]},
        {"name": "x"},
        {"sizes": planned["sizes"]},
    ):
        workplace.ask(subjects=[wrong])
        with pytest.raises(DataError, match="its name and sizes"):
            workplace.plan()
