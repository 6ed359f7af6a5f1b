"""A sweep from end to end: nothing twice, faults of single tasks, locks, what is left half-written, status."""

import errno
import json
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec

import numpy as np
import psutil
import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.networks import load_network
from factortopy.storage import sha256_file
from factortopy.sweep import InProcess, OnRay, OnSlurm, State, finished_fits, look, run_task
from factortopy.sweep import work as work_module
from factortopy.sweep.drive import DRIVER

TWO = [{"name": "timm/test_vit", "untrained": True}, {"name": "timm/test_vit2", "untrained": True}]
RESULTS = ("dataset.zarr", "parameters.safetensors")


def digests(folder):
    """Hashes of everything that tasks wrote, save times and names of machines."""
    skipped = {"provenance.json", "zarr.json"}
    files = [file for name in ("tokens", "mappings", "scores") for file in (folder / name).rglob("*")]
    return {
        str(file.relative_to(folder)): sha256_file(file)
        for file in sorted(files)
        if file.is_file() and file.name not in skipped
    }


def command(*words):
    return CliRunner().invoke(app, ["sweep", *map(str, words)])


@pytest.fixture
def undisturbed(done_before, workplace):
    """A workplace, and hashes of the results that a sweep gives there undisturbed."""
    return workplace, digests(done_before.folder / "study")


def test_a_sweep_is_done_once_and_never_again(done, monkeypatch):
    workplace = done.ask(networks=TWO)  # the first of which was done by an earlier run
    said = command(workplace.file, "-q", "--json")
    assert said.exit_code == 0, said.stderr
    counts = json.loads(said.stdout)
    assert (counts["done"], counts["failed"], counts["failures"]) == (7, 0, {})
    study = workplace.folder / "study"
    lines = (study / "results.csv").read_text().splitlines()
    assert lines[0].startswith("network,subject,recipe,seed")
    assert {line.split(",")[0] for line in lines[1:]} == {"timm/test_vit untrained", "timm/test_vit2 untrained"}
    mappings = sorted((study / "mappings").iterdir())
    assert len(mappings) == 2
    assert all(Mapping.load(folder).dataset.attrs["subject"] == "one" for folder in mappings)
    assert list((study / "comparisons").rglob("*.html"))
    page = (study / "status.html").read_text()
    assert "7 of 7 tasks done, ended" in page
    assert "refresh" not in page

    def never(*_words):
        raise AssertionError("nothing is done twice")

    monkeypatch.setattr(work_module, "WORK", dict.fromkeys(work_module.WORK, never))
    before = digests(study)
    again = command(workplace.file, "-q", "--json")
    assert again.exit_code == 0
    assert digests(study) == before
    told = command("status", study)
    assert "7" in told.stdout.split("all")[1]


def drawn(study, work, *words):
    """The table that ``factortopy paper`` makes of a sweep."""
    said = CliRunner().invoke(app, ["paper", "table1", "--sweep", str(study), "-w", str(work), "-q", *words])
    assert said.exit_code == 0, said.stderr
    facts = json.loads((work / "table1" / "table1.json").read_text())
    return {row["label"]: row for row in facts["tables"]["table1"]}, facts


def stand_in(record, task):
    """A comparison without its figures."""
    (record.folder / task.result).mkdir(parents=True)
    return ""


def test_a_task_that_fails_is_told_and_others_go_on_and_what_is_there_is_drawn(done, monkeypatch):
    workplace, study = done, done.folder / "study"
    workplace.ask(networks=TWO)
    usual = work_module.WORK["fit"]

    def fit(record, task):
        if "vit2" in task.name:
            raise DataError("the moon\nis full")
        return usual(record, task)

    monkeypatch.setitem(work_module.WORK, "fit", fit)
    said = command(workplace.file, "--json")
    assert said.exit_code == 2
    counts = json.loads(said.stdout)
    assert (counts["done"], counts["failed"], counts["held back"]) == (4, 1, 2)
    assert list(counts["failures"].values()) == ["the moon is full"]
    assert "the moon is full" in said.stderr
    assert "the moon is full" in (study / "status.html").read_text()
    rows, _ = drawn(study, workplace.folder / "paper")
    assert list(rows) == ["max", "timm/test_vit untrained"]
    monkeypatch.setitem(work_module.WORK, "fit", usual)
    monkeypatch.setitem(work_module.WORK, "compare", stand_in)
    assert workplace.run().counts() == {State.DONE: 7}
    rows, facts = drawn(study, workplace.folder / "paper")
    mappings = {folder.name.split("_untrained")[0]: Mapping.load(folder) for folder in (study / "mappings").iterdir()}
    one, other = (mappings[name].dataset["r2"].values for name in ("timm_test_vit", "timm_test_vit2"))
    of_roi = np.arange(len(one)) % 6 == 3  # as conftest.py gives them
    assert rows["max"]["OPA"] == pytest.approx(np.maximum(one, other)[of_roi].mean(), abs=1e-6)
    below = np.maximum(one, other)[of_roi] - other[of_roi]
    assert rows["timm/test_vit2 untrained"]["OPA"] == pytest.approx(np.sqrt((below**2).mean()), abs=1e-6)
    assert len(facts["fits"]) == 2
    assert not facts["simulated"]


