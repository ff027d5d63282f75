"""The study of batch normalization: its parts, their tables and their figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from model.reporting.plots import Line, Panel, band
from model.reporting.tables import mean_and_deviation, scientific, table
from model.studies.dense import ACTIVATION_COLOURS, INITIALISATIONS, suitable
from model.studies.digits import Learning, digits, learn, scaled
from model.studies.normalization import (
    Place,
    accuracy_in_batches,
    averages_against_one_pass,
    differences_from_pytorch,
    identity_error,
    network_with,
)
from model.studies.report import Part, ReportProgress, StudyReport, measure_parts
from model.studies.settings import PartSettings, check_rates

__all__ = ["PARTS", "NormalizationStudySettings", "study_normalization"]

PARTS = ("equations", "modes", "averages", "forgiveness", "place")
_RATE = 0.3
_BATCHES = (2, 5, 10, 50, 500)
_MOMENTA = (0.01, 0.1)
_COLOURS = tuple(ACTIVATION_COLOURS.values())
_NETWORK = "five hidden layers of 50 units, batches of 50 digits, plain gradient descent"


@dataclass(frozen=True)
class NormalizationStudySettings(PartSettings):
    """What is measured; see `PartSettings`.

    Attributes:
        epochs: of each training.
        rates: learning rates of `forgiveness`, in rising order.
    """

    PARTS = PARTS

    epochs: int = 5
    rates: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rates(self.rates)


def study_normalization(
    settings: NormalizationStudySettings, *, report_progress: ReportProgress = print
) -> StudyReport:
    """Measure batch normalization, see `model.studies.normalization`.

    Args:
        settings: see `NormalizationStudySettings`.
        report_progress: called with a line about each part.
    """
    makers: Mapping[str, Callable[[NormalizationStudySettings], Part]] = {
        "equations": _equations,
        "modes": _modes,
        "averages": _averages,
        "forgiveness": _forgiveness,
        "place": _place,
    }
    return measure_parts("normalization", makers, settings, report_progress)


def _equations(settings: NormalizationStudySettings) -> Part:
    found = {
        str(dtype).removeprefix("torch."): [
            differences_from_pytorch(seed, dtype) for seed in settings.all_seeds
        ]
        for dtype in (torch.float64, torch.float32)
    }
    worst = {
        dtype: {what: max(run[what] for run in runs) for what in runs[0]}
        for dtype, runs in found.items()
    }
    identity = max(identity_error(seed) for seed in settings.all_seeds)
    header = ["precision", *worst["float64"]]
    rows = [
        [dtype, *("below 1e-6" if one < 1e-6 else scientific(one) for one in differences.values())]
        for dtype, differences in worst.items()
    ]
    shown = "below 1e-6" if identity < 1e-6 else scientific(identity)
    return Part(
        "equations",
        "The four equations against PyTorch",
        (
            "The largest difference between the equations as they are written and "
            "`torch.nn.BatchNorm1d`, as a share of the largest value; backward by the chain rule "
            f"written out, and by autograd. Over {settings.seeds} seeds:",
            table(header, rows),
            "With gamma = sqrt(var + epsilon) and beta = mean the layer is the identity: the "
            f"largest |y - x| is {shown}.",
        ),
        {"largest differences": worst, "identity": identity},
    )


def _modes(settings: NormalizationStudySettings) -> Part:
    data = scaled(digits())
    by_batch: dict[int, list[tuple[float, float]]] = {batch: [] for batch in _BATCHES}
    tested = []
    for seed in settings.all_seeds:
        network = network_with("before", "ReLU", "He", seed=seed)
        tested.append(learn(network, data, rate=_RATE, epochs=settings.epochs, seed=seed).test)
        for batch in _BATCHES:
            by_batch[batch].append(accuracy_in_batches(network, data, batch, seed=seed))
    rows = [
        [f"training, batches of {batch}"]
        + [mean_and_deviation([run[i] for run in runs], 2) for i in (0, 1)]
        for batch, runs in by_batch.items()
    ]
    rows.append(["test, running averages", mean_and_deviation(tested, 2), "0.00"])
    curves = [[by_batch[b][i][0] for b in _BATCHES] for i in range(settings.seeds)]
    lines = [
        replace(band("training mode", curves, _COLOURS[1]), x=_BATCHES, marker="o"),
        replace(
            band("test mode", [[one] * len(_BATCHES) for one in tested], _COLOURS[2], style="--"),
            x=_BATCHES,
        ),
    ]
    return Part(
        "modes",
        "Training mode against test mode",
        (
            f"A trained network ({_NETWORK}; {settings.epochs} epochs at {_RATE:g}) classifies the "
            "500 digits of the test part. In training mode a picture's answer depends on its "
            "neighbours in the batch: `changed` is the share that is classified otherwise among "
            f"others. Mean ± standard deviation over {settings.seeds} seeds:",
            table(["mode", "right", "changed"], rows),
        ),
        {"training": {str(b): runs for b, runs in by_batch.items()}, "test": tested},
        (
            Panel(
                "training and test mode",
                "pictures in a batch",
                "right",
                lines,
                counts=False,
                log_x=True,
            ),
        ),
    )


def _averages(settings: NormalizationStudySettings) -> Part:
    data = scaled(digits())
    stops = sorted({1, 2, settings.epochs})
    rows, kept, lines = [], [], []
    for momentum, colour in zip(_MOMENTA, _COLOURS[1:], strict=False):
        runs_by_stop = []
        for epochs in stops:
            runs = []
            for seed in settings.all_seeds:
                network = network_with("before", "ReLU", "He", seed=seed, momentum=momentum)
                learn(network, data, rate=_RATE, epochs=epochs, seed=seed)
                runs.append(averages_against_one_pass(network, data))
            kept.append({"momentum": momentum, "epochs": epochs, "runs": runs})
            runs_by_stop.append(runs)
            rows.append(
                [f"{momentum:g}", str(epochs)]
                + [
                    mean_and_deviation([run[name] for run in runs], 2)
                    for name in ("running", "one_pass", "distance")
                ]
            )
        curves = [[runs[i]["running"] for runs in runs_by_stop] for i in range(settings.seeds)]
        lines.append(replace(band(f"momentum {momentum:g}", curves, colour), x=stops, marker="o"))
    header = ["momentum", "epochs", "right: running averages", "right: one pass", "apart"]
    return Part(
        "averages",
        "Running averages against one pass over the data",
        (
            "The same network. `apart` is the mean distance of the two means, in standard "
            "deviations of the unit. The momentum is PyTorch's: the weight of each new batch. "
            f"Mean ± standard deviation over {settings.seeds} seeds:",
            table(header, rows, text=0),
        ),
        kept,
        (Panel("test mode, running averages", "epochs trained", "right", lines),),
    )


def _forgiveness(settings: NormalizationStudySettings) -> Part:
    data = scaled(digits())
    rows, kept = [], []
    lines: dict[Place, list[Line]] = {"none": [], "before": []}
    for start, colour in zip(INITIALISATIONS, _COLOURS, strict=False):
        for place, of_place in lines.items():
            by_rate = [
                [
                    learn(
                        network_with(place, "ReLU", start, seed=seed),
                        data,
                        rate=rate,
                        epochs=settings.epochs,
                        seed=seed,
                    )
                    for seed in settings.all_seeds
                ]
                for rate in settings.rates
            ]
            rows.append(
                [start, "without" if place == "none" else "with"]
                + [mean_and_deviation([run.test for run in runs], 2) for runs in by_rate]
            )
            kept.append(
                {
                    "weights": start,
                    "normalised": place != "none",
                    "runs": [[asdict(run) for run in runs] for runs in by_rate],
                }
            )
            curves = [[runs[i].test for runs in by_rate] for i in range(settings.seeds)]
            line = replace(band(start, curves, colour), x=settings.rates, marker="o")
            of_place.append(line)
    header = ["weights", "batch norm", *(f"rate {rate:g}" for rate in settings.rates)]
    return Part(
        "forgiveness",
        "Learning rates and initial weights",
        (
            f"Right on the test part after {settings.epochs} epochs ({_NETWORK}, ReLU). Mean ± "
            f"standard deviation over {settings.seeds} seeds; chance is 0.10:",
            table(header, rows, text=2),
        ),
        kept,
        tuple(
            Panel(title, "learning rate", "right", lines[place], counts=False, log_x=True)
            for title, place in _TITLES
        ),
    )


_TITLES: tuple[tuple[str, Place], ...] = (
    ("without batch normalization", "none"),
    ("with batch normalization", "before"),
)


def _place(settings: NormalizationStudySettings) -> Part:
    data = scaled(digits())
    rows, kept, panels = [], [], []
    for name in ("ReLU", "tanh", "sigmoid"):
        lines = []
        for place, colour in zip(_PLACES, _COLOURS, strict=False):
            runs: list[Learning] = [
                learn(
                    network_with(place, name, suitable(name), seed=seed),
                    data,
                    rate=_RATE,
                    epochs=settings.epochs,
                    seed=seed,
                )
                for seed in settings.all_seeds
            ]
            finished = [run.last_loss for run in runs if len(run.losses) == settings.epochs]
            rows.append(
                [
                    name,
                    place,
                    mean_and_deviation(finished) if finished else "not finite",
                    mean_and_deviation([run.test for run in runs]),
                ]
            )
            kept.append({"function": name, "place": place, "runs": [asdict(run) for run in runs]})
            curves = [run.losses for run in runs if run.losses]
            lines += [band(place, curves, colour, start=1)] if curves else []
        panels.append(Panel(name, "epoch", "training loss (nats)", lines, log=True))
    return Part(
        "place",
        "Before or after the nonlinearity",
        (
            f"The same network at a learning rate of {_RATE:g}, after {settings.epochs} epochs. "
            f"Mean ± standard deviation over {settings.seeds} seeds:",
            table(
                ["function", "batch norm", "training loss", "right on the test part"], rows, text=2
            ),
        ),
        kept,
        tuple(panels),
    )


_PLACES: Sequence[Place] = ("none", "before", "after")
