"""A headless browser in which pages are opened with the network cut; tests skip, saying why, where there is none."""

import os
import shutil
from contextlib import contextmanager

import pytest

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY = "[data-ready], [data-failed]"
APP = "document.querySelector('.factortopy').factortopy"


def start():
    """Playwright's browser, or a skip; the caller closes it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("FACTORTOPY_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium is installed; e.g. apt-get install chromium")
    runner = playwright.sync_playwright().start()
    return runner, runner.chromium.launch(executable_path=path, args=FLAGS)


@contextmanager
def opened(browser, path, *, fragment="", width=1300, height=850, scheme="light", still=True, arguments=None):
    """A page that is shown, with what it complained of in ``page.complaints``; the network is cut."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce" if still else "no-preference",
        offline=True,
        accept_downloads=True,
        **(arguments or {}),
    )
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith("http") and page.complaints.append(asked.url))
    page.goto(f"file://{path}{fragment}")
    page.wait_for_selector(READY, timeout=60_000)
    try:
        yield page
    finally:
        context.close()


def settled(page, **state):
    """Set the picture's state and wait until it is drawn; returns the state."""
    return page.evaluate(
        f"""async (state) => {{
            const app = {APP};
            app.store.set(state);
            await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
            return app.store.state;
        }}""",
        state,
    )
