"""Every check of a GPU in one run of some minutes on a bare machine: extraction, reading, forms, steps, a whole fit.

    python benchmarks/gpu.py             # on the GPU
    python benchmarks/gpu.py --dry       # the same program in small on a CPU: its figures mean nothing
    python benchmarks/gpu.py --cortex    # and a fit of all 327,684 vertices of fsaverage7, some minutes more

Networks have random weights, and responses are SIMULATED: nothing is downloaded. A check that fails says
why and the others go on; one that would begin after ``--seconds`` is left out, one that has not ended after ``--most``
given up. The last line is one JSON object, a
part a check:

- ``forms``: largest error of each form of the read-out, in float32 and bfloat16, over the largest prediction in
  float64, and whether Triton's kernels run.
- ``steps``: milliseconds of a training step, with and without a CUDA graph and with each form, and of the plain formula
  at the authors' 8 images a step; the difference of the losses of recorded and of plain steps, and of a training that
  goes on from its checkpoint.
- ``extraction``: images a second of a ViT-B/16 from JPEG files over those of the bare forward pass; reading back.
- ``fit``: seconds, peak memory and held-out R^2 of a fit of the default recipe from that store, of a planted subject
  with a noise ceiling of 0.2, beside those of ridge on all layers; every planted voxel stands there several times, each
  with noise of its own.
- ``paper``: the same of the paper's recipe after some steps, and what the plain formula would take for these.
- ``cortex``: the same of the default recipe, of so many voxels as fsaverage7 has vertices, without the ridge.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract import bare_forward, write_photographs
from factortopy.cortex import Voxels
from factortopy.fitting import Recipe, fit_settings
from factortopy.fitting.training import _Run
from factortopy.images import Split, images_from_folder
from factortopy.machine import Machine, processors
from factortopy.model import FactorTopy, Selection, read_out
from factortopy.model.readout import triton_wins
from factortopy.networks import load_network
from factortopy.simulation import simulate_subject
from factortopy.storage import Checkpoint
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import fit_model
from measure import PeakMemory, make_model, make_tokens, wait_for

LAYERS, CEILING = 12, 0.2
VERTICES = 327_684
"""Of fsaverage7."""


@dataclass(frozen=True)
class Sizes:
    """How large the checks are."""

    voxels: int = 37_851
    channels: int = 768
    components: int = 96
    grid: int = 8
    batches: tuple[int, ...] = (64, 256)
    repeats: int = 30
    photographs: int = 9_600
    network: str = "timm/vit_base_patch16_224"
    steps: int = 300
    paper_steps: int = 3_000


DRY = Sizes(200, 24, 16, 3, (4,), 5, 60, "timm/test_vit", 4, 4)


def forms(device: torch.device, sizes: Sizes) -> dict[str, Any]:
    """Errors of the forms of the read-out."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device)

    count, grid = min(sizes.voxels, 20_000), sizes.grid
    local, global_ = draw(LAYERS, 4, 64, grid, grid), draw(LAYERS, 4, 64)
    selection = Selection(draw(count, 2).tanh(), draw(count, LAYERS).softmax(-1), draw(count).sigmoid())
    omega = draw(count, 64)
    exact = read_out(local.double(), global_.double(), selection.map(torch.Tensor.double), omega.double(), "plain")
    found: dict[str, Any] = {"triton": triton_wins(local.bfloat16(), selection)}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for form in ("dense", "grouped", *(["triton"] if found["triton"] else [])):
            read = read_out(local.to(dtype), global_.to(dtype), selection, omega, form)  # type: ignore[arg-type]
            found[f"{form}_{precision}_error"] = float((read - exact).abs().max() / exact.abs().max())
    return found


