"""A caption read once more, word by word: how likely each word is, and where the decoder looks.

Knows token ids and pictures as the decoder keeps them; knows nothing of how captions are found.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.caption import Grid
from model.decoder import Decoder, Picture
from model.vocabulary import Vocabulary

__all__ = ["look", "read"]


@torch.inference_mode()
def read(
    decoder: Decoder, picture: Picture, captions: Sequence[Sequence[int]]
) -> tuple[list[list[float]], Tensor | None]:
    """Read some captions of one picture side by side.

    Args:
        decoder: the caption decoder.
        picture: from its `begin`, of a batch of one.
        captions: token ids, the start token left out; each has one at least.

    Returns:
        Of each caption the natural log-probability of every token; and the attention's weights
        (captions, steps, cells), or None without attention.
    """
    if not captions:
        return [], None
    device = picture.start[0].device
    tokens = torch.full((len(captions), max(map(len, captions))), Vocabulary.pad_id)
    for row, ids in zip(tokens, captions, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    tokens = tokens.to(device)  # (captions, steps)
    last = torch.full_like(tokens[:, 0], Vocabulary.start_id)
    state = tuple(part[:, None].expand(-1, len(captions), -1) for part in picture.start)
    own, seen = [], []
    for token in tokens.unbind(1):
        logprobs, state, weights = decoder.step(last[None], state, picture)
        own.append(logprobs[0].gather(1, token[:, None])[:, 0])
        seen += [] if weights is None else [weights[0]]
        last = token
    rows = torch.stack(own, dim=1).tolist()
    return (
        [row[: len(ids)] for row, ids in zip(rows, captions, strict=True)],
        torch.stack(seen, dim=1) if seen else None,
    )


def look(decoder: Decoder, grid: Tensor, caption: Sequence[int]) -> list[Grid] | None:
    """Note where the decoder looks before each token; None where it has no attention.

    Args:
        decoder: the caption decoder.
        grid: of the picture (1, rows, columns, channels).
        caption: token ids, the start token left out.
    """
    with torch.inference_mode():
        _, weights = read(decoder, decoder.begin(grid), [caption])
    if weights is None:
        return None
    maps = weights[0].reshape(len(caption), *grid.shape[1:3]).tolist()
    return [tuple(tuple(row) for row in one) for one in maps]
