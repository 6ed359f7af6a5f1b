"""Size, building and first picture of the page, on fsaverage5 and fsaverage; the last line is one JSON object.

Maps are smooth with noise: twelve layers by share and by selector, place, scale, R^2 with limits and ceiling, over the
back quarter of the cortex, as many vertices as a visual experiment measures. fsaverage's meshes are looked for as
``load_surface`` does; without them, its lines are left out, as are those of the browser without Chromium.

Run: python benchmarks/page.py [--whole]
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from factortopy.cortex import load_surface, sphere_coordinates
from factortopy.errors import UnavailableError
from factortopy.mapping import Mapping, mapping_dataset
from factortopy.page import write_page

LAYERS = 12
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
POINTS = 40
OPENINGS = 6
# Ready is said when the drawing was asked for; a pixel can be read once it is there.
DRAWN = """() => {
    const context = document.querySelector('.ft-canvas').getContext('webgl2');
    context.readPixels(0, 0, 1, 1, context.RGBA, context.UNSIGNED_BYTE, new Uint8Array(4));
}"""
APP = "document.querySelector('.factortopy').factortopy"
FRAMES = f"""async (points) => {{
    const app = {APP};
    const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];
    const pixel = new Uint8Array(4), context = app.scene.renderer.getContext();
    const wait = () => context.readPixels(0, 0, 1, 1, context.RGBA, context.UNSIGNED_BYTE, pixel);
    const view = app.views()[0];
    const {{ width, height }} = view.panel.area;
    const part = (k, step) => (k * step) % 1;
    const point = (k) => app.vertexAt(width * (0.2 + 0.6 * part(k, 0.618)), height * (0.3 + 0.4 * part(k, 0.317)));
    const frames = [], firsts = [];
    let others = 0;
    app.store.state.names = false; // names look for what hides them, which pointing then need not
    for (let k = 0; k < 9; k++) {{
        app.store.state.yaw += 3;
        let begin = performance.now();
        app.draw(); wait();
        frames.push(performance.now() - begin);
        begin = performance.now();
        point(k);
        firsts.push(performance.now() - begin);
        begin = performance.now();
        for (let again = 0; again < points; again++) point(again);
        others += performance.now() - begin;
    }}
    return [median(frames), median(firsts), others / 9 / points];
}}"""


def make_mapping(surface: str, whole: bool) -> Mapping:
    """A mapping with all that a page shows, on the back of the cortex or everywhere."""
    places = sphere_coordinates(surface).astype(np.float64)
    count = len(places) // 2
    generator = np.random.default_rng(0)
    chosen = np.flatnonzero(whole | (places[:, 1] < np.quantile(places[:, 1], 0.12)))
    smooth = [wave(places[chosen], generator) for _ in range(6)]
    depth, x, y, scale, r2, ceiling = (field + 0.01 * generator.standard_normal(len(chosen)) for field in smooth)
    level = np.minimum((4 * smooth[0]).astype(int), 3)
    bumps = np.exp(-0.5 * ((np.arange(LAYERS) - (LAYERS - 1) * depth[:, None]) / 1.3) ** 2) + 0.01
    share = bumps / bumps.sum(axis=1, keepdims=True)
    values = {
        "hemisphere": np.where(chosen < count, "left", "right"),
        "vertex": chosen % count,
        "space": np.stack([2 * x - 1, 2 * y - 1], axis=1),
        "layer": share,
        "layer_share": share + 0.01 * generator.standard_normal(share.shape),
        "scale": scale,
        "scale_share": scale + 0.02 * generator.standard_normal(len(scale)),
        "r2": 0.5 * r2 * ceiling,
        "ceiling": ceiling,
        "r2_low": 0.5 * r2 * ceiling - 0.05,
        "r2_high": 0.5 * r2 * ceiling + 0.05,
    }
    rois = {f"V{number + 1}": level == number for number in range(4)}
    facts = {"network": "benchmark", "subject": "benchmark", "simulated": 1, "surface": surface}
    return Mapping(mapping_dataset(values, [f"blocks.{layer}" for layer in range(LAYERS)], rois, facts))


def wave(places: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A smooth map in 0..1 with hills of some 2 cm."""
    directions = generator.standard_normal((12, 3)) / 12
    phases = generator.uniform(0, 2 * np.pi, 12)
    total = np.cos(places @ directions.T + phases).sum(axis=1)
    return (total - total.min()) / np.ptp(total)


def in_browser(path: Path) -> dict[str, Any]:
    """Seconds to the first picture, milliseconds of a frame and of pointing, and errors, with software rendering."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return {}
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return {}
    errors: list[str] = []
    with sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=chromium, args=FLAGS)
        seconds, working = [], []
        for _ in range(OPENINGS):
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.on("console", lambda message: message.type == "error" and errors.append(message.text))
            page.on("pageerror", lambda error: errors.append(str(error)))
            begin, worked = time.perf_counter(), processor_seconds()
            page.goto(f"file://{path}", wait_until="commit")
            page.wait_for_selector("[data-ready], [data-failed]", timeout=120_000)
            page.evaluate(DRAWN)
            seconds.append(time.perf_counter() - begin)
            working.append(processor_seconds() - worked)
        frame, turned, pick = page.evaluate(FRAMES, POINTS)
        browser.close()
    return {
        "first_picture_seconds": round(statistics.median(seconds[1:]), 2),
        # The first page of a browser also waits for the browser's own processes.
        "first_picture_of_new_browser_seconds": round(seconds[0], 2),
        # Of all the browser's processes: less than the above on two cores that are free, more on busy ones.
        "first_picture_processor_seconds": round(statistics.median(working[1:]), 2),
        "frame_milliseconds": round(frame, 1),
        # The first pointing after a turn draws the vertices as numbers; all others look there.
        "pick_after_turning_milliseconds": round(turned, 1),
        "pick_milliseconds": round(pick, 2),
        "console_errors": len(errors),
    }


def processor_seconds() -> float:
    """Of all processes that this one has started and that run."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def main() -> None:
    """Write a page of each surface and open it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", action="store_true", help="numbers for every vertex of the cortex")
    whole = parser.parse_args().whole
    result: dict[str, Any] = {"whole": whole, "console_errors": 0}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("fsaverage5", "fsaverage"):
            try:
                load_surface(name)
            except UnavailableError as error:
                print(f"{name}: left out; {error}")
                continue
            mapping = make_mapping(name, whole)
            begin, working = time.perf_counter(), time.process_time()
            path = write_page([mapping], Path(folder) / f"{name}.html")
            seconds, working = time.perf_counter() - begin, time.process_time() - working
            end = "" if name == "fsaverage5" else "_fsaverage"
            size = path.stat().st_size
            print(f"{name}: {mapping.dataset.sizes['voxel']:,} vertices, {size / 1e6:.2f} MB in {seconds:.1f} s")
            result[f"bytes_{name}"] = size
            result |= {f"build_seconds{end}": round(seconds, 2), f"build_processor_seconds{end}": round(working, 2)}
            for key, value in in_browser(path).items():
                if key == "console_errors":
                    result[key] += value
                else:
                    result[f"{key}{end}"] = value
    print(json.dumps(result))


if __name__ == "__main__":
    main()