def model_of(device: torch.device, voxels: int, channels: int) -> FactorTopy:
    """The model of so many voxels on tokens of so many channels; always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_model(voxels, LAYERS, channels).to(device)


def steps(device: torch.device, sizes: Sizes) -> dict[str, Any]:
    """Milliseconds of a step."""
    precision = "bf16" if device.type == "cuda" else "fp32"
    found: dict[str, Any] = {}
    for batch in sizes.batches:
        kinds = {"recorded": (True, None), "plain_calls": (False, None), "dense": (True, "dense")}
        runs = {name: timed_steps(device, precision, batch, sizes, *kind) for name, kind in kinds.items()}
        found |= {f"{name}_ms_{batch}": milliseconds for name, (milliseconds, _) in runs.items()}
        losses = [runs[name][1] for name in ("recorded", "plain_calls")]
        found[f"losses_differ_{batch}"] = float((losses[0] - losses[1]).abs().max() / losses[1].abs().max())
    ours, _ = timed_steps(device, precision, 8, sizes, raw=True)
    plain, _ = timed_steps(device, "fp32", 8, sizes, recorded=False, form="plain", raw=True)
    found |= {"paper_ms_8": ours, "plain_formula_ms_8": plain, "paper_speedup": plain / ours}
    return found | {"resumed_losses_differ": resumed_losses(device, precision, sizes)}


def resumed_losses(device: torch.device, precision: str, sizes: Sizes) -> float:
    """Largest difference of the losses of a training and of one from its checkpoint, over the largest of them."""
    batch, channels = sizes.batches[0], sizes.components
    tokens = make_tokens(batch, LAYERS, channels, sizes.grid).to(device)
    loaded = tokens, torch.randn(batch, sizes.voxels, generator=torch.Generator().manual_seed(2)).to(device)
    settings, machine = fit_settings("paper", softness_steps=0), Machine(device, precision, 0)
    run, other = (_Run(model_of(device, sizes.voxels, channels), settings, machine) for _ in range(2))
    for _ in range(5):  # until it is recorded
        run.advance(loaded)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(folder, "steps")
        checkpoint.save("training", run.state(asdict(run.history), best=run.best))
        state = checkpoint.load("training")
    assert state is not None
    other.go_on(state)
    for _ in range(5):
        run.advance(loaded)
        other.advance(loaded)
    losses = [torch.stack(one.losses).cpu() for one in (run, other)]
    return float((losses[0] - losses[1]).abs().max() / losses[0].abs().max())


def timed_steps(
    device: torch.device,
    precision: str,
    batch: int,
    sizes: Sizes,
    recorded: bool = True,
    form: Any = None,
    raw: bool = False,
) -> tuple[float, torch.Tensor]:
    """Milliseconds a step, and the losses; ``raw`` takes the network's own channels instead of components."""
    channels = sizes.channels if raw else sizes.components
    model, tokens = model_of(device, sizes.voxels, channels), make_tokens(batch, LAYERS, channels, sizes.grid)
    model.form = form
    loaded = tokens.to(device), torch.randn(batch, sizes.voxels, generator=torch.Generator().manual_seed(2)).to(device)
    run = _Run(model, fit_settings("paper", softness_steps=0), Machine(device, precision, 0))
    if not recorded:
        for step in run.steps.values():
            step._record = None
    for _ in range(5):  # until it is recorded
        run.advance(loaded)
    wait_for(device)
    start = time.perf_counter()
    for _ in range(sizes.repeats):
        run.advance(loaded)
    wait_for(device)
    return 1e3 * (time.perf_counter() - start) / sizes.repeats, torch.stack(run.losses).cpu()


def extraction(device: torch.device, sizes: Sizes, work: Path) -> dict[str, Any]:
    """Extraction over the bare forward pass; reading the store."""
    write_photographs(work / "photographs", sizes.photographs)
    network = load_network(sizes.network, untrained=True, device=device)
    precision = "bf16" if device.type == "cuda" else "fp32"
    images, batch = images_from_folder(work / "photographs"), min(64, sizes.photographs)
    for _ in range(2):  # the first sets libraries up
        bare = sizes.photographs / bare_forward(network, sizes.photographs, batch, precision)
    start = time.perf_counter()
    grid = (sizes.grid, sizes.grid)
    store = extract(network, images, work / "tokens", grid, batch_size=batch, precision=precision, progress=False)
    speed = sizes.photographs / (time.perf_counter() - start)
    start, count = time.perf_counter(), 0
    for rows in torch.arange(len(store)).split(256):
        tokens = store.read(rows.tolist())
        count += sum(part.numel() for part in (*tokens.local, *tokens.global_))
    return {
        "images_a_second": speed,
        "bare_images_a_second": bare,
        "over_bare": speed / bare,
        "read_gb_a_second": 2e-9 * count / (time.perf_counter() - start),
    }


@lru_cache(1)
def planted_voxels(store: Path) -> Subject:
    """The subject that the others are made of."""
    return simulate_subject(TokenStore.open(store), noise_ceiling=CEILING, progress=False)


