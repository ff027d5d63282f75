"""What a picture adds to each step of a decoder, and how much its words depend on it.

The lecture's network for captions adds W v, of a picture's features v, to the sums of the vanilla
RNN at the first step, and then reads words (Karpathy and Fei-Fei 2015; `GlobalDecoder` as Vinyals
et al. 2015 do, with an LSTM). `AttentionDecoder` adds what it attends to at every step.
"""

from dataclasses import dataclass
from math import exp

import numpy as np
import torch
from array_api_compat import array_namespace
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from model.captioning.captioner import Captioner
from model.captioning.photograph import Photograph, open_photograph
from model.captioning.scoring import CaptionStates, read_states, score_batch, score_tokens
from model.captioning.search import find_hypotheses
from model.data.karpathy import CaptionDataset
from model.networks.cells import Cell, LSTMCell, RNNCell
from model.networks.decoder import AttentionDecoder, Decoder, GlobalDecoder

__all__ = ["PictureGain", "WalkStep", "measure_gain", "walk"]


@dataclass(frozen=True)
class WalkStep:
    """One step of the cell that says the words.

    Attributes:
        reads: the word that it reads; None at the step that reads the picture.
        terms: the parts of its sums W x + U h + b by what they come from, `picture`, `word`,
            `looking` (the cell that decides where to look) and `state` (itself, before), each the
            root mean square over all sums.
        says: the likeliest next word; None at the step that reads the picture.
        probability, elsewhere: of that word, given this picture and given another.
    """

    reads: str | None
    terms: dict[str, float]
    says: str | None = None
    probability: float | None = None
    elsewhere: float | None = None


def walk(captioner: Captioner, picture: Photograph, other: Photograph) -> list[WalkStep]:
    """Caption a picture with the likeliest word at each step, and look at the sums.

    Args:
        captioner: run by PyTorch, with cells that are LSTMs or vanilla RNNs.
        picture: to be captioned.
        other: another picture, with which the same words are read.

    Raises:
        ValueError: its cells are others, or another runtime runs it.
        TypeError, OSError: as in `Captioner.caption`.
    """
    if (cell := captioner.config.decoder.cell) not in {"lstm", "rnn"}:
        raise ValueError(f"the sums of {cell} cells have other parts: choose lstm or rnn cells")
    pictures = [open_photograph(one) for one in (picture, other)]
    grids = captioner.encode(captioner.prepare(pictures))
    ((ranked,),) = find_hypotheses(
        captioner.runner,
        captioner.vocabulary,
        grids[:1],
        captioner.config.decoding.merge(beam_size=1, num_captions=1, consensus=False),
    )
    found = ranked.hypothesis
    own, another = (captioner.runner.encode_context(grids[i : i + 1]) for i in range(2))
    (elsewhere,) = score_tokens(captioner.runner, another, [found.tokens])
    states = read_states(captioner.runner, own, found.tokens)
    with torch.inference_mode():
        terms = _terms(captioner.network.decoder, states)
        first = _first_terms(captioner.network.decoder, grids[:1])
    read, said = (
        [captioner.vocabulary.tokens[token] for token in ids] for ids in (states.ids, found.tokens)
    )
    probabilities = (map(exp, logprobs) for logprobs in (found.logprobs, elsewhere))
    steps = zip(read, terms, said, *probabilities, strict=True)
    return [*([] if first is None else [WalkStep(None, first)]), *(WalkStep(*one) for one in steps)]


def _terms(decoder: Decoder, states: CaptionStates) -> list[dict[str, float]]:
    """Take the sums of the speaking cell apart, at each token that is read."""
    if isinstance(decoder, GlobalDecoder):
        embedded = decoder.embedding(torch.from_numpy(states.ids))  # (steps, embedding)
        parts = {
            "word": linear(embedded, _weight(decoder.from_word)),
            "state": _recurrent(decoder.cell, states.parts[0]),
        }
    else:
        assert isinstance(decoder, AttentionDecoder)  # noqa: S101 - there is no third one
        query = torch.from_numpy(states.parts[0][1:])  # (steps, hidden)
        keys, values = map(torch.as_tensor, (states.context.keys, states.context.values))
        attended, _ = decoder.attention(query[None], keys, values)  # (1, steps, hidden)
        of_picture, of_looking = _weight(decoder.to_language).tensor_split(2, dim=1)
        parts = {
            "picture": linear(attended[0], of_picture),
            "looking": linear(query, of_looking),
            "state": _recurrent(decoder.language_cell, states.parts[decoder.num_states]),
        }
    sizes = {name: _size(part).tolist() for name, part in parts.items()}
    return [dict(zip(sizes, step, strict=True)) for step in zip(*sizes.values(), strict=True)]


