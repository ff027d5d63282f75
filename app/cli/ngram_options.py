"""The options by which `unrolled write` and `unrolled score` count n-grams instead of loading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal import exit_on
from model.text.ngram import MAX_ORDER, Smoothing
from model.text.normalization import with_known_characters
from model.vocabulary import Level, split

if TYPE_CHECKING:
    from model.text.language_model import LanguageModel

__all__ = [
    "Corpus",
    "LevelName",
    "NGramOptions",
    "NGramOrder",
    "SmoothingName",
    "check_known",
]

NGramOrder = Annotated[
    int | None,
    typer.Option(
        "--ngram",
        metavar="ORDER",
        help="Instead of a model, count the n-grams of --corpus: 1 to 20 tokens, so that each "
        "follows from up to ORDER - 1 before it.",
    ),
]
Corpus = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="With --ngram: a text file in UTF-8."),
]
SmoothingName = Annotated[
    Smoothing | None,
    typer.Option(
        help="With --ngram: none (the default) knows only what the corpus has; kneser-ney finds "
        "nothing impossible."
    ),
]
LevelName = Annotated[
    Level | None,
    typer.Option(
        help="With --ngram: count characters (the default) or words, which are lower case, between "
        "the start and the end of a line."
    ),
]


@dataclass(frozen=True)
class NGramOptions:
    """The options, None where they were left out."""

    order: int | None
    corpus: Path | None
    smoothing: Smoothing | None
    level: Level | None

    def count(self, **others: object) -> LanguageModel | None:
        """Return the n-gram model that is asked for; None if none is.

        Args:
            others: options that only go with a model, None where they were left out.

        Raises:
            BadParameter: an option is missing, or does not go with another.
            Exit: the corpus cannot be counted; the message says why.
        """
        if self.order is None:
            for name, value in vars(self).items():
                if value is not None:
                    raise typer.BadParameter(f"--{name} needs --ngram, the order of the n-grams")
            return None
        if self.corpus is None:
            raise typer.BadParameter("--ngram needs --corpus, the text file to count")
        for name, value in others.items():
            if value is not None:
                raise typer.BadParameter(f"--ngram cannot be combined with {name}")

        if not 1 <= self.order <= MAX_ORDER:
            raise typer.BadParameter(f"--ngram must be 1 to {MAX_ORDER}, not {self.order}")
        from model.text.ngram_model import count  # noqa: PLC0415

        with exit_on(ValueError, OSError):
            return count(
                self.corpus,
                self.order,
                level=self.level or "character",
                smoothing=self.smoothing or "none",
            )


def check_known(language_model: LanguageModel, prompt: str) -> None:
    """Check that the counted text has every character or word of a prompt.

    Raises:
        ValueError: it lacks one.
    """
    level, vocabulary = language_model.config.level, language_model.vocabulary
    if level == "character":
        prompt = with_known_characters(prompt, vocabulary)
    for token in split(prompt, level):
        if token not in vocabulary:
            raise ValueError(
                f"--prompt: the corpus has no {level} {token!r}, so nothing is known of what "
                "follows it"
            )
