"""`unrolled write` and `unrolled score` with n-grams of a text file."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from model.text.ngram_model import count
from tests.tiny import VERSE

Run = Callable[..., Result]

SENTENCES = "The cat sat on the mat.\nThe cat sat on the mat and slept.\nA dog sat.\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_bytes(VERSE.encode())
    return path


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    path = tmp_path / "sentences.txt"
    path.write_text(SENTENCES)
    return path


@pytest.mark.parametrize("smoothing", ["none", "kneser-ney"])
def test_ngrams_write_what_the_counted_model_generates(
    run: Run, corpus: Path, smoothing: str
) -> None:
    command = ("write", "--ngram", 5, "--corpus", corpus, "--smoothing", smoothing)
    result = run(*command, "--prompt", "Twin", "--seed", 3, "--max-tokens", 40)
    model = count(VERSE, 5, smoothing=smoothing)  # type: ignore[arg-type]
    expected = "".join(d.text for d in model.generate("Twin", seed=3, max_tokens=40))
    assert (result.exit_code, result.stdout) == (0, f"Twin{expected}\n")


def test_words_are_written_line_by_line_and_without_smoothing_by_default(
    run: Run, sentences: Path
) -> None:
    command = ("write", "--ngram", 3, "--corpus", sentences, "--level", "word", "--seed", 1)
    lines = map(json.loads, run(*command, "--n", 9, "--format", "jsonl").stdout.splitlines())
    assert {line["text"] for line in lines} == {
        "the cat sat on the mat", "the cat sat on the mat and slept", "a dog sat",
    }  # fmt: skip


def test_a_score_shows_the_probability_of_each_token(run: Run, sentences: Path) -> None:
    command = ("score", "--ngram", 3, "--corpus", sentences, "--level", "word")
    rows = [line.split() for line in run(*command, "the cat sat on the mat").stdout.splitlines()]
    assert rows[0] == ["0.6667", "-0.405", "the"]
    assert rows[1:6] == [["1.0000", "0.000", word] for word in ("cat", "sat", "on", "the", "mat")]
    assert rows[6] == ["0.5000", "-0.693", "<END>"]
    line = json.loads(run(*command, "a dog sat", "--format", "jsonl").stdout)
    assert math.prod(token["probability"] for token in line["tokens"]) == pytest.approx(1 / 3)
    assert line["logprob"] == pytest.approx(math.log(1 / 3))


def test_what_cannot_occur_has_no_logprob_in_json(run: Run, sentences: Path) -> None:
    command = ("score", "--ngram", 3, "--corpus", sentences, "--level", "word", "a cat")
    assert run(*command).stdout.splitlines()[1].split() == ["0.0000", "-inf", "cat"]
    line = json.loads(run(*command, "--format", "jsonl").stdout)
    assert line["tokens"][1] == {"token": "cat", "logprob": None, "probability": 0.0}
    assert line["logprob"] is line["perplexity"] is None
    smoothed = json.loads(run(*command, "--format", "jsonl", "--smoothing", "kneser-ney").stdout)
    assert math.isfinite(smoothed["logprob"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ngram", "0", "--corpus", "{corpus}"], "--ngram must be 1 to 20, not 0"),
        (["--ngram", "21", "--corpus", "{corpus}"], "--ngram must be 1 to 20, not 21"),
        (["--ngram", "3"], "--ngram needs --corpus"),
        (["--corpus", "{corpus}"], "--corpus needs --ngram"),
        (["--model", "verse", "--level", "word"], "--level needs --ngram"),
        (["--ngram", "3", "--corpus", "{corpus}", "--model", "verse"], "combined with --model"),
        (["--ngram", "3", "--corpus", "{corpus}", "--device", "cpu"], "combined with --device"),
        (["--ngram", "3", "--corpus", "{corpus}", "--prompt", "é#"], "has no character '#'"),
        (
            ["--ngram", "2", "--corpus", "{corpus}", "--level", "word", "--prompt", "star Zebra"],
            "has no word 'zebra'",
        ),
        (["--ngram", "3", "--corpus", "nowhere.txt"], "does not exist"),
        ([], "give --model, or --ngram and --corpus"),
    ],
)
def test_bad_options_are_reported(run: Run, corpus: Path, arguments: list[str], says: str) -> None:
    result = run("write", *(argument.format(corpus=corpus) for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the text has no character"),
        (b"ab", "too short: 2 characters for n-grams of order 3"),
        (b"caf\xe9 au lait", "is not UTF-8 (byte 4 is none of it)"),
    ],
)
@pytest.mark.parametrize("command", [["write"], ["score", "ab"]])
def test_a_bad_corpus_is_reported(
    run: Run, tmp_path: Path, command: list[str], content: bytes, says: str
) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    result = run(*command, "--ngram", 3, "--corpus", tmp_path / "bad.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert says in " ".join(result.stderr.split())


def test_score_takes_a_model_or_ngrams(run: Run, corpus: Path) -> None:
    for arguments in (["ab"], ["--ngram", 3, "--corpus", corpus], ["verse", "ab", "--ngram", 3]):
        result = run("score", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
    result = run("score", "verse", "ab", "--ngram", 3, "--corpus", corpus)
    assert "--ngram cannot be combined with a MODEL" in result.stderr
