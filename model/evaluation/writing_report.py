"""Report what the texts of a language model are like, as JSON, as a table and for its card."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Self

from pydantic import TypeAdapter, ValidationError

from model.config import describe_fault
from model.evaluation.pairs import PAIRS, Balance
from model.files import read_text, write_text
from model.reporting.tables import table

__all__ = ["Judgement", "WritingReport"]

_COMMAND = "unrolled\xa0evaluate\xa0writing"  # stays on one line


@dataclass(frozen=True)
class Judgement:
    """What some texts are like.

    Attributes:
        source: who wrote them.
        temperature: at which they were drawn; None for a corpus.
        texts: how many there are.
        known_words: the share of their words that the training text has, in upper or lower case.
        distinct_words: of each text, the share of its words that are distinct; the mean.
        longest_blank: the longest run of white space, in characters.
        copied: the longest stretch of each text that stands in the training text, in characters.
        longest_copy: the longest of them all.
        pairs: what they open and close, by the names of `PAIRS`.
    """

    source: str
    temperature: float | None
    texts: int
    known_words: float
    distinct_words: float
    longest_blank: int
    copied: tuple[int, ...]
    longest_copy: str
    pairs: dict[str, Balance]

    @property
    def name(self) -> str:
        """Return the source, and its temperature."""
        return self.source if self.temperature is None else f"{self.source}, {self.temperature:g}"


@dataclass(frozen=True)
class WritingReport:
    """What a model's texts are like, with those of the corpus and of n-grams.

    Attributes:
        model, corpus: their names.
        characters: of each text.
        seed: of each source's first text; the next has the next seed.
        beginning: what texts follow, see `TextConfig`.
        judgements: of the corpus, the model and the n-grams, by temperature.
        absent: the kinds of pairs that the corpus hardly has, or not at all.
    """

    model: str
    corpus: str
    characters: int
    seed: int
    beginning: str
    judgements: tuple[Judgement, ...]
    absent: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote as JSON.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no such report.
        """
        try:
            report: Self = TypeAdapter(cls).validate_json(read_text(path))
            return report
        except ValidationError as error:
            raise ValueError(f"{path} is no report on writing: {describe_fault(error)}") from error

    def as_markdown(self) -> str:
        """Return a table of all texts that were judged."""
        texts = self.judgements[0].texts
        title = f"{self.model}: {texts} texts of {self.characters:,} characters each"
        return "\n\n".join([title, self._table(self.judgements), *self._not_judged()])

    def as_card(self) -> str:
        """Return what a model card says: n-grams at the highest temperature alone, and a legend."""
        highest = max(one.temperature or 0.0 for one in self.judgements)
        shown = [
            one
            for one in self.judgements
            if one.temperature in (None, highest) or one.source == self.model
        ]
        legend = (
            f"{self.judgements[0].texts} texts of {self.characters:,} characters at each "
            f"temperature, no prompt, from seed {self.seed} on, judged by `{_COMMAND}`. Beside "
            "them are as many stretches of the validation part, and what n-grams of the training "
            "part write, without smoothing. *Known* words stand in the training part; *copied* is "
            "the longest stretch of a text that stands there, in characters."
        )
        if len(self.absent) < len(PAIRS):
            legend += (
                " The last columns count pairs, and what is opened or closed without a partner: "
                "the share of pairs, and of how many. Where a text was cut, some stays open."
            )
        lines = fill(legend, 100).replace("\xa0", " ")
        return "\n\n".join([lines, self._table(shown), *self._not_judged()])

    def write(self, path: Path) -> None:
        """Write `path`.json and `path`.md."""
        judgements = [
            asdict(one)
            | {"name": one.name}
            | {
                "pairs": {
                    name: asdict(balance) | {"share": balance.share}
                    for name, balance in one.pairs.items()
                }
            }
            for one in self.judgements
        ]
        numbers = asdict(self) | {"judgements": judgements}
        write_text(path.with_name(f"{path.name}.json"), json.dumps(numbers, indent=1) + "\n")
        write_text(path.with_name(f"{path.name}.md"), self.as_markdown() + "\n")

    def _table(self, judgements: Sequence[Judgement]) -> str:
        shown = [name for name in PAIRS if name not in self.absent]
        header = ["text, temperature", "known words", "distinct words", "longest blank"]
        header += ["copied, median", "copied, longest", *(f"`{name}`" for name in shown)]
        return table(header, [self._cells(judgement, shown) for judgement in judgements])

    def _not_judged(self) -> list[str]:
        names = ", ".join(f"`{name}`" for name in self.absent)
        return [f"Not in this corpus, or hardly ever, so not judged: {names}."] if names else []

    @staticmethod
    def _cells(judgement: Judgement, shown: Sequence[str]) -> list[str]:
        balances = [judgement.pairs[name] for name in shown]
        return [
            judgement.name,
            f"{judgement.known_words:.3f}",
            f"{judgement.distinct_words:.3f}",
            f"{judgement.longest_blank:,}",
            f"{median(judgement.copied):,.0f}",
            f"{max(judgement.copied):,}",
            *(
                "none" if one.share is None else f"{one.share:.2f} of {one.total:,}"
                for one in balances
            ),
        ]
