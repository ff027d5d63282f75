"""Draw a text coloured by one unit's activation: blue for -1, white for 0, red for 1.

As a web page or a PNG; the same input always gives the same bytes. The PNG uses Pillow's
built-in bitmap font: characters outside Latin-1 become "?".
"""

import html
from collections.abc import Iterator
from io import BytesIO
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["colour_of", "ink_on", "to_html", "to_image", "to_png"]

Colour = tuple[int, int, int]

# Blue and red are distinguishable with red-green colour blindness.
_BLUE, _WHITE, _RED = (33, 102, 172), (255, 255, 255), (178, 24, 43)
_LEVELS = 10  # steps on either side of white: few enough that neighbouring characters share one
_TAB = 8
_CELL = (6, 12)  # the bitmap font's, with a row of pixels between lines
_MARGIN = 6
_FEWEST_COLUMNS = 2 * _LEVELS + 1 + 6  # the legend must fit
_LIKE_ASCII = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
)


def colour_of(level: int) -> Colour:
    """Return the background colour of a level, from -10 to 10."""
    end = _BLUE if level < 0 else _RED
    share = abs(level) / _LEVELS
    red, green, blue = (
        round(white + share * (full - white)) for white, full in zip(_WHITE, end, strict=True)
    )
    return red, green, blue


def ink_on(background: Colour) -> Colour:
    """Return black or white, whichever contrasts more: at least 4.5 to 1, as WCAG 2 requires."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in background)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 1.05 * 0.05 else (255, 255, 255)


def to_html(text: str, activations: NDArray[np.floating], title: str) -> str:
    """Build a self-contained page; hovering over a character shows its activation.

    Args:
        text: any, also empty; control characters are shown as symbols.
        activations: (characters,); clipped to -1..1.
        title: such as "layer 1 unit 37".

    Raises:
        ValueError: the sizes differ, or an activation is not finite.
    """
    levels = _quantise(text, activations)
    runs: list[str] = []
    start = 0
    for level, places in groupby(levels):
        end = start + len(list(places))
        runs.append(_span(level, _escape(text[start:end])))
        start = end
    legend = "".join(_span(level, "&nbsp;") for level in range(-_LEVELS, _LEVELS + 1))
    return _PAGE.format(
        title=_escape(title),
        styles="\n".join(_styles()),
        legend=legend,
        text="".join(runs),
    )


def to_image(
    text: str,
    activations: NDArray[np.floating],
    title: str,
    *,
    columns: int = 100,
    rows: int = 60,
    scale: int = 2,
) -> Image.Image:
    """Draw a grid of characters; a newline is a coloured cell at the end of its line.

    Args:
        text, activations, title: as in `to_html`.
        columns: after how many characters a line is wrapped.
        rows: the number of rows after which the text is cut off; a last line says how much is
            missing.
        scale: how many pixels wide a pixel of the font is.

    Raises:
        ValueError: as in `to_html`, or the picture would be too small for its legend.
    """
    if columns < _FEWEST_COLUMNS or rows < 1 or scale < 1:
        raise ValueError(
            f"a picture needs at least {_FEWEST_COLUMNS} columns, one row and a scale of 1, not "
            f"{columns}, {rows} and {scale}"
        )
    levels = _quantise(text, activations)
    cells = [cell for cell in _lay_out(text, columns) if cell[1] < rows]
    shown = cells[-1][0] + 1 if cells else 0
    lines = cells[-1][1] + 1 if cells else 0
    missing = len(text) - shown
    width, height = _CELL
    # Title, legend, an empty line, the text, what is missing; one column more for newlines.
    size = (
        (columns + 1) * width + 2 * _MARGIN,
        (3 + lines + bool(missing)) * height + 2 * _MARGIN,
    )
    image = Image.new("RGB", size, _WHITE)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default_imagefont()

    def write(row: int, column: int, character: str, background: Colour = _WHITE) -> None:
        left, top = _MARGIN + column * width, _MARGIN + row * height
        draw.rectangle((left, top, left + width - 1, top + height - 1), fill=background)
        draw.text((left, top), _drawable(character), fill=ink_on(background), font=font)

    def write_line(row: int, line: str) -> None:
        for column, character in enumerate(line[:columns]):
            write(row, column, character)

    write_line(0, title)
    write_line(1, "-1 " + " " * (2 * _LEVELS + 1) + " +1")
    for level in range(-_LEVELS, _LEVELS + 1):
        write(1, 3 + _LEVELS + level, " ", colour_of(level))
    for place, row, column in cells:
        write(3 + row, column, text[place], colour_of(levels[place]))
    if missing:
        write_line(3 + lines, f"... {missing:,} more")
    return image.resize((size[0] * scale, size[1] * scale), Image.Resampling.NEAREST)


def to_png(
    text: str,
    activations: NDArray[np.floating],
    title: str,
    *,
    columns: int = 100,
    rows: int = 60,
    scale: int = 2,
) -> bytes:
    """Return what `to_image` draws as a PNG file."""
    file = BytesIO()
    image = to_image(text, activations, title, columns=columns, rows=rows, scale=scale)
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _quantise(text: str, activations: NDArray[np.floating]) -> list[int]:
    """Return the level of each character, -10 to 10."""
    if activations.shape != (len(text),):
        raise ValueError(
            f"{len(text)} characters need as many activations, not {activations.shape}"
        )
    if not np.isfinite(activations).all():
        raise ValueError("activations must be finite")
    scaled = np.rint(np.clip(activations.astype(np.float64), -1, 1) * _LEVELS)
    levels: list[int] = scaled.astype(int).tolist()
    return levels


def _lay_out(text: str, columns: int) -> Iterator[tuple[int, int, int]]:
    """Yield (place, row, column) of every cell; a tab takes several."""
    row = column = 0
    for place, character in enumerate(text):
        if column >= columns and character != "\n":
            row, column = row + 1, 0
        cells = min(_TAB - column % _TAB, columns - column) if character == "\t" else 1
        for _ in range(cells):
            yield place, row, column
            column += 1
        if character == "\n":
            row, column = row + 1, 0


def _drawable(character: str) -> str:
    character = character.translate(_LIKE_ASCII)
    if character.isspace():
        return " "
    return character if character.isprintable() and ord(character) < 256 else "?"


def _escape(text: str) -> str:
    """Escape a text for HTML, which allows neither control characters nor lone surrogates."""
    shown = [
        chr(0x2400 + ord(character))
        if character < " " and character not in "\t\n"
        else "\ufffd"
        if "\ud800" <= character <= "\udfff"
        else character
        for character in text
    ]
    return html.escape("".join(shown))


def _name(level: int) -> str:
    return f"{'n' if level < 0 else 'p'}{abs(level)}"


def _span(level: int, inner: str) -> str:
    value = f"{level / _LEVELS:+.1f}" if level else "0"
    return f'<span class="{_name(level)}" title="{value}">{inner}</span>'


def _styles() -> Iterator[str]:
    for level in range(-_LEVELS, _LEVELS + 1):
        background = colour_of(level)
        yield (
            f".{_name(level)} {{ background: rgb{background}; color: rgb{ink_on(background)}; }}"
        )


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 2rem; background: white; color: black; font-family: sans-serif; }}
pre {{ font: 1rem/1.4 monospace; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 8; }}
.legend {{ font-family: monospace; }}
{styles}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="legend">&minus;1 {legend} +1: the activation once the character was read</p>
<pre lang="">{text}</pre>
</main>
</body>
</html>
"""
