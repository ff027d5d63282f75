"""How soon the page shows something, and how soon the caption of a photograph that is dropped.

`unrolled serve` and Chromium on this machine, which share its cores. Times are taken inside the
page: what Playwright adds is not in them. Needs the extra `browser`, and Chromium.
"""

import base64
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import Any

from PIL import Image

from benchmarks.bench import ROOT, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.server import running_server
from benchmarks.timing import interleave, quantile

__all__ = ["measure"]

_PHOTOGRAPHS = ROOT / "app" / "web" / "photographs"
_CAMERA = (4000, 3000)  # pixels of a telephone's photograph
_TIMEOUT = 60_000  # milliseconds

_FIRST_PAINT = """() => new Promise((resolve) => {
    new PerformanceObserver((list) => {
        for (const {name, startTime} of list.getEntries()) {
            if (name === 'first-contentful-paint') resolve(startTime);
        }
    }).observe({type: 'paint', buffered: true});
})"""

# Drops a file, and returns the milliseconds from then until its caption has been painted: the
# frame that has it is ready when the callback runs that was asked for in that frame.
_DROP = """(content) => new Promise((resolve) => {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'photograph.jpg', {type: 'image/jpeg'}));
    const caption = () => document.querySelector('.captions .words');
    const before = caption();
    const started = performance.now();
    const watch = new MutationObserver(() => {
        if (!caption()?.textContent.trim() || caption() === before) return;
        watch.disconnect();
        requestAnimationFrame(() => {
            const {port1, port2} = new MessageChannel();
            port1.onmessage = () => resolve(performance.now() - started);
            port2.postMessage(null);
        });
    });
    watch.observe(document.body, {childList: true, subtree: true, characterData: true});
    document.body.dispatchEvent(
        new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
})"""


def measure(bench: Bench) -> list[Table]:
    """Time first paints of new visitors, and captions of photographs that they drop."""
    with running_server(bench) as server, _chromium() as browser:
        address = f"http://127.0.0.1:{server.port}/"
        small = [path.read_bytes() for path in sorted(_PHOTOGRAPHS.glob("*.jpg"))]
        return [
            _first_paint(bench, browser, address),
            _captions(bench, browser, address, {"web": small, "camera": _as_camera(small[:4])}),
        ]


def _first_paint(bench: Bench, browser: Any, address: str) -> Table:
    def paint() -> float:
        with _visitor(browser, address) as page:
            return float(page.evaluate(_FIRST_PAINT))

    times = interleave({"": paint}, rounds=bench.rounds, warmups=bench.warmups)[""]
    row: Row = {"ms": Sample(tuple(times)), "95th percentile ms": quantile(times, 0.95)}
    notes = [
        f"First contentful paint after the navigation began, median [quartiles] of {bench.rounds} "
        "visitors, each with an empty cache; the browser itself runs already.",
    ]
    return Table("First paint of the page", [row], notes)


def _captions(
    bench: Bench, browser: Any, address: str, photographs: dict[str, Sequence[bytes]]
) -> Table:
    names = {
        "web": f"{len(photographs['web'])} of about 560 x 370",
        "camera": "{} of {} x {}".format(len(photographs["camera"]), *_CAMERA),
    }
    with _visitor(browser, address) as page:
        page.wait_for_load_state("networkidle")
        calls: dict[str, Callable[[], float]] = {}
        for kind, files in photographs.items():
            calls[f"{kind}, first"] = partial(_first_drop, browser, address, cycle(files))
            calls[f"{kind}, further"] = partial(_drop, page, cycle(files))
        timed = interleave(calls, rounds=bench.rounds, warmups=bench.warmups)
    rows: list[Row] = [
        {
            "photographs": names[name.partition(",")[0]],
            "of a visit": name.partition(", ")[2],
            "ms": Sample(tuple(times)),
            "95th percentile ms": quantile(times, 0.95),
        }
        for name, times in timed.items()
    ]
    notes = [
        "From the drop of a file to the paint of its caption's words, with all that the page asks "
        f"for; median [quartiles] of {bench.rounds} rounds in turn.",
        "first: in a page that was just opened and has all its files; further: in one that "
        "shows another photograph's caption.",
    ]
    return Table("From drop to caption in the page", rows, notes)


def _first_drop(browser: Any, address: str, files: Iterator[bytes]) -> float:
    with _visitor(browser, address) as page:
        page.wait_for_load_state("networkidle")  # nobody finds a photograph sooner
        return _drop(page, files)


def _drop(page: Any, files: Iterator[bytes]) -> float:
    return float(page.evaluate(_DROP, base64.b64encode(next(files)).decode()))


@contextmanager
def _visitor(browser: Any, address: str) -> Iterator[Any]:
    """Open the page as somebody who has never been there."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        page.set_default_timeout(_TIMEOUT)
        page.goto(address)
        yield page
    finally:
        context.close()


@contextmanager
def _chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - in an extra

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("the suite `page` needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def _as_camera(photographs: Sequence[bytes]) -> list[bytes]:
    """Enlarge photographs to the size of a camera's: as costly to read, if less sharp."""
    enlarged = []
    for content in photographs:
        with Image.open(io.BytesIO(content)) as picture:
            large = picture.convert("RGB").resize(_CAMERA, Image.Resampling.BICUBIC)
        file = io.BytesIO()
        large.save(file, "JPEG", quality=92)
        enlarged.append(file.getvalue())
    return enlarged
