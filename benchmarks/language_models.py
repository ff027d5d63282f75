"""Tokens per second that language models generate and score, by the number of texts at once.

Generation is compared with the same model in eager PyTorch, with the naive loop and with the
roofline. `benchmarks.texts` measures generation over HTTP.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice

import torch
from torch import nn

from benchmarks.bench import PYTORCH, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.roofline import Cost, bandwidth_probe, count_cost, matmul_probe
from benchmarks.timing import interleave, seconds
from model.bundle.read import Bundle, load_text_bundle
from model.config import TextConfig
from model.runtime.options import Runtime
from model.runtime.select import takes_openvino
from model.text.language_model import LanguageModel

__all__ = ["generate", "measure"]

_TEXTS = (1, 4, 16)
_GENERATED_TOKENS = 200  # tokens per text
_SCORED_TOKENS = 2000
_PROBE_STEPS = 50  # whose weights the bandwidth probe reads


def measure(bench: Bench) -> list[Table]:
    """Measure every language model in `text/`; return no table if there is none."""
    folders = sorted(path.parent for path in bench.weights.parent.glob("text/*/config.json"))
    if not folders:
        return []
    torch.set_num_threads(bench.served_threads)
    models = [_Subject(bench, load_text_bundle(folder)) for folder in folders]
    calls = {name: call for model in models for name, call in model.calls().items()}
    product, multiply_adds = matmul_probe()
    calls["matmul"] = seconds(product)
    timed = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    compute = multiply_adds / min(timed["matmul"])
    generation = [row for model in models for row in model.generation(timed, compute)]
    scoring: list[Row] = [model.scoring(timed) for model in models]
    rounds = f"Median [quartiles] of {bench.slow_rounds} rounds in turn"
    notes = [
        f"{rounds}; {_GENERATED_TOKENS} tokens per text, or fewer if it ends sooner; the tokens of "
        "all texts count. A token is a character, or a word for `captions`.",
        f"{PYTORCH}: the same generation with its steps in eager PyTorch. naive: the obvious loop "
        "over torch's own modules of the same sizes: a sequence of one step, a softmax, a sample "
        "(no log-probabilities, no stop).",
        "roofline: what the multiply-adds or the weights of a step allow, whichever is less, at "
        "the highest rates that a matrix product, and matrix-vector products as large as the "
        "model, reached in the same rounds, in float32. Texts generated together share the reads "
        "of a step's weights.",
    ]
    scoring_notes = [f"{rounds}. Log-probabilities of a given text, in eager PyTorch."]
    return [
        Table("Tokens generated per second", generation, notes),
        Table("Tokens scored per second", scoring, scoring_notes),
    ]


class _Subject:
    """A language model as served, in eager PyTorch and as the naive loop; the cost of a step."""

    def __init__(self, bench: Bench, bundle: Bundle[TextConfig]) -> None:
        threads = bench.served_threads
        served: Runtime = "openvino" if takes_openvino(bench.runtime, "cpu") else "torch"
        self._served = LanguageModel.from_bundle(bundle, "cpu", served, threads)
        self._eager = LanguageModel.from_bundle(bundle, "cpu", "torch", threads)
        self._naive = _Naive(self._eager)
        self._name = bundle.config.name
        network = self._eager.network
        self._parameters = sum(p.numel() for p in network.parameters())
        self._costs = {n: _count_step(self._eager, n) for n in _TEXTS}

    def calls(self) -> dict[str, Callable[[], float]]:
        """Return the calls to time; each returns tokens per second, the probe seconds."""
        calls: dict[str, Callable[[], float]] = {}
        for n in _TEXTS:
            calls[f"{self._name}, {n}"] = partial(generate, self._served, n)
            calls[f"{self._name}, {n}, eager"] = partial(generate, self._eager, n)
            calls[f"{self._name}, {n}, naive"] = partial(self._naive.generate, n)
        tokens = list(islice(cycle(range(4, len(self._eager.vocabulary))), _SCORED_TOKENS))
        calls[f"{self._name}, scoring"] = partial(_score, self._eager, tokens)
        probe, self._bytes = bandwidth_probe(self._costs[1].weight_bytes, _PROBE_STEPS)
        calls[f"{self._name}, probe"] = seconds(probe)
        return calls

    def generation(self, timed: dict[str, list[float]], compute: float) -> list[Row]:
        """Return a row for each number of texts generated at once."""
        bandwidth = self._bytes / min(timed[f"{self._name}, probe"])
        return [
            {
                "model": self._name,
                "texts at once": n,
                "tokens per second": Sample(tuple(timed[f"{self._name}, {n}"])),
                PYTORCH: Sample(tuple(timed[f"{self._name}, {n}, eager"])),
                "naive": Sample(tuple(timed[f"{self._name}, {n}, naive"])),
                "roofline": n / self._costs[n].roofline_seconds(compute, bandwidth),
                "MB of weights": self._costs[n].weight_bytes / 1e6,
            }
            for n in _TEXTS
        ]

    def scoring(self, timed: dict[str, list[float]]) -> Row:
        """Return the row for scoring a given text."""
        sample = Sample(tuple(timed[f"{self._name}, scoring"]))
        return {"model": self._name, "parameters": self._parameters, "tokens per second": sample}


class _Naive:
    """The naive loop: `nn.LSTM`, `nn.GRU` or `nn.RNN` called for one token after another."""

    def __init__(self, language_model: LanguageModel) -> None:
        config, vocabulary = language_model.config.network, len(language_model.vocabulary)
        size = config.embedding_size or vocabulary
        kind = {"rnn": nn.RNN, "gru": nn.GRU}.get(config.cell, nn.LSTM)
        self._embedding = nn.Embedding(vocabulary, size)
        self._cells = kind(size, config.hidden_size, config.layers, batch_first=True)
        self._to_word = nn.Linear(config.hidden_size, vocabulary)

    @torch.inference_mode()
    def generate(self, texts: int) -> float:
        """Generate texts and return the tokens per second."""
        started = time.perf_counter()
        tokens, state = torch.zeros(texts, 1, dtype=torch.long), None
        for _ in range(_GENERATED_TOKENS):
            hidden, state = self._cells(self._embedding(tokens), state)
            tokens = self._to_word(hidden[:, -1]).softmax(-1).multinomial(1)
        return texts * _GENERATED_TOKENS / (time.perf_counter() - started)


def _count_step(language_model: LanguageModel, texts: int) -> Cost:
    tokens, state = (
        torch.zeros(texts, dtype=torch.long),
        language_model.network.initial_state(texts),
    )
    return count_cost(partial(language_model.network.step, tokens, state), language_model.network)


def generate(language_model: LanguageModel, texts: int) -> float:
    """Generate texts at once, and return the tokens per second of all of them together."""
    started = time.perf_counter()
    deltas = language_model.generate(n=texts, max_tokens=_GENERATED_TOKENS)
    return sum(delta.token is not None for delta in deltas) / (time.perf_counter() - started)


def _score(language_model: LanguageModel, tokens: Sequence[int]) -> float:
    started = time.perf_counter()
    language_model.logprobs(tokens)
    return len(tokens) / (time.perf_counter() - started)
