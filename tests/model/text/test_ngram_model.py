"""An n-gram model as a language model, against the n-gram model itself."""

import math
from pathlib import Path

import numpy as np
import pytest

from model.text.ngram import NGram, Smoothing
from model.text.ngram_model import NGramRunner, count
from model.vocabulary import Level
from tests.tiny import VERSE


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("level", ["character", "word"])
@pytest.mark.parametrize("smoothing", ["none", "kneser-ney"])
def test_a_score_is_that_of_the_ngram_model(order: int, level: Level, smoothing: Smoothing) -> None:
    language_model = count(VERSE, order, level=level, smoothing=smoothing)
    start, end = language_model.vocabulary.start_id, language_model.vocabulary.end_id
    texts = [VERSE] if level == "character" else VERSE.splitlines()
    ending = [] if level == "character" else [end]
    ids = [id_ for text in texts for id_ in (start, *language_model.encode(text), *ending)]
    size = len(language_model.vocabulary)
    model = NGram.train(ids, size, order, smoothing=smoothing, start=start)
    scored = language_model.score(texts[0][:200])
    expected = model.score([start, *language_model.encode(texts[0][:200]), *ending])[1:]
    assert [t.logprob for t in scored.tokens] == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_sentence_may_end_where_it_ended_in_the_text() -> None:
    sentences = "The cat sat on the mat.\nThe cat sat on the mat and slept.\n\nA dog sat.\n"
    language_model = count(sentences, 3, level="word", smoothing="none")
    scored = language_model.score("Cat sat on the mat").tokens
    assert (scored[-1].token, scored[-1].logprob) == ("<END>", pytest.approx(math.log(1 / 2)))
    assert math.exp(scored[2].logprob) == pytest.approx(1)  # on, after cat sat
    written = {"".join(d.text for d in language_model.generate(seed=i)) for i in range(20)}
    assert written == {"the cat sat on the mat", "the cat sat on the mat and slept", "a dog sat"}


def test_without_smoothing_a_text_begins_as_the_counted_one_and_copies_its_ngrams() -> None:
    counted = VERSE + VERSE[:40]  # its end is followed by something elsewhere
    language_model = count(counted, 5, smoothing="none")
    text = "".join(delta.text for delta in language_model.generate(seed=3, max_tokens=80))
    assert text.startswith(VERSE[:4])
    assert all(text[i : i + 5] in counted for i in range(len(text) - 4))
    scored = language_model.score(VERSE[:9] + "#")
    assert scored.tokens[-1].logprob == scored.logprob == -math.inf
    assert scored.perplexity == scored.bits_per_character == math.inf


@pytest.mark.parametrize(
    ("text", "order", "level", "says"),
    [
        ("abc", 0, "character", "order must be in 1..20, not 0"),
        ("abc", 21, "character", "order must be in 1..20, not 21"),
        ("", 2, "character", "the text has no character"),
        (" \n", 2, "word", "the text has no word"),
        ("abc", 4, "character", "too short: 3 characters for n-grams of order 4"),
        ("a b.", 4, "word", "too short: 3 words"),
    ],
)
def test_what_cannot_be_counted_is_reported(text: str, order: int, level: Level, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        count(text, order, level=level)


def test_it_generates_bigrams_of_its_text_with_their_logprobs() -> None:
    language_model = count(VERSE, 6)
    deltas = list(language_model.generate("Twinkle", seed=2, max_tokens=60, temperature=0.5))
    text = "".join(delta.text for delta in deltas)
    assert all(text[i : i + 2] in VERSE for i in range(len(text) - 1))
    scored = language_model.score("Twinkle" + text).tokens[len("Twinkle") :]
    assert [d.logprob for d in deltas[:-1]] == pytest.approx([t.logprob for t in scored], abs=1e-5)
    assert text == "".join(
        d.text for d in language_model.generate("Twinkle", seed=2, max_tokens=60, temperature=0.5)
    )


def test_beam_search_continues_a_prompt() -> None:
    ((text, found),) = count(VERSE, 4).search("Twin", max_length=3)
    assert text == "kle"
    assert found.logprob == pytest.approx(math.fsum(found.logprobs))


def test_texts_are_the_same_alone_and_together() -> None:
    language_model = count(VERSE, 3)
    together = list(language_model.generate("st", n=3, seed=5, max_tokens=20))
    for i in range(3):
        alone = "".join(d.text for d in language_model.generate("st", seed=5 + i, max_tokens=20))
        assert alone == "".join(d.text for d in together if d.index == i)


def test_a_sequence_equals_its_steps() -> None:
    runner = NGramRunner(NGram.train([0, 1, 2, 1, 0, 2, 2], 3, 3))
    tokens = np.array([0, 1, 2])
    whole, after = runner.read(tokens, runner.initial_state())
    state = runner.initial_state()
    for i in range(3):
        logprobs, state = runner.step(tokens[i : i + 1], state)
        np.testing.assert_array_equal(whole[i], logprobs[0])
    np.testing.assert_array_equal(state[0], after[0])


def test_a_text_may_be_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "verse.txt").write_text(VERSE)
    assert count(tmp_path / "verse.txt", 3).score("star") == count(VERSE, 3).score("star")


def test_an_ngram_model_has_no_units() -> None:
    with pytest.raises(ValueError, match="no units"):
        count(VERSE, 2).activations("star")
