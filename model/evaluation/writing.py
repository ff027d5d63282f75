"""Judge what a language model writes, beside its corpus and n-grams of the same text.

Perplexity says how well a model foretells what people wrote; this says how its own texts hold
together. None of it is a matter of taste: words are looked up in the corpus, pairs are counted, and
what is copied is found.
"""

import random
import re
from collections.abc import Iterator, Sequence
from statistics import mean

from model.data.corpus import Corpus
from model.evaluation.copying import CopyFinder
from model.evaluation.pairs import PAIRS
from model.evaluation.writing_report import Judgement, WritingReport
from model.text.language_model import LanguageModel
from model.text.ngram_model import count
from model.text.request import GenerationRequest

__all__ = ["evaluate_writing"]

# A corpus that opens something less often than once in so many characters is not asked about it.
_RARE = 10_000

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")  # "don't" is one word, and so is `do_not`


class _Judge:
    """Judges texts by a training text."""

    def __init__(self, training_text: str, characters: int) -> None:
        self._words = {word.casefold() for word in _WORD.findall(training_text)}
        self._copies = CopyFinder(training_text, characters)

    def judge(self, source: str, temperature: float | None, texts: Sequence[str]) -> Judgement:
        """Judge some texts; see `Judgement`."""
        words = [list(_whole_words(text)) for text in texts]
        known = [word in self._words for each in words for word in each]
        copies = [self._copies.longest(text) for text in texts]
        blanks = (len(run) for text in texts for run in re.findall(r"\s+", text))
        return Judgement(
            source=source,
            temperature=temperature,
            texts=len(texts),
            known_words=sum(known) / len(known) if known else 0.0,
            distinct_words=mean(len(set(each)) / len(each) if each else 0.0 for each in words),
            longest_blank=max(blanks, default=0),
            copied=tuple(map(len, copies)),
            longest_copy=max(copies, key=len),
            pairs={name: kind.count(texts) for name, kind in PAIRS.items()},
        )


def evaluate_writing(
    language_model: LanguageModel,
    corpus: Corpus,
    *,
    name: str,
    texts: int = 20,
    characters: int = 3000,
    temperatures: Sequence[float] = (0.5, 0.8),
    orders: Sequence[int] = (10, 20),
    seed: int = 1,
) -> WritingReport:
    """Let a model write, and judge its texts beside those of the corpus and of n-grams.

    All texts start after the model's `beginning`. Those of the corpus are stretches of its
    validation part. The n-grams are counted on the training part, without smoothing, and drawn with
    the model's own sampling options.

    Args:
        language_model: of characters; its texts do not end by themselves.
        corpus: read as the model's training read it, see `read_corpus`.
        name: of the corpus.
        texts: how many of each source.
        characters: of each text.
        temperatures: at which the model and the n-grams write.
        orders: of the n-grams, 1..20; may be empty.
        seed: of the first text; the next has the next seed.

    Raises:
        ValueError: the model writes words or texts that end, the validation part is shorter than a
            text, or a number is out of its range.
    """
    config = language_model.config
    if config.level != "character" or config.ends:
        raise ValueError(
            f"{config.name} writes {config.level}s"
            f"{' and ends by itself' if config.ends else ''}: only the writing of models whose "
            "texts of characters go on can be judged"
        )
    if texts < 1 or characters < 1:
        raise ValueError("texts and characters must be at least 1")
    samplings = [
        config.sampling.merge(temperature=temperature, max_tokens=characters)
        for temperature in temperatures
    ]
    stretches = _stretches(corpus.validation_text, config.beginning, texts, characters, seed)
    judge = _Judge(corpus.train_text, characters)
    judgements = [judge.judge("corpus, unseen", None, stretches)]
    for order in (None, *orders):
        writer = (
            language_model if order is None else count(corpus.train_text, order, smoothing="none")
        )
        for sampling in samplings:
            request = GenerationRequest(config.beginning, sampling, n=texts, seed=seed)
            judgements.append(
                judge.judge(writer.config.name, sampling.temperature, _write(writer, request))
            )
    rare = len(corpus.train_text) / _RARE
    return WritingReport(
        model=config.name,
        corpus=name,
        characters=characters,
        seed=seed,
        beginning=config.beginning,
        judgements=tuple(judgements),
        absent=tuple(
            kind.name for kind in PAIRS.values() if kind.openings(corpus.train_text) < rare
        ),
    )


def _write(writer: LanguageModel, request: GenerationRequest) -> list[str]:
    """Write all texts of a request in one batch."""
    written: list[list[str]] = [[] for _ in range(request.n)]
    for delta in writer.start(request).deltas():
        written[delta.index].append(delta.text)
    return ["".join(parts) for parts in written]


def _stretches(text: str, beginning: str, count: int, characters: int, seed: int) -> list[str]:
    """Choose stretches of a text that follow a beginning, if it has enough; else a newline.

    Raises:
        ValueError: the text is shorter than a stretch.
    """
    if len(text) < characters:
        raise ValueError(
            f"the validation part has {len(text):,} characters, fewer than a text of "
            f"{characters:,}: ask for shorter texts"
        )
    rng = random.Random(seed)  # noqa: S311 - no secret depends on it
    last = len(text) - characters
    for before in (beginning, "\n", ""):
        starts = [found.end() for found in re.finditer(re.escape(before), text)]
        starts = [start for start in starts if start <= last]
        if len(starts) >= count:
            break
    else:
        starts = [rng.randint(0, last) for _ in range(count)]
    return [text[start : start + characters] for start in rng.sample(starts, count)]


def _whole_words(text: str) -> Iterator[str]:
    """Yield the words of a text, without case, but a last one that may have been cut."""
    for word in _WORD.finditer(text):
        if word.end() < len(text):
            yield word[0].casefold()
