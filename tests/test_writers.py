"""The shipped language models as a user finds them: size, card, scores, what they write."""

import re
from pathlib import Path

import pytest

from model.text.language_model import LanguageModel

ROOT = Path(__file__).parent.parent
BUNDLES = sorted(path.parent for path in (ROOT / "weights" / "text").glob("*/config.json"))

# Nats a token that a shipped writer has at most on what validates of its corpus.
GATES = {
    "shakespeare": 1.42,
    "war-and-peace": 1.30,
    "linux": 1.20,
    "captions": 2.85,
    "stacks": 1.0,
    "bible": 1.25,
}


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def writer(bundle: Path) -> LanguageModel:
    return LanguageModel.load(bundle, device="cpu")


def text_of(writer: LanguageModel, prompt: str, **options: object) -> str:
    return "".join(piece.text for piece in writer.generate(prompt, **options))


def test_some_are_shipped():
    assert {path.name for path in BUNDLES} >= set(GATES)


def test_it_is_small_and_named_as_its_folder(bundle, writer):
    assert sum(path.stat().st_size for path in bundle.iterdir()) <= 10e6
    assert writer.config.name == bundle.name


def test_its_card_and_configuration_say_the_same(writer):
    (scores,) = (score["model"] for score in writer.config.scores.values())
    nats = scores[f"nats_per_{writer.config.level}"]
    told = re.findall(r"\*\*([\d.]+)\*\*", writer.card)
    assert [float(number) for number in told] == [pytest.approx(nats, abs=6e-4)]
    assert not any(gap in writer.card for gap in ("{scores}", "{sample}", "{part}"))
    assert nats <= GATES.get(writer.config.name, float("inf"))


def test_its_sample_can_be_had_again(writer):
    fence = writer.card.split("```")[1].strip("\n")
    prompt = {
        "shakespeare": "ROMEO:",
        "war-and-peace": "Pierre ",
        "linux": "static int ",
        "bible": "1:1 In the beginning ",
        "stacks": "\\begin{lemma}",
    }
    start = prompt.get(writer.config.name, "a")
    # Another processor rounds otherwise, and one other draw makes another text.
    assert f"{start}{text_of(writer, start, seed=1)}".strip("\n")[:12] == fence[:12]


def test_it_finds_its_own_writing_likelier_than_noise(writer):
    text = text_of(writer, "", seed=3, max_tokens=60)
    tokens = writer.encode(text)
    assert writer.score(text).perplexity < len(writer.vocabulary) / 2
    assert writer.logprobs(tokens).mean() > writer.logprobs(sorted(tokens)).mean()


@pytest.mark.parametrize("prompt", ["", "🙂 café — “naïve”", "\x00\x1b[31m", "日本語"])
def test_any_prompt_is_safe(writer, prompt):
    assert text_of(writer, prompt, max_tokens=5, seed=1)


def test_shakespeare_writes_plays():
    writer = LanguageModel.load(ROOT / "weights" / "text" / "shakespeare", device="cpu")
    text = text_of(writer, "ROMEO:", max_tokens=600, temperature=0.7, seed=1)
    speakers = [line for line in text.splitlines() if line.endswith(":")]
    assert speakers
    assert all(line.istitle() or line.isupper() for line in map(str.strip, speakers))


def test_captions_end_by_themselves():
    writer = LanguageModel.load(ROOT / "weights" / "text" / "captions", device="cpu")
    last = [list(writer.generate("a", seed=seed, max_tokens=50))[-1] for seed in range(10)]
    assert all((piece.token, piece.finish_reason) == ("<END>", "stop") for piece in last)
