"""The study of truncated backpropagation: how long a chunk must be to learn how long a memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from model.config import CellName
from model.reporting.plots import COLOURS, Line, Panel
from model.reporting.tables import mean_and_deviation, table
from model.studies.matching import check_cells
from model.studies.report import Part, ReportProgress, StudyReport, measure_parts
from model.studies.settings import PartSettings
from model.studies.truncation import learn_brackets, share_closed

__all__ = ["PARTS", "TruncationStudySettings", "study_truncation"]

PARTS = ("alone", "mixed")

Shares = dict[int, dict[int, list[float]]]  # by steps and distance, one of each seed


@dataclass(frozen=True)
class TruncationStudySettings(PartSettings):
    """What is measured; see `PartSettings`.

    Attributes:
        cell: of every network.
        steps: characters in a chunk, through which gradients go back; each is tried.
        distances: between brackets, each at least 2.
        updates: of each training.
    """

    PARTS = PARTS

    seeds: int = 3
    cell: str = "gru"
    steps: tuple[int, ...] = (4, 16, 64)
    distances: tuple[int, ...] = (5, 20, 50)
    updates: int = 150

    def __post_init__(self) -> None:
        super().__post_init__()
        check_cells((self.cell,))
        for name, least in (("steps", 1), ("distances", 2)):
            numbers = getattr(self, name)
            if not numbers or min(numbers) < least or len(set(numbers)) < len(numbers):
                raise ValueError(
                    f"{name} must be different numbers of at least {least}, got {numbers}"
                )

    @property
    def cell_name(self) -> CellName:
        """Return the cell, which has been checked."""
        (name,) = check_cells((self.cell,))
        return name


def study_truncation(
    settings: TruncationStudySettings, *, report_progress: ReportProgress = print
) -> StudyReport:
    """Train networks to close brackets with short and long chunks, see `model.studies.truncation`.

    Args:
        settings: see `TruncationStudySettings`.
        report_progress: called with a line about each part.
    """
    makers: Mapping[str, Callable[[TruncationStudySettings], Part]] = {
        "alone": _alone,
        "mixed": _mixed,
    }
    return measure_parts("truncation", makers, settings, report_progress)


def _alone(settings: TruncationStudySettings) -> Part:
    shares: Shares = {
        steps: {
            distance: [share for (share,) in _learn(settings, steps, [distance], tested=[distance])]
            for distance in settings.distances
        }
        for steps in settings.steps
    }
    return _part(
        settings,
        shares,
        "alone",
        "Brackets of one distance",
        "Each network is trained on brackets of one distance, and tested on others of the same",
    )


def _mixed(settings: TruncationStudySettings) -> Part:
    shares: Shares = {}
    for steps in settings.steps:
        found = _learn(settings, steps, settings.distances, tested=settings.distances)
        by_distance = zip(*found, strict=True)
        shares[steps] = {
            distance: list(of) for distance, of in zip(settings.distances, by_distance, strict=True)
        }
    return _part(
        settings,
        shares,
        "mixed",
        "Brackets of all distances",
        "Each network is trained on brackets of all these distances, and tested on each",
    )


def _learn(
    settings: TruncationStudySettings,
    steps: int,
    distances: Sequence[int],
    *,
    tested: Sequence[int],
) -> list[list[float]]:
    """Train with every seed; return a list of shares for each, one a distance that is tested."""
    found = []
    for seed in settings.all_seeds:
        network = learn_brackets(
            settings.cell_name, distances, steps=steps, updates=settings.updates, seed=seed
        )
        found.append([share_closed(network, one, seed=seed + 1_000_000) for one in tested])
    return found


def _part(
    settings: TruncationStudySettings, shares: Shares, name: str, title: str, how: str
) -> Part:
    rows = [
        [str(steps), *(mean_and_deviation(of, 2) for of in by_distance.values())]
        for steps, by_distance in shares.items()
    ]
    lines = [
        _line(f"chunks of {steps}", by_distance, colour)
        for (steps, by_distance), colour in zip(shares.items(), COLOURS.values(), strict=False)
    ]
    return Part(
        name,
        title,
        (
            f"{how}, after {settings.updates} updates ({settings.cell}, 32 units). Shown is the "
            "share of brackets that are closed rightly by the distance from the opening to the "
            f"closing one, the mean ± standard deviation over {settings.seeds} seeds; chance is "
            "0.50. The loss counts closing brackets alone. Gradients go back as many characters as "
            "a chunk has:",
            table(["chunk", *(f"distance {one}" for one in settings.distances)], rows, text=0),
        ),
        [
            {"steps": steps, "distance": distance, "right": of}
            for steps, by_distance in shares.items()
            for distance, of in by_distance.items()
        ],
        (Panel(title, "distance", "share closed rightly", lines, log_x=True, counts=False),),
    )


def _line(label: str, by_distance: Mapping[int, Sequence[float]], colour: str) -> Line:
    """Draw the mean over seeds, in a band from the lowest to the highest."""
    return Line(
        label,
        list(by_distance),
        [sum(of) / len(of) for of in by_distance.values()],
        colour,
        marker="o",
        low=[min(of) for of in by_distance.values()],
        high=[max(of) for of in by_distance.values()],
    )
