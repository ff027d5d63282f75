"""An n-gram model as a writer, against the model itself."""

import math
from pathlib import Path

import pytest
import torch

from model.text.ngram import NGram
from model.text.ngram_model import NGramNetwork, count
from tests.tiny import VERSE


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("level", ["character", "word"])
def test_a_score_is_the_models(order: int, level: str) -> None:
    language_model = count(VERSE, order, level=level)  # type: ignore[arg-type]
    ids = language_model.encode(VERSE)
    model = NGram.train(ids, len(language_model.vocabulary), order)
    scored = language_model.score(VERSE[:200])
    expected = model.score(language_model.encode(VERSE[:200]))
    assert [t.logprob for t in scored.tokens] == pytest.approx(expected.tolist(), abs=1e-5)


def test_it_writes_what_it_has_read_and_says_how_likely() -> None:
    language_model = count(VERSE, 6)
    pieces = list(language_model.generate("Twinkle", seed=2, max_tokens=60, temperature=0.5))
    text = "".join(piece.text for piece in pieces)
    assert all(text[i : i + 2] in VERSE for i in range(len(text) - 1))
    scored = language_model.score("Twinkle" + text).tokens[len("Twinkle") :]
    assert [p.logprob for p in pieces[:-1]] == pytest.approx([t.logprob for t in scored], abs=1e-5)
    assert text == "".join(
        p.text for p in language_model.generate("Twinkle", seed=2, max_tokens=60, temperature=0.5)
    )


def test_beam_search_drives_it() -> None:
    ((text, found),) = count(VERSE, 4).search("Twin", max_tokens=3)
    assert text == "kle"
    assert found.logprob == pytest.approx(math.fsum(found.logprobs))


def test_several_texts_are_those_written_alone() -> None:
    language_model = count(VERSE, 3)
    together = list(language_model.generate("st", n=3, seed=5, max_tokens=20))
    for i in range(3):
        alone = "".join(p.text for p in language_model.generate("st", seed=5 + i, max_tokens=20))
        assert alone == "".join(p.text for p in together if p.index == i)


def test_sequences_are_their_steps() -> None:
    network = NGramNetwork(NGram.train([0, 1, 2, 1, 0, 2, 2], 3, 3))
    tokens = torch.tensor([[0, 1, 2], [2, 1, 0]])
    whole, after = network(tokens, network.initial_state(2))
    state = network.initial_state(2)
    for i in range(3):
        logprobs, state = network.step(tokens[:, i], state)
        assert torch.equal(whole[:, i], logprobs)
    assert torch.equal(state[0], after[0])


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "verse.txt").write_text(VERSE)
    assert count(tmp_path / "verse.txt", 3).score("star") == count(VERSE, 3).score("star")


def test_it_has_no_units() -> None:
    with pytest.raises(ValueError, match="no units"):
        count(VERSE, 2).activations("star")
