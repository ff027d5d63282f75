"""The shipped language models as a user finds them: size, card, scores, generated text."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from model.text.language_model import LanguageModel

ROOT = Path(__file__).parent.parent
BUNDLES = sorted(path.parent for path in (ROOT / "weights" / "text").glob("*/config.json"))

# The most nats a token that a shipped model may have on its validation text.
SHIPPED = {
    "bible",
    "captions",
    "linux",
    "shakespeare",
    "shakespeare-gru",
    "shakespeare-lstm",
    "shakespeare-rnn",
    "stacks",
    "war-and-peace",
}


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def language_model(bundle: Path) -> LanguageModel:
    return LanguageModel.load(bundle, device="cpu")


def text_of(language_model: LanguageModel, prompt: str, **options: object) -> str:
    return "".join(delta.text for delta in language_model.generate(prompt, **options))


def corpus_of(language_model: LanguageModel) -> str:
    return re.sub("-(rnn|gru|lstm)$", "", language_model.config.name)


def test_all_models_are_shipped():
    assert {path.name for path in BUNDLES} >= SHIPPED


def test_a_bundle_is_small_and_named_as_its_folder(bundle, language_model):
    assert sum(path.stat().st_size for path in bundle.iterdir()) <= 10e6
    assert language_model.config.name == bundle.name


def test_every_gap_of_the_card_is_filled(language_model):
    assert not any(
        gap in language_model.card for gap in ("{scores}", "{sample}", "{part}", "{writing}")
    )


def test_the_sample_on_the_card_can_be_reproduced(language_model):
    fence = language_model.card.split("```")[1].strip("\n")
    prompt = {
        "shakespeare": "ROMEO:",
        "war-and-peace": "Pierre ",
        "linux": "static int ",
        "bible": "1:1 In the beginning ",
        "stacks": "\\begin{lemma}",
    }
    start = prompt.get(corpus_of(language_model), "a")
    # Processors round differently, and one different token changes all that follow.
    assert f"{start}{text_of(language_model, start, seed=1)}".strip("\n")[:12] == fence[:12]


def test_generated_text_is_likelier_than_noise(language_model):
    text = text_of(language_model, "", seed=3, max_tokens=60)
    tokens = language_model.encode(text)
    assert language_model.score(text).perplexity < len(language_model.vocabulary) / 2
    assert language_model.logprobs(tokens).mean() > language_model.logprobs(sorted(tokens)).mean()


# What stands at the start of a line, and of what the corpus has between two blank lines.
STARTS = {
    "shakespeare": r"[A-Z][\w' ]+[:.?!]\n",  # small networks invent speakers
    "war-and-peace": r'\s*[A-Z"(*]',
    "linux": r"\s*([a-z]\w+[ \n(]|/\*|#|[A-Z_]+\()",
    "stacks": r"\s*\\[a-z]+",
    "bible": r"\d+:\d+ ",
    "captions": r"[a-z]+ ",
}


def test_without_a_prompt_a_text_starts_where_texts_start(language_model):
    name = corpus_of(language_model)
    texts = [""] * 20
    for delta in language_model.generate("", n=20, seed=1, max_tokens=40):
        texts[delta.index] += delta.text
    started = [re.match(STARTS[name], text) is not None for text in texts]
    assert sum(started) >= 19, texts


@pytest.mark.parametrize("prompt", ["", "🙂 café — “naïve”", "\x00\x1b[31m", "日本語"])
def test_any_prompt_is_accepted(language_model, prompt):
    assert text_of(language_model, prompt, max_tokens=5, seed=1)


def test_shakespeare_generates_plays():
    language_model = LanguageModel.load(ROOT / "weights" / "text" / "shakespeare", device="cpu")
    text = text_of(language_model, "ROMEO:", max_tokens=600, temperature=0.7, seed=1)
    speakers = [speech.splitlines()[0] for speech in text.split("\n\n")[1:]]
    assert speakers
    assert all(line.endswith(":") and (line.istitle() or line.isupper()) for line in speakers)


def test_captions_end_by_themselves():
    language_model = LanguageModel.load(ROOT / "weights" / "text" / "captions", device="cpu")
    last = [list(language_model.generate("a", seed=seed, max_tokens=50))[-1] for seed in range(10)]
    assert all((delta.token, delta.finish_reason) == ("<END>", "stop") for delta in last)


@pytest.mark.slow
def test_the_unit_for_quotes_is_the_one_that_the_docs_name():
    page = (ROOT / "docs" / "writers.md").read_text("utf-8")
    command = next(c for c in re.findall(r"unrolled (cells .*examples/.*)", page))
    row = re.search(r"\| a page of dialogue \| (.+?) \| (\d\.\d+) \| (\d\.\d+) \|", page)
    unit, score, chance = row.groups()
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 0, result.output
    first = next(line for line in result.output.splitlines() if "│ inside quotes" in line)
    _, name, _, measure, *numbers = (cell.strip() for cell in first.strip("│ ").split("│"))
    assert (name, measure) == (unit, "auc")
    assert [float(number) for number in numbers] == pytest.approx(
        [float(score), float(chance)], abs=0.01
    )
