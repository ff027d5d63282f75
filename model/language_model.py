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
from model.bundle import Bundle
from model.cells import State
from model.config import SamplingConfig, TextConfig
from model.device import choose_device
from model.draft import Draft
from model.reading import Turns, complete, read, read_activations, read_logprobs
from model.sampling import Sampler
from model.stopping import Piece
from model.text import with_known_characters
from model.text_bundle import load_text_bundle
from model.text_network import TextNetwork, TokenNetwork
from model.text_score import Activations, TextScore, TextToken
from model.vocabulary import Vocabulary
from model.weights import load_weights

__all__ = ["Activations", "LanguageModel", "TextScore", "TextToken"]


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
        network: TokenNetwork,
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
        self._never = [vocabulary.pad_id, vocabulary.start_id, vocabulary.unknown_id]
        if not config.ends:
            self._never.append(vocabulary.end_id)
        self._allowed = torch.zeros(len(vocabulary))  # what is added to a log-probability
        self._allowed[self._never] = -math.inf

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
        return cls.of(load_text_bundle(path), device)

    @classmethod
    def of(cls, bundle: Bundle[TextConfig], device: str = "auto") -> Self:
        """Load the weights of a bundle that `load_text_bundle` has read; see `load`."""
        chosen = choose_device(device)
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
        n, length, begun = len(seeds), sampling.block_ngram, self.encode(prompt)
        spaced = not prompt or prompt[-1].isspace()
        drafts = [
            Draft(i, self.vocabulary, begun, spaced=spaced, block_ngram=length, stop=stop)
            for i in range(n)
        ]
        sampler = Sampler(
            seeds,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
        )
        chunks = read(self.network, [self.vocabulary.start_id, *begun])
        logits, state = next(chunks)
        for chunk in chunks:
            yield Piece(0, "")  # whoever serves others too may do so while a prompt is read
            logits, state = chunk
        logits, state = logits[-1].expand(n, -1), tuple(s.expand(-1, n, -1) for s in state)
        for _ in range(sampling.max_tokens):
            logprobs = logits.float().log_softmax(-1).cpu()  # (n, vocabulary)
            allowed = logprobs + self._allowed
            if length:
                for row, draft in zip(allowed, drafts, strict=True):
                    draft.forbid(row)
            drawn = sampler.draw(allowed)
            own = logprobs.gather(1, drawn[:, None])[:, 0].tolist()
            beside = self._likeliest(logprobs, top) if top > 0 else [None] * n
            for draft, token, logprob, likeliest in zip(
                drafts, drawn.tolist(), own, beside, strict=True
            ):
                if not draft.ended:
                    yield from draft.add(token, logprob, likeliest)
            if all(draft.ended for draft in drafts):
                return
            logits, state = self.network.step(drawn.to(self.device), state)
        for draft in drafts:
            if not draft.ended:
                yield from draft.cut()

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

        `block_ngram` forbids repeating what was found, not what the prompt holds.

        Returns:
            Best first, the text without the prompt, and its tokens with their log-probabilities.
        """
        *before, last = [self.vocabulary.start_id, *self.encode(prompt)]
        state = self.network.begin(1)
        for _, after in read(self.network, before):
            state = after

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
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
            block_ngram=block_ngram,
            forbidden=self._never,
        )
        return [(self.vocabulary.decode(hypothesis.tokens), hypothesis) for hypothesis in found]

    def score(self, text: str) -> TextScore:
        """Give the log-probability of a text, token by token.

        Where texts end by themselves the end token counts too. An unknown token counts as such.
        """
        return complete(self.score_in_turns(text))

    @torch.inference_mode()
    def score_in_turns(self, text: str) -> Turns[TextScore]:
        """Do what `score` does, and let others have a turn in between."""
        tokens = self.encode(text) + ([self.vocabulary.end_id] if self.config.ends else [])
        logprobs: list[float] = []
        for chunk in read_logprobs(self.network, [self.vocabulary.start_id, *tokens]):
            logprobs += chunk.tolist()
            yield
        names = (self.vocabulary.tokens[token] for token in tokens)
        return TextScore(tuple(map(TextToken, names, logprobs)), characters=len(text))

    @torch.inference_mode()
    def logprobs(self, tokens: Sequence[int]) -> Tensor:
        """Give the log-probability of each token of a text given those before it: (tokens,)."""
        chunks = read_logprobs(self.network, [self.vocabulary.start_id, *tokens])
        return torch.cat([torch.zeros(0), *chunks])

    def activations(self, text: str) -> Activations:
        """Look at every unit after every token of a text.

        Raises:
            ValueError: the network has no units.
        """
        return complete(self.activations_in_turns(text))

    @torch.inference_mode()
    def activations_in_turns(self, text: str) -> Turns[Activations]:
        """Do what `activations` does, and let others have a turn in between."""
        if not isinstance(self.network, TextNetwork):
            raise ValueError(f"{self.config.name} has no units to look at: give a network")
        tokens = self.encode(text)
        seen: list[Tensor] = []
        for chunk in read_activations(self.network, [self.vocabulary.start_id, *tokens]):
            seen.append(chunk)
            yield
        layers, hidden = self.config.network.layers, self.config.network.hidden_size
        return Activations(
            tokens=tuple(self.vocabulary.tokens[token] for token in tokens),
            values=torch.cat(seen)[1:].numpy(),  # the first is the start token's
            units=tuple(f"layer {i} unit {j}" for i in range(1, layers + 1) for j in range(hidden)),
        )

    def _likeliest(self, logprobs: Tensor, top: int) -> list[tuple[tuple[str, float], ...]]:
        """Name the likeliest tokens of each text: (texts, vocabulary)."""
        names = self.vocabulary.tokens
        values, ids = logprobs.topk(min(top, len(names)))
        return [
            tuple((names[i], value) for i, value in zip(row, own, strict=True))
            for row, own in zip(ids.tolist(), values.tolist(), strict=True)
        ]

    def _sampling(self, **changes: Any) -> SamplingConfig:
        """The bundle's defaults with a call's changes; pydantic checks the ranges."""
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self.config.sampling, **given)
