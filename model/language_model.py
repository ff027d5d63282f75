"""Text from a recurrent network: write it, score it, look at what the units do.

    writer = LanguageModel.load("weights/text/shakespeare")
    for piece in writer.generate("ROMEO:", seed=1):
        print(piece.text, end="")

One code path for characters and words. Puts network, sampling and beam search together; knows
nothing of files other than the bundle, nor of who reads the text.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from model.beam_search import Hypothesis, search
from model.bundle import BundleError, load_bundle, load_weights
from model.cells import State
from model.config import SamplingConfig, TextConfig
from model.device import choose_device
from model.sampling import RepetitionGuard, Sampler
from model.stopping import Piece, Stopper
from model.text import with_known_characters
from model.text_network import TextNetwork
from model.text_score import Activations, TextScore, TextToken
from model.vocabulary import Vocabulary

__all__ = ["Activations", "LanguageModel", "TextScore", "TextToken"]

# Tokens that go through the network at once: what bounds memory for a text of any length.
_CHUNK = 512
# Tokens of a prompt between two pieces: some 20 ms.
_PROMPT_CHUNK = 64


class LanguageModel:
    """A trained network that writes.

    A text that it does not know how to begin begins with the start token. Characters that it
    does not know are read as their nearest (see `model.text`), else as the unknown token, which
    it never writes. Where texts end by themselves (`ends`), the end token is written and scored
    like any other.

    Args:
        network: in which state it is does not matter; it is put into evaluation.
        config, vocabulary: of its bundle.
        device: where it runs, see `choose_device`.
        card: its model card, Markdown.
    """

    def __init__(
        self,
        network: TextNetwork,
        config: TextConfig,
        vocabulary: Vocabulary,
        *,
        device: str | torch.device = "cpu",
        card: str = "",
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.card = card
        self.device = torch.device(device)
        self.network = network.eval().to(self.device)
        never = [vocabulary.pad_id, vocabulary.start_id, vocabulary.unknown_id]
        self._never = torch.tensor(never if config.ends else [*never, vocabulary.end_id])

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Load a bundle.

        Args:
            path: the bundle's folder.
            device: `auto`, or any that torch knows (`cpu`, `cuda`, `cuda:1`, `mps`).

        Raises:
            BundleError: the bundle cannot be used; the message says why.
            ValueError: there is no such device.
        """
        chosen = choose_device(device)
        bundle = load_bundle(path, TextConfig)
        if bundle.vocabulary.level != bundle.config.level:
            raise BundleError(
                f"{path}: its vocabulary is of the level {bundle.vocabulary.level!r}, its "
                f"configuration of {bundle.config.level!r}"
            )
        if len(bundle.vocabulary) <= bundle.vocabulary.unknown_id + 1:
            raise BundleError(f"{path}: its vocabulary has no token to write with")
        with torch.device("meta"):  # shapes alone: memory is taken once they are known to fit
            network = TextNetwork(bundle.config.network, len(bundle.vocabulary))
        load_weights(bundle, network)
        return cls(network, bundle.config, bundle.vocabulary, device=chosen, card=bundle.card)

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
        block_ngram: int | None = None,
    ) -> Iterator[Piece]:
        """Go on from a prompt, and give each token as it comes.

        Args:
            prompt: may be empty, and hold any characters.
            n: how many texts, written side by side.
            seed: the same one gives the same texts. Text i is drawn with seed + i, and is the
                same however many are written beside it.
            stop: texts at the first of which a text ends, itself left out.
            top: how many of the likeliest tokens to give with each one.
            max_tokens, temperature, top_k, top_p, block_ngram: see `SamplingConfig`; None takes
                the bundle's default.

        Yields:
            The pieces of all texts as they come, those of one text in order; the last of each
            says why it ended. While a long prompt is read, pieces that add nothing.

        Raises:
            ValueError: a number is out of its range.
        """
        sampling = self._sampling(
            max_tokens=max_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            block_ngram=block_ngram,
        )
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        seeds = [(seed + i) % 2**63 for i in range(n)]
        return self._write(prompt, sampling, seeds, stop, top)

    @torch.inference_mode()
    def _write(
        self,
        prompt: str,
        sampling: SamplingConfig,
        seeds: Sequence[int],
        stop: Sequence[str],
        top: int,
    ) -> Iterator[Piece]:
        """Write a text for every seed, see `generate`."""
        n, read = len(seeds), self.encode(prompt)
        sampler = Sampler(
            seeds,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
        )
        guards = [RepetitionGuard(sampling.block_ngram, read) for _ in range(n)]
        stoppers = [Stopper(stop) for _ in range(n)]
        chunks = self._chunks([self.vocabulary.start_id, *read])
        logits, state = next(chunks)
        for chunk in chunks:
            yield Piece(0, "")  # whoever serves others too may do so while a prompt is read
            logits, state = chunk
        logits, state = logits.expand(n, -1), tuple(s.expand(-1, n, -1) for s in state)
        writing, spaced = set(range(n)), not prompt or prompt[-1].isspace()
        for step in range(sampling.max_tokens):
            logprobs = logits.float().log_softmax(-1).cpu()  # (n, vocabulary)
            allowed = logprobs.clone()
            allowed[:, self._never] = -math.inf
            for row, guard in zip(allowed, guards, strict=True):
                guard.forbid(row)
            drawn = sampler.draw(allowed)
            for i in sorted(writing):
                token = int(drawn[i])
                guards[i].add(token)
                piece = self._piece(i, token, logprobs[i], top, spaced=spaced and step == 0)
                if token == self.vocabulary.end_id:
                    writing.remove(i)
                    yield from stoppers[i].flush()
                    yield replace(piece, finish_reason="stop")
                    continue
                pieces, stopped = stoppers[i].add(piece)
                yield from pieces
                if stopped:
                    writing.remove(i)
                    yield Piece(i, "", finish_reason="stop")
            if not writing:
                return
            logits, state = self.network.step(drawn.to(self.device), state)
        for i in sorted(writing):
            yield from stoppers[i].flush()
            yield Piece(i, "", finish_reason="length")

    @torch.inference_mode()
    def search(
        self,
        prompt: str = "",
        *,
        beam_size: int = 3,
        num_results: int = 1,
        max_tokens: int = 50,
        length_penalty: float = 0.0,
        block_ngram: int = 0,
    ) -> list[tuple[str, Hypothesis]]:
        """Find the likeliest ways to go on from a prompt, by beam search.

        Returns:
            Best first, the text without the prompt, and its tokens with their log-probabilities.
        """
        read = [self.vocabulary.start_id, *self.encode(prompt)]
        state = self.network.begin(1)
        if len(read) > 1:
            _, state = self._read(read[:-1])

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            rows = tokens.shape  # (batch, beam); states are (batch, beam, layers, hidden)
            flat = tuple(s.flatten(0, 1).transpose(0, 1).contiguous() for s in state)
            logits, flat = self.network.step(tokens.flatten(), flat)
            after = tuple(s.transpose(0, 1).reshape(*rows, len(s), -1) for s in flat)
            return logits.float().log_softmax(-1).view(*rows, -1), after

        (found,) = search(
            step,
            tuple(s.transpose(0, 1) for s in state),
            start_token=read[-1],
            end_token=self.vocabulary.end_id,
            beam_size=beam_size,
            num_results=num_results,
            max_length=max_tokens,
            length_penalty=length_penalty,
            block_ngram=block_ngram,
            forbidden=[int(i) for i in self._never],
        )
        return [(self.vocabulary.decode(hypothesis.tokens), hypothesis) for hypothesis in found]

    @torch.inference_mode()
    def score(self, text: str) -> TextScore:
        """Give the log-probability of a text, token by token.

        Where texts end by themselves the end token counts too. An unknown token counts as such.
        """
        tokens = self.encode(text) + ([self.vocabulary.end_id] if self.config.ends else [])
        logprobs = self.logprobs(tokens)
        names = self.vocabulary.tokens
        return TextScore(
            tuple(
                TextToken(names[token], logprob)
                for token, logprob in zip(tokens, logprobs.tolist(), strict=True)
            ),
            characters=len(text),
        )

    @torch.inference_mode()
    def logprobs(self, tokens: Sequence[int]) -> Tensor:
        """Give the log-probability of each token of a text given those before it: (tokens,)."""
        own: list[Tensor] = []
        state = self.network.begin(1)
        read = torch.tensor([self.vocabulary.start_id, *tokens], device=self.device)
        for start in range(0, len(tokens), _CHUNK):
            chunk = read[start : start + _CHUNK + 1]  # each token, and the one after
            logits, state = self.network(chunk[None, :-1], state)
            logprobs = logits[0].float().log_softmax(-1)  # (time, vocabulary)
            own.append(logprobs.gather(1, chunk[1:, None])[:, 0])
        return torch.cat(own).cpu() if own else torch.zeros(0)

    @torch.inference_mode()
    def activations(self, text: str) -> Activations:
        """Look at every unit after every token of a text."""
        tokens = self.encode(text)
        recurrent, layers = self.network.recurrent, self.config.network.layers
        _, state = self._read([self.vocabulary.start_id])
        seen: list[Tensor] = []
        for start in range(0, len(tokens), _CHUNK):
            chunk = torch.tensor([tokens[start : start + _CHUNK]], device=self.device)
            states, state = recurrent.states(self.network.read(chunk), state)
            values = torch.tanh(states[1]) if recurrent.parts > 1 else states[0]
            seen.append(values[0].flatten(1).cpu())  # (time, layers * hidden)
        hidden = self.config.network.hidden_size
        return Activations(
            tokens=tuple(self.vocabulary.tokens[token] for token in tokens),
            values=(torch.cat(seen) if seen else torch.zeros(0, layers * hidden)).numpy(),
            units=tuple(f"layer {i} unit {j}" for i in range(1, layers + 1) for j in range(hidden)),
        )

    def _read(self, tokens: Sequence[int]) -> tuple[Tensor, State]:
        """Read tokens, at least one, from the beginning on; see `_chunks`."""
        *_, last = self._chunks(tokens)
        return last

    def _chunks(self, tokens: Sequence[int]) -> Iterator[tuple[Tensor, State]]:
        """Read tokens from the beginning on, some at a time.

        Yields:
            The logits of what comes next (1, vocabulary); the state, each (layers, 1, hidden).
        """
        state = self.network.begin(1)
        for start in range(0, len(tokens), _PROMPT_CHUNK):
            chunk = torch.tensor([tokens[start : start + _PROMPT_CHUNK]], device=self.device)
            logits, state = self.network(chunk, state)
            yield logits[:, -1], state

    def _piece(self, index: int, token: int, logprobs: Tensor, top: int, *, spaced: bool) -> Piece:
        """Make a token a piece; a word brings the space before it, unless it has one."""
        likeliest = None
        names = self.vocabulary.tokens
        if top > 0:
            values, ids = logprobs.topk(min(top, len(names)))
            pairs = zip(ids.tolist(), values.tolist(), strict=True)
            likeliest = tuple((names[i], value) for i, value in pairs)
        text = self.vocabulary.decode([token])
        if text and self.config.level == "word" and not spaced:
            text = f" {text}"
        return Piece(index, text, names[token], float(logprobs[token]), likeliest)

    def _sampling(self, **changes: Any) -> SamplingConfig:
        """The bundle's defaults with a call's changes; pydantic checks the ranges."""
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self.config.sampling, **given)
