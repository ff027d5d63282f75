"""Score given captions word by word, and see where the decoder looks."""

from collections.abc import Sequence

from array_api_compat import array_namespace, device

from model.arrays import Array
from model.captioning.caption import Grid
from model.networks.image_context import ImageContext
from model.runtime.base import CaptionDecoder
from model.vocabulary import Vocabulary

__all__ = ["attention_maps", "score_tokens"]


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
    count, longest = len(captions), max(map(len, captions))
    padded = [[*ids, *[Vocabulary.pad_id] * (longest - len(ids))] for ids in captions]
    tokens = xp.asarray(padded, dtype=xp.int64, device=where)  # (captions, steps)
    last = xp.full_like(tokens[:, 0], Vocabulary.start_id)
    state = tuple(
        xp.broadcast_to(part[:, None], (1, count, part.shape[-1])) for part in context.start
    )
    rows = xp.arange(count, device=where)
    token_logprobs, attention = [], []
    for t in range(longest):
        logprobs, state, weights = decoder.step(last[None], state, context)
        last = tokens[:, t]
        token_logprobs.append(logprobs[0][rows, last])
        attention += [] if weights is None else [weights[0]]
    padded_logprobs = xp.stack(token_logprobs, axis=1).tolist()
    return (
        [row[: len(ids)] for row, ids in zip(padded_logprobs, captions, strict=True)],
        xp.stack(attention, axis=1) if attention else None,
    )


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
