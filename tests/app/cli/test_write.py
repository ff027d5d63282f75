"""`unrolled write`."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.app.servers import COMMAND
from tests.tiny import tiny_language_model

Run = Callable[..., Result]


@pytest.fixture
def weights_folder(weights: Path) -> Path:
    """A captioner and two language models."""
    return weights


def generated(prompt: str = "", **options: object) -> str:
    return "".join(delta.text for delta in tiny_language_model().generate(prompt, **options))


def test_a_text_follows_its_prompt(run: Run, weights: Path) -> None:
    prompt = ("--prompt", "Twin", "--seed", 3)
    options = (*prompt, "--max-tokens", 30, "--temperature", 0.5, "--top-k", 4)
    expected = generated("Twin", seed=3, max_tokens=30, temperature=0.5, top_k=4)
    places = ("verse", weights / "text" / "verse")
    by_name, by_path = (run("write", "--model", place, *options) for place in places)
    assert by_name.exit_code == by_path.exit_code == 0
    assert by_name.stdout == by_path.stdout == f"Twin{expected}\n"
    assert by_name.stderr == ""


def test_a_random_seed_is_printed(run: Run) -> None:
    result = run("write", "--model", "verse")
    word, seed = result.stderr.split()
    assert word == "seed"
    assert result.stdout == generated(seed=int(seed)) + "\n"


def test_several_texts_have_successive_seeds(run: Run) -> None:
    result = run("write", "--model", "verse", "--n", 2, "--seed", 7)
    first, second = generated(seed=7), generated(seed=8)
    assert result.stdout == (f"--- 1 of 2, seed 7 ---\n{first}\n--- 2 of 2, seed 8 ---\n{second}\n")
    lines = [
        json.loads(line)
        for line in run("write", "--model", "verse", "--n", 2, "--seed", 7, "--format", "jsonl")
        .stdout.splitlines()
    ]  # fmt: skip
    assert {line["seed"]: line["text"] for line in lines} == {7: first, 8: second}
    assert all(set(line) == {
        "index", "prompt", "seed", "text", "finish_reason", "logprob", "tokens",
    } for line in lines)  # fmt: skip


def test_a_text_ends_before_a_stop_string(run: Run) -> None:
    whole = generated(seed=7, max_tokens=50)
    result = run("write", "--model", "verse", "--seed", 7, "--max-tokens", 50,
                 "--stop", whole[20:22], "--stop", "☃")  # fmt: skip
    assert result.stdout == whole[: whole.index(whole[20:22])] + "\n"


def test_a_text_is_shown_while_it_is_written(weights: Path) -> None:
    command = ["write", "--model", "verse", "--max-tokens", "10000", "--seed", "1"]
    with subprocess.Popen(
        [*COMMAND, *command],
        env=os.environ | {"UNROLLED_WEIGHTS": str(weights), "UNROLLED_DEVICE": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.read(5)
        assert process.poll() is None
        process.stdout.close()  # as a reader that stops reading does
        assert b"Traceback" not in process.stderr.read()


def test_a_prompt_of_undecodable_bytes_is_printable(run: Run) -> None:
    result = run("write", "--model", "verse", "--prompt", "caf\udce9", "--seed", 1)
    assert result.stdout.startswith("caf\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["write", "--model", "prose"], 1, "there is no model 'prose'"),
        (["write", "--model", "captioner"], 1, "'text' is needed"),
        (["write", "--model", "verse", "--top-p", "0"], 2, "top_p"),
    ],
)
def test_errors_are_reported(run: Run, arguments: list[str], code: int, says: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in " ".join(result.stderr.replace("│", "").split())
