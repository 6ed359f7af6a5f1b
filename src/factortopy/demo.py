"""The main job, end to end: photographs, a real network, a simulated subject, a fit, figures, a report."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch

from factortopy.analysis import Recovery, channel_clusters, r_squared, recovery
from factortopy.errors import DataError
from factortopy.fitting import FitSettings, fit_settings
from factortopy.images import ImageSet, Split, sample_views
from factortopy.model import Selection
from factortopy.networks import load_network
from factortopy.plot import Palette, draw, figure_names, save, space_dots, training
from factortopy.plot import recovery as draw_recovery
from factortopy.progress import progress_bar
from factortopy.provenance import provenance
from factortopy.reporting import report
from factortopy.simulation import simulate_subject
from factortopy.storage import check_writable, write_text
from factortopy.subjects import PlantedTruth, Subject
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import Fit, fit_model

NETWORK = "clip-b16-openai"
IMAGES = 720
FEWEST_IMAGES = 100
PLANTED_CHANNELS = 5
"""Few enough to be learnt from some 600 images: the demo is about maps, and says what was planted."""
PLANTED = (
    ("hierarchy slope (share)", "slope_found", "slope_planted"),
    ("hierarchy slope (selector)", "slope_selector", "slope_planted"),
    ("b0 (share)", "b0_found", "b0_planted"),
    ("b1 (share)", "b1_found", "b1_planted"),
)
CORRELATIONS = {"depth": "depth_r", "space x": "space_x_r", "space y": "space_y_r", "scale": "scale_r"}
EXAMPLE = "china-r1c0"
"""Scene that is shown under the dots of the space map: a pagoda among trees."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo found, beside what was planted in its simulated subject.

    Attributes:
        r2: mean R^2 on held-out images.
        oracle_r2: the same of a model that is given the planted space, layer and scale, and trained alike.
        ceiling_r2: the same of the noise-free responses: no model can do better.
        recovery: found against planted.
        report: path of the report.
        times: seconds that each stage took, in order.
    """

    r2: float
    oracle_r2: float
    ceiling_r2: float
    recovery: Recovery
    report: Path
    times: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, float | str]:
        """The key numbers, JSON-ready."""
        compared = ("slope_found", "slope_planted", "depth_r", "space_x_r", "space_y_r", "scale_r")
        return {
            "seconds": round(sum(self.times.values()), 1),
            **{name: getattr(self, name) for name in ("r2", "oracle_r2", "ceiling_r2")},
            **{name: getattr(self.recovery, name) for name in compared},
            "report": str(self.report),
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """The closing table: what, found, and the planted value or limit."""
        values = asdict(self.recovery)
        return [
            ("held-out R²", f"{self.r2:.3f}", f"{self.oracle_r2:.3f} oracle, {self.ceiling_r2:.3f} ceiling"),
            *((label, f"{values[found]:.3f}", f"{values[planted]:.3f} planted") for label, found, planted in PLANTED),
            *((f"{label}, correlation", f"{values[name]:.3f}", "1 at best") for label, name in CORRELATIONS.items()),
        ]


def run_demo(
    folder: str | os.PathLike[str],
    *,
    network: str = NETWORK,
    seed: int = 0,
    images: int = IMAGES,
    palette: Palette = "default",
    progress: bool = True,
) -> DemoResult:
    """Map a network onto a simulated subject and write tokens, mapping, figures and report to a folder.

    Tokens are kept, so a second run with the same network and images starts from them.

    Args:
        folder: where everything is written.
        network: any network that ``load_network`` takes.
        seed: of the views, the subject, the split and the fit.
        images: number of views of the sample photographs, at least 100.
        palette: ``"default"`` or ``"colour-blind"``.
        progress: whether to show progress bars.

    Raises:
        DataError: if the folder cannot be written or there are too few images.
        UnavailableError: if the network's weights cannot be had.
    """
    if images < FEWEST_IMAGES:
        raise DataError(f"a demo needs at least {FEWEST_IMAGES} images to recover anything; got {images}")
    folder = check_writable(folder)
    times: dict[str, float] = {}
    with _timed(times, "photographs"):
        views = sample_views(images, seed)
    with _timed(times, "network"), progress_bar("Network", 1, show=progress) as advance:
        loaded = load_network(network)
        advance()
    with _timed(times, "tokens"):
        kept = folder / "tokens" / f"{network.replace('/', '_')}-{images}-views-seed-{seed}"
        tokens = extract(loaded, views, kept, progress=progress)
    with _timed(times, "simulated subject"):
        subject = simulate_subject(
            tokens, seed=seed, planted_channels=PLANTED_CHANNELS, name="simulated-01", progress=progress
        )
    settings = fit_settings(seed=seed)
    with _timed(times, "fit"):
        fitted = fit_model(tokens, subject, settings, progress=progress)
        fitted.mapping.save(folder / "mapping")
    with _timed(times, "oracle"):
        oracle = _fit_oracle(tokens, subject, settings, split=fitted.split, known=fitted.known, progress=progress)
    with _timed(times, "figures and report"):
        page = _show(folder, fitted, subject, views, palette, progress)
    result = DemoResult(
        r2=_mean_score(fitted),
        oracle_r2=_mean_score(oracle),
        ceiling_r2=ceiling_score(subject, fitted.split),
        recovery=recovery(fitted.mapping, _truth(subject)),
        report=page,
        times=times,
    )
    facts: dict[str, Any] = {"simulated": True, "network": network, "seed": seed, "images": images}
    write_text(folder / "settings.toml", tomli_w.dumps({"command": "demo", **facts}))
    record = provenance(
        result=result.as_dict(),
        recovery=asdict(result.recovery),
        seconds=times,
        planted_channels=PLANTED_CHANNELS,
        **facts,
    )
    write_text(folder / "provenance.json", json.dumps(record, indent=2))
    return result


def ceiling_score(subject: Subject, split: Split) -> float:
    """Mean R^2 of a simulated subject's noise-free responses on the test images."""
    rows = np.flatnonzero(np.isin(subject.image_ids, split.test))
    return float(np.nanmean(r_squared(subject.responses[rows], _truth(subject).signal[rows])))


