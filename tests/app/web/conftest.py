"""The page in a real browser, with the shipped models.

Skipped where Playwright or Chromium is missing: `make test-page` brings the former, the
distribution's package `chromium` the latter.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from model.bundle.discovery import SHIPPED_WEIGHTS
from tests.app.servers import Service, in_thread

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}

# Sums what the page moves by itself; see web.dev/cls.
_WATCH_SHIFTS = """
    window.shifts = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts += entry.value;
    }).observe({type: 'layout-shift', buffered: true});
"""


@pytest.fixture(scope="package")
def shipped() -> Iterator[Service]:
    with in_thread(SHIPPED_WEIGHTS, self_test=False) as running:
        yield running


def find_chromium() -> str:
    """Skip the test where there is no browser to use the page with."""
    pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium: apt install chromium")
    return chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    chromium = find_chromium()
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any, shipped: Service) -> Iterator[Callable[..., Any]]:
    """Open a part of the page; at the end it must have asked nobody else, and logged no error."""
    address = f"http://127.0.0.1:{shipped.port}/"
    contexts, problems = [], []

    def open_(part: str = "describe", viewport: dict[str, int] = WIDE, **options: Any) -> Any:
        context = browser.new_context(viewport=viewport, **options)
        context.add_init_script(_WATCH_SHIFTS)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(90_000)  # machines that test are slow

        def on_request(request: Any) -> None:
            if not request.url.startswith((address, "blob:", "data:")):
                problems.append(f"asked {request.url}")

        def on_console(message: Any) -> None:
            if message.type in ("error", "warning") and not page.expected(message.text):
                problems.append(f"console: {message.text}")

        page.expected = lambda text: False
        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.goto(f"{address}#{part}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


@contextmanager
def downloaded(page: Any, button: str, folder: Path) -> Iterator[Path]:
    """Press a button, and yield the file that it downloads."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    yield path
