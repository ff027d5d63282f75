"""Report a comparison of cells as Markdown, JSON and plots."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from model.reporting.plots import COLOURS, Line, Panel
from model.reporting.tables import table
from model.studies.report import write_report

__all__ = ["CellRun", "CellStudy", "Epoch"]

_FILE = "cells.json"
_FOUND = ("nats", "bits", "best_epoch", "seconds", "seconds_an_epoch", "characters_a_second")


@dataclass(frozen=True)
class Epoch:
    """The state of a training after an epoch.

    Attributes:
        loss: the mean training loss in it, nats per character.
        nats: per validation character.
        seconds: of training since the start, without validation.
    """

    loss: float
    nats: float
    seconds: float


@dataclass(frozen=True)
class CellRun:
    """A cell trained with one learning rate.

    `characters` are read in each epoch; `folder` is the run's, relative to the study's.
    """

    cell: str
    learning_rate: float
    hidden_size: int
    layers: int
    parameters: int
    characters: int
    folder: str
    epochs: tuple[Epoch, ...]

    @property
    def nats(self) -> float:
        """Return the best validation loss, nats per character."""
        return min(epoch.nats for epoch in self.epochs)

    @property
    def bits(self) -> float:
        """Return the best validation loss, bits per character."""
        return self.nats / math.log(2)

    @property
    def best_epoch(self) -> int:
        """Return the epoch of the best validation loss, counted from 1."""
        return [epoch.nats for epoch in self.epochs].index(self.nats) + 1

    @property
    def seconds(self) -> float:
        """Return the duration of the whole training, without validation."""
        return self.epochs[-1].seconds

    @property
    def seconds_an_epoch(self) -> float:
        """Return the median over epochs, since the first one is often slower."""
        ends = [0.0, *(epoch.seconds for epoch in self.epochs)]
        return median(end - start for start, end in pairwise(ends))

    @property
    def characters_a_second(self) -> float:
        """Return the training speed."""
        return self.characters / self.seconds_an_epoch

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self) | {name: getattr(self, name) for name in _FOUND}


@dataclass(frozen=True)
class CellStudy:
    """A comparison of cells with each other and with n-gram models.

    Attributes:
        corpus, corpus_sha256: the file.
        characters, validation_share: the settings by which it was divided.
        training_characters, validation_characters: the size of the two parts.
        seed, schedule, threads: how every run was trained; the schedule in words.
        runs: every cell with every learning rate.
        ngrams: nats per validation character of n-grams of order 1, 2, ...
        ngram_seconds: to count and score all of these together.
    """

    corpus: str
    corpus_sha256: str
    training_characters: int
    validation_characters: int
    characters: int | None
    validation_share: float
    seed: int
    schedule: str
    threads: int
    runs: tuple[CellRun, ...]
    ngrams: tuple[float, ...]
    ngram_seconds: float

    @property
    def best(self) -> dict[str, CellRun]:
        """Return each cell's run with the lowest validation loss."""
        best: dict[str, CellRun] = {}
        for run in self.runs:
            if run.cell not in best or run.nats < best[run.cell].nats:
                best[run.cell] = run
        return best

    @property
    def name(self) -> str:
        """Return the corpus's name."""
        return Path(self.corpus).stem

    def as_markdown(self) -> str:
        """Return tables of cells at their best learning rate, all learning rates and n-grams."""
        blocks = [
            f"# Recurrent cells on {self.name}",
            f"{self.training_characters:,} characters train, {self.validation_characters:,} "
            f"validate. {self.schedule}, {self.threads} threads; seconds are for training alone.",
            _cell_table(list(self.best.values())),
        ]
        if len(self.runs) > len(self.best):
            blocks += ["Every learning rate, nats per character:", self._rate_table()]
        if self.ngrams:
            rows = [
                [f"{order}-gram", f"{nats:.4f}", f"{nats / math.log(2):.3f}"]
                for order, nats in enumerate(self.ngrams, start=1)
            ]
            blocks += [
                f"N-grams (modified Kneser-Ney), counted and scored in {self.ngram_seconds:.1f} s "
                "all together:",
                table(["n-gram", "nats / character", "bits / character"], rows),
            ]
        return "\n\n".join(blocks) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self) | {"runs": [run.as_dict() for run in self.runs]}

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write `cells.json`, `cells.md`, `curves.png` and, with n-grams, `ngrams.png`.

        See `write_report`.
        """
        ngrams = [self._ngram_panel()] if self.ngrams else []
        figures = {"curves": list(self._curves()), "ngrams": ngrams}
        return write_report(folder, "cells", self.as_markdown(), self.as_dict(), figures)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a study written by `write`.

        Raises:
            ValueError: there is none, or it is incomplete.
        """
        try:
            study: Self = TypeAdapter(cls).validate_json((folder / _FILE).read_bytes())
            return study
        except FileNotFoundError as error:
            raise ValueError(
                f"{folder} holds no finished study of cells: {_FILE} is missing"
            ) from error
        except ValidationError as error:
            raise ValueError(f"{folder / _FILE} is not a study of cells: {error}") from error

    def _rate_table(self) -> str:
        rates = sorted({run.learning_rate for run in self.runs})
        found = {(run.cell, run.learning_rate): f"{run.nats:.4f}" for run in self.runs}
        rows = [[cell, *(found.get((cell, rate), "-") for rate in rates)] for cell in self.best]
        return table(["cell", *(f"learning rate {rate:g}" for rate in rates)], rows)

    def _curves(self) -> Iterator[Panel]:
        """Plot validation loss by epoch and by seconds, a thick line for each cell's best run."""
        chosen = {run.folder for run in self.best.values()}
        for unit in ("epochs", "seconds of training"):
            lines = []
            for run in sorted(self.runs, key=lambda run: run.folder in chosen):
                best = run.folder in chosen
                by_epoch = range(1, len(run.epochs) + 1)
                lines.append(
                    Line(
                        f"{run.cell}, learning rate {run.learning_rate:g}" if best else "",
                        by_epoch if unit == "epochs" else [e.seconds for e in run.epochs],
                        [epoch.nats for epoch in run.epochs],
                        COLOURS.get(run.cell, COLOURS["other"]),
                        style="-" if best else ":",
                        width=1.8 if best else 0.9,
                        marker="." if best else "",
                    )
                )
            yield Panel(
                f"{self.name}: cells of equal size", unit, "validation, nats / character", lines
            )

    def _ngram_panel(self) -> Panel:
        orders = range(1, len(self.ngrams) + 1)
        lines = [Line("n-grams", orders, self.ngrams, COLOURS["other"], marker="o")]
        lines += [
            Line(cell, (1, len(orders)), (run.nats, run.nats), COLOURS.get(cell, "#000000"), "--")
            for cell, run in self.best.items()
        ]
        return Panel(
            f"{self.name}: n-grams and cells",
            "order of the n-grams, characters",
            "validation, nats / character",
            lines,
        )


def _cell_table(runs: list[CellRun]) -> str:
    header = [
        *("cell", "hidden size", "parameters", "learning rate", "nats / character"),
        *("bits / character", "best epoch", "s / epoch", "s", "characters / s"),
    ]
    rows = [
        [
            run.cell,
            str(run.hidden_size),
            f"{run.parameters:,}",
            f"{run.learning_rate:g}",
            f"{run.nats:.4f}",
            f"{run.bits:.3f}",
            str(run.best_epoch),
            f"{run.seconds_an_epoch:.1f}",
            f"{run.seconds:.0f}",
            f"{run.characters_a_second:,.0f}",
        ]
        for run in runs
    ]
    return table(header, rows)
