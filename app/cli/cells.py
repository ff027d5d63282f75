"""`unrolled cells`: find units that follow a property of a text, and colour the text by one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.loading import load_language_model
from app.cli.options import DeviceName, ModelName, Weights, settings_from
from app.cli.terminal import exit_on, printable_text
from model.files import read_text

if TYPE_CHECKING:
    from model.interpretation.selection import TextActivations
    from model.interpretation.units import Ranking

__all__ = ["cells"]

_MAX_SHOWN = 4_000  # characters to colour in a terminal


class _TextKind(StrEnum):
    """The kind of text, which decides the properties to look for."""

    AUTO = "auto"
    PROSE = "prose"
    C = "c"


def cells(
    model: ModelName,
    text: Annotated[str | None, typer.Argument(help="The text for the model to read.")] = None,
    *,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Read the text from this file.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help='Colour by this unit: 17, or "layer 1 unit 17".')
    ] = None,
    property_name: Annotated[
        str | None,
        typer.Option("--property", help="Colour by the unit that follows this property best."),
    ] = None,
    kind: Annotated[
        _TextKind, typer.Option(help="The kind of text; decides which properties to look for.")
    ] = _TextKind.AUTO,
    html: Annotated[
        Path | None, typer.Option(help="Also write the coloured text as a web page.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Also write the coloured text as a PNG.")] = None,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Find units that follow a property of a text, and colour the text by one of them.

    Units are chosen on the first half of the text and scored on the second. The column "chance"
    shows what the best unit scores when the property is shifted along the text: a unit that scores
    lower means nothing.
    """
    if (text is None) == (file is None):
        raise typer.BadParameter("give either TEXT or --file")
    if unit is not None and property_name is not None:
        raise typer.BadParameter("give either --unit or --property")
    settings = settings_from(weights=weights, device=device)

    from model.interpretation.drawing import to_html, to_png  # noqa: PLC0415
    from model.interpretation.selection import TextActivations  # noqa: PLC0415

    with exit_on(ValueError, OSError):
        content = read_text(file) if file else printable_text(text or "")
        language_model = load_language_model(model, settings)
        activations = TextActivations.by_character(
            language_model.activations(content), language_model.config.level
        )
        chosen, title = _choose_unit(activations, unit, property_name, kind)
        values = activations.values[:, chosen]
        _print_coloured(activations.text, values, title)
        if html is not None:
            html.write_text(to_html(activations.text, values, title), encoding="utf-8")
        if png is not None:
            png.write_bytes(to_png(activations.text, values, title))


def _choose_unit(
    activations: TextActivations, unit: str | None, property_name: str | None, kind: _TextKind
) -> tuple[int, str]:
    """Print the tables, and return the unit to colour by and a title."""
    from model.interpretation.properties import properties_of  # noqa: PLC0415
    from model.interpretation.selection import looks_like_c  # noqa: PLC0415

    if property_name is not None:
        ranking = activations.rank(property_name)
        _print_rankings([(property_name, ranking)], top=10)
        best = ranking.units[0]
        return best.unit, f"{best.name}: {property_name}"
    chosen = None if unit is None else activations.find([int(unit) if unit.isdecimal() else unit])
    in_c = kind is _TextKind.C or (kind is _TextKind.AUTO and looks_like_c(activations.text))
    rankings = []
    for each in properties_of("c" if in_c else "prose"):
        try:
            rankings.append((each.name, activations.rank(each.name, chosen)))
        except ValueError:  # the property never varies in this text, so no unit can follow it
            continue
    if rankings:
        _print_rankings(rankings, top=1)
    if chosen is not None:
        return chosen[0], activations.units[chosen[0]]
    if not rankings:
        raise ValueError(
            "this model reads words, which have no known properties: choose a unit with --unit"
            if activations.level != "character"
            else "no property varies in both halves of this text: give a longer text, or --unit"
        )
    name, ranking = max(rankings, key=lambda pair: _margin(pair[1]))
    return ranking.units[0].unit, f"{ranking.units[0].name}: {name}"


def _margin(ranking: Ranking) -> float:
    """Return how far the best unit is above chance, as a share of the distance to 1."""
    return (ranking.units[0].score - ranking.chance.high) / max(1e-9, 1 - ranking.chance.high)


def _print_rankings(rankings: list[tuple[str, Ranking]], top: int) -> None:
    table = Table("property", "unit", "direction")
    for header in ("measure", "score", "chance"):
        table.add_column(header, justify="left" if header == "measure" else "right")
    for name, ranking in rankings:
        for found in ranking.units[:top]:
            above = found.score > ranking.chance.high
            table.add_row(
                name,
                found.name,
                "rises" if found.direction > 0 else "falls",
                ranking.measure,
                Text(f"{found.score:.3f}", style="bold" if above else "dim"),
                f"{ranking.chance.high:.3f}",
            )
    Console().print(table)


def _print_coloured(text: str, values: Any, title: str) -> None:
    """Print a text with each character on the colour of its activation: blue at -1, red at 1."""
    from model.interpretation.drawing import colour_of, ink_on  # noqa: PLC0415

    coloured = Text()
    for character, value in zip(text[:_MAX_SHOWN], values[:_MAX_SHOWN].tolist(), strict=True):
        background = colour_of(round(10 * max(-1.0, min(1.0, value))))
        style = "rgb({},{},{}) on rgb({},{},{})".format(*ink_on(background), *background)
        coloured.append(character, style=style)
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(Text(title, style="bold"))
    console.print(coloured, soft_wrap=True)
    if len(text) > _MAX_SHOWN:
        console.print(f"... {len(text) - _MAX_SHOWN:,} more characters")
