"""`docs/captions.md` is what the script writes with the shipped captioner."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests.test_readme import assert_same_output
from tests.tiny import save_finalized_captioner

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "gallery.py"
spec = importlib.util.spec_from_file_location("gallery", SCRIPT)
gallery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gallery)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the page with a captioner, and return it."""

    def write(*options: object) -> str:
        page = tmp_path / "captions.md"
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(page), *map(str, options)])
        gallery.main()
        return page.read_text("utf-8")

    return write


def rows_under(page: str, heading: str) -> list[list[str]]:
    part = page.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_the_page_is_that_of_the_shipped_captioner(write):
    sources = re.compile(r'src="[^"]+/')  # relative to the page
    shown = (ROOT / "docs" / "captions.md").read_text("utf-8")
    assert_same_output(sources.sub("", write()), sources.sub("", shown))


def test_another_captioner_writes_another_page_and_always_the_same(write, tmp_path):
    bundle = save_finalized_captioner(tmp_path / "tiny")
    page = write("--weights", bundle)
    assert page == write("--weights", bundle)
    assert page.startswith("# Captions, as they come\n\nWhat version 0 of `tiny` says")
    gallery_rows = [row for name in gallery.GROUPS for row in rows_under(page, name)]
    assert len(gallery_rows) == len(gallery.photographs())
    confidences = [float(row[-1]) for row in gallery_rows]
    assert confidences == sorted(confidences, reverse=True)
    for source in re.findall(r'src="([^"]+)"', page):
        assert (tmp_path / source).is_file()


def test_logprobs_add_up(write, tmp_path):
    page = write("--weights", save_finalized_captioner(tmp_path / "tiny"))
    drawn = rows_under(page, "Drawn word by word")
    assert len(drawn) == gallery.DRAWS
    for words, logprob in drawn:
        each = [float(number) for number in re.findall(r"&nbsp;(-?[\d.]+)", words)]
        assert sum(each) == pytest.approx(float(logprob), abs=0.005 * len(each) + 0.001)
        assert "`<END>`" in words or len(each) == 20
    read = rows_under(page, "One caption, word by word")
    assert sum(float(row[2]) for row in read) == pytest.approx(float(read[-1][-1]), abs=0.01)
    for word, likeliest, *_ in read:
        assert len(likeliest.split(", ")) == gallery.TOP
        assert word


@pytest.mark.parametrize(
    ("confidence", "group"), [(1.0, "Good"), (0.55, "Good"), (0.54, "Fair"), (0.0, "Bad")]
)
def test_groups_go_by_confidence(confidence, group):
    assert gallery.group_of(confidence) == group


def test_photographs_are_there_once_each():
    found = gallery.photographs()
    names = [one.path.name for one in found]
    assert len(set(names)) == len(names)
    assert all(one.path.is_file() for one in found)
    assert {path.name for path in (ROOT / "examples").glob("*.jpg")} <= set(names)
    assert {path.name for path in (ROOT / "app/web/photographs").glob("*.jpg")} <= set(names)
