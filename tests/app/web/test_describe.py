"""Describe, as a person would use it."""

import base64
import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.app.photos import encoded, photo
from tests.app.web.conftest import downloaded

pytestmark = pytest.mark.slow

PHOTOGRAPHS = Path("app/web/photographs").resolve()
DOG = 'describe-part img[alt^="A beagle"]'

Open = Callable[..., Any]

# Files as a person drops or pastes them: as (name, base64).
_DROP = """([type, files]) => {
    const data = new DataTransfer();
    for (const [name, content] of files) {
        const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
        data.items.add(new File([bytes], name, {type: 'image/jpeg'}));
    }
    const event = type === 'paste'
        ? new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})
        : new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true});
    document.body.dispatchEvent(event);
}"""


def give(page: Any, kind: str, *paths: Path) -> None:
    files = [(path.name, base64.b64encode(path.read_bytes()).decode()) for path in paths]
    page.evaluate(_DROP, [kind, files])


def caption(page: Any) -> str:
    """The words of the caption on screen, once it is there."""
    page.wait_for_selector(".captions[aria-busy=false] .word")
    return " ".join(page.locator(".captions .word:not(.end)").all_inner_texts())


def slide(page: Any, label: str, value: str) -> None:
    """Move a slider, and wait until the captions are those of its new place."""
    with page.expect_response(lambda response: "/caption" in response.url):
        page.get_by_role("slider", name=label, exact=True).fill(value)
    page.wait_for_selector(".captions[aria-busy=false]")


def test_an_example_is_described_with_all_there_is_to_say(open_page: Open) -> None:
    page = open_page()
    page.click(DOG)
    assert "dog" in caption(page)
    assert page.locator(".confidence b").inner_text().endswith("%")
    assert page.locator(".nbest li").count() == 3
    assert "on" not in page.locator("canvas.attention").get_attribute("class").split()
    page.get_by_role("button", name="dog,").first.hover()
    assert page.locator("canvas.attention.on").count() == 1
    assert "Where it looked for dog" in page.locator("figcaption").inner_text()
    detail = page.locator(".captions .detail")
    assert "dog had a probability of" in detail.inner_text()
    assert "The photograph makes it" in detail.inner_text()
    assert detail.locator(".bars tr").count() == 5
    assert detail.locator(".bars tr.said").inner_text().startswith("dog")


def test_the_overlay_lies_exactly_on_the_photograph(open_page: Open) -> None:
    page = open_page()
    page.click('describe-part img[alt^="A person under"]')  # higher than wide
    caption(page)
    page.locator(".word").nth(2).hover()
    assert page.evaluate("""() => {
        const [image, canvas] = ['.photo img', '.attention'].map((s) => document.querySelector(s));
        const box = (element) => JSON.stringify(element.getBoundingClientRect());
        const ratio = image.naturalWidth / image.naturalHeight;
        return box(image) === box(canvas) && Math.abs(canvas.width / canvas.height - ratio) < 0.01;
    }""")


def test_words_are_reached_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(DOG)
    page.locator(".thumbnails button").nth(3).focus()
    page.keyboard.press("Enter")
    caption(page)
    page.locator(".word").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement === document.querySelectorAll('.word')[2]")
    word = page.locator(".word").nth(2).inner_text()
    assert page.locator(".captions .detail b").first.inner_text() == word
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "the end had" in page.locator(".captions .detail").inner_text()


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_a_photograph_of_ones_own(open_page: Open, way: str) -> None:
    page = open_page("write" if way == "drop" else "describe")  # dropped anywhere
    if way == "choose":
        page.set_input_files("describe-part input[type=file]", PHOTOGRAPHS / "pizza.jpg")
    else:
        page.wait_for_selector(".thumbnails", state="attached")
        give(page, way, PHOTOGRAPHS / "pizza.jpg")
    assert "pizza" in caption(page)
    assert page.locator("figcaption").inner_text() == "pizza.jpg"


