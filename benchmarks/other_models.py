"""Unrolled and other captioners on the same photographs, in the same run.

`unrolled serve` and the server of `benchmarks.baseline_server` are asked over HTTP; the others run
in their own processes, driven picture by picture through pipes. Their weights are random, so only
time and memory are compared, not captions.
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

import torch

from benchmarks.bench import ROOT, SIZE, Bench
from benchmarks.machine import trained_parameters
from benchmarks.other_model import BEAM, TOKENS
from benchmarks.peak import peak_bytes
from benchmarks.report import Row, Sample, Table
from benchmarks.server import Server, caption, running_baseline_server, running_server
from benchmarks.timing import interleave
from model.runtime.select import takes_openvino

__all__ = ["TITLE", "measure"]

TITLE = "Milliseconds per picture, compared with other models"

_UNROLLED, _INT8 = "Unrolled, over HTTP", "Unrolled, int8, over HTTP"
_BASELINE = "baseline server, over HTTP"
_OTHER_MODELS = {
    "ViT-GPT2": "vit-gpt2",
    "BLIP-base": "blip-base",
    "Florence-2-base": "florence-2-base",
    "SmolVLM-256M": "smolvlm-256m",
}
_UNAVAILABLE = (
    "The other models were not measured: `transformers` is not installed; pip install "
    "-e '.[other-models]' installs it."
)


@dataclass(frozen=True)
class _Captioner:
    """A process that captions, and the function that makes it caption a picture."""

    caption: Callable[[bytes], None]
    pid: int
    parameters: int


def measure(bench: Bench, scale: str = "published") -> list[Table]:
    """Time every captioner on every photograph, in turn; `scale` is for tests."""
    installed = find_spec("transformers") is not None
    with ExitStack() as stack:
        unrolled, baseline = (
            stack.enter_context(running_server(bench)),
            stack.enter_context(running_baseline_server(bench)),
        )
        size = sum(weights.numel() for weights in trained_parameters(bench.eager))
        captioners = {_UNROLLED: _Captioner(partial(_ask, unrolled), unrolled.pid, size)}
        if takes_openvino(bench.runtime, "cpu"):
            int8 = stack.enter_context(running_server(bench, precision="int8"))
            captioners[_INT8] = _Captioner(partial(_ask, int8), int8.pid, size)
        captioners[_BASELINE] = _Captioner(partial(_ask, baseline), baseline.pid, size)
        for name, kind in _OTHER_MODELS.items() if installed else ():
            for data_type in _data_types():
                process = _start_other_model(kind, data_type, str(bench.served_threads), scale)
                captioners[f"{name}, {data_type}"] = stack.enter_context(process)
        calls = {
            name: partial(_milliseconds, captioner.caption, bench.photographs)
            for name, captioner in captioners.items()
        }
        milliseconds = interleave(calls, rounds=bench.slow_rounds, warmups=1)
        peaks = {name: peak_bytes(captioner.pid) for name, captioner in captioners.items()}
    notes = [*_notes(bench), *([] if installed else [_UNAVAILABLE])]
    return [Table(TITLE, _rows(captioners, milliseconds, peaks), notes)]


def _data_types() -> tuple[str, ...]:
    """Return the types to measure; a processor without AVX-512 only emulates bfloat16."""
    emulated = torch.backends.cpu.get_cpu_capability() == "AVX2"
    return ("float32",) if emulated else ("float32", "bfloat16")


def _rows(
    captioners: Mapping[str, _Captioner],
    milliseconds: Mapping[str, list[float]],
    peaks: Mapping[str, int | None],
) -> list[Row]:
    rows: list[Row] = []
    for name, values in milliseconds.items():
        ratios = [
            value / unrolled
            for value, unrolled in zip(values, milliseconds[_UNROLLED], strict=True)
        ]
        row: dict[str, str | float | Sample] = {
            "captioner": name,
            "million parameters": captioners[name].parameters / 1e6,
            "ms per picture": Sample(tuple(values)),
            "times Unrolled": 1 if name == _UNROLLED else Sample(tuple(ratios)),
        }
        if (peak := peaks[name]) is not None:
            row["peak MB"] = peak / 1e6
        rows.append(row)
    return rows


def _notes(bench: Bench) -> list[str]:
    return [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn, and of the ratios within each "
        f"round; a round captions all {len(bench.photographs)} photographs, {SIZE[0]}x{SIZE[1]} "
        f"JPEG, one by one, decoding included, beam {BEAM}, {bench.served_threads} threads each; "
        "while one captioner is measured, the others are idle. Peaks are of each process's "
        "resident memory.",
        "Unrolled and the baseline server (the same bundle, `benchmarks/baseline_server.py`) are "
        "asked over HTTP; int8 is Unrolled with `UNROLLED_PRECISION=int8`. The others get "
        "their pictures through a pipe and do not detokenize; both are in their favour.",
        "The others are built from the configurations of nlpconnect/vit-gpt2-image-captioning, "
        "Salesforce/blip-image-captioning-base, microsoft/Florence-2-base and "
        "HuggingFaceTB/SmolVLM-256M-Instruct with `transformers`, in eager PyTorch, with random "
        f"weights. Each generates exactly {TOKENS} tokens per picture, the usual number of steps "
        "of Unrolled's search: with random weights it would not know when to end. SmolVLM decodes "
        "greedily, as published, and gets the picture whole; by default it would cut it into more "
        "than ten. Florence and SmolVLM also read a short question. In bfloat16 they are measured "
        "where the processor has instructions for it, which begin with AVX-512.",
    ]


def _milliseconds(caption_one: Callable[[bytes], None], photographs: list[bytes]) -> float:
    started = time.perf_counter()
    for photograph in photographs:
        caption_one(photograph)
    return 1000 * (time.perf_counter() - started) / len(photographs)


def _ask(server: Server, photograph: bytes) -> None:
    server.client.close()  # the server may have closed it while others were measured
    caption(server.client, photograph, f"?beam_size={BEAM}")


@contextmanager
def _start_other_model(*arguments: str) -> Iterator[_Captioner]:
    """Start `benchmarks.other_model`, wait until it is ready, and stop it on leaving.

    Raises:
        RuntimeError: the process stopped; the message holds its stderr.
    """
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.other_model", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        pipes = process.stdin, process.stdout
        try:
            size = _read_number(pipes[1], stderr)
            yield _Captioner(partial(_caption, *pipes, stderr), process.pid, size)
        finally:
            process.kill()  # it has nothing to save
            process.communicate()


def _caption(stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes], photograph: bytes) -> None:
    stdin.write(b"%d\n" % len(photograph) + photograph)
    stdin.flush()
    if (count := _read_number(stdout, stderr)) != TOKENS:
        raise RuntimeError(f"benchmarks.other_model wrote {count} tokens, not {TOKENS}")


def _read_number(stdout: IO[bytes], stderr: IO[bytes]) -> int:
    line = stdout.readline()
    if not line:
        stderr.seek(0)
        raise RuntimeError(
            f"benchmarks.other_model stopped:\n{stderr.read().decode(errors='replace')}"
        )
    return int(line)
