"""Tables of measurements, for the terminal, as Markdown and as JSON.

A suite returns `Table`s, whose rows map column names to text, numbers or `Sample`s.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rich.box
import rich.table
from rich.markup import escape

from benchmarks.timing import quantile

__all__ = ["Cell", "Row", "Sample", "Table", "as_json", "as_markdown", "as_rich"]


@dataclass(frozen=True)
class Sample:
    """Repeated measurements in the column's unit, written as median and quartiles."""

    values: tuple[float, ...]

    def __str__(self) -> str:
        low, median, high = (quantile([*self.values], share) for share in (0.25, 0.5, 0.75))
        if len(self.values) == 1:
            return _number(median)
        return f"{_number(median)} [{_number(low)} to {_number(high)}]"

    @property
    def median(self) -> float:
        """The median."""
        return quantile([*self.values], 0.5)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary, and every value in the order of measurement, for JSON."""
        shares = {"median": 0.5, "quartile_1": 0.25, "quartile_3": 0.75}
        summary = {name: quantile([*self.values], share) for name, share in shares.items()}
        return {**summary, "values": list(self.values)}


Cell = str | float | Sample
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Table:
    """The results of a suite.

    Columns are named with their units and appear in the order in which rows first name them; a row
    may lack some. `notes` say what the numbers mean and what they leave out.
    """

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """The columns of all rows."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


def as_rich(table: Table) -> rich.table.Table:
    """Return a table for the terminal."""
    drawing = rich.table.Table(
        title=escape(table.title),
        title_justify="left",
        title_style="bold",
        caption=escape("\n".join(table.notes)),
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
    )
    for name in table.columns:
        numeric = not any(isinstance(row.get(name), str) for row in table.rows)
        drawing.add_column(escape(name), justify="right" if numeric else "left")
    for row in table.rows:
        drawing.add_row(*(escape(_text(row.get(name))) for name in table.columns))
    return drawing


def as_markdown(machine: Mapping[str, str], tables: Sequence[Table]) -> str:
    """Return the report as one Markdown page."""
    lines = ["# Benchmarks", "", *(f"- {name}: {value}" for name, value in machine.items())]
    for table in tables:
        columns = table.columns
        lines += ["", f"## {table.title}", "", _pipes(columns), _pipes(["---"] * len(columns))]
        lines += [_pipes([_text(row.get(name)) for name in columns]) for row in table.rows]
        lines += ["", *(f"- {note}" for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def as_json(machine: Mapping[str, str], tables: Sequence[Table]) -> str:
    """Return the report as JSON, with every measurement."""
    data = [
        {
            "title": table.title,
            "rows": [{name: _as_data(cell) for name, cell in row.items()} for row in table.rows],
            "notes": list(table.notes),
        }
        for table in tables
    ]
    return json.dumps({"machine": dict(machine), "tables": data}, indent=1) + "\n"


def _pipes(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return _number(cell) if isinstance(cell, int | float) else str(cell)


def _as_data(cell: Cell) -> Any:
    return cell.as_dict() if isinstance(cell, Sample) else cell


def _number(value: float) -> str:
    """Return a number with three significant figures; whole numbers in full."""
    if value == 0 or abs(value) >= 100 or isinstance(value, int):
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    decimals = next(n for n, least in enumerate((100, 10, 1, 0.1, 0.01, 0)) if abs(value) >= least)
    return f"{value:.{decimals}f}"
