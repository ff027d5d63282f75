"""Language models: generate text, score it, and look at the activations of the units.

    language_model = LanguageModel.load("shakespeare")
    for delta in language_model.generate("ROMEO:", seed=1):
        print(delta.text, end="")

Characters and words share one code path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from model.arrays import to_numpy
from model.bundle.discovery import SHIPPED_WEIGHTS, bundle_folder
from model.bundle.read import Bundle, load_text_bundle
from model.config import DecodingConfig, TextConfig
from model.decoding import beam_search
from model.decoding.constraints import ForbiddenTokens, NoRepeatNgram
from model.decoding.hypothesis import Hypothesis
from model.decoding.sampling import random_numbers
from model.runtime.base import TextRunner, TextState
from model.runtime.device import choose_device
from model.runtime.options import Runtime
from model.runtime.select import load_text_runner
from model.text.continuous_batch import ContinuousBatch
from model.text.deltas import DeltaBuffer, TextDelta
from model.text.generation import Generation
from model.text.normalization import with_known_characters
from model.text.prefill import Incremental, iter_logprobs, iter_states, prefill, run_to_end
from model.text.request import GenerationRequest
from model.text.scores import Activations, TextScore, TextToken, UnitStates
from model.text.sequence import GeneratedSequence
from model.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

    from model.networks.text_network import TextNetwork

__all__ = ["LanguageModel"]

# Of `DecodingConfig`; the others are for captions.
_SEARCH_OPTIONS = (
    "beam_size",
    "num_captions",
    "max_length",
    "length_penalty",
    "no_repeat_ngram_size",
)


class LanguageModel:
    """A trained network that generates and scores text.

    Every text begins with the start token. Characters that the vocabulary lacks are read as the
    nearest that it has (see `model.text.normalization`), else as the unknown token, which is never
    generated. If texts end by themselves (`ends`), the end token is generated and scored like any
    other.

    Args:
        runner: executes its network, see `model.runtime`.
        config, vocabulary: of its bundle.
        card: its model card, Markdown.
    """

    def __init__(
        self, runner: TextRunner, config: TextConfig, vocabulary: Vocabulary, *, card: str = ""
    ) -> None:
        self.runner = runner
        self.config = config
        self.vocabulary = vocabulary
        self.card = card
        ending = () if config.ends else (vocabulary.end_id,)
        self._never_written = (*vocabulary.never_written, *ending)
        self._shared_batch = self._new_batch()

    @classmethod
    def of(
        cls,
        network: TextNetwork,
        config: TextConfig,
        vocabulary: Vocabulary,
        *,
        device: str | torch.device = "cpu",
        card: str = "",
    ) -> Self:
        """Build a language model from a PyTorch network; the others are the class's arguments."""
        from model.runtime.pytorch import TorchTextRunner  # noqa: PLC0415 - imports PyTorch

        return cls(TorchTextRunner(network, device), config, vocabulary, card=card)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        runtime: Runtime = "auto",
        threads: int | None = None,
    ) -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder, or the name of a shipped one ("shakespeare").
            device: `auto`, or any that PyTorch knows (`cpu`, `cuda`, `cuda:1`, `mps`).
            runtime: what executes the network, see `load_text_runner`; `torch` makes the network
                available, to be trained or looked at.
            threads: on a CPU; None leaves it to the runtime.

        Raises:
            BundleError: the bundle cannot be used; the message says why.
            ValueError: there is no such model or device, or the runtime does not support it.
        """
        bundle = load_text_bundle(bundle_folder(str(path), SHIPPED_WEIGHTS))
        return cls.from_bundle(bundle, device, runtime, threads)

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle[TextConfig],
        device: str = "auto",
        runtime: Runtime = "auto",
        threads: int | None = None,
    ) -> Self:
        """Load the weights of a bundle that `load_text_bundle` has read; see `load`."""
        runner = load_text_runner(bundle, choose_device(device), runtime, threads)
        return cls(runner, bundle.config, bundle.vocabulary, card=bundle.card)

    @property
    def device(self) -> str:
        """Where its network runs, as PyTorch names it."""
        return self.runner.device

    @property
    def network(self) -> TextNetwork:
        """Its network in PyTorch.

        Raises:
            ValueError: another runtime executes it.
        """
        network: TextNetwork | None = getattr(self.runner, "network", None)
        if network is None:
            raise ValueError("the network is not in PyTorch: load it with runtime='torch'")
        return network

    def encode(self, text: str) -> list[int]:
        """Cut a text into tokens that the model knows, and return their ids."""
        if not isinstance(text, str):
            raise TypeError(f"a text must be a string, not {type(text).__name__}")
        if self.config.level == "character":
            text = with_known_characters(text, self.vocabulary)
        return self.vocabulary.encode(text)

    def generate(
        self,
        prompt: str = "",
        *,
        n: int = 1,
        seed: int = 0,
        stop: Sequence[str] = (),
        top_logprobs: int = 0,
        **options: Any,
    ) -> Iterator[TextDelta]:
        """Continue a prompt, and yield each token as it comes.

        Args:
            prompt, n, seed, stop, top_logprobs: see `GenerationRequest`.
            options: changes to the bundle's default sampling, by the names of `SamplingConfig`'s
                fields.

        Yields:
            The deltas of all texts as they come, those of one text in order; the last of each says
            why it ended.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        sampling = self.config.sampling.merge(**options)
        request = GenerationRequest(prompt, sampling, n, seed, tuple(stop), top_logprobs)
        return self.start(request).deltas()

    def start(self, request: GenerationRequest, *, shared: bool = False) -> Generation:
        """Start a request, and let the caller decide when to continue.

        Args:
            request: what is to be generated.
            shared: whether it shares each step with all other shared requests. Texts stay the same,
                except for the last digits of their log-probabilities.
        """
        batch, buffer = self._shared_batch if shared else self._new_batch(), DeltaBuffer()

        def read_prompt() -> Incremental[list[GeneratedSequence]]:
            prompt = self.encode(request.prompt or self.config.beginning)
            # The last token is read by the first step that the texts share.
            state = self.runner.initial_state()
            for _, after in prefill(self.runner, [self.vocabulary.start_id, *prompt][:-1]):
                state = after
                yield
            row_state = tuple(part[:, 0] for part in state)
            sequences = [
                GeneratedSequence(
                    i,
                    self.vocabulary,
                    prompt,
                    after_space=not request.prompt or request.prompt[-1].isspace(),
                    sampling=request.sampling,
                    numbers=random_numbers((request.seed + i) % 2**63),
                    stop=request.stop,
                    top_logprobs=request.top_logprobs,
                    buffer=buffer,
                    state=row_state,
                )
                for i in range(request.n)
            ]
            batch.join(sequences)
            return sequences

        return Generation(read_prompt(), batch, buffer)

    def _new_batch(self) -> ContinuousBatch:
        return ContinuousBatch(self.runner, self.vocabulary, self._never_written)

    def search(self, prompt: str = "", **options: Any) -> list[tuple[str, Hypothesis]]:
        """Find the likeliest ways to continue a prompt, by beam search.

        Args:
            prompt: if empty, the text begins as texts of the corpus do.
            options: `beam_size`, `num_captions` (here: continuations), `max_length` (default: 50),
                `length_penalty` and `no_repeat_ngram_size` (of the continuation alone), within
                the bounds of `DecodingConfig`.

        Returns:
            Best first, the text without the prompt, and its tokens with their log-probabilities.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        if unknown := sorted(options.keys() - set(_SEARCH_OPTIONS)):
            choices = ", ".join(_SEARCH_OPTIONS)
            raise ValueError(f"unknown option {unknown[0]!r}: choose from {choices}")
        decoding = DecodingConfig(max_length=50).merge(**options)
        *before, last = [self.vocabulary.start_id, *self.encode(prompt or self.config.beginning)]
        state = self.runner.initial_state()
        for _, after in prefill(self.runner, before):
            state = after

        def step(tokens: NDArray[np.int64], state: TextState) -> tuple[Any, TextState]:
            rows = tokens.shape  # (batch, beam); states are (batch, beam, layers, hidden)
            flat = tuple(part.reshape(-1, *part.shape[2:]).swapaxes(0, 1).copy() for part in state)
            logprobs, after = self.runner.step(tokens.reshape(-1), self.runner.place(flat))
            parts = (to_numpy(part).swapaxes(0, 1) for part in after)
            return (
                logprobs.reshape(*rows, -1),
                tuple(part.reshape(*rows, *part.shape[1:]) for part in parts),
            )

        (found,) = beam_search.search(
            step,
            tuple(to_numpy(part).swapaxes(0, 1) for part in state),
            decoding,
            start_token=last,
            end_token=self.vocabulary.end_id,
            constraints=[
                ForbiddenTokens(self._never_written),
                NoRepeatNgram(decoding.no_repeat_ngram_size),
            ],
        )
        return [(self.vocabulary.decode(hypothesis.tokens), hypothesis) for hypothesis in found]

    def score(self, text: str) -> TextScore:
        """Return the log-probability of a text, token by token.

        Where texts end by themselves the end token counts too. An unknown token counts as such.
        """
        return run_to_end(self.score_incrementally(text))

    def score_incrementally(self, text: str) -> Incremental[TextScore]:
        """Score a text as `score` does, and yield between chunks of it."""
        tokens = self.encode(text) + ([self.vocabulary.end_id] if self.config.ends else [])
        logprobs: list[float] = []
        for chunk in iter_logprobs(self.runner, [self.vocabulary.start_id, *tokens]):
            logprobs += chunk.tolist()
            yield
        names = (self.vocabulary.tokens[token] for token in tokens)
        return TextScore(tuple(map(TextToken, names, logprobs)), characters=len(text))

    def logprobs(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the log-probability of each token given those before it: (tokens,)."""
        chunks = iter_logprobs(self.runner, [self.vocabulary.start_id, *tokens])
        return np.concatenate([np.zeros(0, dtype=np.float32), *chunks])

    def activations(self, text: str, *, states: bool = False) -> Activations:
        """Return the activation of every unit after every token of a text.

        Args:
            text: to read.
            states: whether to return the units' h and c too.

        Raises:
            ValueError: the network has no units.
        """
        return run_to_end(self.activations_incrementally(text, states=states))

    def activations_incrementally(
        self, text: str, *, states: bool = False
    ) -> Incremental[Activations]:
        """Do what `activations` does, and yield between chunks of the text."""
        if not self.runner.has_units:
            raise ValueError(f"{self.config.name} has no units to look at: only networks have them")
        tokens = self.encode(text)
        ids = [self.vocabulary.start_id, *tokens]
        chunks: list[tuple[NDArray[np.float32], ...]] = []
        for parts in iter_states(self.runner, ids):
            chunks.append(parts if states else parts[-1:])
            yield
        parts = tuple(np.concatenate(part) for part in zip(*chunks, strict=True))
        last = parts[-1].reshape(len(ids), -1)[1:]  # the first row is the start token's
        layers, hidden = self.config.network.layers, self.config.network.hidden_size
        return Activations(
            tokens=tuple(self.vocabulary.tokens[token] for token in tokens),
            values=np.tanh(last) if self.config.network.cell == "lstm" else last,
            units=tuple(f"layer {i} unit {j}" for i in range(1, layers + 1) for j in range(hidden)),
            states=UnitStates(np.asarray(ids), parts) if states else None,
        )