def _first_terms(decoder: Decoder, grid: Tensor) -> dict[str, float] | None:
    """Return the sums of the step that reads the picture; None if no step does."""
    if not isinstance(decoder, GlobalDecoder):
        return None
    embedded = decoder.to_embedding(grid.mean((1, 2)))  # (1, embedding)
    return {"picture": float(_size(linear(embedded, _weight(decoder.from_word))))}


def _weight(projection: nn.Module) -> Tensor:
    assert isinstance(projection, nn.Linear)  # noqa: S101 - as LSTMs and vanilla RNNs have it
    return projection.weight


def _recurrent(cell: Cell, hidden: NDArray[np.float32]) -> Tensor:
    """Return U h of every step: (steps + 1, hidden) -> (steps, width)."""
    assert isinstance(cell, LSTMCell | RNNCell)  # noqa: S101 - `walk` has looked
    recurrent: Tensor = cell.recurrent(torch.from_numpy(hidden[:-1]))
    return recurrent


def _size(sums: Tensor) -> Tensor:
    """Return the root mean square: (..., width) -> (...)."""
    return sums.square().mean(-1).sqrt()


@dataclass(frozen=True)
class PictureGain:
    """How much likelier people's words are given their picture than given another, in nats.

    Attributes:
        by_place: of each caption's first word, second, ...; those of a place are of all captions
            that are long enough, `END` included.
        pictures: how many there were.
        logprob: the mean of a word's log-probability given its own picture.
    """

    by_place: tuple[tuple[float, ...], ...]
    pictures: int
    logprob: float


def measure_gain(
    captioner: Captioner, dataset: CaptionDataset, split: str, *, batch_size: int = 32
) -> PictureGain:
    """Read people's captions with their own picture and with the next one's.

    Args:
        captioner: any.
        dataset: pictures and captions.
        split: of the data set. The captions of a batch's last picture are read with its first.
        batch_size: pictures read at once, at least 2.

    Raises:
        ValueError: the split is unknown or has a single picture, or `batch_size` is below 2.
    """
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, got {batch_size}")
    entries = dataset.split(split)
    if len(entries) < 2:
        raise ValueError(f"{dataset.name} has {len(entries)} picture in {split!r}: needs two")
    by_place: list[list[float]] = []
    total, words = 0.0, 0
    count = max(1, len(entries) // batch_size)
    for i in range(count):  # of even sizes, so that none has a single picture
        batch = entries[len(entries) * i // count : len(entries) * (i + 1) // count]
        captions = [[_ids(captioner, text) for text in entry.captions] for entry in batch]
        grid = captioner.encode(captioner.prepare([dataset.picture(entry) for entry in batch]))
        rolled = array_namespace(grid).roll(grid, -1, axis=0)
        own, others = (
            score_batch(captioner.runner, captioner.runner.encode_context(one), captions)
            for one in (grid, rolled)
        )
        for given, without in zip(own, others, strict=True):
            for pair in zip(given, without, strict=True):
                for place, (logprob, elsewhere) in enumerate(zip(*pair, strict=True)):
                    if place == len(by_place):
                        by_place.append([])
                    by_place[place].append(logprob - elsewhere)
                    total, words = total + logprob, words + 1
    return PictureGain(tuple(map(tuple, by_place)), len(entries), total / words)


def _ids(captioner: Captioner, text: str) -> list[int]:
    return [*captioner.vocabulary.encode(text), captioner.vocabulary.end_id]
