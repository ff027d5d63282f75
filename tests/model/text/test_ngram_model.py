"""An n-gram model as a language model, against the n-gram model itself."""

import math
from pathlib import Path

import numpy as np
import pytest

from model.text.ngram import NGram
from model.text.ngram_model import NGramRunner, count
from tests.tiny import VERSE


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("level", ["character", "word"])
def test_a_score_is_that_of_the_ngram_model(order: int, level: str) -> None:
    language_model = count(VERSE, order, level=level)  # type: ignore[arg-type]
    ids = language_model.encode(VERSE)
    model = NGram.train(ids, len(language_model.vocabulary), order)
    scored = language_model.score(VERSE[:200])
    expected = model.score(language_model.encode(VERSE[:200]))
    assert [t.logprob for t in scored.tokens] == pytest.approx(expected.tolist(), abs=1e-5)


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