def _truth(subject: Subject) -> PlantedTruth:
    if subject.truth is None:
        raise DataError(f"subject {subject.name!r} is not simulated: nothing was planted")
    return subject.truth


def _fit_oracle(tokens: TokenStore, subject: Subject, settings: FitSettings, **options: Any) -> Fit:
    """The same fit with the planted space, layer and scale given: only channels are left to learn."""
    truth = _truth(subject)
    planted = Selection(*(torch.from_numpy(part).float() for part in (truth.space, truth.layer, truth.scale)))
    # Only its mean score is asked for.
    options |= {"yardstick": False, "bootstrap": 0}
    return fit_model(tokens, subject, settings, selection=planted, description="Oracle", **options)


def _mean_score(fitted: Fit) -> float:
    return float(fitted.mapping.dataset["r2"].mean())


def _show(folder: Path, fitted: Fit, subject: Subject, views: ImageSet, palette: Palette, progress: bool) -> Path:
    """Every figure as PNG and SVG, and the report."""
    mapping, truth = fitted.mapping, _truth(subject)
    example = views.image(next((index for index, name in enumerate(views.ids) if EXAMPLE in name), 0))
    figures = {name: partial(draw, name, mapping, palette=palette) for name in figure_names(mapping)}
    figures["space_dots"] = partial(space_dots, mapping, image=example, palette=palette)
    figures["recovery"] = partial(draw_recovery, mapping, truth, palette=palette)
    figures["training"] = partial(training, mapping, fitted.history, palette=palette)
    drawn = {}
    with progress_bar("Figures", len(figures), show=progress) as advance:
        for name, make in figures.items():
            drawn[name] = make()
            save(drawn[name], folder / "figures" / name)
            advance()
    return report(
        [mapping], folder / "report.html", figures=[drawn], images=[example], truths=[truth],
        clusters=[channel_clusters(mapping, way="gauge-free").labels], palette=palette,
    )  # fmt: skip


@contextmanager
def _timed(times: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times[stage] = time.perf_counter() - start
