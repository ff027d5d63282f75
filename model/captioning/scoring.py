"""Score given captions word by word, and see where the decoder looks and what else it would say."""

from collections.abc import Iterator, Sequence

from array_api_compat import array_namespace, device

from model.arrays import Array, top_k
from model.captioning.caption import Grid
from model.networks.image_context import ImageContext
from model.runtime.base import CaptionDecoder
from model.vocabulary import Vocabulary

__all__ = ["attention_maps", "likeliest_tokens", "score_batch", "score_tokens"]


def score_tokens(
    decoder: CaptionDecoder, context: ImageContext, captions: Sequence[Sequence[int]]
) -> tuple[list[list[float]], Array | None]:
    """Return the log-probabilities of captions of one picture, token by token, in one batch.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the picture, a batch of one.
        captions: token ids without the start token; each has at least one.

    Returns:
        The natural log-probability of every token of each caption; and the attention's weights
        (captions, steps, cells), or None without attention.
    """
    if not captions:
        return [], None
    xp, where = array_namespace(context.start[0]), device(context.start[0])
    tokens = _padded(captions, context)
    rows = xp.arange(len(captions), device=where)
    token_logprobs, attention = [], []
    for t, (logprobs, weights) in enumerate(_read(decoder, context, tokens)):
        token_logprobs.append(logprobs[rows, tokens[:, t]])
        attention += [] if weights is None else [weights]
    padded_logprobs = xp.stack(token_logprobs, axis=1).tolist()
    return (
        [row[: len(ids)] for row, ids in zip(padded_logprobs, captions, strict=True)],
        xp.stack(attention, axis=1) if attention else None,
    )


def likeliest_tokens(
    decoder: CaptionDecoder, context: ImageContext, caption: Sequence[int], count: int
) -> list[list[tuple[int, float]]]:
    """Return what the decoder finds likeliest at each place of a caption, given the words before.

    Tokens that are never written (padding, start, unknown) are left out; the log-probabilities of
    the others stay as the model gave them.

    Args:
        decoder: a caption decoder, or a runner of one.
        context: of the picture, a batch of one.
        caption: token ids without the start token.
        count: of the likeliest tokens, fewer if the vocabulary has no more.

    Returns:
        For each token of the caption, ids with natural log-probabilities, likeliest first.
    """
    never = Vocabulary.never_written
    likeliest = []
    for logprobs, _ in _read(decoder, context, _padded([caption], context)):
        found = min(count + len(never), logprobs.shape[-1])
        numbers, ids = (part[0].tolist() for part in top_k(logprobs, found))
        pairs = [pair for pair in zip(ids, numbers, strict=True) if pair[0] not in never]
        likeliest.append(pairs[:count])
    return likeliest


def _padded(captions: Sequence[Sequence[int]], context: ImageContext) -> Array:
    """Return captions as one array, on the context's device: (captions, steps)."""
    xp, where = array_namespace(context.start[0]), device(context.start[0])
    longest = max(map(len, captions))
    padded = [[*ids, *[Vocabulary.pad_id] * (longest - len(ids))] for ids in captions]
    return xp.asarray(padded, dtype=xp.int64, device=where)


def _read(
    decoder: CaptionDecoder, context: ImageContext, tokens: Array
) -> Iterator[tuple[Array, Array | None]]:
    """Read captions of one picture, all at once.

    Args:
        decoder, context: as in `score_tokens`.
        tokens: (captions, steps)

    Yields:
        Before each token the log-probabilities of all (captions, vocabulary), and the attention's
        weights (captions, cells) or None.
    """
    xp = array_namespace(tokens)
    count, steps = tokens.shape
    last = xp.full_like(tokens[:, 0], Vocabulary.start_id)
    state = tuple(
        xp.broadcast_to(part[:, None], (1, count, part.shape[-1])) for part in context.start
    )
    for t in range(steps):
        logprobs, state, weights = decoder.step(last[None], state, context)
        yield logprobs[0], None if weights is None else weights[0]
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


def attention_maps(
    decoder: CaptionDecoder, grid: Array, caption: Sequence[int]
) -> list[Grid] | None:
    """Return where the decoder looks before each token; None if it has no attention.

    Args:
        decoder: a caption decoder, or a runner of one.
        grid: of the picture (1, rows, columns, channels).
        caption: token ids without the start token.
    """
    _, weights = score_tokens(decoder, decoder.encode_context(grid), [caption])
    if weights is None:
        return None
    maps = weights[0].reshape(len(caption), *grid.shape[1:3]).tolist()
    return [tuple(tuple(row) for row in one) for one in maps]
