"""The study of the lecture's first recurrent networks: "hello", and "cat sat on mat"."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from model.decoding.sampling import filter_top_k_top_p
from model.networks.text_network import TextNetwork
from model.reporting.plots import COLOURS, Line, Panel
from model.reporting.tables import mean_and_deviation, table
from model.studies.dense import parameter_count
from model.studies.hello import (
    RATE,
    Step,
    alphabet,
    continue_word,
    learn_sentences,
    learn_word,
    new_network,
    next_words,
    walk,
)
from model.studies.report import Part, ReportProgress, StudyReport, measure_parts
from model.studies.settings import PartSettings
from model.text.language_model import LanguageModel
from model.text.ngram_model import count
from model.vocabulary import END, START

__all__ = ["PARTS", "HelloStudySettings", "study_hello"]

PARTS = ("characters", "words", "temperature")

_WORD, _LETTER_UNITS = "hello", 3
_SENTENCES = ("cat sat on mat", "cat lay", "dog sat on cat", "dog lay on mat")
_NEVER_SAID = ("dog sat on mat", "cat")
_WORD_UNITS = 8
_SHOWN_EPOCHS = (0, 5, 20, 50)
_SHOWN_WORDS = 0.05  # less likely words are left out
_DRAWN = 5
_MOST_WORDS = 20
_TEMPERATURES, _MANY = (0.25, 0.5, 1.0, 2.0), 1_000
_START, _END = f"`{START}`", f"`{END}`"  # what stands in < > is not text in Markdown


@dataclass(frozen=True)
class HelloStudySettings(PartSettings):
    """What is measured; see `PartSettings`.

    Attributes:
        epochs: of each training.
    """

    PARTS = PARTS

    epochs: int = 200


def study_hello(
    settings: HelloStudySettings, *, report_progress: ReportProgress = print
) -> StudyReport:
    """Train the two networks, and show every number of theirs, see `model.studies.hello`.

    Args:
        settings: see `HelloStudySettings`.
        report_progress: called with a line about each part.
    """
    makers: Mapping[str, Callable[[HelloStudySettings], Part]] = {
        "characters": _characters,
        "words": _words,
        "temperature": _temperature,
    }
    return measure_parts("hello", makers, settings, report_progress)


def _characters(settings: HelloStudySettings) -> Part:
    letters = alphabet(_WORD)
    network = new_network(_LETTER_UNITS, len(letters), settings.seed)
    before, written_before = walk(network, _WORD), _continuations(network)
    curve: list[list[float]] = []  # the probability of each target after every epoch

    def watch(learned: TextNetwork) -> None:
        curve.append([step.probability for step in walk(learned, _WORD)])

    learn_word(network, _WORD, settings.epochs, watch)
    after, written_after = walk(network, _WORD), _continuations(network)
    whole = [math.prod(curve[-1])]
    for seed in settings.all_seeds[1:]:
        other = new_network(_LETTER_UNITS, len(letters), seed)
        learn_word(other, _WORD, settings.epochs)
        whole.append(math.prod(step.probability for step in walk(other, _WORD)))
    bigram = math.exp(count(_WORD, 2, smoothing="none").score(_WORD).logprob)
    targets = [f"{step.target} after {_WORD[: i + 1]}" for i, step in enumerate(after)]
    shown = sorted({epoch for epoch in _SHOWN_EPOCHS if epoch < settings.epochs} | {len(curve) - 1})
    learned = [
        [str(epoch), *(f"{one:.2f}" for one in (*curve[epoch], math.prod(curve[epoch])))]
        for epoch in shown
    ]
    return Part(
        "characters",
        f'"{_WORD}", one character at a time',
        (
            f"A vanilla RNN of {_LETTER_UNITS} units, {parameter_count(network)} parameters, reads "
            f"x, {len(letters)} numbers for {', '.join(letters)}; its state h becomes "
            "tanh(W x + U h + b), and its scores are V h + c. What comes next is the target. At "
            "first:",
            _steps_table(before, letters),
            f"After {settings.epochs} epochs of plain gradient descent at a learning rate of "
            f"{RATE:g}:",
            _steps_table(after, letters),
            "The probability of each target while it learns, and of the four together:",
            table(["epoch", *targets, f'"{_WORD}"'], learned, text=0),
            "After l comes l or o: only the state tells which. An unsmoothed 2-gram sees one "
            f'character, and gives "{_WORD}" {bigram:.2f}; the network '
            f"{mean_and_deviation(whole, 2)} (mean ± standard deviation over "
            f"{len(whole)} seeds). Drawn from the first network after {_WORD[0]}, each character "
            "read before the next:",
            table(
                ["network", "likeliest", *(f"draw {i}" for i in range(1, _DRAWN + 1))],
                [["at first", *written_before], ["trained", *written_after]],
                text=2 + _DRAWN,
            ),
        ),
        {
            "before": [asdict(step) for step in before],
            "after": [asdict(step) for step in after],
            "probabilities": curve,
            "whole": whole,
            "bigram": bigram,
            "written": {"before": written_before, "after": written_after},
        },
        (Panel("learning a word", "epoch", "probability of the target", _lines(targets, curve)),),
    )


def _words(settings: HelloStudySettings) -> Part:
    networks = [
        learn_sentences(_SENTENCES, units=_WORD_UNITS, epochs=settings.epochs, seed=seed)
        for seed in settings.all_seeds
    ]
    bigram = _bigram()
    models = {"network": networks[0], "2-gram": bigram}
    first = _SENTENCES[0].split()
    histories = [" ".join(first[:length]) for length in range(len(first) + 1)]
    histories.append(" ".join(_SENTENCES[2].split()[:-1]))
    following = {
        name: {history: next_words(model, history) for history in histories}
        for name, model in models.items()
    }
    said = {
        name: {one: math.exp(model.score(one).logprob) for one in (*_SENTENCES, *_NEVER_SAID)}
        for name, model in models.items()
    }
    written = {
        name: [_write(model, seed) for seed in range(_DRAWN)] for name, model in models.items()
    }
    whole = [_all_sentences(network) for network in networks]
    return Part(
        "words",
        f'"{_SENTENCES[0]}", one word at a time',
        (
            f"The text has {len(_SENTENCES)} sentences, {', '.join(_SENTENCES)}, each between "
            f"{_START} and {_END}. A vanilla RNN of {_WORD_UNITS} units, trained alike, has read "
            "all words so far, an unsmoothed 2-gram the last one. What may come next, with its "
            f"probability, if that is at least {_SHOWN_WORDS:g}:",
            table(
                ["after", *models],
                [
                    [
                        f"{_START} {history}".strip(),
                        *(_likely(one[history]) for one in following.values()),
                    ]
                    for history in histories
                ],
                text=3,
            ),
            "The probability of a sentence is the product of those of its words and of its end. Of "
            f"the text's sentences, and of {len(_NEVER_SAID)} that it does not have:",
            table(
                ["sentence", "in the text", *models],
                [
                    [
                        one,
                        "yes" if one in _SENTENCES else "no",
                        *(f"{of[one]:.2f}" for of in said.values()),
                    ]
                    for one in (*_SENTENCES, *_NEVER_SAID)
                ],
                text=2,
            ),
            f"The text's own sentences have together {mean_and_deviation(whole, 2)} by the network "
            f"(mean ± standard deviation over {len(whole)} seeds) and {_all_sentences(bigram):.2f} "
            "by the 2-gram, which gives the rest to what nobody said. Words drawn one after the "
            f"other until {_END}:",
            table(
                ["draw", *models],
                [[str(i + 1), *(of[i] for of in written.values())] for i in range(_DRAWN)],
                text=3,
            ),
        ),
        {
            "sentences": _SENTENCES,
            "next": following,
            "probabilities": said,
            "whole": {"network": whole, "2-gram": _all_sentences(bigram)},
            "written": written,
        },
    )


def _temperature(settings: HelloStudySettings) -> Part:
    bigram, history = _bigram(), " ".join(_SENTENCES[0].split()[:-1])
    words = [word for word, one in next_words(bigram, history).items() if one > 0]
    given = np.array([next_words(bigram, history)[word] for word in words])
    rows, data = [], []
    for temperature in _TEMPERATURES:
        sharpened = np.exp(filter_top_k_top_p(np.log(given), temperature)).tolist()
        deltas = bigram.generate(
            history, n=_MANY, seed=settings.seed, max_tokens=1, temperature=temperature
        )
        drawn = Counter(delta.token for delta in deltas)
        shares = [drawn[word] / _MANY for word in words]
        rows.append([f"{temperature:g}", *(f"{one:.2f}" for one in (*sharpened, *shares))])
        data.append({"temperature": temperature, "probability": sharpened, "drawn": shares})
    return Part(
        "temperature",
        "Drawing at a temperature T",
        (
            f'What the 2-gram finds after "{history}", each probability p as p^(1/T), divided by '
            f"their sum; and how often a word came in {_MANY:,} draws:",
            table(["T", *words, *(f"{word} drawn" for word in words)], rows, text=0),
        ),
        {"words": words, "temperatures": data},
    )


def _bigram() -> LanguageModel:
    return count("\n".join(_SENTENCES), 2, level="word", smoothing="none")


def _steps_table(steps: Sequence[Step], letters: str) -> str:
    """Build a row for each step of a network over a word."""
    spelt = " ".join(letters)
    return table(
        ["step", "reads", f"x: {spelt}", "h", f"scores: {spelt}", "target", "its probability"],
        [
            [
                *(str(i), step.character, " ".join(map(str, step.one_hot))),
                *(_spaced(step.hidden), _spaced(step.scores)),
                *(step.target, f"{step.probability:.2f}"),
            ]
            for i, step in enumerate(steps, start=1)
        ],
        text=6,
    )


def _spaced(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.2f}" for number in numbers)


def _continuations(network: TextNetwork) -> list[str]:
    """Write the word as the network would: its likeliest characters, then some draws."""
    return [continue_word(network, _WORD, seed) for seed in (None, *range(_DRAWN))]


def _lines(targets: Sequence[str], curve: Sequence[Sequence[float]]) -> list[Line]:
    columns = zip(targets, zip(*curve, strict=True), COLOURS.values(), strict=False)
    return [Line(name, range(len(of)), of, colour) for name, of, colour in columns]


def _likely(probabilities: Mapping[str, float]) -> str:
    kept = {word: one for word, one in probabilities.items() if one >= _SHOWN_WORDS}
    return ", ".join(f"{_END if word == END else word} {one:.2f}" for word, one in kept.items())


def _all_sentences(model: LanguageModel) -> float:
    return math.fsum(math.exp(model.score(one).logprob) for one in _SENTENCES)


def _write(model: LanguageModel, seed: int) -> str:
    deltas = list(model.generate(seed=seed, max_tokens=_MOST_WORDS))
    ended = deltas[-1].finish_reason == "stop"
    return "".join(delta.text for delta in deltas) + (f" {_END}" if ended else " ...")
