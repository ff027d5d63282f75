"""The study of how a picture comes into a caption: once before the words, or again at each."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

from model.captioning.captioner import Captioner
from model.data.karpathy import CaptionDataset
from model.reporting.plots import COLOURS, Line, Panel
from model.reporting.tables import table
from model.studies.captioning import PictureGain, WalkStep, measure_gain, walk
from model.studies.report import Part, ReportProgress, StudyReport, measure_parts
from model.studies.settings import PartSettings
from model.vocabulary import END, START

__all__ = ["PARTS", "CaptioningStudySettings", "study_captioning"]

PARTS = ("walk", "gain")

_SHOWN_PLACES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15)


@dataclass(frozen=True)
class CaptioningStudySettings(PartSettings):
    """What is measured; see `PartSettings`. Nothing is random.

    Attributes:
        picture: whose captions are looked at, step by step.
        other: another picture, with which the same words are read.
        dataset: pictures with people's captions; without it there is no part `gain`.
        split: of the data set.
    """

    PARTS = PARTS

    picture: Path = Path("examples/chelsea.jpg")
    other: Path = Path("examples/coffee.jpg")
    dataset: CaptionDataset | None = None
    split: str = "val"

    def __post_init__(self) -> None:
        if self.dataset is None:
            if "gain" in self.parts:
                raise ValueError("the part gain needs a data set: --dataset and --pictures")
            object.__setattr__(self, "parts", self.parts or ("walk",))
        super().__post_init__()


def study_captioning(
    captioners: Sequence[Captioner],
    settings: CaptioningStudySettings,
    *,
    report_progress: ReportProgress = print,
) -> StudyReport:
    """Compare how captioners use the picture, see `model.studies.captioning`.

    Args:
        captioners: at least one, run by PyTorch; of different names, which tell them apart.
        settings: see `CaptioningStudySettings`.
        report_progress: called with a line about each part.

    Raises:
        ValueError: two have the same name, or as in `walk` and `measure_gain`.
        OSError: a picture cannot be read.
    """
    name, times = Counter(one.config.name for one in captioners).most_common(1)[0]
    if times > 1:
        raise ValueError(f"captioners need different names: {name} comes {times} times")
    by_name = {one.config.name: one for one in captioners}
    makers: Mapping[str, Callable[[CaptioningStudySettings], Part]] = {
        "walk": partial(_walk, by_name),
        "gain": partial(_gain, by_name),
    }
    return measure_parts("captioning", makers, settings, report_progress)


def _walk(captioners: Mapping[str, Captioner], settings: CaptioningStudySettings) -> Part:
    walks = {
        name: walk(captioner, settings.picture, settings.other)
        for name, captioner in captioners.items()
    }
    blocks = [
        f"`{settings.picture.name}`, the likeliest word at each step. The cell that says the words "
        "adds up what comes from the picture, from the word that it reads (or from the cell that "
        "decides where to look, which has read it) and from its own state; shown is the root mean "
        f"square of each part. p is the word's probability, and the last column what it would be "
        f"if the picture were `{settings.other.name}`.",
    ]
    for name, steps in walks.items():
        decoder = captioners[name].config.decoder
        blocks += [f"{name} ({decoder.kind}, {decoder.hidden_size} units):", _walk_table(steps)]
    return Part(
        "walk",
        "The picture's part in each step",
        tuple(blocks),
        {name: [asdict(step) for step in steps] for name, steps in walks.items()},
    )


def _walk_table(steps: Sequence[WalkStep]) -> str:
    names = list(dict.fromkeys(name for step in steps for name in step.terms))
    names.sort(key=("picture", "word", "looking", "state").index)
    rows = [
        [
            _shown(step.reads or "the picture"),
            *(f"{step.terms[name]:.2f}" if name in step.terms else "0" for name in names),
            _shown(step.says or ""),
            *("" if p is None else f"{p:.2f}" for p in (step.probability, step.elsewhere)),
        ]
        for step in steps
    ]
    return table(["reads", *names, "says", "p", "p, other picture"], rows)


def _shown(word: str) -> str:
    """Show a word; what stands in < > is not text in Markdown."""
    return f"`{word}`" if word in {START, END} else word


def _gain(captioners: Mapping[str, Captioner], settings: CaptioningStudySettings) -> Part:
    assert settings.dataset is not None  # noqa: S101 - else there is no such part
    gains = {
        name: measure_gain(captioner, settings.dataset, settings.split)
        for name, captioner in captioners.items()
    }
    pictures = next(iter(gains.values())).pictures
    longest = max(len(gain.by_place) for gain in gains.values())
    places = [place for place in _SHOWN_PLACES if place <= longest]
    rows = [
        [str(place), *(_mean(gain.by_place[place - 1]) for gain in gains.values())]
        for place in places
    ]
    rows.append(["all", *(_mean(_all_places(gain)) for gain in gains.values())])
    rows.append(["log-probability", *(f"{gain.logprob:.3f}" for gain in gains.values())])
    return Part(
        "gain",
        "What the picture is worth, word by word",
        (
            f"People's captions of {pictures:,} pictures of {settings.dataset.name}, split "
            f"{settings.split}: how many nats likelier a word is with its own picture than with "
            "another one of the split, by its place in the caption (mean ± standard error); and "
            "the mean log-probability of a word with its own.",
            table(["word", *gains], rows),
        ),
        {
            name: {
                "by_place": [mean(of) for of in gain.by_place],
                "all": mean(_all_places(gain)),
                "logprob": gain.logprob,
            }
            for name, gain in gains.items()
        },
        (
            Panel(
                "what the picture is worth",
                "word of the caption",
                "nats",
                [
                    _line(name, gain, colour)
                    for (name, gain), colour in zip(
                        gains.items(), cycle(COLOURS.values()), strict=False
                    )
                ],
            ),
        ),
    )


def _all_places(gain: PictureGain) -> list[float]:
    return [one for of in gain.by_place for one in of]


def _mean(numbers: Sequence[float]) -> str:
    if len(numbers) < 2:
        return f"{mean(numbers):.2f}"
    return f"{mean(numbers):.2f} ± {stdev(numbers) / sqrt(len(numbers)):.2f}"


def _line(label: str, gain: PictureGain, colour: str) -> Line:
    shown = gain.by_place[: _SHOWN_PLACES[-1]]
    return Line(label, range(1, len(shown) + 1), [mean(of) for of in shown], colour, marker="o")
