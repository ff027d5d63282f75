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
        elsewhere: log-probability of the token given another picture; None if there is none.
    """

    logprobs: list[float]
    attention: list[Grid] | None = None
    likeliest: list[list[tuple[int, float]]] | None = None
    elsewhere: list[float] | None = None


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
    """Return the log-probabilities of captions of one picture, see `score_batch`."""
    return score_batch(decoder, context, [captions])[0]


def score_batch(
    decoder: CaptionDecoder, context: ImageContext, captions: Sequence[Sequence[Sequence[int]]]
) -> list[list[list[float]]]:
    """Return the log-probabilities of captions of several pictures, token by token, in one batch.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the pictures.
        captions: of each picture, token ids without the start token; any number of captions.

    Returns:
        The natural log-probability of every token of each caption of each picture.
    """
    tokens = _padded(captions, context)
    steps = enumerate(_read(decoder, context, tokens))
    return _unpadded([_of_tokens(each, tokens[:, :, t]) for t, (each, _, _) in steps], captions)


def read_captions(
    decoder: CaptionDecoder,
    context: ImageContext,
    captions: Sequence[Sequence[Sequence[int]]],
    sides: tuple[int, int],
    *,
    top: int = 0,
    other: ImageContext | None = None,
) -> list[list[CaptionReading]]:
    """Read captions of several pictures at once: a step costs about as much for one as for ten.

    Tokens that are never written (padding, start, unknown) are not among the likeliest; the
    log-probabilities of the others stay as the model gave them.

    Args:
        decoder, context, captions: as in `score_batch`.
        sides: of the grid that attention looks at (rows, columns).
        top: how many of the likeliest tokens to return at each place; fewer if the vocabulary has
            no more.
        other: another picture to read all captions with, a batch of one; in any precision.
    """
    count = len(captions)
    tokens = _padded(captions, context)
    xp = array_namespace(tokens)
    both = tokens
    if other is not None:
        context = _join(context, other, count)
        both = xp.concat([tokens, tokens])
    token_logprobs: list[Array] = []
    attention: list[Array] = []
    likeliest: list[list[list[list[tuple[int, float]]]]] = []  # of each step, picture and caption
    for t, (logprobs, weights, _) in enumerate(_read(decoder, context, both)):
        token_logprobs.append(_of_tokens(logprobs, both[:, :, t]))
        attention += [] if weights is None else [weights[:count]]
        likeliest += [_likeliest(logprobs[:count], top)] if top else []
    scores = _unpadded(token_logprobs, [*captions, *captions] if other is not None else captions)
    maps = None
    if attention:
        shape = (*tokens.shape, *sides)
        maps = xp.reshape(xp.stack(attention, axis=2), shape).tolist()
    return [
        [
            CaptionReading(
                scores[i][j],
                None
                if maps is None
                else [tuple(map(tuple, one)) for one in maps[i][j][: len(ids)]],
                [step[i][j] for step in likeliest[: len(ids)]] if top else None,
                scores[count + i][j] if other is not None else None,
            )
            for j, ids in enumerate(of_picture)
        ]
        for i, of_picture in enumerate(captions)
    ]


def _join(context: ImageContext, other: ImageContext, count: int) -> ImageContext:
    """Put another picture, as often as `count` says, after those of a context."""
    xp = array_namespace(context.start[0])

    def join(part: Array, one: Array) -> Array:
        repeated = xp.broadcast_to(xp.astype(one, part.dtype), (count, *one.shape[1:]))
        return xp.concat([part, repeated])

    pairs = zip(context.to_dict().items(), other.to_dict().values(), strict=True)
    return ImageContext.from_dict({name: join(part, one) for (name, part), one in pairs})


def read_states(
    decoder: CaptionDecoder, context: ImageContext, caption: Sequence[int]
) -> CaptionStates:
    """Read a caption of one picture, and keep the state of every unit.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the picture, a batch of one.
        caption: token ids without the start token, at least one; the last one is not read.
    """
    tokens = _padded([[caption]], context)
    steps = [state for _, _, state in _read(decoder, context, tokens)]
    parts = zip(context.start, *steps, strict=True)
    return CaptionStates(
        np.array([Vocabulary.start_id, *caption[:-1]]),
        tuple(np.stack([_float32(step).reshape(-1) for step in part]) for part in parts),
        context.map(_float32),
    )


def _float32(array: Array) -> npt.NDArray[np.float32]:
    xp = array_namespace(array)
    return to_numpy(xp.astype(array, xp.float32))


def _of_tokens(logprobs: Array, tokens: Array) -> Array:
    """Take each row's token: (pictures, captions, vocabulary) -> (pictures, captions)."""
    xp = array_namespace(logprobs)
    return xp.take_along_axis(logprobs, tokens[:, :, None], axis=-1)[:, :, 0]


def _unpadded(
    token_logprobs: Sequence[Array], captions: Sequence[Sequence[Sequence[int]]]
) -> list[list[list[float]]]:
    """Turn steps of (pictures, captions) into the log-probabilities of each caption."""
    if not token_logprobs:
        return [[] for _ in captions]
    padded = array_namespace(token_logprobs[0]).stack(token_logprobs, axis=2).tolist()
    return [
        [row[: len(ids)] for row, ids in zip(rows, each, strict=False)]
        for rows, each in zip(padded, captions, strict=True)
    ]


def _likeliest(logprobs: Array, count: int) -> list[list[list[tuple[int, float]]]]:
    """Return each row's likeliest tokens that may be written, with their log-probabilities."""
    never = Vocabulary.never_written
    pictures, most, size = logprobs.shape
    found = min(count + len(never), size)
    xp = array_namespace(logprobs)
    numbers, ids = (
        xp.reshape(part, (pictures, most, found)).tolist()
        for part in top_k(xp.reshape(logprobs, (-1, size)), found)
    )
    return [
        [
            [pair for pair in zip(*row, strict=True) if pair[0] not in never][:count]
            for row in zip(*picture, strict=True)
        ]
        for picture in zip(ids, numbers, strict=True)
    ]


def _padded(captions: Sequence[Sequence[Sequence[int]]], context: ImageContext) -> Array:
    """Return captions as one array, on the context's device: (pictures, captions, steps)."""
    xp, where = array_namespace(context.start[0]), device(context.start[0])
    most = max(map(len, captions), default=0)
    longest = max((len(ids) for each in captions for ids in each), default=0)
    padded = [
        [[*ids, *[Vocabulary.pad_id] * (longest - len(ids))] for ids in (*each, *fill)]
        for each, fill in ((each, [()] * (most - len(each))) for each in captions)
    ]
    shape = (len(captions), most, longest)
    return xp.reshape(xp.asarray(padded, dtype=xp.int64, device=where), shape)


def _read(
    decoder: CaptionDecoder, context: ImageContext, tokens: Array
) -> Iterator[tuple[Array, Array | None, DecoderState]]:
    """Read captions of several pictures, all at once.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the pictures.
        tokens: (pictures, captions, steps)

    Yields:
        Before each token the log-probabilities of all (pictures, captions, vocabulary), the
        attention's weights (pictures, captions, cells) or None, and the state, each part (pictures,
        captions, hidden).
    """
    xp = array_namespace(tokens)
    pictures, most, steps = tokens.shape
    last = xp.full_like(tokens[:, :, 0], Vocabulary.start_id) if steps else tokens
    state = tuple(
        xp.broadcast_to(part[:, None], (pictures, most, part.shape[-1])) for part in context.start
    )
    for t in range(steps):
        logprobs, state, weights = decoder.step(last, state, context)
        yield logprobs, weights, state
        last = tokens[:, :, t]
