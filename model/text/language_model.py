"""Language models: generate text, score it, and look at the activations of the units.

    language_model = LanguageModel.load("shakespeare")
    for delta in language_model.generate("ROMEO:", seed=1):
        print(delta.text, end="")

Characters and words share one code path.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from model.bundle.discovery import SHIPPED_WEIGHTS, bundle_folder
from model.bundle.read import Bundle, load_text_bundle
from model.config import DecodingConfig, TextConfig
from model.decoding import beam_search
from model.decoding.constraints import ForbiddenTokens, NoRepeatNgram
from model.decoding.hypothesis import Hypothesis
from model.decoding.sampling import random_numbers
from model.networks.cells import CellState
from model.networks.text_network import TextNetwork, TokenNetwork, load_text_network
from model.runtime.base import TextRunner
from model.runtime.device import choose_device
from model.runtime.options import Runtime
from model.runtime.pytorch import TorchTextRunner
from model.runtime.select import load_text_runner
from model.text.continuous_batch import ContinuousBatch
from model.text.deltas import DeltaBuffer, TextDelta
from model.text.generation import Generation
from model.text.normalization import with_known_characters
from model.text.prefill import Incremental, iter_activations, iter_logprobs, prefill, run_to_end
from model.text.request import GenerationRequest
from model.text.scores import Activations, TextScore, TextToken
from model.text.sequence import GeneratedSequence
from model.vocabulary import Vocabulary

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
        network: it is put into evaluation mode.
        config, vocabulary: of its bundle.
        device: where it runs, see `choose_device`.
        runner: takes the steps of generation; None takes PyTorch, which does everything else.
        card: its model card, Markdown.
    """

    def __init__(
        self,
        network: TokenNetwork,
        config: TextConfig,
        vocabulary: Vocabulary,
        *,
        device: str | torch.device = "cpu",
        runner: TextRunner | None = None,
        card: str = "",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.card = card
        self.device = torch.device(device)
        self.network = network.eval().to(self.device)
        ending = () if config.ends else (vocabulary.end_id,)
        self._never_written = (*vocabulary.never_written, *ending)
        self.runner = runner or TorchTextRunner(self.network, self.device)
        self._shared_batch = self._new_batch()

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", runtime: Runtime = "torch") -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder, or the name of a shipped one ("shakespeare").
            device: `auto`, or any that torch knows (`cpu`, `cuda`, `cuda:1`, `mps`).
            runtime: what takes the steps of generation, see `load_text_runner`.

        Raises:
            BundleError: the bundle cannot be used; the message says why.
            ValueError: there is no such model or device, or the runtime does not support it.
        """
        return cls.of(load_text_bundle(bundle_folder(str(path), SHIPPED_WEIGHTS)), device, runtime)

    @classmethod
    def of(
        cls,
        bundle: Bundle[TextConfig],
        device: str = "auto",
        runtime: Runtime = "torch",
        threads: int | None = None,
    ) -> Self:
        """Load the weights of a bundle that `load_text_bundle` has read; see `load`.

        Args:
            threads: on a CPU; None leaves it to the runtime.
        """
        chosen = choose_device(device)
        return cls(
            load_text_network(bundle),
            bundle.config,
            bundle.vocabulary,
            device=chosen,
            runner=load_text_runner(bundle, chosen, runtime, threads),
            card=bundle.card,
        )

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

        @torch.inference_mode()
        def read_prompt() -> Incremental[list[GeneratedSequence]]:
            prompt = self.encode(request.prompt)
            # The last token is read by the first step that the texts share.
            state = self.network.initial_state(1)
            for _, after in prefill(self.network, [self.vocabulary.start_id, *prompt][:-1]):
                state = after
                yield
            row_state = tuple(part[:, 0] for part in self.runner.place(state))
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

    @torch.inference_mode()
    def search(self, prompt: str = "", **options: Any) -> list[tuple[str, Hypothesis]]:
        """Find the likeliest ways to continue a prompt, by beam search.

        Args:
            prompt: may be empty.
            options: `beam_size`, `num_captions` (here: continuations), `max_length` (default: 50),
                `length_penalty` and `no_repeat_ngram_size` (of the continuation alone), see
                `DecodingConfig`.

        Returns:
            Best first, the text without the prompt, and its tokens with their log-probabilities.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        if unknown := sorted(options.keys() - set(_SEARCH_OPTIONS)):
            choices = ", ".join(_SEARCH_OPTIONS)
            raise ValueError(f"unknown option {unknown[0]!r}: choose from {choices}")
        decoding = DecodingConfig(max_length=50).merge(**options)
        *before, last = [self.vocabulary.start_id, *self.encode(prompt)]
        state = self.network.initial_state(1)
        for _, after in prefill(self.network, before):
            state = after

        def step(tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            rows = tokens.shape  # (batch, beam); states are (batch, beam, layers, hidden)
            flat = tuple(s.flatten(0, 1).transpose(0, 1).contiguous() for s in state)
            logits, flat = self.network.step(tokens.flatten(), flat)
            after = tuple(s.transpose(0, 1).reshape(*rows, len(s), -1) for s in flat)
            return logits.float().log_softmax(-1).view(*rows, -1), after

        (found,) = beam_search.search(
            step,
            tuple(s.transpose(0, 1) for s in state),
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

    @torch.inference_mode()
    def score_incrementally(self, text: str) -> Incremental[TextScore]:
        """Score a text as `score` does, and yield between chunks of it."""
        tokens = self.encode(text) + ([self.vocabulary.end_id] if self.config.ends else [])
        logprobs: list[float] = []
        for chunk in iter_logprobs(self.network, [self.vocabulary.start_id, *tokens]):
            logprobs += chunk.tolist()
            yield
        names = (self.vocabulary.tokens[token] for token in tokens)
        return TextScore(tuple(map(TextToken, names, logprobs)), characters=len(text))

    @torch.inference_mode()
    def logprobs(self, tokens: Sequence[int]) -> Tensor:
        """Return the log-probability of each token given those before it: (tokens,)."""
        chunks = iter_logprobs(self.network, [self.vocabulary.start_id, *tokens])
        return torch.cat([torch.zeros(0), *chunks])

    def activations(self, text: str) -> Activations:
        """Return the activation of every unit after every token of a text.

        Raises:
            ValueError: the network has no units.
        """
        return run_to_end(self.activations_incrementally(text))

    @torch.inference_mode()
    def activations_incrementally(self, text: str) -> Incremental[Activations]:
        """Do what `activations` does, and yield between chunks of the text."""
        if not isinstance(self.network, TextNetwork):
            raise ValueError(f"{self.config.name} has no units to look at: only networks have them")
        tokens = self.encode(text)
        chunks: list[Tensor] = []
        for chunk in iter_activations(self.network, [self.vocabulary.start_id, *tokens]):
            chunks.append(chunk)
            yield
        layers, hidden = self.config.network.layers, self.config.network.hidden_size
        return Activations(
            tokens=tuple(self.vocabulary.tokens[token] for token in tokens),
            values=torch.cat(chunks)[1:].numpy(),  # the first is the start token's
            units=tuple(f"layer {i} unit {j}" for i in range(1, layers + 1) for j in range(hidden)),
        )
