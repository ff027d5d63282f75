"""A caption read once more, word by word: how likely each word is, and where the decoder looks.

Knows token ids and pictures as the decoder keeps them; knows nothing of how captions are found.
"""

from collections.abc import Sequence

from array_api_compat import array_namespace, device

from model.arrays import Array
from model.captioning.caption import Grid
from model.networks.image_context import ImageContext
from model.runtime.base import CaptionDecoder
from model.vocabulary import Vocabulary

__all__ = ["look", "read"]


def read(
    decoder: CaptionDecoder, picture: ImageContext, captions: Sequence[Sequence[int]]
) -> tuple[list[list[float]], Array | None]:
    """Read some captions of one picture side by side.

    Args:
        decoder: a caption decoder, or a runner of one.
        picture: from its `begin`, of a batch of one.
        captions: token ids, the start token left out; each has one at least.

    Returns:
        Of each caption the natural log-probability of every token; and the attention's weights
        (captions, steps, cells), or None without attention.
    """
    if not captions:
        return [], None
    xp, where = array_namespace(picture.start[0]), device(picture.start[0])
    count, longest = len(captions), max(map(len, captions))
    padded = [[*ids, *[Vocabulary.pad_id] * (longest - len(ids))] for ids in captions]
    tokens = xp.asarray(padded, dtype=xp.int64, device=where)  # (captions, steps)
    last = xp.full_like(tokens[:, 0], Vocabulary.start_id)
    state = tuple(
        xp.broadcast_to(part[:, None], (1, count, part.shape[-1])) for part in picture.start
    )
    everyone = xp.arange(count, device=where)
    own, seen = [], []
    for t in range(longest):
        logprobs, state, weights = decoder.step(last[None], state, picture)
        last = tokens[:, t]
        own.append(logprobs[0][everyone, last])
        seen += [] if weights is None else [weights[0]]
    rows = xp.stack(own, axis=1).tolist()
    return (
        [row[: len(ids)] for row, ids in zip(rows, captions, strict=True)],
        xp.stack(seen, axis=1) if seen else None,
    )


def look(decoder: CaptionDecoder, grid: Array, caption: Sequence[int]) -> list[Grid] | None:
    """Note where the decoder looks before each token; None where it has no attention.

    Args:
        decoder: a caption decoder, or a runner of one.
        grid: of the picture (1, rows, columns, channels).
        caption: token ids, the start token left out.
    """
    _, weights = read(decoder, decoder.encode_context(grid), [caption])
    if weights is None:
        return None
    maps = weights[0].reshape(len(caption), *grid.shape[1:3]).tolist()
    return [tuple(tuple(row) for row in one) for one in maps]
