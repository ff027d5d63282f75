"""The study of preprocessing: shown on photographs, and measured in training on the digits."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor

from model.pictures.decode import read_picture
from model.pictures.formats import SUFFIXES
from model.reporting.grids import PictureRow
from model.reporting.plots import Line, Panel, band
from model.reporting.tables import mean_and_deviation, scientific, table
from model.studies.dense import ACTIVATION_COLOURS, dense, seeded
from model.studies.digits import CLASSES, Digits, digits, learn
from model.studies.preprocess import METHODS, Preprocessor, fit, spread
from model.studies.report import Part, ReportProgress, StudyReport, measure_parts
from model.studies.settings import PartSettings, check_least, check_rates

__all__ = ["PARTS", "PreprocessingStudySettings", "crops", "study_preprocessing"]

PARTS = ("photographs", "pixels", "training")
_SIZE = 16  # of a crop
_SHOWN = 8
_KEEP = 0.99  # of the variance
_COLOURS = tuple(ACTIVATION_COLOURS.values())


@dataclass(frozen=True)
class PreprocessingStudySettings(PartSettings):
    """What is measured; see `PartSettings`.

    Attributes:
        photographs: a folder of them; crops are cut from each.
        crops: how many in all.
        epochs: of each training.
        rates: learning rates, of which each method gets its best.
    """

    PARTS = PARTS

    photographs: Path = field(kw_only=True)
    crops: int = 4_000
    epochs: int = 5
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, _SHOWN, "crops")
        check_rates(self.rates)


def study_preprocessing(
    settings: PreprocessingStudySettings, *, report_progress: ReportProgress = print
) -> StudyReport:
    """Compare ways to preprocess pictures, see `model.studies.preprocess`.

    Args:
        settings: see `PreprocessingStudySettings`.
        report_progress: called with a line about each part.

    Raises:
        ValueError: the folder holds no photograph that is large enough.
        OSError: a photograph cannot be read.
    """
    makers: Mapping[str, Callable[[PreprocessingStudySettings], Part]] = {
        "photographs": _photographs,
        "pixels": _pixels,
        "training": _training,
    }
    return measure_parts("preprocessing", makers, settings, report_progress)


def crops(folder: Path, count: int, *, size: int = _SIZE, seed: int = 1) -> Tensor:
    """Cut crops at random out of a folder's photographs, as many from each, 0 to 255.

    Returns:
        (count, size * size * 3), double.

    Raises:
        ValueError: the folder holds no photograph that is large enough.
        OSError: a photograph cannot be read.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    pictures = [np.asarray(read_picture(path)) for path in paths]
    pictures = [picture for picture in pictures if min(picture.shape[:2]) >= size]
    if not pictures:
        raise ValueError(f"{folder} holds no photograph of at least {size} x {size} pixels")
    chance = np.random.default_rng(seed)
    cut = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        top, left = (int(chance.integers(side - size + 1)) for side in picture.shape[:2])
        cut.append(picture[top : top + size, left : left + size].reshape(-1))
    return torch.tensor(np.stack(cut), dtype=torch.double)


def _fit(method: str, x: Tensor, channels: int) -> Preprocessor:
    keep = _KEEP if method in ("PCA", "whitened") else 1.0
    return fit(method, x, channels=channels, keep=keep)


def _photographs(settings: PreprocessingStudySettings) -> Part:
    x = crops(settings.photographs, settings.crops, seed=settings.seed)
    rows, data, shown = [], {}, []
    for method in METHODS:
        fitted = _fit(method, x, 3)
        found = spread(fitted(x))
        low, high = map(scientific, found.deviations)
        rows.append(
            [
                method,
                str(fitted.matrix.shape[1]),
                scientific(found.mean) if found.mean > 1e-9 else "0",
                f"{low} to {high}",
                f"{found.correlation:.3f}",
                scientific(found.condition),
            ]
        )
        data[method] = asdict(found)
        seen = _pictures(fitted.to_look_at(x[:_SHOWN]))
        raw = method == "raw"
        shown.append(PictureRow(method, seen / 255 if raw else seen, stretch=not raw))
    by_channel = x.view(-1, 3).mean(dim=0).repeat(_SIZE * _SIZE)[None]
    means = torch.cat([x.mean(dim=0)[None], by_channel])
    first = _fit("PCA", x, 3).back[:_SHOWN]
    shown += [
        PictureRow("mean picture, mean by channel", _pictures(means / 255), stretch=False),
        PictureRow("first principal components", _pictures(first)),
    ]
    header = ["pictures", "values", "largest mean", "deviations", "correlation", "condition"]
    return Part(
        "photographs",
        "Photographs, preprocessed",
        (
            f"{settings.crops:,} crops of {_SIZE} x {_SIZE} pixels, 0 to 255; PCA and whitening "
            f"keep {_KEEP:.0%} of the variance. The correlation is the mean of those of all pairs "
            "of values, without signs; the condition is the largest over the smallest eigenvalue "
            "of X'X.",
            table(header, rows),
        ),
        data,
        pictures=tuple(shown),
    )


