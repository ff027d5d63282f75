"""Measure a language model's perplexity on held-out text, and compare it with n-gram models."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from model.data.corpus import Corpus
from model.files import write_text
from model.reporting.tables import table
from model.text.language_model import LanguageModel
from model.text.ngram import NGram

__all__ = ["TextReport", "evaluate_text", "read_corpus"]


@dataclass(frozen=True)
class TextReport:
    """The cross-entropy of the validation part of a corpus.

    `nats` is the mean negative natural log-probability of a token, the text read from start to
    end; `ngrams` is the same for n-grams of order 1, 2, ..., trained on the same
    `training_tokens`.
    """

    model: str
    corpus: str
    level: str
    training_tokens: int
    tokens: int
    characters: int
    nats: float
    seconds: float
    ngrams: tuple[float, ...] = ()
    ngram_seconds: float = 0.0

    @property
    def perplexity(self) -> float:
        """Return exp of the nats per token."""
        return math.exp(self.nats)

    @property
    def bits_per_character(self) -> float:
        """Return the text's cross-entropy in bits per character."""
        return self.nats * self.tokens / self.characters / math.log(2)

    def as_markdown(self) -> str:
        """Return a table of the model and the n-gram models."""
        token = self.level
        header = ["model", f"nats / {token}", "perplexity", "bits / character"]
        rows = [self._cells(self.model, self.nats)]
        rows += [self._cells(f"{n}-gram", nats) for n, nats in enumerate(self.ngrams, start=1)]
        return (
            f"{self.corpus}: {self.training_tokens:,} {token}s train, {self.tokens:,} validate\n\n"
            f"{table(header, rows)}"
        )

    def write(self, path: Path) -> None:
        """Write `path`.json and `path`.md."""
        numbers = asdict(self) | {
            "perplexity": self.perplexity,
            "bits_per_character": self.bits_per_character,
        }
        write_text(path.with_name(f"{path.name}.json"), json.dumps(numbers, indent=1) + "\n")
        write_text(path.with_name(f"{path.name}.md"), self.as_markdown() + "\n")

    def _cells(self, name: str, nats: float) -> list[str]:
        bits = nats / self.nats * self.bits_per_character
        return [name, f"{nats:.4f}", f"{math.exp(nats):.2f}", f"{bits:.3f}"]


def read_corpus(path: Path, language_model: LanguageModel) -> Corpus:
    """Read the corpus of a language model, split as for training.

    Otherwise the validation part would contain text that the model has learned.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be split, or the model was trained on another corpus.
    """
    config = language_model.config
    training = config.provenance
    corpus = Corpus.read(
        path,
        level=config.level,
        ends=config.ends,
        characters=training.get("training_characters"),
        validation_share=training.get("validation_share", 0.05),
        validation_pieces=training.get("validation_pieces", 1),
        min_count=training.get("min_count", 1),
    )
    _check_vocabulary(language_model, corpus, path.stem)
    return corpus


def evaluate_text(
    language_model: LanguageModel, corpus: Corpus, *, name: str, order: int
) -> TextReport:
    """Measure a model on a corpus's validation part.

    Args:
        language_model: its vocabulary must be the corpus's.
        corpus: read as the model's training read it.
        name: of the corpus.
        order: of the longest n-grams to compare it with (0: none).

    Raises:
        ValueError: the model was trained on another corpus.
    """
    _check_vocabulary(language_model, corpus, name)
    start = time.perf_counter()
    predicted = (corpus.validation != language_model.vocabulary.start_id).numpy()
    logprobs = language_model.logprobs(corpus.validation.tolist())[predicted]
    seconds = time.perf_counter() - start
    ngrams: tuple[float, ...] = ()
    start = time.perf_counter()
    if order:
        train = corpus.train.numpy()
        ngram = NGram.train(train, len(language_model.vocabulary), order)
        # The network does not predict where a text starts. What that costs n-grams, next to
        # nothing from order 2 on, is spread over the tokens that it does predict.
        share = len(corpus.validation) / int(predicted.sum())
        ngrams = tuple(share * float(n) for n in ngram.orders(corpus.validation.numpy()))
    return TextReport(
        model=language_model.config.name,
        corpus=name,
        level=language_model.config.level,
        training_tokens=len(corpus.train),
        tokens=int(predicted.sum()),
        characters=len(corpus.validation_text),
        nats=-float(logprobs.mean(dtype=np.float64)),
        seconds=seconds,
        ngrams=ngrams,
        ngram_seconds=time.perf_counter() - start,
    )


def _check_vocabulary(language_model: LanguageModel, corpus: Corpus, name: str) -> None:
    if corpus.vocabulary.tokens != language_model.vocabulary.tokens:
        raise ValueError(
            f"{name} has another vocabulary than {language_model.config.name}: give the corpus "
            "that it was trained on, tokenised in the same way"
        )
