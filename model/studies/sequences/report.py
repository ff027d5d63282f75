"""Report the study of sequences as Markdown, JSON and a figure."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from model.reporting.plots import COLOURS, Line, Panel
from model.reporting.tables import table
from model.studies.report import write_report
from model.studies.sequences.training import LabelRun, RewriteRun

__all__ = ["SequenceStudy"]

_EXAMPLES = 3


@dataclass(frozen=True)
class SequenceStudy:
    """What small recurrent networks made of sequences.

    Attributes:
        cell, units, steps, seed: of every network, and of its training.
        labelled: networks that label, each with every seed, with memory and without.
        rewritten: networks that rewrite, each with every seed.
    """

    cell: str
    units: int
    steps: int
    seed: int
    labelled: tuple[LabelRun, ...]
    rewritten: tuple[RewriteRun, ...]

    def as_markdown(self) -> str:
        """Return a table of labels, one of rewriting and a few examples."""
        seeds = len({run.seed for run in self.labelled} | {run.seed for run in self.rewritten})
        blocks = [
            "# Sequences in and out",
            f"Networks of one layer of {self.units} units ({self.cell}). Scores are of sequences "
            f"that were not trained on: the mean ± the standard deviation over {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}.",
        ]
        if self.labelled:
            blocks += [
                f"Labels, after {self.steps // 2} steps of 64 sequences. Without memory every step "
                "starts anew, so that a label depends on one character or frame alone; the last "
                "column is what naming always the commonest label would reach.",
                self._label_table(),
            ]
        if self.rewritten:
            blocks += [
                f"Rewriting, after {self.steps} steps of 64 pairs: the share of sequences without "
                "a fault, and of characters given the right ones before.",
                self._rewrite_table(),
                "What the first seed wrote of sequences that were held out:",
                self._example_table(),
            ]
        return "\n\n".join(blocks) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write `sequences.json`, `sequences.md` and `sequences.png`, see `write_report`."""
        figures = {"sequences": list(self._panels())}
        return write_report(folder, "sequences", self.as_markdown(), self.as_dict(), figures)

    def _label_table(self) -> str:
        header = ["task", "kind", "labels", "with memory", "without", "commonest label", "s each"]
        rows = []
        for task, runs in _grouped(self.labelled, "task"):
            remembering = [run for run in runs if run.memory]
            rows.append(
                [
                    *(task, runs[0].shape, str(runs[0].labels)),
                    _percent([run.score for run in remembering]),
                    _percent([run.score for run in runs if not run.memory]),
                    f"{mean(run.commonest for run in runs):.1%}",
                    f"{mean(run.seconds for run in remembering):.1f}",
                ]
            )
        return table(header, rows, text=2)

    def _rewrite_table(self) -> str:
        header = ["task", "source", "attention", "exact", "characters", "s each"]
        rows = [
            [
                *(task, _order(runs[0]), "yes" if runs[0].attention else "no"),
                _percent([run.exact for run in runs]),
                _percent([run.characters for run in runs]),
                f"{mean(run.seconds for run in runs):.1f}",
            ]
            for task, of_task in _grouped(self.rewritten, "task")
            for _, runs in _grouped(of_task, "manner")
        ]
        return table(header, rows, text=3)

    def _example_table(self) -> str:
        rows = [
            [*run.examples[i][::2], *(_marked(run, i) for run in runs)]
            for _, of_task in _grouped(self.rewritten, "task")
            for runs in [[run for run in of_task if run.seed == self.seed]]
            for run in runs[:1]
            for i in range(min(_EXAMPLES, len(run.examples)))
        ]
        manners = list(dict.fromkeys(run.manner for run in self.rewritten))
        return table(["source", "right", *manners], rows, text=2 + len(manners))

    def _panels(self) -> Iterator[Panel]:
        colours = list(COLOURS.values())
        kinds = (("one label, asked after each step", "many to one"), ("a label a step", "step"))
        for title, kind in kinds:
            lines = []
            for index, (task, runs) in enumerate(_grouped(self.labelled, "task")):
                curves = [run.by_step for run in runs if run.memory]
                if kind in runs[0].shape:
                    steps = range(1, len(curves[0]) + 1)
                    lines.append(_line(task, steps, curves, colours[index]))
            if lines:
                yield Panel(title, "steps read", "share that is right", lines)
        for task, of_task in _grouped(self.rewritten, "task"):
            lines = []
            for manner, runs in _grouped(of_task, "manner"):
                points = [step for step, _ in runs[0].curve]
                curves = [tuple(exact for _, exact in run.curve) for run in runs]
                colour = COLOURS["gru" if runs[0].backwards else "lstm"]
                style = "-" if runs[0].attention else "--"
                lines.append(_line(manner, points, curves, colour, style))
            yield Panel(f"rewriting a {task}", "training step", "share without a fault", lines)


def _grouped(runs: Sequence[Any], name: str) -> list[tuple[str, list[Any]]]:
    groups: dict[str, list[Any]] = {}
    for run in runs:
        groups.setdefault(getattr(run, name), []).append(run)
    return list(groups.items())


def _line(
    label: str,
    x: Sequence[float],
    curves: Sequence[Sequence[float]],
    colour: str,
    style: str = "-",
) -> Line:
    """Draw the mean over seeds, in a band from the lowest to the highest."""
    values = np.array(curves)
    low, high = values.min(0).tolist(), values.max(0).tolist()
    return Line(label, x, values.mean(0).tolist(), colour, style, low=low, high=high)


def _percent(scores: Sequence[float]) -> str:
    spread = f" ± {stdev(scores):.1%}" if len(scores) > 1 else ""
    return f"{mean(scores):.1%}{spread}"


def _order(run: RewriteRun) -> str:
    return "reversed" if run.backwards else "in order"


def _marked(run: RewriteRun, index: int) -> str:
    _, written, right = run.examples[index]
    return written if written == right else f"*{written}*"
