"""`unrolled cells`.

Knows options and what is printed; `model.interpretation.selection` and `model` do the work, and are
imported only then.
"""

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
from app.cli.terminal import told
from model.text.assembler import printable_text

if TYPE_CHECKING:
    from model.interpretation.selection import TextActivations
    from model.interpretation.units import Ranking

__all__ = ["cells"]

_SHOWN = 4_000  # characters that are coloured in a terminal


class TextKind(StrEnum):
    """Which properties a text may have."""

    AUTO = "auto"
    PROSE = "prose"
    C = "c"


def cells(
    model: ModelName,
    text: Annotated[str | None, typer.Argument(help="What the model is to read.")] = None,
    *,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the text.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help='Colour by this unit: 17, or "layer 1 unit 17".')
    ] = None,
    property_name: Annotated[
        str | None, typer.Option("--property", help="Colour by the unit that follows this best.")
    ] = None,
    kind: Annotated[TextKind, typer.Option(help="Which properties to look for.")] = TextKind.AUTO,
    html: Annotated[Path | None, typer.Option(help="Write a web page.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a picture.")] = None,
    weights: Weights = None,
    device: DeviceName = None,
) -> None:
    """Look for units that follow a property of a text, and colour the text by one.

    Units are chosen on the first half of the text and scored on the second. Beside each stands
    what the best of all units reaches when the property is moved to other places of the text:
    a score below that chance is of no interest.
    """
    if (text is None) == (file is None):
        raise typer.BadParameter("give either TEXT or --file")
    if unit is not None and property_name is not None:
        raise typer.BadParameter("give either --unit or --property")
    settings = settings_from(weights=weights, device=device)

    from model.interpretation.drawing import to_html, to_png  # noqa: PLC0415
    from model.interpretation.selection import TextActivations  # noqa: PLC0415

    with told(ValueError, OSError):
        given = file.read_text(encoding="utf-8") if file else printable_text(text or "")
        language_model = load_language_model(model, settings)
        seen = TextActivations.by_character(
            language_model.activations(given), language_model.config.level
        )
        chosen, title = _choose(seen, unit, property_name, kind)
        values = seen.values[:, chosen]
        _colour(seen.text, values, title)
        if html is not None:
            html.write_text(to_html(seen.text, values, title), encoding="utf-8")
        if png is not None:
            png.write_bytes(to_png(seen.text, values, title))


def _choose(
    seen: TextActivations, unit: str | None, property_name: str | None, kind: TextKind
) -> tuple[int, str]:
    """Show the tables, and give the unit to colour by, with a title."""
    from model.interpretation.properties import properties_of  # noqa: PLC0415
    from model.interpretation.selection import looks_like_c  # noqa: PLC0415

    if property_name is not None:
        ranking = seen.rank(property_name)
        _print_rankings([(property_name, ranking)], top=10)
        best = ranking.units[0]
        return best.unit, f"{best.name}: {property_name}"
    chosen = None if unit is None else seen.find([int(unit) if unit.isdecimal() else unit])
    in_c = kind is TextKind.C or (kind is TextKind.AUTO and looks_like_c(seen.text))
    rankings = []
    for each in properties_of("c" if in_c else "prose"):
        try:
            rankings.append((each.name, seen.rank(each.name, chosen)))
        except ValueError:  # it never varies in this text: nothing can follow it
            continue
    if rankings:
        _print_rankings(rankings, top=1)
    if chosen is not None:
        return chosen[0], seen.units[chosen[0]]
    if not rankings:
        raise ValueError(
            "this model reads words, of which no property is known: give --unit"
            if seen.level != "character"
            else "no property varies in both halves of this text, so that no unit can be chosen by "
            "one: give a longer text, or --unit"
        )
    name, ranking = max(rankings, key=lambda pair: _margin(pair[1]))
    return ranking.units[0].unit, f"{ranking.units[0].name}: {name}"


def _margin(ranking: Ranking) -> float:
    """How far the best unit is above chance, in shares of what chance leaves."""
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


def _colour(text: str, values: Any, title: str) -> None:
    """Print a text, each character on its activation's colour: blue for -1, red for 1."""
    from model.interpretation.drawing import colour_of, ink_on  # noqa: PLC0415

    coloured = Text()
    for character, value in zip(text[:_SHOWN], values[:_SHOWN].tolist(), strict=True):
        paper = colour_of(round(10 * max(-1.0, min(1.0, value))))
        style = "rgb({},{},{}) on rgb({},{},{})".format(*ink_on(paper), *paper)
        coloured.append(character, style=style)
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(Text(title, style="bold"))
    console.print(coloured, soft_wrap=True)
    if len(text) > _SHOWN:
        console.print(f"... {len(text) - _SHOWN:,} characters more")