@lru_cache(1)
def planted(store: Path, voxels: int, device: torch.device) -> Subject:
    """A subject of so many voxels that lie at most about a millimetre from a planted one."""
    subject, generator = planted_voxels(store), torch.Generator(device).manual_seed(0)
    assert subject.truth is not None
    assert subject.voxels.coordinates is not None
    chosen = torch.arange(voxels) % len(subject.voxels)
    truth, responses = subject.truth.signal, torch.empty(len(subject.image_ids), voxels)
    for rows in torch.arange(len(truth)).split(256):
        own = torch.from_numpy(truth[rows.numpy()]).to(device)[:, chosen.to(device)]
        noise = torch.randn(own.shape, generator=generator, device=device)
        responses[rows[0] : rows[-1] + 1] = own + (1 - CEILING) ** 0.5 * noise
    places = subject.voxels.coordinates[chosen.numpy()] + np.random.default_rng(0).normal(0, 0.5, (voxels, 3))
    images, where = subject.image_ids, Voxels.at(places.astype(np.float32))
    return Subject(name="planted", responses=responses.numpy(), image_ids=images, voxels=where)


def whole_fit(device: torch.device, sizes: Sizes, work: Path, recipe: Recipe, ridge: bool = False) -> dict[str, Any]:
    """A fit from the store that the extraction left."""
    tokens, subject = TokenStore.open(work / "tokens"), planted(work / "tokens", sizes.voxels, device)
    steps = sizes.steps if recipe == "default" else sizes.paper_steps
    ids, held = tokens.image_ids, max(4, len(tokens) // 32)
    split = Split(ids[: -2 * held], ids[-2 * held : -held], ids[-held:])
    settings = fit_settings(recipe, steps=steps, validate_every=max(1, steps // 12))
    options: dict[str, Any] = {"machine": Machine.choose(device), "yardstick": ridge, "progress": False}
    start = time.perf_counter()
    with PeakMemory(device) as memory:
        fit = fit_model(tokens, subject, settings, split=split, **options)
    data = fit.mapping.dataset
    return {
        "seconds": time.perf_counter() - start,
        "training_seconds": fit.history.seconds,
        "peak_gb": memory.gigabytes,
        "images": len(split.train),
        "steps": fit.history.step[-1],
        "r2": float(data["r2"].mean()),
        **({"ridge_r2": float(data["ridge_r2"].mean())} if "ridge_r2" in data else {}),
    }


def give_up(*_: object) -> None:
    """End the check that runs."""
    raise TimeoutError("it has not ended in time")


def main() -> None:
    """Run the checks and print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="small, on a CPU")
    parser.add_argument("--seconds", type=float, default=300, help="no check begins later than this")
    parser.add_argument("--most", type=int, default=350, help="no check goes on longer than this")
    parser.add_argument("--cortex", action="store_true", help="fit all vertices of fsaverage7 as well")
    options = parser.parse_args()
    if not options.dry and not torch.cuda.is_available():
        raise SystemExit("there is no GPU here; --dry runs the checks in small on a CPU")
    device, sizes = (torch.device("cpu"), DRY) if options.dry else (torch.device("cuda"), Sizes())
    if options.dry:
        torch.set_num_threads(1)
    name = "dry run on a CPU" if options.dry else torch.cuda.get_device_name(device)
    found: dict[str, Any] = {"device": name, "processors": processors(), "torch": torch.__version__}
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        checks: dict[str, Callable[[], dict[str, Any]]] = {
            "forms": lambda: forms(device, sizes),
            "steps": lambda: steps(device, sizes),
            "extraction": lambda: extraction(device, sizes, Path(folder)),
            "fit": lambda: whole_fit(device, sizes, Path(folder), "default", ridge=True),
            "paper": lambda: whole_fit(device, sizes, Path(folder), "paper"),
        }
        if options.cortex:
            cortex = replace(sizes, voxels=300 if options.dry else VERTICES)
            checks["cortex"] = lambda: whole_fit(device, cortex, Path(folder), "default")
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(options.most)
        for check, work in checks.items():
            if time.perf_counter() - begun > options.seconds:
                found[check] = {"left_out": "no time"}
                continue
            start = time.perf_counter()
            try:
                found[check] = work()
            except Exception as error:  # the others may still tell something
                found[check] = {"failed": f"{type(error).__name__}: {error}"}
            if check == "paper" and "steps" in found[check] and "plain_formula_ms_8" in found["steps"]:
                found[check]["plain_formula_seconds"] = (
                    1e-3 * found["steps"]["plain_formula_ms_8"] * found[check]["steps"]
                )
            print(f"{check} ({time.perf_counter() - start:.0f} s): {found[check]}", file=sys.stderr, flush=True)
    print(json.dumps(found | {"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
