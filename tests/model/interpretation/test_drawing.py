import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from model.interpretation.drawing import colour_of, ink_on, to_html, to_image, to_png

MARGIN, WIDTH, HEIGHT = 6, 6, 12


class Page(HTMLParser):
    """Reads what a browser would show in the title, the heading and the text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.spans, self.tags = [], {}, [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)
        if self.open[-2:] == ["pre", "span"]:
            self.spans.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open:
            self.text[tag] = self.text.get(tag, "") + data


def cell(image, row, column):
    """The background of a cell of the text, read in its corner, which no letter reaches."""
    return image.getpixel((MARGIN + column * WIDTH, MARGIN + (3 + row) * HEIGHT + HEIGHT - 1))


def test_colours_go_from_blue_through_white_to_red():
    assert colour_of(0) == (255, 255, 255)
    blue, red = colour_of(-10), colour_of(10)
    assert blue[2] > 2 * blue[0]
    assert red[0] > 2 * red[2]
    assert len({colour_of(level) for level in range(-10, 11)}) == 21


@pytest.mark.parametrize("level", range(-10, 11))
def test_letters_stand_out(level):
    def luminance(colour):
        parts = [channel / 255 for channel in colour]
        parts = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return np.dot(parts, (0.2126, 0.7152, 0.0722))

    background = colour_of(level)
    dark, light = sorted([luminance(background), luminance(ink_on(background))])
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_page_holds_its_text_and_runs_no_part_of_it():
    text = '\n<script>alert("&amp;")</script>\n\n\tit\'s  é “x”\n '
    page = Page(to_html(text, np.linspace(-1, 1, len(text)), "layer 1 <b>unit</b> 37"))
    assert page.text["pre"] == text
    assert page.text["h1"] == page.text["title"] == "layer 1 <b>unit</b> 37"
    assert not page.tags & {"script", "b", "link", "img"}
    assert page.open == []
    assert "-1" in page.text["p"].replace("−", "-")  # noqa: RUF001 - the legend's minus
    assert "+1" in page.text["p"]


def test_neighbours_of_one_colour_share_a_span():
    page = to_html("abcdef", np.array([0.31, 0.3, -2, -1, 0.04, -0.04]), "unit")
    assert [span["title"] for span in Page(page).spans] == ["+0.3", "-1.0", "0"]
    inside = page.split('<pre lang="">')[1]
    assert re.findall(r">(\w+)</span>", inside) == ["ab", "cd", "ef"]
    styles = dict(re.findall(r"\.([np]\d+) \{ background: rgb(\([\d, ]+\))", page))
    used = [styles[span["class"]] for span in Page(page).spans]
    assert used == [str(colour_of(level)) for level in (3, -10, 0)]


def test_what_a_page_cannot_hold_is_shown_as_a_symbol():
    page = to_html("\0\r\ud800", np.zeros(3), "unit")
    assert Page(page).text["pre"] == "␀␍\ufffd"
    page.encode()


def test_a_picture_has_the_size_of_its_text():
    image = to_image("abc\nde", np.zeros(6), "unit", columns=40, scale=2)
    # Title, legend, an empty line and two of text; a column more for newlines.
    assert image.size == (2 * (41 * WIDTH + 2 * MARGIN), 2 * (5 * HEIGHT + 2 * MARGIN))
    assert (
        Image.open(BytesIO(to_png("abc\nde", np.zeros(6), "unit", columns=40))).size == image.size
    )


def test_a_picture_has_the_colours_of_its_text():
    image = to_image("a\n b", np.array([1, -1, 0.5, 0]), "unit", scale=1)
    assert cell(image, 0, 0) == colour_of(10)
    assert cell(image, 0, 1) == colour_of(-10)  # the newline
    assert cell(image, 1, 0) == colour_of(5)
    assert cell(image, 1, 1) == cell(image, 0, 2) == colour_of(0)


def test_only_the_changed_character_differs():
    one = to_image("abc", np.array([0, 0, 0.0]), "unit", scale=1)
    other = to_image("abc", np.array([0, 1, 0.0]), "unit", scale=1)
    changed = np.argwhere((np.asarray(one) != np.asarray(other)).any(-1))
    assert changed[:, 1].min() == MARGIN + WIDTH
    assert changed[:, 1].max() == MARGIN + 2 * WIDTH - 1
    assert changed[:, 0].min() == MARGIN + 3 * HEIGHT
    assert changed[:, 0].max() == MARGIN + 4 * HEIGHT - 1


def test_long_lines_are_wrapped_and_tabs_end_with_the_line():
    text = "w\t" + "x" * 22 + "\t" + "y\n" + "z"
    activations = np.array([0, 0.5] + [0] * 22 + [1, -1, 0.5, 1])
    image = to_image(text, activations, "unit", columns=31, scale=1)
    tabs = [cell(image, 0, column) for column in (0, 1, 7, 8, 29, 30, 31)]
    levels = (0, 5, 5, 0, 0, 10, 0)  # the last is the page
    assert tabs == [colour_of(level) for level in levels]
    assert cell(image, 1, 0) == colour_of(-10)
    assert cell(image, 1, 1) == colour_of(5)
    assert cell(image, 2, 0) == colour_of(10)


def test_a_newline_after_a_full_line_starts_no_other():
    image = to_image("x" * 30 + "\ny", np.ones(32), "unit", columns=30, scale=1)
    assert cell(image, 0, 30) == colour_of(10)
    assert cell(image, 1, 0) == colour_of(10)
    assert image.size[1] == 5 * HEIGHT + 2 * MARGIN


def test_rows_are_limited_and_what_is_missing_is_told():
    whole = to_image("a\n" * 5, np.ones(10), "unit", rows=5)
    cut = to_image("a\n" * 500, np.ones(1000), "unit", rows=5)
    assert cut.size[1] == whole.size[1] + 2 * HEIGHT


@pytest.mark.parametrize("text", ["", "ж\u200b“é”\0\r\ud800"])
def test_any_text_is_drawn(text):
    activations = np.zeros(len(text))
    assert Page(to_html(text, activations, text)).tags >= {"title", "pre"}
    assert to_png(text, activations, text) == to_png(text, activations, text)


def test_what_does_not_fit_is_an_error():
    for draw in (to_html, to_image, to_png):
        with pytest.raises(ValueError, match="3 characters"):
            draw("abc", np.zeros(2), "unit")
        with pytest.raises(ValueError, match="finite"):
            draw("abc", np.array([0, np.nan, 0]), "unit")
    for wrong in ({"columns": 20}, {"rows": 0}, {"scale": 0}):
        with pytest.raises(ValueError, match="at least"):
            to_image("abc", np.zeros(3), "unit", **wrong)