def test_controls_answer_at_once(open_page: Open) -> None:
    page = open_page()
    page.click(DOG)
    caption(page)
    slide(page, "Captions", "6")
    assert page.locator(".nbest li").count() == 6
    assert page.get_by_role("slider", name="Beam size").input_value() == "6"
    slide(page, "Beam size", "1")
    assert page.locator(".nbest li").count() == 0
    slide(page, "Most words", "4")
    assert len(caption(page).split()) <= 4
    with page.expect_response(lambda r: "temperature=0.8" in r.url and r.ok):
        page.get_by_label("Draw at random").check()
    slide(page, "Temperature", "1.5")
    drawn = caption(page)
    slide(page, "Seed", "2")
    assert caption(page) != drawn
    slide(page, "Seed", "1")
    assert caption(page) == drawn


def test_score_your_own(open_page: Open) -> None:
    page = open_page()
    page.click(DOG)
    caption(page)
    page.get_by_label("Your description").fill("a pizza on a plate")
    page.get_by_role("button", name="Score").click()
    scored = page.locator(".scored")
    scored.wait_for()
    assert scored.locator(".word").all_inner_texts() == [*"a pizza on a plate".split(), "end"]
    assert "far less likely than its own caption" in scored.inner_text()
    scored.get_by_role("button", name="pizza,").click()
    assert scored.locator(".bars tr").count() == 5


def test_what_is_copied(open_page: Open) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.click(DOG)
    words = caption(page)
    page.get_by_role("button", name="Copy as alt text").click()
    page.get_by_text("✓ copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == f"{words.capitalize()}."
    page.locator(".captions").get_by_role("button", name="Copy as curl").click()
    page.wait_for_timeout(100)
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("curl 'http://127.0.0.1:")
    assert "-F 'image=@dog.jpg'" in command


def test_an_error_is_told_in_words(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    page.expected = lambda text: "415" in text
    (tmp_path / "note.jpg").write_bytes(b"not a picture")
    page.set_input_files("describe-part input[type=file]", tmp_path / "note.jpg")
    error = page.get_by_role("alert")
    error.wait_for()
    assert error.inner_text().startswith("Unsupported image format: send JPEG, PNG")
    page.set_input_files("describe-part input[type=file]", PHOTOGRAPHS / "dog.jpg")
    assert "dog" in caption(page)
    assert error.count() == 0


def test_many_photographs_become_a_table_to_edit_and_take_away(
    open_page: Open, tmp_path: Path
) -> None:
    paths = []
    for i in range(20):
        paths.append(tmp_path / f"photo {i}.jpg")
        paths[-1].write_bytes(encoded(photo(60 + i, 50), "JPEG"))
    paths[3].write_bytes(b"not a picture")
    page = open_page()
    page.expected = lambda text: "415" in text
    page.wait_for_selector(".thumbnails", state="attached")
    give(page, "drop", *paths)
    page.get_by_text("All are described").wait_for(timeout=60_000)
    assert page.locator(".rows tbody tr").count() == 20
    page.get_by_label("Description of photo 5.jpg").fill('=1+1, "they said"')
    with downloaded(page, "Download CSV", tmp_path) as path:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert [row["file"] for row in rows] == [path.name for path in paths]
    assert rows[5]["description"] == '\'=1+1, "they said"'  # no formula
    assert rows[5]["edited"] == "yes"
    assert rows[4]["description"].endswith(".")
    assert 0 <= float(rows[4]["confidence"]) <= 1
    assert "unsupported image" in rows[3]["error"]
    with (
        downloaded(page, "Download a text file for each", tmp_path) as path,
        zipfile.ZipFile(path) as archive,
    ):
        assert archive.testzip() is None
        assert len(archive.namelist()) == 19
        assert archive.read("photo 5.txt").decode() == '=1+1, "they said"\n'
    page.get_by_role("button", name="photo 7.jpg").click()
    caption(page)
    page.get_by_role("button", name="Back to the table of 20 photographs").click()
    assert page.get_by_label("Description of photo 5.jpg").input_value() == '=1+1, "they said"'
    page.get_by_role("button", name="Close").locator("visible=true").click()
    caption(page)  # of the photograph that was looked at
    assert page.get_by_role("button", name="Back to the table").count() == 0
