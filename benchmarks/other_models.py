"""How long other captioners take for the same photographs, in the same run.

BLIP-base and ViT-GPT2 in processes of their own, driven picture by picture through pipes, beside
`unrolled serve` and the plain server of `benchmarks.baseline_server`, which are asked over HTTP.
Knows how to start and ask them; does not know what captions are worth: the peers' weights are
random.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import IO

from benchmarks.bench import ROOT, SIZE, Bench
from benchmarks.machine import parameters
from benchmarks.other_model import BEAM, TOKENS
from benchmarks.peak import peak_bytes
from benchmarks.report import Row, Sample, Table
from benchmarks.server import Server, caption, running, running_baseline
from benchmarks.timing import interleave
from model.runtime.select import takes_openvino

__all__ = ["TITLE", "measure"]

TITLE = "Milliseconds a picture, beside others"

_OURS, _ROUNDED = "Unrolled, over HTTP", "Unrolled, int8, over HTTP"
_PLAIN = "plain FastAPI, over HTTP"
_NAMES = {"ViT-GPT2": "vit-gpt2", "BLIP-base": "blip-base"}
_DATA_TYPES = ("float32", "bfloat16")
_LACKING = (
    "BLIP and ViT-GPT2 are left out, since `transformers` is not installed: "
    "pip install -e '.[other-models]' brings it."
)


@dataclass(frozen=True)
class _Captioner:
    """A process that captions, and how to have it do so."""

    caption: Callable[[bytes], None]
    pid: int
    parameters: int


def measure(bench: Bench, scale: str = "published") -> list[Table]:
    """Let every captioner caption every photograph, in turn; `scale` is for tests."""
    installed = find_spec("transformers") is not None
    with ExitStack() as stack:
        ours, plain = (
            stack.enter_context(running(bench)),
            stack.enter_context(running_baseline(bench)),
        )
        size = sum(weights.numel() for weights in parameters(bench.eager))
        captioners = {_OURS: _Captioner(partial(_ask, ours), ours.pid, size)}
        if takes_openvino(bench.runtime, "cpu"):
            rounded = stack.enter_context(running(bench, precision="int8"))
            captioners[_ROUNDED] = _Captioner(partial(_ask, rounded), rounded.pid, size)
        captioners[_PLAIN] = _Captioner(partial(_ask, plain), plain.pid, size)
        for name, kind in _NAMES.items() if installed else ():
            for data_type in _DATA_TYPES:
                process = _running(kind, data_type, str(bench.served_threads), scale)
                captioners[f"{name}, {data_type}"] = stack.enter_context(process)
        calls = {
            name: partial(_milliseconds, one.caption, bench.photographs)
            for name, one in captioners.items()
        }
        found = interleave(calls, rounds=bench.slow_rounds, warmups=1)
        peaks = {name: peak_bytes(one.pid) for name, one in captioners.items()}
    notes = [*_notes(bench), *([] if installed else [_LACKING])]
    return [Table(TITLE, _rows(captioners, found, peaks), notes)]


def _rows(
    captioners: Mapping[str, _Captioner],
    found: Mapping[str, list[float]],
    peaks: Mapping[str, int | None],
) -> list[Row]:
    rows: list[Row] = []
    for name, values in found.items():
        ratios = [value / ours for value, ours in zip(values, found[_OURS], strict=True)]
        row: dict[str, str | float | Sample] = {
            "captioner": name,
            "million parameters": captioners[name].parameters / 1e6,
            "ms a picture": Sample(tuple(values)),
            "times Unrolled": 1 if name == _OURS else Sample(tuple(ratios)),
        }
        if (peak := peaks[name]) is not None:
            row["peak MB"] = peak / 1e6
        rows.append(row)
    return rows


def _notes(bench: Bench) -> list[str]:
    return [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn, and of the ratios within each; "
        f"a round takes all {len(bench.photographs)} photographs, {SIZE[0]}x{SIZE[1]} JPEG, one by "
        f"one, decoding included, beam {BEAM}, {bench.served_threads} threads each; while one is "
        "measured the others are idle. Peaks are of each process's resident memory.",
        "Unrolled and the plain server (the same bundle, `benchmarks/baseline_server.py`) are "
        "asked over HTTP; int8 is Unrolled by `UNROLLED_PRECISION=int8`. The others get "
        "their pictures through a pipe, and make no text of their tokens: both are in their "
        "favour.",
        "BLIP-base and ViT-GPT2 are built from the configurations of "
        "Salesforce/blip-image-captioning-base and nlpconnect/vit-gpt2-image-captioning by "
        f"`transformers`, in eager PyTorch, with random weights. Each writes {TOKENS} tokens for "
        "every picture, whatever it sees, as many as Unrolled's search usually takes steps: random "
        "weights would not know when to end.",
    ]


def _milliseconds(caption_one: Callable[[bytes], None], photographs: list[bytes]) -> float:
    began = time.perf_counter()
    for photograph in photographs:
        caption_one(photograph)
    return 1000 * (time.perf_counter() - began) / len(photographs)


def _ask(server: Server, photograph: bytes) -> None:
    server.client.close()  # a server closes what was idle for seconds, while others were measured
    caption(server.client, photograph, f"?beam_size={BEAM}")


@contextmanager
def _running(*arguments: str) -> Iterator[_Captioner]:
    """Start `benchmarks.other_model`, wait until it is ready, stop it in the end.

    Raises:
        RuntimeError: it stopped; the message holds what it said.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.other_model", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        )
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        pipes = process.stdin, process.stdout
        try:
            size = _answer(pipes[1], said)
            yield _Captioner(partial(_caption, *pipes, said), process.pid, size)
        finally:
            process.kill()  # it holds nothing that would be lost
            process.communicate()


def _caption(questions: IO[bytes], answers: IO[bytes], said: IO[bytes], photograph: bytes) -> None:
    questions.write(b"%d\n" % len(photograph) + photograph)
    questions.flush()
    if (written := _answer(answers, said)) != TOKENS:
        raise RuntimeError(f"benchmarks.other_model wrote {written} tokens, not {TOKENS}")


def _answer(answers: IO[bytes], said: IO[bytes]) -> int:
    line = answers.readline()
    if not line:
        said.seek(0)
        raise RuntimeError(
            f"benchmarks.other_model stopped:\n{said.read().decode(errors='replace')}"
        )
    return int(line)
