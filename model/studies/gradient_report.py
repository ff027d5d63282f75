"""Report a study of gradients as Markdown, JSON and plots."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from model.reporting.plots import COLOURS, Line, Panel, band
from model.reporting.tables import mean_and_deviation, median_and_range, scientific, table
from model.studies.gradient_curves import ClippingCurve, FlowCurve, MatrixFlow
from model.studies.report import write_report

__all__ = ["GradientStudy"]

_DISTANCES = (1, 10, 50, 100)
_RATIO = "gradient at the state k steps back / at h now"
_BACK = "steps back, k"


@dataclass(frozen=True)
class GradientStudy:
    """How far back gradients reach.

    Attributes:
        text: the text that was read.
        steps, rows, seed: how far back, from how many random places, and their seed.
        units: of the networks in `scaled`, `starts` and `clipping`.
        flows: of every network and part.
        scaled: of a vanilla RNN, for each kind and spectral radius of its recurrent weights.
        starts: of new networks by how their weights were drawn.
        clipping: short training runs of it, each with every seed.
    """

    text: str
    steps: int
    rows: int
    seed: int
    units: int
    flows: tuple[FlowCurve, ...]
    scaled: tuple[MatrixFlow, ...]
    starts: tuple[FlowCurve, ...]
    clipping: tuple[ClippingCurve, ...]

    def as_markdown(self) -> str:
        """Return tables of the ratio at a few distances for every network, and of clipping."""
        blocks = [
            f"# How far back gradients reach on {self.text}",
            f"Norm of the gradient of a token's loss with respect to the state k steps earlier, "
            f"over that with respect to h at the last step: the median over {self.rows} places "
            "(10% to 90% of them). The last column is the factor per further step.",
            self._flow_table(self.flows),
        ]
        if self.scaled:
            blocks += [
                f"A vanilla RNN of {self.units} units, its recurrent weights orthogonal or "
                "ordinary (uniform within 1 / sqrt(units)), scaled. Gradients cannot explode where "
                "the largest singular value is below 1; the spectral radius says what many steps "
                "do:",
                self._matrix_table(),
            ]
        if self.starts:
            blocks += [
                f"New networks of {self.units} units by their initial weights. The direct path is "
                "the gradient along c alone, which only the forget gates multiply:",
                self._flow_table(self.starts),
            ]
        if self.clipping:
            blocks += [
                f"The same RNN after {max(len(run.norms) for run in self.clipping)} steps of plain "
                "gradient descent. Clipping bounds the step, and does nothing for a gradient that "
                f"has vanished. Over {len({run.seed for run in self.clipping})} seeds: of the loss "
                "the mean ± its standard deviation, otherwise the median (lowest to highest):",
                self._clipping_table(),
            ]
        return "\n\n".join(blocks) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return asdict(self)

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write `gradients.json`, `gradients.md`, `gradients.png` and, if trained, `clipping.png`.

        See `write_report`.
        """
        clipping = list(self._clipping_panels()) if self.clipping else []
        figures = {"gradients": list(self._flow_panels()), "clipping": clipping}
        return write_report(folder, "gradients", self.as_markdown(), self.as_dict(), figures)

    @property
    def _distances(self) -> tuple[int, ...]:
        return tuple(sorted({*(k for k in _DISTANCES if k < self.steps), self.steps}))

    def _flow_table(self, flows: Iterable[FlowCurve]) -> str:
        header = ["cell", "when", "part", *(f"k = {k}" for k in self._distances), "a step"]
        rows = [
            [flow.name, flow.when, flow.part]
            + [_with_band(flow, k) for k in self._distances]
            + ["-" if flow.factor is None else f"{flow.factor:.3f}"]
            for flow in flows
        ]
        return table(header, rows, text=3)

    def _matrix_table(self) -> str:
        header = ["weights", "spectral radius", "largest singular value", "smallest"]
        header += [*(f"k = {k}" for k in self._distances), "a step"]
        rows = [
            [one.kind, *(f"{number:.3g}" for number in (one.radius, one.largest, one.smallest))]
            + [_with_band(one.flow, k) for k in self._distances]
            + ["-" if one.flow.factor is None else f"{one.flow.factor:.3f}"]
            for one in self.scaled
        ]
        return table(header, rows)

    @property
    def _repeats(self) -> list[list[ClippingCurve]]:
        """Return the runs that differ in nothing but their seed, group by group."""
        groups: dict[tuple[float, float | None], list[ClippingCurve]] = {}
        for run in self.clipping:
            groups.setdefault((run.spectral_radius, run.clip), []).append(run)
        return list(groups.values())

    def _clipping_table(self) -> str:
        header = ["initial spectral radius", "gradient", "loss at the end"]
        header += ["median norm", "largest norm", "largest after clipping"]
        header += [f"k = {k}" for k in self._distances]
        rows = []
        for runs in self._repeats:
            diverged = sum(run.diverged for run in runs)
            norms = zip(*map(_norms, runs), strict=True)
            ratios = ([run.flow.median[k] for run in runs] for k in self._distances)
            rows.append(
                [
                    f"{runs[0].spectral_radius:g}",
                    runs[0].manner + (f", {diverged} of {len(runs)} diverged" if diverged else ""),
                    mean_and_deviation([run.last_loss for run in runs]),
                    *(median_and_range(values) for values in (*norms, *ratios)),
                ]
            )
        return table(header, rows, text=2)

    def _flow_panels(self) -> Iterator[Panel]:
        """Plot a panel for every `when`, and one for the scaled RNN."""
        for when in dict.fromkeys(flow.when for flow in self.flows):
            flows = [flow for flow in self.flows if flow.when == when]
            yield Panel(when, _BACK, _RATIO, [_line(flow) for flow in flows], log=True)
        if self.scaled:
            colours = list(COLOURS.values())
            lines = [
                _line(one.flow, label=one.flow.when, colour=colours[index % len(colours)])
                for index, one in enumerate(self.scaled)
            ]
            title = f"vanilla RNN, {self.units} units, recurrent weights scaled"
            yield Panel(title, _BACK, _RATIO, lines, log=True)
        if lstm := [flow for flow in self.starts if flow.name == "lstm"]:
            colours = list(COLOURS.values())
            lines = [
                _line(flow, label=f"{flow.when}, {flow.part}", colour=colours[index // 2 % 8])
                for index, flow in enumerate(lstm)
            ]
            title = f"LSTM, {self.units} units, by initial weights"
            yield Panel(title, _BACK, _RATIO, lines, log=True)

    def _clipping_panels(self) -> Iterator[Panel]:
        """Plot the norms by step for every start, and the flow of the gradient afterwards.

        A line is the median over seeds, its band goes from the lowest to the highest.
        """
        free, clipped = COLOURS["gru"], COLOURS["lstm"]
        radii = list(dict.fromkeys(run.spectral_radius for run in self.clipping))
        for radius in radii:
            lines = []
            for runs in self._repeats:
                if runs[0].spectral_radius == radius:
                    colour = free if runs[0].clip is None else clipped
                    norms = [run.norms for run in runs]
                    lines.append(band(runs[0].manner, norms, colour, start=1, width=1.0))
                    if runs[0].clip is not None:
                        label, applied = "after clipping", [run.applied for run in runs]
                        colour = COLOURS["mut1"]
                        lines.append(band(label, applied, colour, start=1, width=1.0))
            title = f"training from spectral radius {radius:g}"
            yield Panel(
                title, "training step", "norm of the gradient of all parameters", lines, log=True
            )
        lines = [
            band(
                f"from radius {runs[0].spectral_radius:g}, {runs[0].manner}",
                [run.flow.median for run in runs],
                free if runs[0].clip is None else clipped,
                style="--" if runs[0].spectral_radius == radii[0] else "-",
            )
            for runs in self._repeats
        ]
        yield Panel("after these training runs", _BACK, _RATIO, lines, log=True)


def _norms(run: ClippingCurve) -> tuple[float, ...]:
    if not run.norms:
        return (0.0, 0.0, 0.0)
    return median(run.norms), max(run.norms), max(run.applied)


def _with_band(flow: FlowCurve, k: int) -> str:
    low, high = scientific(flow.low[k]), scientific(flow.high[k])
    return f"{scientific(flow.median[k])} ({low} to {high})"


def _line(flow: FlowCurve, *, label: str = "", colour: str = "", style: str = "") -> Line:
    whole = flow.part == "state"
    label = label or (flow.name if whole else f"{flow.name}, {flow.part} alone")
    return Line(
        label if any(flow.median[1:]) else f"{label} (zero)",
        range(len(flow.median)),
        flow.median,
        colour or COLOURS.get(flow.name, COLOURS["other"]),
        style=style or {"state": "-", "h": "--", "c": ":", "direct": "--"}[flow.part],
        low=flow.low if whole else (),
        high=flow.high if whole else (),
    )
