"""The first networks of the lecture: what is shown of them is what they compute."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from model.networks.text_network import TextNetwork
from model.studies.hello import (
    RATE,
    alphabet,
    continue_word,
    learn_sentences,
    learn_word,
    new_network,
    next_words,
    walk,
)
from model.studies.hello_study import PARTS, HelloStudySettings, study_hello
from model.text.language_model import LanguageModel
from model.text.ngram_model import count

SENTENCES = ("cat sat on mat", "cat lay", "dog sat on cat")


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def speller() -> TextNetwork:
    network = new_network(3, 4, seed=1)
    learn_word(network, "hello", 100)
    return network


@pytest.fixture(scope="module")
def speaker() -> LanguageModel:
    return learn_sentences(SENTENCES, units=8, epochs=200, seed=1)


def test_the_alphabet_of_a_word_has_each_character_once() -> None:
    assert alphabet("hello") == "helo"


def test_a_walk_shows_the_equations(speller: TextNetwork) -> None:
    (cell,), (projection,) = speller.recurrent.cells, speller.recurrent.projections
    w, b, u = projection.weight, projection.bias, cell.recurrent.weight
    v, c = speller.to_word.weight, speller.to_word.bias
    h = torch.zeros(3, dtype=torch.double)
    steps = walk(speller, "hello")
    assert "".join(step.character for step in steps) == "hell"
    assert "".join(step.target for step in steps) == "ello"
    for step in steps:
        assert step.one_hot == tuple(int(one == step.character) for one in "helo")
        h = torch.tanh(w @ torch.tensor(step.one_hot, dtype=torch.double) + u @ h + b)
        scores = v @ h + c
        assert step.hidden == pytest.approx(h.tolist())
        assert step.scores == pytest.approx(scores.tolist())
        share = scores.exp()["helo".index(step.target)] / scores.exp().sum()
        assert step.probability == pytest.approx(float(share.detach()))


def test_a_word_is_learned_and_written(speller: TextNetwork) -> None:
    new = new_network(3, 4, seed=1)
    assert math.prod(step.probability for step in walk(new, "hello")) < 0.05
    steps = walk(speller, "hello")
    assert math.prod(step.probability for step in steps) > 0.8
    assert continue_word(speller, "hello", None) == "hello"
    # Both read l: only what was read before tells l from o.
    assert steps[2].one_hot == steps[3].one_hot
    assert steps[2].hidden != pytest.approx(steps[3].hidden, abs=0.5)


def test_an_epoch_is_a_step_of_gradient_descent() -> None:
    network, other = new_network(3, 4, seed=2), new_network(3, 4, seed=2)
    seen: list[float] = []
    learn_word(network, "hello", 1, lambda net: seen.append(walk(net, "hello")[0].probability))
    scores, _ = other(torch.tensor([[0, 1, 2, 2]]), other.initial_state(1))
    logprobs = scores[0].log_softmax(-1)
    torch.autograd.backward(-logprobs[torch.arange(4), torch.tensor([1, 2, 2, 3])].mean())
    for changed, parameter in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(changed, parameter - RATE * parameter.grad, atol=1e-12)
    assert seen == [walk(other, "hello")[0].probability, walk(network, "hello")[0].probability]


def test_characters_are_drawn_as_often_as_the_network_says() -> None:
    two = new_network(3, 2, seed=1)
    drawn = Counter(continue_word(two, "he", seed)[1] for seed in range(500))
    scores, _ = two.step(torch.tensor([0]), two.initial_state(1))
    likely = dict(zip("he", scores[0].softmax(-1).tolist(), strict=True))
    for letter, probability in likely.items():
        assert drawn[letter] / 500 == pytest.approx(probability, abs=0.06)


def test_a_network_remembers_what_a_bigram_forgets(speaker: LanguageModel) -> None:
    bigram = count("\n".join(SENTENCES), 2, level="word", smoothing="none")
    counted = next_words(bigram, "cat sat on")
    assert counted == pytest.approx(next_words(bigram, "dog sat on"))
    assert (counted["mat"], counted["cat"]) == pytest.approx((0.5, 0.5))
    assert next_words(speaker, "cat sat on")["mat"] > 0.85
    assert next_words(speaker, "dog sat on")["cat"] > 0.85
    assert next_words(speaker, "cat sat on mat")["<END>"] > 0.95
    for model in (speaker, bigram):
        after_start = next_words(model, "")
        assert after_start["cat"] == pytest.approx(2 / 3, abs=0.05)
        assert sum(after_start.values()) == pytest.approx(1, abs=0.05)  # the rest: special tokens


def test_a_sentence_is_the_product_of_its_words_and_its_end(speaker: LanguageModel) -> None:
    words = "cat sat on mat <END>".split()
    product = math.prod(
        next_words(speaker, " ".join(words[:i]))[word] for i, word in enumerate(words)
    )
    assert math.exp(speaker.score("cat sat on mat").logprob) == pytest.approx(product, rel=1e-5)


def test_the_report_holds_what_was_measured(tmp_path: Path) -> None:
    settings = HelloStudySettings(seeds=2, epochs=30)
    report = study_hello(settings, report_progress=quiet)
    assert tuple(report.as_dict()) == PARTS
    files = report.write(tmp_path)
    assert {path.name for path in files} == {"hello.json", "hello.md", "hello-characters.png"}
    with Image.open(tmp_path / "hello-characters.png") as picture:
        picture.load()
    text = (tmp_path / "hello.md").read_text()
    data = json.loads((tmp_path / "hello.json").read_text())
    characters, words = data["characters"], data["words"]
    assert characters["bigram"] == pytest.approx(0.25)
    assert len(characters["probabilities"]) == 31
    for epoch in (0, 5, 20, 30):
        shown = " | ".join(f"{one:.2f}" for one in characters["probabilities"][epoch])
        assert f"| {epoch} | {shown} |" in text
    assert len(characters["whole"]) == len(words["whole"]["network"]) == 2
    trained = " | ".join(characters["written"]["after"])
    assert f"| trained | {trained} |" in text
    said = words["probabilities"]
    for sentence in ("cat sat on mat", "dog sat on mat"):
        row = f"{said['network'][sentence]:.2f} | {said['2-gram'][sentence]:.2f} |"
        assert row in next(line for line in text.splitlines() if line.startswith(f"| {sentence} |"))
    # 1/2 cat, 1/3 sat, 1 on, 2/3 mat, 1 <END>
    assert said["2-gram"]["cat sat on mat"] == pytest.approx(1 / 9)
    assert words["whole"]["network"][0] == pytest.approx(
        sum(said["network"][one] for one in words["sentences"])
    )
    assert "| `<START>` cat sat on mat |" in text
    for one in data["temperature"]["temperatures"]:
        t = one["temperature"]
        powers = [(1 / 3) ** (1 / t), (2 / 3) ** (1 / t)]  # of cat and mat
        assert one["probability"] == pytest.approx([power / sum(powers) for power in powers])
        assert one["drawn"] == pytest.approx(one["probability"], abs=0.05)


def test_the_same_seed_measures_the_same() -> None:
    settings = HelloStudySettings(("characters",), seeds=1, epochs=5, seed=3)
    once, again = (study_hello(settings, report_progress=quiet) for _ in range(2))
    assert once.as_dict() == again.as_dict()
    other = study_hello(
        HelloStudySettings(("characters",), seeds=1, epochs=5), report_progress=quiet
    )
    assert once.as_dict() != other.as_dict()


def test_bad_settings_are_reported() -> None:
    with pytest.raises(ValueError, match="unknown part 'captions': choose from characters, words"):
        HelloStudySettings(("captions",))
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0"):
        HelloStudySettings(epochs=0)
