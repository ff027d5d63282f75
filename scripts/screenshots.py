"""Take the pictures of the page that docs/page.md shows.

    python scripts/screenshots.py docs/images

Starts the service with the shipped models on a free port. Needs the extra `browser`, and Chromium.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import Page, sync_playwright

WIDE, NARROW = {"width": 1200, "height": 860}, {"width": 360, "height": 740}


def main() -> None:
    """Take every picture, each in a page of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("names", nargs="*", help="of pictures; all, if none is given")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with service() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (part, act) in PICTURES.items():
            for scheme in ("light", "dark"):
                for width, viewport in (("wide", WIDE), ("narrow", NARROW)):
                    picture = f"page-{name}-{width}-{scheme}"
                    if arguments.names and picture not in arguments.names:
                        continue
                    context = browser.new_context(viewport=viewport, color_scheme=scheme)
                    page = context.new_page()
                    page.set_default_timeout(120_000)
                    page.goto(f"{address}#{part}")
                    act(page)
                    page.wait_for_timeout(500)
                    save(page.screenshot(), arguments.folder / f"{picture}.png")
                    context.close()
                    print(picture)
        browser.close()


@contextmanager
def service() -> Iterator[str]:
    """Run the service, and yield its address once its models are loaded."""
    command = [sys.executable, "-m", "app.cli.main", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None  # noqa: S101
            line = next(line for line in process.stdout if "Listening on" in line)
            address = line.split()[2] + "/"
            while not is_ready(address):
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()


def is_ready(address: str) -> bool:
    """Return whether the service has loaded its models."""
    try:
        with urlopen(address + "health/ready") as response:  # noqa: S310 - our own service
            return bool(response.status == 200)
    except HTTPError:
        return False


def save(screenshot: bytes, path: Path) -> None:
    """Save with 256 colours: a third of the size, and nobody sees it."""
    picture = Image.open(BytesIO(screenshot)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def welcome(page: Page) -> None:
    """Show the page as it opens."""
    page.locator(".thumbnails img").nth(11).wait_for()


def describe(page: Page) -> None:
    """Describe an example, and point at a word."""
    page.click('describe-part img[alt^="A surfer"]')
    page.wait_for_selector(".captions[aria-busy=false] .word")
    page.locator(".word").nth(1).focus()


def beam(page: Page) -> None:
    """Search the captions of an example."""
    page.click('beam-part img[alt^="A beagle"]')
    page.wait_for_selector(".tree .node.best")


def write(page: Page) -> None:
    """Let a writer write, and point at a character."""
    page.wait_for_selector("write-part option[value=linux]", state="attached")
    page.locator("write-part button[type=submit]").click()
    page.wait_for_selector(".written .number:has-text('tokens in')")
    page.locator("write-part .token").nth(12).hover()


def cells(page: Page) -> None:
    """Show the unit that follows quotes."""
    page.wait_for_selector(".ranked")
    page.locator(".cells").scroll_into_view_if_needed()


def steps(page: Page) -> None:
    """Show the gates of one of the captioner's units while it describes an example."""
    page.locator(".unrolled .step").first.wait_for()
    page.locator("steps-part select").select_option("captioner")
    page.click('steps-part img[alt^="A beagle"]')
    page.get_by_role("spinbutton").locator("visible=true").fill("700")
    page.get_by_role("heading", name="speaking unit 188").wait_for()
    page.locator(".unrolled .step").nth(3).hover()


def text_steps(page: Page) -> None:
    """Show a cell's gates while a language model reads a text."""
    page.locator(".unrolled .step").nth(3).hover()


def table(page: Page) -> None:
    """Describe all examples at once."""
    files = sorted((Path(__file__).parents[1] / "app" / "web" / "photographs").glob("*.jpg"))
    page.set_input_files("describe-part input[type=file]", files)
    page.get_by_text("All are described").wait_for()


def two(page: Page) -> None:
    """Let two writers write side by side."""
    page.wait_for_selector("write-part option[value=linux]", state="attached")
    page.get_by_label("Beside it").select_option("bible")
    page.locator("write-part button[type=submit]").click()
    page.locator(".written .number:has-text('tokens in')").nth(1).wait_for()
    page.locator("write-part .token").nth(12).hover()


def pair(page: Page) -> None:
    """Let two cells of the same size write side by side."""
    page.get_by_role("button", name="RNN beside LSTM").click()
    page.locator(".written .number:has-text('tokens in')").nth(1).wait_for()
    page.locator("write-part .token").nth(12).hover()


def status(page: Page) -> None:
    """Show the models."""
    page.wait_for_selector("status-part [aria-label=Models]")


PICTURES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "welcome": ("describe", welcome),
    "describe": ("describe", describe),
    "beam": ("beam", beam),
    "write": ("write", write),
    "cells": ("cells", cells),
    "steps": ("steps", steps),
    "text-steps": ("steps", text_steps),
    "table": ("describe", table),
    "two": ("write", two),
    "pair": ("write", pair),
    "status": ("status", status),
}


if __name__ == "__main__":
    main()
