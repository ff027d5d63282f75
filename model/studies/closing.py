"""How surely brackets are closed, by how long ago they were opened: a network against n-grams.

An n-gram sees only the last order - 1 characters, so whether it closes a bracket that was opened
before them is a guess. Goldberg, "The unreasonable effectiveness of character-level language
models (and why RNNs are still cool)", 2015, finds n-grams as good at style, and this the difference
that matters; Karpathy, Johnson and Fei-Fei, "Visualizing and understanding recurrent networks",
2015, section 4.2, measure it on closing braces.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.data.corpus import Corpus
from model.reporting.tables import table
from model.studies.report import write_report
from model.text.language_model import LanguageModel
from model.text.ngram import MAX_ORDER, NGram, Smoothing

__all__ = ["DISTANCES", "Closing", "ClosingStudy", "find_closings", "study_closing"]

DISTANCES = (1, 10, 50, 200)  # where the ranges of distances begin

_OPENERS = {")": "(", "]": "[", "}": "{"}


class Closing(NamedTuple):
    """A place of a text that closes a bracket, and how many characters before it was opened."""

    place: int
    distance: int


def find_closings(text: str) -> list[Closing]:
    """Find where brackets are closed: ( ), [ ] and { }, nested or not.

    A closing bracket that does not fit the last one open is none, and what was open is forgotten.
    """
    found: list[Closing] = []
    opened: list[int] = []
    for place, character in enumerate(text):
        if character in _OPENERS.values():
            opened.append(place)
        elif character in _OPENERS:
            if opened and text[opened[-1]] == _OPENERS[character]:
                found.append(Closing(place, place - opened.pop()))
            else:
                opened.clear()
    return found


@dataclass(frozen=True)
class Measured:
    """What one model gives the right bracket, in each range of distances.

    Attributes:
        name: of the model.
        probabilities: the mean; None where the range has no place.
        nats: the mean negative natural log-probability; infinite if one place is impossible.
    """

    name: str
    probabilities: tuple[float | None, ...]
    nats: tuple[float | None, ...]


@dataclass(frozen=True)
class ClosingStudy:
    """How surely models close brackets.

    Attributes:
        corpus: whose validation part was read.
        places: how many brackets each range of distances has, see `DISTANCES`.
        models: the network first.
    """

    corpus: str
    places: tuple[int, ...]
    models: tuple[Measured, ...]

    def as_markdown(self) -> str:
        """Return a table of probabilities and one of nats, a row a range of distances."""
        header = ["characters since it was opened", "places", *(one.name for one in self.models)]
        ends = [f"{nearest} to {further - 1}" for nearest, further in _ranges()[:-1]]
        tables = [
            table(header, [
                [label, f"{count:,}", *(_shown(row[i]) for row in rows)]
                for i, (label, count) in enumerate(
                    zip([*ends, f"{DISTANCES[-1]} or more"], self.places, strict=True)
                )
            ])
            for rows in (
                [one.probabilities for one in self.models],
                [one.nats for one in self.models],
            )
        ]  # fmt: skip
        return (
            f"# How surely brackets are closed on {self.corpus}\n\n"
            f"The mean probability of the right bracket where one is closed:\n\n{tables[0]}\n\n"
            f"The same in nats, -log of the probability:\n\n{tables[1]}\n"
        )

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write `closing.json` and `closing.md`, see `write_report`."""
        numbers = asdict(self) | {"distances": DISTANCES}
        for one in numbers["models"]:  # JSON has no infinity
            one["nats"] = [None if n is None or math.isinf(n) else n for n in one["nats"]]
        return write_report(folder, "closing", self.as_markdown(), numbers, {})


def study_closing(
    language_model: LanguageModel,
    corpus: Corpus,
    *,
    name: str,
    orders: Sequence[int] = (5, 10, 20),
    smoothing: Smoothing = "kneser-ney",
) -> ClosingStudy:
    """Measure a language model and n-grams on a corpus's validation part.

    Args:
        language_model: of characters; its vocabulary must be the corpus's.
        corpus: read as the model's training read it. N-grams are counted on its training part.
        name: of the corpus.
        orders: of the n-grams.
        smoothing: of the n-grams, see `model.text.ngram`.

    Raises:
        ValueError: the model does not read characters in one text, an order is out of range, or
            no bracket is closed.
    """
    if language_model.config.level != "character" or language_model.config.ends:
        raise ValueError(
            f"{language_model.config.name} reads words or lines: the study needs a language model "
            "that reads a whole text by characters"
        )
    if not orders or not all(1 <= order <= MAX_ORDER for order in orders):
        raise ValueError(f"orders must be one or more of 1 to {MAX_ORDER}, not {list(orders)}")
    closings = find_closings(corpus.validation_text)
    if not closings:
        raise ValueError(f"the validation part of {name} closes no bracket: give a longer text")
    places, distances = np.array(closings).T
    ranges = np.searchsorted(DISTANCES, distances, side="right") - 1
    ids = corpus.validation.numpy()
    scores = {language_model.config.name: language_model.logprobs(ids.tolist())[places]}
    size = len(corpus.vocabulary)
    ngram = NGram.train(corpus.train.numpy(), size, max(orders), smoothing=smoothing)
    for order, logprobs in enumerate(ngram.scores(ids), start=1):
        if order in orders:
            scores[f"{order}-gram"] = logprobs[places]
    return ClosingStudy(
        name,
        tuple(np.bincount(ranges, minlength=len(DISTANCES)).tolist()),
        tuple(_measure(model, logprobs, ranges) for model, logprobs in scores.items()),
    )


def _measure(name: str, logprobs: NDArray[np.floating], ranges: NDArray[np.integer]) -> Measured:
    wide = logprobs.astype(np.float64)
    each = [wide[ranges == i] for i in range(len(DISTANCES))]
    return Measured(
        name,
        tuple(float(np.exp(part).mean()) if len(part) else None for part in each),
        tuple(float(-part.mean()) if len(part) else None for part in each),
    )


def _ranges() -> list[tuple[int, float]]:
    return list(zip(DISTANCES, [*DISTANCES[1:], math.inf], strict=True))


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
