"""Score given captions word by word, and see where the decoder looks and what else it would say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, device

from model.arrays import Array, to_numpy, top_k
from model.captioning.caption import Grid
from model.networks.image_context import DecoderState, ImageContext
from model.runtime.base import CaptionDecoder
from model.vocabulary import Vocabulary

__all__ = [
    "CaptionReading",
    "CaptionStates",
    "read_captions",
    "read_states",
    "score_batch",
    "score_tokens",
]


class CaptionReading(NamedTuple):
    """What a decoder makes of a caption while it reads it, one item for each token.

    Attributes:
        logprobs: natural log-probability of the token.
        attention: where it looked before the token; None without attention.
        likeliest: ids with natural log-probabilities at the token's place, likeliest first; None
            if none were asked for.
    """

    logprobs: list[float]
    attention: list[Grid] | None = None
    likeliest: list[list[tuple[int, float]]] | None = None


@dataclass(frozen=True)
class CaptionStates:
    """The state of a decoder's cells while it reads a caption, and what they read.

    Attributes:
        ids: of the tokens that it reads, the start token first (steps,).
        parts: h, or h and c, of each cell before the first step and after each, each
            (steps + 1, hidden).
        context: of the picture, a batch of one; NumPy arrays in float32.
    """

    ids: npt.NDArray[np.int64]
    parts: tuple[npt.NDArray[np.float32], ...]
    context: ImageContext


def score_tokens(
    decoder: CaptionDecoder, context: ImageContext, captions: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Return the log-probabilities of captions of one picture, token by token, in one batch.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the picture, a batch of one.
        captions: token ids without the start token; each has at least one.

    Returns:
        The natural log-probability of every token of each caption.
    """
    if not captions:
        return []
    tokens = _padded(captions, context)
    token_logprobs = [
        _of_tokens(logprobs, tokens[:, t])
        for t, (logprobs, _, _) in enumerate(_read(decoder, context, tokens))
    ]
    return _unpadded(token_logprobs, captions)


def read_captions(
    decoder: CaptionDecoder, grid: Array, captions: Sequence[Sequence[int]], top: int = 0
) -> list[CaptionReading]:
    """Read captions of one picture, all at once: a step costs about as much for one as for ten.

    Tokens that are never written (padding, start, unknown) are not among the likeliest; the
    log-probabilities of the others stay as the model gave them.

    Args:
        decoder: a caption decoder, or a runner of one.
        grid: of the picture (1, rows, columns, channels).
        captions: token ids without the start token; each has at least one.
        top: how many of the likeliest tokens to return at each place; fewer if the vocabulary has
            no more.
    """
    if not captions:
        return []
    context = decoder.encode_context(grid)
    xp = array_namespace(context.start[0])
    tokens = _padded(captions, context)
    token_logprobs: list[Array] = []
    attention: list[Array] = []
    likeliest: list[list[list[tuple[int, float]]]] = []  # of each step, of each caption
    for t, (logprobs, weights, _) in enumerate(_read(decoder, context, tokens)):
        token_logprobs.append(_of_tokens(logprobs, tokens[:, t]))
        attention += [] if weights is None else [weights]
        likeliest += [_likeliest(logprobs, top)] if top else []
    scores = _unpadded(token_logprobs, captions)
    shape = (len(captions), tokens.shape[1], *grid.shape[1:3])
    maps = xp.reshape(xp.stack(attention, axis=1), shape).tolist() if attention else None
    return [
        CaptionReading(
            scores[i],
            None if maps is None else [tuple(map(tuple, one)) for one in maps[i][: len(caption)]],
            [step[i] for step in likeliest[: len(caption)]] if top else None,
        )
        for i, caption in enumerate(captions)
    ]


def read_states(
    decoder: CaptionDecoder, context: ImageContext, caption: Sequence[int]
) -> CaptionStates:
    """Read a caption of one picture, and keep the state of every unit.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the picture, a batch of one.
        caption: token ids without the start token, at least one; the last one is not read.
    """
    tokens = _padded([caption], context)
    steps = [state for _, _, state in _read(decoder, context, tokens)]
    parts = zip(context.start, *steps, strict=True)
    arrays = {name: _float32(array) for name, array in context.to_dict().items()}
    return CaptionStates(
        np.array([Vocabulary.start_id, *caption[:-1]]),
        tuple(np.concatenate([_float32(step) for step in part]) for part in parts),
        ImageContext.from_dict(arrays),
    )