def _pictures(x: Tensor) -> np.ndarray:
    return x.reshape(-1, _SIZE, _SIZE, 3).numpy()


def _pixels(settings: PreprocessingStudySettings) -> Part:
    """Show two neighbouring pixels as a cloud of points, as the slide does."""
    x = crops(settings.photographs, settings.crops, size=2, seed=settings.seed)[:, [0, 3]]
    panels, rows, data = [], [], {}
    for number, method in enumerate(METHODS):
        if method == "centred, mean by channel":  # of one channel at two places: the same
            continue
        done = fit(method, x)(x)
        covariance = torch.cov(done.T, correction=0)
        centre, deviations = done.mean(dim=0).tolist(), covariance.diagonal().sqrt().tolist()
        correlation = float(torch.corrcoef(done.T)[0, 1])
        numbers = [*centre, *deviations, correlation]
        rows.append([method, *(f"{one + 0.0:.2f}".replace("-0.00", "0.00") for one in numbers)])
        data[method] = {"mean": centre, "deviations": deviations, "correlation": correlation}
        points = done[:1000].T.tolist()
        line = Line("", points[0], points[1], _COLOURS[number], style="", marker=".")
        panels.append(Panel(method, "first value", "second value", [line], counts=False))
    header = ["pixels", "mean 1", "mean 2", "deviation 1", "deviation 2", "correlation"]
    return Part(
        "pixels",
        "Two neighbouring pixels",
        (
            f"The red of two neighbouring pixels of the photographs, at {settings.crops:,} places:",
            table(header, rows),
        ),
        data,
        tuple(panels),
    )


def _training(settings: PreprocessingStudySettings) -> Part:
    seeds = range(settings.seed, settings.seed + settings.seeds)
    rows, by_rates, data, lines = [], [], {}, []
    for method, colour in zip(METHODS, _COLOURS, strict=False):
        prepared = _prepared(method)
        runs = {
            rate: [
                learn(
                    _network(prepared, seed), prepared, rate=rate, epochs=settings.epochs, seed=seed
                )
                for seed in seeds
            ]
            for rate in settings.rates
        }
        best = max(runs, key=lambda rate: mean(run.validation for run in runs[rate]))
        losses = [run.last_loss for run in runs[best]]
        tests = [run.test for run in runs[best]]
        rows.append([method, f"{best:g}", mean_and_deviation(losses), mean_and_deviation(tests)])
        right = [mean_and_deviation([run.test for run in one], 2) for one in runs.values()]
        by_rates.append([method, *right])
        data[method] = {str(rate): [asdict(run) for run in one] for rate, one in runs.items()}
        curves = [[one[i].test for one in runs.values()] for i in range(len(seeds))]
        lines.append(replace(band(method, curves, colour), x=settings.rates, marker="o"))
    return Part(
        "training",
        "Preprocessing in training",
        (
            "The digits, 0 to 16, one hidden layer of 50 ReLU units with He's initial weights, "
            f"{settings.epochs} epochs of plain gradient descent in batches of 50; one channel, so "
            "that its mean is one number. Each method has its best learning rate by the "
            f"validation part. Mean ± standard deviation over {settings.seeds} seeds:",
            table(["digits", "learning rate", "training loss", "right on the test part"], rows),
            "Right on the test part at each learning rate:",
            table(["digits", *(f"{rate:g}" for rate in settings.rates)], by_rates),
        ),
        data,
        (Panel("preprocessing", "learning rate", "right", lines, counts=False, log_x=True),),
    )


def _network(data: Digits, seed: int) -> torch.nn.Sequential:
    return seeded(seed, lambda: dense([data.train.shape[1], 50, CLASSES], "ReLU", "He"))


def _prepared(method: str) -> Digits:
    """Preprocess the digits by what their training part says."""
    data = digits()
    fitted = _fit(method, data.train, 1)
    return replace(
        data,
        train=fitted(data.train),
        validation=fitted(data.validation),
        test=fitted(data.test),
    )
