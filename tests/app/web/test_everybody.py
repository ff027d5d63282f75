"""The page for everybody: accessible, narrow and wide, light and dark, and when things go wrong."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from tests.app.servers import wait_until
from tests.app.web.conftest import NARROW, WIDE

pytestmark = pytest.mark.slow

Open = Callable[..., Any]

PARTS = ("describe", "beam", "write", "cells", "steps", "status")


def use(page: Any) -> None:
    """Put something into every part of the page."""
    page.click('describe-part img[alt^="A surfer"]')
    page.wait_for_selector(".captions[aria-busy=false] .word")
    page.locator(".word").nth(2).focus()
    page.get_by_label("Your description").fill("a man on a wave")
    page.get_by_role("button", name="Score").click()
    page.wait_for_selector(".scored")


def ready(page: Any, part: str) -> None:
    """Show a part, and wait until it has its contents."""
    page.evaluate(f"location.hash = '{part}'")
    page.wait_for_selector(
        {
            "describe": ".captions .bars",
            "beam": ".tree .node",
            "write": "write-part option",
            "cells": ".ranked",
            "steps": ".unrolled .step",
            "status": "status-part [aria-label=Models]",
        }[part],
        state="attached",
    )
    if part == "write":
        page.get_by_role("slider", name="Length").fill("100")
        page.get_by_role("button", name="Write", exact=True).click()
        page.wait_for_selector(".written .number:has-text('tokens in')")
        page.locator("write-part .token").nth(3).hover()
    page.wait_for_timeout(300)  # transitions


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_part_has_a_barrier_or_is_too_wide(
    open_page: Open, viewport: dict[str, int], scheme: str
) -> None:
    pytest.importorskip("axe_playwright_python")
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page = open_page(viewport=viewport, color_scheme=scheme)
    page.evaluate(axe)
    barriers = []

    def examine(part: str) -> None:
        found = page.evaluate("axe.run({resultTypes: ['violations']})")
        for violation in found["violations"]:
            nodes = [node["html"][:120] for node in violation["nodes"][:3]]
            barriers.append((part, violation["id"], violation["help"], nodes))
        width = page.evaluate("document.scrollingElement.scrollWidth")
        if width > viewport["width"]:
            barriers.append((part, "too wide", width))

    page.wait_for_selector(".thumbnails")
    examine("welcome")
    use(page)
    for part in PARTS:
        ready(page, part)
        examine(part)
    assert barriers == []


def test_nothing_moves_by_itself(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(".thumbnails")
    page.wait_for_timeout(500)
    assert page.evaluate("shifts") < 0.02
    use(page)
    for i in (0, 3, 5):
        page.locator(".captions .word").nth(i).focus()
        page.wait_for_timeout(100)
    assert page.evaluate("shifts") < 0.1  # what Core Web Vitals calls good


def test_reduced_motion_is_respected(open_page: Open) -> None:
    for motion, duration in (("reduce", "0s"), ("no-preference", "0.15s")):
        page = open_page(reduced_motion=motion)
        page.click('describe-part img[alt^="A surfer"]')
        page.wait_for_selector(".word")
        canvas = page.locator("canvas.attention")
        assert canvas.evaluate("(one) => getComputedStyle(one).transitionDuration") == duration


def test_a_lost_service_is_told_and_found_again(open_page: Open) -> None:
    page = open_page()
    page.expected = lambda text: "ERR_INTERNET_DISCONNECTED" in text
    page.click('describe-part img[alt^="A surfer"]')
    page.wait_for_selector(".word")
    page.context.set_offline(True)
    page.get_by_role("slider", name="Captions", exact=True).fill("2")
    page.get_by_role("alert").wait_for()
    assert "The service does not answer" in page.get_by_role("alert").inner_text()
    banner = page.locator("#connection")
    assert "does not answer" in banner.inner_text()
    page.context.set_offline(False)
    banner.filter(has_text="answer").wait_for(state="detached")
    page.get_by_role("slider", name="Captions", exact=True).fill("4")
    page.wait_for_selector(".nbest li:nth-child(4)")
    assert page.get_by_role("alert").count() == 0


def test_links_lead_to_the_parts_and_titles_follow(open_page: Open) -> None:
    page = open_page()
    for name in ("Write", "Cells", "Status", "Describe"):
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        wait_until(lambda name=name: page.title().startswith(name))
        assert page.locator("nav [aria-current]").inner_text() == name
    page.go_back()
    wait_until(lambda: page.title().startswith("Status"))
