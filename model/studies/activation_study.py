"""The study of activation functions: its parts, their tables and their figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from model.reporting.plots import Line, Panel, band
from model.reporting.tables import mean_and_deviation, median_and_range, scientific, table
from model.studies.activation_learning import convergence, dead_units
from model.studies.activations import (
    Depth,
    descend,
    one_sign_share,
    saturation_by_depth,
    values_and_gradients,
)
from model.studies.dense import ACTIVATION_COLOURS, ACTIVATIONS, INITIALISATIONS, suitable
from model.studies.digits import digits, scaled
from model.studies.report import Part, ReportProgress, StudyReport, measure_parts
from model.studies.settings import PartSettings, check_rates

__all__ = ["PARTS", "ActivationStudySettings", "study_activations"]

PARTS = ("values", "saturation", "zigzag", "dead", "convergence")


@dataclass(frozen=True)
class ActivationStudySettings(PartSettings):
    """What is measured; see `PartSettings`.

    Attributes:
        epochs: of each training.
        rates: learning rates of `convergence`, of which each function gets its best.
        dead_rates: learning rates of `dead`.
    """

    PARTS = PARTS

    epochs: int = 15
    rates: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
    dead_rates: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rates(self.rates)
        check_rates(self.dead_rates)


def study_activations(
    settings: ActivationStudySettings, *, report_progress: ReportProgress = print
) -> StudyReport:
    """Measure activation functions, see `model.studies.activations`.

    Args:
        settings: see `ActivationStudySettings`.
        report_progress: called with a line about each part.
    """
    makers: Mapping[str, Callable[[ActivationStudySettings], Part]] = {
        "values": lambda _: _values(),
        "saturation": _saturation,
        "zigzag": _zigzag,
        "dead": lambda s: dead_units(s.all_seeds, s.dead_rates, s.epochs),
        "convergence": lambda s: convergence(s.all_seeds, s.rates, s.epochs),
    }
    return measure_parts("activations", makers, settings, report_progress)


def _values() -> Part:
    at = (-10.0, 0.0, 10.0)
    rows, data = [], {}
    wide = [x / 20 for x in range(-100, 101)]
    values, gradients = [], []
    for name in ACTIVATIONS:
        y, slope = values_and_gradients(name, at)
        curve, slopes = values_and_gradients(name, wide)
        rows.append([name, *map(scientific, [*y, *slope, max(map(abs, slopes))])])
        data[name] = {"at": at, "values": y, "gradients": slope}
        values.append(Line(name, wide, curve, ACTIVATION_COLOURS[name]))
        gradients.append(Line(name, wide, slopes, ACTIVATION_COLOURS[name]))
    header = ["function", "f(-10)", "f(0)", "f(10)", "f'(-10)", "f'(0)", "f'(10)", "largest slope"]
    return Part(
        "values",
        "Values and gradients",
        (
            table(header, rows),
            "Maxout learns its shape: here the larger of x and -x. At a corner there is no "
            "derivative, and PyTorch takes the one shown.",
        ),
        data,
        (
            Panel("activation functions", "x", "f(x)", values),
            Panel("their gradients", "x", "f'(x)", gradients),
        ),
    )


def _saturation(settings: ActivationStudySettings) -> Part:
    shown = [(name, start) for name in ("sigmoid", "tanh", "ReLU") for start in INITIALISATIONS]
    shown += [(name, suitable(name)) for name in ACTIVATIONS[3:]]
    rows, data, deviations, gradients = [], [], [], []
    for name, start in shown:
        found = [saturation_by_depth(name, start, seed=seed) for seed in settings.all_seeds]
        rows.append([name, start, *_depth_cells(found)])
        data.append({"function": name, "weights": start, "runs": [asdict(one) for one in found]})
        if start == suitable(name):
            label, colour = f"{name}, {start}", ACTIVATION_COLOURS[name]
            deviations.append(band(label, [one.deviations for one in found], colour, start=1))
            gradients.append(band(label, [one.gradients for one in found], colour, start=1))
    header = ["function", "weights", "layer 1", "layer 5", "layer 10", "saturated"]
    return Part(
        "saturation",
        "Saturation by depth",
        (
            "Ten layers of 100 units read normally distributed inputs. Shown are the standard "
            "deviation of the activations by layer, the share of the last layer that is saturated "
            "(its slope is below 1/200 of the largest), and the gradient's norm at layer 1 over "
            f"that at layer 10: the median over {settings.seeds} seeds (lowest to highest).",
            table([*header, "gradient, layer 1 / 10"], rows, text=2),
        ),
        data,
        (
            Panel("activations", "layer", "standard deviation", deviations, log=True),
            Panel("gradients", "layer", "norm / that at layer 10", gradients, log=True),
        ),
    )


def _depth_cells(found: Sequence[Depth]) -> list[str]:
    cells = [median_and_range([one.deviations[i] for one in found]) for i in (0, 4, 9)]
    cells.append(mean_and_deviation([one.saturated for one in found], 2))
    return [*cells, median_and_range([one.gradients[0] for one in found])]


def _zigzag(settings: ActivationStudySettings) -> Part:
    rows, data, lines = [], [], []
    for centred, label, colour in (
        (False, "0 to 1, all positive", "#D55E00"),
        (True, "the same, centred", "#0072B2"),
    ):
        runs = [descend(centred=centred, seed=seed) for seed in settings.all_seeds]
        data.append({"centred": centred, "runs": [asdict(run) for run in runs]})
        arrived = [run for run in runs if run.steps is not None and run.detour is not None]
        rows.append(
            [
                label,
                mean_and_deviation([run.one_sign for run in runs], 2),
                mean_and_deviation([float(run.steps or 0) for run in arrived], 1),
                mean_and_deviation([run.detour or 0.0 for run in arrived], 2),
            ]
        )
        path = runs[0].path
        lines.append(
            Line(label, [x for x, _ in path], [y for _, y in path], colour, marker="o", width=0.8)
        )
    learned, shares = scaled(digits()), []
    for name in ("sigmoid", "ReLU", "tanh"):
        one, many = (
            [one_sign_share(name, learned, batch=batch, seed=seed) for seed in settings.all_seeds]
            for batch in (1, 50)
        )
        shares.append([name, mean_and_deviation(one, 2), mean_and_deviation(many, 2)])
        data.append({"function": name, "one": one, "batch": many})
    return Part(
        "zigzag",
        "The zigzag of all-positive inputs",
        (
            "A linear neuron learns w = (1, -1) from one example at a time. If every input is "
            "positive, its weights move up together or down together, so that it cannot go "
            f"straight. Mean ± standard deviation over {settings.seeds} seeds:",
            table(["inputs", "steps of one sign", "steps", "path / straight way"], rows),
            "The digits, read through a hidden layer of 50 units: the share of output neurons all "
            "of whose weights get a gradient of one sign. A batch adds up gradients of both "
            "signs.",
            table(["hidden units", "one example", "batch of 50"], shares),
        ),
        data,
        (Panel("the way to w = (1, -1)", "first weight", "second weight", lines, counts=False),),
    )
