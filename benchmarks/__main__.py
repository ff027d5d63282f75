"""`python -m benchmarks`: measure this machine, suite by suite.

A suite is a function from a `Bench` to tables. To add one, write it in its own module and list it
in `SUITES`; list it in `ON_REQUEST` as well if it takes minutes or needs packages that the
`development` extra does not install.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import (
    adapters,
    clients,
    fuzz_pictures,
    gpu,
    jpeg,
    language_models,
    memory,
    metrics,
    other_models,
    overload,
    page,
    server,
    soak,
    stages,
    texts,
    throughput,
    workers,
)
from benchmarks.bench import ROOT, Bench, Suite
from benchmarks.compare import compare, read_report
from benchmarks.machine import describe_captioner, describe_machine
from benchmarks.report import Table, as_json, as_markdown, as_rich
from model.bundle.discovery import captioner_folder
from model.files import write_text
from model.runtime.options import Runtime

__all__ = ["ON_REQUEST", "SUITES", "app"]

SUITES: dict[str, Suite] = {
    "stages": stages.measure,
    "jpeg": jpeg.measure,
    "throughput": throughput.measure,
    "language-models": language_models.measure,
    "texts": texts.measure,
    "memory": memory.measure,
    "server": server.measure,
    "clients": clients.measure,
    "metrics": metrics.measure,
    "workers": workers.measure,
    "page": page.measure,
    "adapters": adapters.measure,
    "other-models": other_models.measure,
    "overload": overload.measure,
    "gpu": gpu.measure,
    "soak": soak.measure,
    "fuzz-pictures": fuzz_pictures.measure,
}

ON_REQUEST = {
    "fuzz-pictures",
    "gpu",
    "metrics",
    "other-models",
    "overload",
    "page",
    "soak",
    "workers",
}

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def main(
    *,
    weights: Annotated[
        Path,
        typer.Option(
            help="Captioner bundle, or a folder that holds one as captioner/.",
            show_default="weights/captioner",
        ),
    ] = ROOT / "weights",
    pictures: Annotated[
        Path, typer.Option(help="Folder of *.jpg photographs.", show_default="examples")
    ] = ROOT / "examples",
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Suite to run; repeatable. One of {', '.join(SUITES)}. By default all run "
            f"except {', '.join(sorted(ON_REQUEST))}."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the report to this file as Markdown.")
    ] = None,
    json_output: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write the report to this file as JSON, with every measurement."
        ),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            help="An earlier report, as --json wrote it: say what changed by more than its spread.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of the model; by default as many as the service uses."),
    ] = None,
    runtime: Annotated[Runtime, typer.Option(help="Runtime of the captioner.")] = "auto",
    quick: Annotated[
        bool, typer.Option("--quick", help="Repeat little: a trial run, not a measurement.")
    ] = False,
) -> None:
    """Measure speed and memory on this machine, with the variants in turn."""
    if unknown := set(suite or ()) - set(SUITES):
        raise typer.BadParameter(f"no suite {min(unknown)!r}: choose from {', '.join(SUITES)}")
    try:
        before = None if earlier is None else read_report(earlier)
    except (ValueError, OSError) as error:  # before minutes of measuring
        raise typer.BadParameter(str(error), param_hint="--compare") from error
    screen, status = _consoles()
    bench = Bench(captioner_folder(weights), pictures, threads=threads, runtime=runtime)
    if quick:
        bench.rounds, bench.slow_rounds, bench.launches, bench.requests = 3, 2, 1, 20
        bench.warmups, bench.soak_requests, bench.overload_seconds = 1, 500, 3.0
        bench.fuzzed_pictures = 300
    try:
        machine = describe_machine() | describe_captioner(bench.eager)
        machine["photographs"] = f"{len(bench.photographs)} from {pictures.name}/"
    except ValueError as error:  # no bundle or no photographs; the message says what to do
        status.print(f"benchmarks: {error}", style="red", markup=False)
        raise typer.Exit(1) from error
    for name, value in machine.items():
        screen.print(f"[dim]{name:>20}[/dim]  {value}", highlight=False)
    tables: list[Table] = []
    for name in suite or (name for name in SUITES if name not in ON_REQUEST):
        with status.status(f"Measuring {name}"):
            measured = SUITES[name](bench)
        for table in measured:
            screen.print("", as_rich(table))
        tables += measured
        # After every suite, so that a later failure loses nothing.
        if output is not None:
            write_text(output, as_markdown(machine, tables))
        if json_output is not None:
            write_text(json_output, as_json(machine, tables))
    if before is not None:
        screen.print("", as_rich(compare(before, machine, tables)))


def _consoles() -> tuple[Console, Console]:
    """Return consoles for tables and for progress; a file or pipe has no width, so set one."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=120), Console(stderr=True)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
