"""`python -m benchmarks`: measure this machine, suite by suite.

Knows options and the list of suites. A suite is a function from a `Bench` to tables: to add one,
write it in a module of its own and name it in `SUITES`, and in `ON_REQUEST` where it takes minutes
or packages that are not installed for development.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.settings import Runtime
from benchmarks import (
    clients,
    decoding,
    gpu,
    language_models,
    memory,
    other_models,
    overload,
    server,
    soak,
    stages,
    texts,
    throughput,
)
from benchmarks.bench import ROOT, Bench, Suite
from benchmarks.machine import describe, describe_captioner
from benchmarks.report import Table, as_json, as_markdown, as_rich
from model.bundle.discovery import captioner_folder
from model.files import write_text

__all__ = ["ON_REQUEST", "SUITES", "app"]

SUITES: dict[str, Suite] = {
    "stages": stages.measure,
    "decoding": decoding.measure,
    "throughput": throughput.measure,
    "writers": language_models.measure,
    "texts": texts.measure,
    "memory": memory.measure,
    "server": server.measure,
    "clients": clients.measure,
    "other-models": other_models.measure,
    "overload": overload.measure,
    "gpu": gpu.measure,
    "soak": soak.measure,
}

ON_REQUEST = {"gpu", "other-models", "overload", "soak"}

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def main(
    *,
    weights: Annotated[
        Path, typer.Option(help="A bundle.", show_default="weights/captioner")
    ] = ROOT / "weights",
    pictures: Annotated[Path, typer.Option(help="Folder of *.jpg.", show_default="examples")] = ROOT
    / "examples",
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(SUITES)}; repeatable. {', '.join(sorted(ON_REQUEST))} run only so."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write Markdown there.")] = None,
    json_output: Annotated[
        Path | None,
        typer.Option("--json", help="Write JSON there, every single measurement included."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Else as in the service.")] = None,
    runtime: Annotated[Runtime, typer.Option(help="Of the captioner.")] = "auto",
    quick: Annotated[bool, typer.Option("--quick", help="Few repetitions: a try.")] = False,
) -> None:
    """Measure speed and memory on this machine's CPU, all variants in turn."""
    if unknown := set(suite or ()) - set(SUITES):
        raise typer.BadParameter(f"no suite {min(unknown)!r}: there are {', '.join(SUITES)}")
    screen, status = _consoles()
    bench = Bench(captioner_folder(weights), pictures, threads=threads, runtime=runtime)
    if quick:
        bench.rounds, bench.slow_rounds, bench.launches, bench.requests = 3, 2, 1, 20
        bench.warmups, bench.soak_requests, bench.overload_seconds = 1, 500, 3.0
    try:
        machine = describe() | describe_captioner(bench.eager)
        machine["photographs"] = f"{len(bench.photographs)} from {pictures.name}/"
    except ValueError as error:  # no bundle, or no photographs: the message says how to mend it
        status.print(f"benchmarks: {error}", style="red", markup=False)
        raise typer.Exit(1) from error
    for name, value in machine.items():
        screen.print(f"[dim]{name:>20}[/dim]  {value}", highlight=False)
    tables: list[Table] = []
    for name in suite or (name for name in SUITES if name not in ON_REQUEST):
        with status.status(f"Measuring {name}"):
            found = SUITES[name](bench)
        for table in found:
            screen.print("", as_rich(table))
        tables += found
        # After every suite, so that what was measured outlasts what fails later.
        if output is not None:
            write_text(output, as_markdown(machine, tables))
        if json_output is not None:
            write_text(json_output, as_json(machine, tables))


def _consoles() -> tuple[Console, Console]:
    """Make those of the tables and of the progress; a file or a pipe has no width of its own."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=120), Console(stderr=True)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
