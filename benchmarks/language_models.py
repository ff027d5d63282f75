"""How fast language models write and read: tokens a second, by the texts that are written at once.

Knows language models; does not know HTTP (`benchmarks.texts` does), nor what captions asked for at
the same time would cost.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice

import torch
from torch import nn

from benchmarks.bench import PYTORCH, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.roofline import Cost, count, multiply, read_weights
from benchmarks.timing import interleave, seconds
from model.bundle.read import Bundle, load_text_bundle
from model.config import TextConfig
from model.runtime.select import Runtime, takes_openvino
from model.text.language_model import LanguageModel

__all__ = ["measure"]

_TEXTS = (1, 4, 16)
_WRITTEN = 200  # tokens a text
_READ = 2000
_STEPS = 50  # that the probe of bandwidth reads the weights of


def measure(bench: Bench) -> list[Table]:
    """Time each language model beside the captioner's bundle; no table where there is none."""
    folders = sorted(path.parent for path in bench.weights.parent.glob("text/*/config.json"))
    if not folders:
        return []
    torch.set_num_threads(bench.served_threads)
    models = [_Model(bench, load_text_bundle(folder)) for folder in folders]
    calls = {name: call for model in models for name, call in model.calls().items()}
    product, multiplied = multiply()
    calls["multiply"] = seconds(product)
    timed = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    speed = multiplied / min(timed["multiply"])
    written = [row for model in models for row in model.written(timed, speed)]
    read: list[Row] = [model.read(timed) for model in models]
    rounds = f"Median [quartiles] of {bench.slow_rounds} rounds in turn"
    notes = [
        f"{rounds}; {_WRITTEN} tokens a text, or fewer where it ends by itself; those of all texts "
        "are counted. A token is a character, or a word of `captions`.",
        f"{PYTORCH}: the same, its steps taken by PyTorch. naive: the loop that one would write "
        "over torch's own modules, of the same sizes: a sequence of one step, a softmax, a draw, "
        "nothing else (no log-probabilities, no stop).",
        "The most is what the multiply-adds or the weights of a step allow, whichever is less, at "
        "the best that a plain matrix product and matrix-vector products as large as the model "
        "reached in the same rounds, in float32. Several texts share the weights of a step.",
    ]
    reading = [f"{rounds}. A text that is there is given its log-probabilities, by PyTorch."]
    return [
        Table("Tokens written a second", written, notes),
        Table("Tokens read a second", read, reading),
    ]


class _Model:
    """A writer as it is served, by PyTorch, and as one would write it; what a step costs."""

    def __init__(self, bench: Bench, bundle: Bundle[TextConfig]) -> None:
        threads = bench.served_threads
        served: Runtime = "openvino" if takes_openvino(bench.runtime, "cpu") else "torch"
        self._served = LanguageModel.of(bundle, "cpu", served, threads)
        self._eager = LanguageModel.of(bundle, "cpu", "torch", threads)
        self._naive = _Naive(self._eager)
        self._name = bundle.config.name
        network = self._eager.network
        self._parameters = sum(p.numel() for p in network.parameters())
        self._work = {n: _count_step(self._eager, n) for n in _TEXTS}

    def calls(self) -> dict[str, Callable[[], float]]:
        """Name what is timed: tokens a second, but of the probe its seconds."""
        calls: dict[str, Callable[[], float]] = {}
        for n in _TEXTS:
            calls[f"{self._name}, {n}"] = partial(_write, self._served, n)
            calls[f"{self._name}, {n}, eager"] = partial(_write, self._eager, n)
            calls[f"{self._name}, {n}, naive"] = partial(self._naive.write, n)
        tokens = list(islice(cycle(range(4, len(self._eager.vocabulary))), _READ))
        calls[f"{self._name}, read"] = partial(_read, self._eager, tokens)
        probe, self._bytes = read_weights(self._work[1].weight_bytes, _STEPS)
        calls[f"{self._name}, probe"] = seconds(probe)
        return calls

    def written(self, timed: dict[str, list[float]], speed: float) -> list[Row]:
        """Tell how fast it writes, by the number of texts."""
        bandwidth = self._bytes / min(timed[f"{self._name}, probe"])
        return [
            {
                "model": self._name,
                "texts at once": n,
                "tokens a second": Sample(tuple(timed[f"{self._name}, {n}"])),
                PYTORCH: Sample(tuple(timed[f"{self._name}, {n}, eager"])),
                "naive": Sample(tuple(timed[f"{self._name}, {n}, naive"])),
                "the most": n / self._work[n].least_seconds(speed, bandwidth),
                "MB of weights": self._work[n].weight_bytes / 1e6,
            }
            for n in _TEXTS
        ]

    def read(self, timed: dict[str, list[float]]) -> Row:
        """Tell how fast it reads."""
        sample = Sample(tuple(timed[f"{self._name}, read"]))
        return {"model": self._name, "parameters": self._parameters, "tokens a second": sample}


class _Naive:
    """The obvious writer: `nn.LSTM` (or its like) called for one character after the other."""

    def __init__(self, language_model: LanguageModel) -> None:
        config, vocabulary = language_model.config.network, len(language_model.vocabulary)
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


def _count_step(language_model: LanguageModel, texts: int) -> Cost:
    tokens, state = (
        torch.zeros(texts, dtype=torch.long),
        language_model.network.initial_state(texts),
    )
    return count(partial(language_model.network.step, tokens, state), language_model.network)


def _write(language_model: LanguageModel, texts: int) -> float:
    began = time.perf_counter()
    pieces = language_model.generate(n=texts, max_tokens=_WRITTEN)
    return sum(piece.token is not None for piece in pieces) / (time.perf_counter() - began)


def _read(language_model: LanguageModel, tokens: Sequence[int]) -> float:
    began = time.perf_counter()
    language_model.logprobs(tokens)
    return len(tokens) / (time.perf_counter() - began)
