"""How fast language models write and read: tokens a second, by the texts that are written at once.

Knows language models; does not know HTTP, nor what captions asked for at the same time would cost.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice

import torch
from torch import nn

from benchmarks.bench import Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.timing import interleave
from model.language_model import LanguageModel

__all__ = ["measure"]

_TEXTS = (1, 4, 16)
_WRITTEN = 200  # tokens a text
_READ = 2000


def measure(bench: Bench) -> list[Table]:
    """Time each language model beside the captioner's bundle; no table where there is none."""
    folders = sorted(path.parent for path in bench.weights.parent.glob("text/*/config.json"))
    writers = [LanguageModel.load(folder, "cpu") for folder in folders]
    if not writers:
        return []
    calls: dict[str, Callable[[], float]] = {}
    for writer in writers:
        naive = _Naive(writer)
        for texts in _TEXTS:
            calls[_name(writer, texts)] = partial(_write, writer, texts)
            calls[_name(writer, -texts)] = partial(naive.write, texts)
        tokens = list(islice(cycle(range(4, len(writer.vocabulary))), _READ))
        calls[_name(writer, 0)] = partial(_read, writer, tokens)
    timed = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for writer in writers:
        row: dict[str, str | float | Sample] = {
            "model": writer.config.name,
            "parameters": sum(p.numel() for p in writer.network.parameters()),
        }
        for texts in _TEXTS:
            row[f"{texts} at once"] = Sample(tuple(timed[_name(writer, texts)]))
            row[f"{texts}, naive"] = Sample(tuple(timed[_name(writer, -texts)]))
        row["read"] = Sample(tuple(timed[_name(writer, 0)]))
        rows.append(row)
    notes = [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn; {_WRITTEN} tokens a text, "
        "or fewer where it ends by itself; those of all texts are counted. A token is a "
        "character, or a word of `captions`.",
        "naive: the loop that one would write over torch's own modules, of the same sizes: a "
        "sequence of one step, a softmax, a draw, nothing else (no log-probabilities, no stop).",
        "`read` gives a text that is there its log-probabilities.",
    ]
    return [Table("Tokens a second", rows, notes)]


class _Naive:
    """The obvious writer: `nn.LSTM` (or its like) called for one character after the other."""

    def __init__(self, writer: LanguageModel) -> None:
        config, vocabulary = writer.config.network, len(writer.vocabulary)
        size = config.embedding_size or vocabulary
        kind = {"rnn": nn.RNN, "gru": nn.GRU}.get(config.cell, nn.LSTM)
        self._embedding = nn.Embedding(vocabulary, size)
        self._cells = kind(size, config.hidden_size, config.layers, batch_first=True)
        self._to_word = nn.Linear(config.hidden_size, vocabulary)

    @torch.inference_mode()
    def write(self, texts: int) -> float:
        """Write, and say how many tokens a second that was."""
        began = time.perf_counter()
        tokens, state = torch.zeros(texts, 1, dtype=torch.long), None
        for _ in range(_WRITTEN):
            hidden, state = self._cells(self._embedding(tokens), state)
            tokens = self._to_word(hidden[:, -1]).softmax(-1).multinomial(1)
        return texts * _WRITTEN / (time.perf_counter() - began)


def _name(writer: LanguageModel, texts: int) -> str:
    return f"{writer.config.name}, {texts}"


def _write(writer: LanguageModel, texts: int) -> float:
    began = time.perf_counter()
    pieces = writer.generate(n=texts, max_tokens=_WRITTEN)
    return sum(piece.token is not None for piece in pieces) / (time.perf_counter() - began)


def _read(writer: LanguageModel, tokens: Sequence[int]) -> float:
    began = time.perf_counter()
    writer.logprobs(tokens)
    return len(tokens) / (time.perf_counter() - began)
