"""Text from a recurrent network: write it, score it, look at what the units do.

    writer = LanguageModel.load("weights/text/shakespeare")
    for piece in writer.generate("ROMEO:", seed=1):
        print(piece.text, end="")

One code path for characters and words. Puts network, sampling and beam search together; knows
nothing of files other than the bundle, nor of who reads the text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from model.bundle.read import Bundle, load_text_bundle
from model.config import SamplingConfig, TextConfig
from model.decoding.beam_search import Hypothesis, search
from model.decoding.sampling import chance
from model.networks.cells import CellState
from model.networks.text_network import TextNetwork, TokenNetwork, load_text_network
from model.runtime.device import choose_device
from model.runtime.huge_pages import use_huge_pages
from model.runtime.options import Runtime
from model.runtime.select import load_text_runner
from model.runtime.text_base import TextRunner, TorchTextRunner
from model.text.continuous_batch import ContinuousBatch, DeltaBuffer, Text
from model.text.generation import Generation
from model.text.normalization import with_known_characters
from model.text.prefill import Incremental, complete, iter_activations, iter_logprobs, read
from model.text.scores import Activations, TextScore, TextToken
from model.text.sequence import Draft
from model.text.stop_strings import TextDelta
from model.vocabulary import Vocabulary

__all__ = ["Activations", "LanguageModel", "TextScore", "TextToken"]


class LanguageModel:
    """A trained network that writes.

    A text that it does not know how to begin begins with the start token. Characters that it does
    not know are read as their nearest (see `model.text.normalization`), else as the unknown token,
    which it never writes. Where texts end by themselves (`ends`), the end token is written and
    scored like any other.

    Args:
        network: in which state it is does not matter; it is put into evaluation.
        config, vocabulary: of its bundle.
        device: where it runs, see `choose_device`.
        runner: what takes the steps in which it writes; PyTorch, if none is given. All else is
            PyTorch's.
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
        self._never = [vocabulary.pad_id, vocabulary.start_id, vocabulary.unknown_id]
        if not config.ends:
            self._never.append(vocabulary.end_id)
        self.runner = runner or TorchTextRunner(self.network, self.device)
        self._together = self._batch()

    @classmethod
    def load(cls, path: str | Path, device: str = "auto", runtime: Runtime = "torch") -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder.
            device: `auto`, or any that torch knows (`cpu`, `cuda`, `cuda:1`, `mps`).
            runtime: what takes the steps in which it writes, see `load_text_runner`.

        Raises:
            BundleError: the bundle cannot be used; the message says why.
            ValueError: there is no such device, or not this runtime for it.
        """
        return cls.of(load_text_bundle(path), device, runtime)

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
        language_model = cls(
            load_text_network(bundle),
            bundle.config,
            bundle.vocabulary,
            device=chosen,
            runner=load_text_runner(bundle, chosen, runtime, threads),
            card=bundle.card,
        )
        use_huge_pages()
        return language_model

    def encode(self, text: str) -> list[int]:
        """Cut a text into tokens that the model knows, and give their ids."""
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
        top: int = 0,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        no_repeat_ngram_size: int | None = None,
    ) -> Iterator[TextDelta]:
        """Go on from a prompt, and give each token as it comes.

        Args:
            prompt: may be empty, and hold any characters.
            n: how many texts, written side by side.
            seed: the same one gives the same texts. Text i is drawn with seed + i, and is the
                same however many are written beside it.
            stop: texts at the first of which a text ends, itself left out.
            top: how many of the likeliest tokens to give with each one.
            max_tokens, temperature, top_k, top_p, no_repeat_ngram_size: see `SamplingConfig`; None
            takes
                the bundle's default.

        Yields:
            The pieces of all texts as they come, those of one text in order; the last of each
            says why it ended.

        Raises:
            ValueError: a number is out of its range.
        """
        writing = self.start(
            prompt,
            self.sampling(
                max_tokens=max_tokens,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                no_repeat_ngram_size=no_repeat_ngram_size,
            ),
            n=n,
            seed=seed,
            stop=stop,
            top=top,
        )
        return writing.deltas()

    def start(
        self,
        prompt: str,
        sampling: SamplingConfig,
        *,
        n: int = 1,
        seed: int = 0,
        stop: Sequence[str] = (),
        top: int = 0,
        together: bool = False,
    ) -> Generation:
        """Begin to write, and leave it to the caller when to go on.

        Args:
            prompt, n, seed, stop, top: as in `generate`.
            sampling: how tokens are drawn.
            together: whether each step is shared with all others begun so. A text is the same
                beside others, but for the last digits of its log-probabilities.

        Raises:
            ValueError: n is out of its range.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        batch, desk = self._together if together else self._batch(), DeltaBuffer()

        @torch.inference_mode()
        def beginning() -> Incremental[list[Draft]]:
            begun = self.encode(prompt)
            *before, last = [self.vocabulary.start_id, *begun]
            state = self.network.initial_state(1)
            for _, after in read(self.network, before):
                state = after
                yield
            alone = tuple(part[:, 0] for part in self.runner.place(state))
            spaced, length = not prompt or prompt[-1].isspace(), sampling.no_repeat_ngram_size
            drafts = [
                Draft(
                    i, self.vocabulary, begun, spaced=spaced, no_repeat_ngram_size=length, stop=stop
                )
                for i in range(n)
            ]
            chances = [chance((seed + i) % 2**63) for i in range(n)]
            batch.join(
                [
                    Text(draft, desk, last, alone, sampling, own, top)
                    for draft, own in zip(drafts, chances, strict=True)
                ]
            )
            return drafts

        return Generation(beginning(), batch, desk)

    def _batch(self) -> ContinuousBatch:
        return ContinuousBatch(self.runner, self.vocabulary, self._never)

    @torch.inference_mode()
    def search(
        self,
        prompt: str = "",
        *,
        beam_size: int = 3,
        num_results: int = 1,
        max_tokens: int = 50,
        length_penalty: float = 0.0,
        no_repeat_ngram_size: int = 0,
    ) -> list[tuple[str, Hypothesis]]:
        """Find the likeliest ways to go on from a prompt, by beam search.

        `no_repeat_ngram_size` forbids repeating what was found, not what the prompt holds.

        Returns:
            Best first, the text without the prompt, and its tokens with their log-probabilities.
        """
        *before, last = [self.vocabulary.start_id, *self.encode(prompt)]
        state = self.network.initial_state(1)
        for _, after in read(self.network, before):
            state = after

        def step(tokens: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            rows = tokens.shape  # (batch, beam); states are (batch, beam, layers, hidden)
            flat = tuple(s.flatten(0, 1).transpose(0, 1).contiguous() for s in state)
            logits, flat = self.network.step(tokens.flatten(), flat)
            after = tuple(s.transpose(0, 1).reshape(*rows, len(s), -1) for s in flat)
            return logits.float().log_softmax(-1).view(*rows, -1), after

        (found,) = search(
            step,
            tuple(s.transpose(0, 1) for s in state),
            start_token=last,
            end_token=self.vocabulary.end_id,
            beam_size=beam_size,
            num_results=num_results,
            max_length=max_tokens,
            length_penalty=length_penalty,
            no_repeat_ngram_size=no_repeat_ngram_size,
            forbidden=self._never,
        )
        return [(self.vocabulary.decode(hypothesis.tokens), hypothesis) for hypothesis in found]

    def score(self, text: str) -> TextScore:
        """Give the log-probability of a text, token by token.

        Where texts end by themselves the end token counts too. An unknown token counts as such.
        """
        return complete(self.score_incrementally(text))

    @torch.inference_mode()
    def score_incrementally(self, text: str) -> Incremental[TextScore]:
        """Do what `score` does, and let others have a turn in between."""
        tokens = self.encode(text) + ([self.vocabulary.end_id] if self.config.ends else [])
        logprobs: list[float] = []
        for chunk in iter_logprobs(self.network, [self.vocabulary.start_id, *tokens]):
            logprobs += chunk.tolist()
            yield
        names = (self.vocabulary.tokens[token] for token in tokens)
        return TextScore(tuple(map(TextToken, names, logprobs)), characters=len(text))

    @torch.inference_mode()
    def logprobs(self, tokens: Sequence[int]) -> Tensor:
        """Give the log-probability of each token of a text given those before it: (tokens,)."""
        chunks = iter_logprobs(self.network, [self.vocabulary.start_id, *tokens])
        return torch.cat([torch.zeros(0), *chunks])

    def activations(self, text: str) -> Activations:
        """Look at every unit after every token of a text.

        Raises:
            ValueError: the network has no units.
        """
        return complete(self.activations_incrementally(text))

    @torch.inference_mode()
    def activations_incrementally(self, text: str) -> Incremental[Activations]:
        """Do what `activations` does, and let others have a turn in between."""
        if not isinstance(self.network, TextNetwork):
            raise ValueError(f"{self.config.name} has no units to look at: give a network")
        tokens = self.encode(text)
        seen: list[Tensor] = []
        for chunk in iter_activations(self.network, [self.vocabulary.start_id, *tokens]):
            seen.append(chunk)
            yield
        layers, hidden = self.config.network.layers, self.config.network.hidden_size
        return Activations(
            tokens=tuple(self.vocabulary.tokens[token] for token in tokens),
            values=torch.cat(seen)[1:].numpy(),  # the first is the start token's
            units=tuple(f"layer {i} unit {j}" for i in range(1, layers + 1) for j in range(hidden)),
        )

    def sampling(self, **changes: Any) -> SamplingConfig:
        """Give the bundle's defaults with changes, of which None is none.

        Raises:
            ValueError: a number is out of its range.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self.config.sampling, **given)
