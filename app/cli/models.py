"""`unrolled models`: list the bundles and their scores, in tables that fit a narrow terminal."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.options import Weights, settings_from
from app.cli.terminal import exit_on
from model.bundle.discovery import BundleSummary, list_bundles

__all__ = ["models"]


def models(
    *,
    weights: Weights = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the bundles in the weights folder, with their scores."""
    settings = settings_from(weights=weights)
    with exit_on(ValueError):
        bundles = list_bundles(settings.weights)
    if as_json:
        typer.echo(json.dumps([asdict(bundle) for bundle in bundles], indent=2))
        return
    console = Console()
    for table in _tables(bundles):
        console.print(table)


def _tables(bundles: Iterable[BundleSummary]) -> Iterator[Table]:
    """Yield a table of all bundles, then a table of scores for each bundle that has any."""
    table = Table("name", "kind", "version", "size", box=box.SIMPLE_HEAD)
    with_scores = []
    for bundle in bundles:
        megabytes = f"{bundle.size / 1e6:.1f} MB"
        table.add_row(*map(Text, (bundle.name, bundle.kind, bundle.version, megabytes)))
        with_scores += [bundle] if bundle.scores else []
    yield table
    for bundle in with_scores:
        yield _scores(bundle)


def _scores(bundle: BundleSummary) -> Table:
    rows = list(_rows(bundle.scores))
    metrics = list(dict.fromkeys(metric for _, _, values in rows for metric in values))
    by_beam = any(way.isdecimal() for _, way, _ in rows)
    table = Table(title=Text(bundle.name), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("test set")
    if by_beam:
        table.add_column("beam", justify="right")
    for metric in metrics:
        # "nats_per_character" is wider than its numbers, so its words may wrap.
        header = Text(metric if by_beam else metric.replace("_", " "))
        table.add_column(header, justify="right", no_wrap=by_beam)
    for test_set, way, values in rows:
        numbers = (f"{values[m]:.3f}" if m in values else "" for m in metrics)
        table.add_row(Text(test_set), *([way] if by_beam else []), *numbers)
    return table


def _rows(scores: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, float]]]:
    for test_set, by_way in scores.items():
        for way, metrics in by_way.items():
            yield test_set, way, metrics
