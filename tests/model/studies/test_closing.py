"""Closing brackets: what is found, and what models give it, one place at a time."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from model.data.corpus import Corpus
from model.studies.closing import Closing, find_closings, study_closing
from model.text.ngram import NGram, Smoothing
from tests.tiny import tiny_language_model


def program(lines: int = 120) -> str:
    """Calls with arguments of many lengths, some in blocks."""
    chosen = random.Random(1)
    return "".join(
        "f(" + "x" * chosen.choice([1, 3, 12, 60]) + "[i]); { g(y);\n}\n" for _ in range(lines)
    )


@pytest.mark.parametrize(
    ("text", "closings"),
    [
        ("", []),
        ("(a)", [(2, 2)]),
        ("{a[b](c)}", [(4, 2), (7, 2), (8, 8)]),
        (":) (a)", [(5, 2)]),
        ("((a] b) (c)", [(10, 2)]),  # what was open is forgotten
        ("(((", []),
    ],
)
def test_closings_are_found(text: str, closings: list[tuple[int, int]]) -> None:
    assert find_closings(text) == [Closing(*closing) for closing in closings]


@pytest.mark.parametrize("smoothing", ["none", "kneser-ney"])
def test_the_numbers_are_means_over_the_places(tmp_path: Path, smoothing: Smoothing) -> None:
    (tmp_path / "program.txt").write_text(program())
    corpus = Corpus.read(tmp_path / "program.txt", validation_share=0.3)
    language_model = tiny_language_model(text=program())
    study = study_closing(
        language_model, corpus, name="program", orders=(1, 4), smoothing=smoothing
    )
    text, ids = corpus.validation_text, corpus.validation.numpy()
    closings = find_closings(text)
    assert sum(study.places) == len(closings)
    assert study.places[2] == sum(50 <= closing.distance < 200 for closing in closings) > 0
    network, unigram, fourgram = study.models
    assert [one.name for one in study.models] == ["tiny-writer", "1-gram", "4-gram"]
    scored = [token.logprob for token in language_model.score(text).tokens]
    ngram = NGram.train(corpus.train.numpy(), len(corpus.vocabulary), 4, smoothing=smoothing)
    for one, logprobs in ((network, scored), (fourgram, ngram.score(ids))):
        near = [float(logprobs[place]) for place, distance in closings if distance < 10]
        assert one.probabilities[0] == pytest.approx(np.exp(near).mean(), rel=1e-4)
        assert one.nats[0] == pytest.approx(-math.fsum(near) / len(near), rel=1e-4)
    # After [i] a bracket is always closed, however long ago it was opened.
    assert fourgram.probabilities[2] > unigram.probabilities[2]
    assert network.nats[3] is fourgram.probabilities[3] is None  # no bracket is that far


def test_a_report_is_written(tmp_path: Path) -> None:
    (tmp_path / "program.txt").write_text(program())
    corpus = Corpus.read(tmp_path / "program.txt", validation_share=0.3)
    language_model = tiny_language_model(text=program())
    study = study_closing(language_model, corpus, name="program", orders=(1,), smoothing="none")
    study.write(tmp_path / "closing")
    written = json.loads((tmp_path / "closing" / "closing.json").read_text())
    assert written["places"] == list(study.places)
    assert written["distances"] == [1, 10, 50, 200]
    shown = (tmp_path / "closing" / "closing.md").read_text()
    assert shown == study.as_markdown()
    assert "| characters since it was opened | places | tiny-writer | 1-gram |" in shown
    assert "| 200 or more | 0 |  |  |" in shown


def test_what_cannot_be_studied_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("no brackets at all\n" * 50)
    corpus = Corpus.read(path)
    reader = tiny_language_model(text=path.read_text())
    with pytest.raises(ValueError, match="closes no bracket"):
        study_closing(reader, corpus, name="text")
    for orders in ((), (0,), (5, 21)):
        with pytest.raises(ValueError, match="one or more of 1 to 20"):
            study_closing(reader, corpus, name="text", orders=orders)
    words = tiny_language_model(text="a b", level="word", ends=True)
    with pytest.raises(ValueError, match="by characters"):
        study_closing(words, corpus, name="text")