def _float32(array: Array) -> npt.NDArray[np.float32]:
    xp = array_namespace(array)
    return to_numpy(xp.astype(array, xp.float32))


def _of_tokens(logprobs: Array, tokens: Array) -> Array:
    """Take each row's token: (rows, vocabulary) and (rows,) -> (rows,)."""
    xp = array_namespace(logprobs)
    return logprobs[xp.arange(len(tokens), device=device(logprobs)), tokens]


def _unpadded(
    token_logprobs: Sequence[Array], captions: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Turn steps of (captions,) into the log-probabilities of each caption."""
    padded = array_namespace(token_logprobs[0]).stack(token_logprobs, axis=1).tolist()
    return [row[: len(ids)] for row, ids in zip(padded, captions, strict=True)]


def _likeliest(logprobs: Array, count: int) -> list[list[tuple[int, float]]]:
    """Return the likeliest tokens of each row that may be written, with their log-probabilities."""
    never = Vocabulary.never_written
    found = min(count + len(never), logprobs.shape[-1])
    numbers, ids = (part.tolist() for part in top_k(logprobs, found))
    return [
        [pair for pair in zip(*row, strict=True) if pair[0] not in never][:count]
        for row in zip(ids, numbers, strict=True)
    ]


def _padded(captions: Sequence[Sequence[int]], context: ImageContext) -> Array:
    """Return captions as one array, on the context's device: (captions, steps)."""
    xp, where = array_namespace(context.start[0]), device(context.start[0])
    longest = max(map(len, captions))
    padded = [[*ids, *[Vocabulary.pad_id] * (longest - len(ids))] for ids in captions]
    return xp.asarray(padded, dtype=xp.int64, device=where)


def _read(
    decoder: CaptionDecoder, context: ImageContext, tokens: Array
) -> Iterator[tuple[Array, Array | None, DecoderState]]:
    """Read captions of one picture, all at once.

    Args:
        decoder, context: as in `score_tokens`.
        tokens: (captions, steps)

    Yields:
        Before each token the log-probabilities of all (captions, vocabulary), the attention's
        weights (captions, cells) or None, and the state, each part (captions, hidden).
    """
    xp = array_namespace(tokens)
    count, steps = tokens.shape
    last = xp.full_like(tokens[:, 0], Vocabulary.start_id)
    state = tuple(
        xp.broadcast_to(part[:, None], (1, count, part.shape[-1])) for part in context.start
    )
    for t in range(steps):
        logprobs, state, weights = decoder.step(last[None], state, context)
        yield logprobs[0], None if weights is None else weights[0], tuple(p[0] for p in state)
        last = tokens[:, t]


def score_batch(
    decoder: CaptionDecoder, context: ImageContext, captions: Sequence[Sequence[Sequence[int]]]
) -> list[list[list[float]]]:
    """Return the log-probabilities of captions of several pictures, token by token, in one batch.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the pictures.
        captions: of each picture, token ids without the start token; any number of captions.
    """
    xp, where = array_namespace(context.start[0]), device(context.start[0])
    pictures, beam = len(captions), max((len(each) for each in captions), default=0)
    longest = max((len(ids) for each in captions for ids in each), default=0)
    if not longest:
        return [[] for _ in captions]
    padded = [
        [[*ids, *[Vocabulary.pad_id] * (longest - len(ids))] for ids in (*each, *fill)]
        for each, fill in ((each, [()] * (beam - len(each))) for each in captions)
    ]
    tokens = xp.asarray(padded, dtype=xp.int64, device=where)  # (pictures, beam, steps)
    last = xp.full_like(tokens[:, :, 0], Vocabulary.start_id)
    state = tuple(
        xp.broadcast_to(part[:, None], (pictures, beam, part.shape[-1])) for part in context.start
    )
    rows = xp.arange(pictures * beam, device=where)
    scored = []
    for t in range(longest):
        logprobs, state, _ = decoder.step(last, state, context)
        last = tokens[:, :, t]
        flat = xp.reshape(logprobs, (pictures * beam, -1))
        scored.append(flat[rows, xp.reshape(last, (-1,))])
    found = xp.reshape(xp.stack(scored, axis=1), (pictures, beam, longest)).tolist()
    return [
        [row[: len(ids)] for row, ids in zip(rows_of, each, strict=False)]
        for rows_of, each in zip(found, captions, strict=True)
    ]