def test_a_trained_network_goes_by_its_name_and_one_of_random_weights_does_not(done):
    assert [fit["network"] for fit in finished_fits(done.record)] == ["timm/test_vit untrained"]
    network = load_network("timm/test_vit", untrained=True, device="cpu")
    values = {name: value.contiguous() for name, value in network.module.state_dict().items()}
    save_file(values, done.folder / "vit.safetensors")
    done.ask(networks=[{"name": "timm/test_vit", "weights": "vit.safetensors"}]).run()
    assert [fit["network"] for fit in finished_fits(done.record)] == ["timm/test_vit"]


def test_a_sweep_that_has_nothing_to_draw_is_one_line(workplace):
    workplace.record.describe(workplace.plan())
    for folder, expected in (("study", "is done yet"), ("nowhere", "holds no sweep")):
        said = CliRunner().invoke(app, ["paper", "table1", "-q", "--sweep", str(workplace.folder / folder)])
        assert said.exit_code == 2
        assert expected in said.stderr
        assert len(said.stderr.splitlines()) == 1


def test_a_full_disk_is_told_and_gone_on_with_when_there_is_room(workplace, monkeypatch):
    def full(*_words):
        raise OSError(errno.ENOSPC, "No space left on device", "tokens")

    with monkeypatch.context() as patch:
        patch.setitem(work_module.WORK, "extract", full)
        progress = workplace.run()
    assert progress.counts() == {State.FAILED: 1, State.HELD: 2}
    (reason,) = (workplace.record.failure(task) for task in progress.tasks if task.kind == "extract")
    assert "make room" in reason
    times = iter(range(10**9, 0, -(10**6)))  # a clock that jumps, which nothing hangs on
    monkeypatch.setattr(time, "time", lambda: next(times))
    assert workplace.run().counts() == {State.DONE: 3}


