"""Plot how long captioners take for a photograph, side by side.

    python -m benchmarks --suite other-models --json runs/other-models.json
    python scripts/plot_speed.py runs/other-models.json docs/images/speed.png

Dots are medians, whiskers quartiles.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.other_models import TITLE
from model.reporting.plots import COLOURS


def main() -> None:
    """Read the report and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "report", type=Path, help="JSON file of `python -m benchmarks --suite other-models`"
    )
    parser.add_argument("plot", type=Path, help="PNG file to write")
    arguments = parser.parse_args()
    report = json.loads(arguments.report.read_text(encoding="utf-8"))
    rows = [table["rows"] for table in report["tables"] if table["title"] == TITLE]
    if not rows:
        parser.error(f"{arguments.report} has no table {TITLE!r}: run the suite other-models")
    arguments.plot.parent.mkdir(parents=True, exist_ok=True)
    draw(rows[0], report["machine"]).savefig(arguments.plot, metadata={"Software": None})
    print(f"wrote {arguments.plot}")


def draw(rows: list[dict[str, Any]], machine: dict[str, str]) -> Figure:
    """Return a plot with a line for each captioner, the first at the top."""
    figure = Figure(figsize=(8.4, 0.9 + 0.46 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        sample = row["ms per picture"]
        median, low, high = sample["median"], sample["quartile_1"], sample["quartile_3"]
        unrolled = row["captioner"].startswith("Unrolled")
        baseline = row["captioner"].startswith("baseline")
        colour = COLOURS["lstm"] if unrolled else COLOURS["gru"] if baseline else "#555555"
        axes.errorbar(
            median, place, xerr=[[median - low], [high - median]], fmt="o", color=colour, capsize=3
        )
        axes.annotate(
            f"{median:,.0f} ms",
            (high, place),
            textcoords="offset points",
            xytext=(8, 0),
            va="center",
            color=colour,
            weight="bold" if unrolled else "normal",
        )
    names = [f"{row['captioner']}\n{row['million parameters']:.3g} M parameters" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize="small")
    axes.invert_yaxis()
    axes.set_xscale("log")
    medians = [row["ms per picture"]["median"] for row in rows]
    axes.set_xlim(min(medians) / 1.6, max(medians) * 2.2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(
        "milliseconds per photograph (640x480 JPEG, beam 3), logarithmic; lower is better"
    )
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.set_title(
        f"{machine['processor']}, {machine['threads of the model']} threads", fontsize="small"
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