def test_a_disk_that_is_full_leaves_nothing_half_written(undisturbed):
    workplace, wanted = undisturbed
    study = workplace.folder / "study"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, before[1]))  # files of tokens are larger
    try:
        said = command(workplace.file, "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert said.exit_code == 2
    assert len(said.stderr.splitlines()) == 1
    assert "tokens" in said.stderr
    assert "make room" in said.stderr
    assert workplace.run().counts() == {State.DONE: 3}
    assert digests(study) == wanted
    assert not [path for path in study.rglob("*") if path.name.endswith((".partial", ".old", ".checkpoint"))]


def test_two_sweeps_on_a_folder_and_two_workers_on_a_task(workplace):
    record = workplace.record
    with record.only(DRIVER), pytest.raises(DataError, match="another sweep runs"):
        workplace.run()
    tasks = workplace.plan()
    record.describe(tasks)
    with record.only(tasks[0].key):
        assert look(record).states[tasks[0].key] is State.RUNNING
        work_module.PROBED, before = 0.1, work_module.PROBED
        assert run_task(str(record.folder), tasks[0].key, 1) == "busy"
        work_module.PROBED = before
    assert look(record).states[tasks[0].key] is State.WAITING


def test_what_was_left_half_written_goes_at_the_next_start(done):
    workplace = done
    tasks, study = workplace.plan(), workplace.folder / "study"
    fit = next(task for task in tasks if task.kind == "fit")
    half = study / "mappings" / f".{fit.name}.0123abcd.partial"
    half.mkdir()
    (half / "dataset").touch()
    (study / ".results.csv.0123abcd.partial").touch()
    (study / ".notes.old").touch()  # the user's own
    workplace.run()
    (study / ".notes.old").unlink()
    assert not [path for path in study.rglob("*") if path.name.endswith((".partial", ".old", ".checkpoint"))]


def test_a_fit_that_is_not_done_leaves_nothing_among_the_mappings_and_no_old_scores(done, monkeypatch):
    workplace, study = done.ask(seeds=[1]), done.folder / "study"
    before = sorted((study / "mappings").iterdir())

    def full(*_words, **_options):
        raise DataError("the moon is full")

    with monkeypatch.context() as patch:
        patch.setattr(Mapping, "save", full)
        assert workplace.run().counts("fit") == {State.FAILED: 1}
    assert sorted((study / "mappings").iterdir()) == before
    assert list((study / "sweep").glob("*.checkpoint/*.safetensors"))
    assert not (study / "results.csv").exists()
    assert set(workplace.run().states.values()) == {State.DONE}
    assert not list((study / "sweep").glob("*.checkpoint"))
    assert (study / "results.csv").exists()


def test_a_damaged_result_is_named_with_its_remedy(done):
    workplace = done
    (folder,) = (workplace.folder / "study" / "mappings").iterdir()
    (folder / "parameters.safetensors").write_bytes(b"x")
    (score,) = (task for task in workplace.plan() if task.kind == "score")
    (workplace.record.notes / "done" / f"{score.key}.json").unlink()
    progress = workplace.run()
    assert progress.counts() == {State.DONE: 2, State.FAILED: 1}
    reason = workplace.record.failure(score)
    assert str(folder) in reason
    assert len(reason.splitlines()) == 1


def test_a_driver_that_is_killed_goes_on_where_it_was(undisturbed):
    workplace, wanted = undisturbed
    study = workplace.folder / "study"
    driver = subprocess.Popen([sys.executable, "-m", "factortopy", "sweep", str(workplace.file), "-q"])
    done = study / "sweep" / "done"
    while driver.poll() is None and not list(done.glob("*.json")):
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    before = {file.name: file.stat().st_mtime_ns for file in (study / "sweep" / "done").glob("*.json")}
    assert before
    assert workplace.run().counts() == {State.DONE: 3}
    after = {file.name: file.stat().st_mtime_ns for file in (study / "sweep" / "done").glob("*.json")}
    assert {name: after[name] for name in before} == before, "what was done is not done again"
    assert digests(study) == wanted
    assert not [path for path in study.rglob("*") if path.name.endswith((".partial", ".old", ".checkpoint"))]


def engine_of(name, folder):
    return {"ray": OnRay, "local": lambda folder: OnSlurm(folder, cluster="local", most=2)}[name](folder)


@pytest.mark.slow  # four processes, each of which loads all libraries
def test_jobs_that_are_told_to_end_are_queued_again_and_give_the_same_results(undisturbed):
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    workplace, wanted = undisturbed
    study, told = workplace.folder / "study", []

    class PreEmpted(OnSlurm):
        """Each job is told once, as SLURM does it before it takes a machine away or a job's time is over."""

        def poll(self):
            for pack, job in self._running:
                if workplace.record.is_held(pack[0].key) and pack[0].key not in told:
                    told.append(pack[0].key)
                    # Of the controller and its worker, which is the one that is told.
                    (worker,) = psutil.Process(int(job.job_id)).children()
                    worker.send_signal(signal.SIGUSR2)
            return super().poll()

    progress = workplace.run(lambda _: PreEmpted(study, cluster="local", most=2))
    assert progress.counts() == {State.DONE: 3}
    assert digests(study) == wanted
    assert told
    logs = "".join(file.read_text() for file in (study / "sweep" / "jobs").glob("*_log.out"))
    assert logs.count("Starting with") == 2 + logs.count("Requeued job") >= 3


def test_ray_gives_the_same_results_and_listens_to_this_machine_alone(undisturbed):
    if find_spec("ray") is None:
        pytest.skip("the extra 'ray' is not installed")
    if "ray" in sys.modules:
        pytest.skip("Ray was imported before, and has read by then what interface it is on")
    workplace, wanted = undisturbed
    study, addresses = workplace.folder / "study", set()

    def look_at_ports(progress):
        if progress.counts()[State.RUNNING]:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    listening = [one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
                    addresses.update((process.name(), one.laddr.ip) for one in listening)

    progress = workplace.run(lambda _: OnRay(study), look_at_ports)
    assert progress.counts() == {State.DONE: 3}
    assert digests(study) == wanted
    assert addresses
    assert all(address.removeprefix("::ffff:") in ("127.0.0.1", "::1") for _, address in addresses), addresses


def test_a_worker_that_is_lost_is_begun_again_but_not_for_ever(workplace):
    from factortopy.sweep.engines import Ended

    class Lossy(InProcess):
        lost = 0

        def poll(self):
            if self._taken and (self._taken[0].kind == "fit" or Lossy.lost < 1):
                Lossy.lost += 1
                return [Ended(self._taken.pop().key, "killed")]
            return super().poll()

    progress = workplace.run(lambda _: Lossy(workplace.record.folder))
    assert progress.counts() == {State.DONE: 1, State.FAILED: 1, State.HELD: 1}
    assert Lossy.lost == 4
    (reason,) = (workplace.record.failure(task) for task in progress.tasks if task.kind == "fit")
    assert "killed, 3 times" in reason


def test_status_of_no_sweep_is_one_line(tmp_path):
    said = command("status", tmp_path)
    assert said.exit_code == 2
    assert "holds no sweep" in said.stderr
    assert list(tmp_path.iterdir()) == []
    assert command("status").exit_code == 2


HOLD = """
import filelock, sys
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_falls_with_its_process(workplace):
    record = workplace.record
    with record.only("x"):  # makes its folder
        pass
    words = [sys.executable, "-c", HOLD, str(record.notes / "locks" / "x")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert record.is_held("x")
        holder.kill()
        holder.wait()
        assert not record.is_held("x")
