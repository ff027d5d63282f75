"""A text file as streams of tokens, for language models.

Knows files, tokens and where training ends and validation begins; knows nothing of networks.
"""

import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from model.vocabulary import Level, Vocabulary

__all__ = ["Corpus", "streams"]


@dataclass(frozen=True)
class Corpus:
    """The two parts of a text: what trains, and what validates.

    `train` and `validation` are ids (tokens,); where texts end by themselves each line is between
    a start and an end token.
    """

    vocabulary: Vocabulary
    train_text: str
    validation_text: str
    train: Tensor
    validation: Tensor

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        level: Level = "character",
        ends: bool = False,
        characters: int | None = None,
        validation_share: float = 0.05,
        validation_pieces: int = 1,
        min_count: int = 1,
    ) -> "Corpus":
        """Read a text file; see `TextRecipe` for the arguments.

        The vocabulary has every character of the whole text, or the words of the training part.
        Where texts end by themselves, the ends of lines are no characters of theirs.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: it is not UTF-8, too short to be divided, or holds no token often enough.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")  # some editors put a mark before the text
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not text in UTF-8: {error}") from error
        train, validation = _divide(text, validation_share, validation_pieces, ends=ends)
        if characters is not None:
            train = train[: _place(train, characters, ends=ends)]
        known = text if level == "character" else train
        vocabulary = Vocabulary.build(known.split("\n") if ends else [known], level, min_count)
        parts = [_encode(part, vocabulary, ends=ends) for part in (train, validation)]
        if min(map(len, parts)) < 2:
            raise ValueError(f"{path} is too short: there is nothing to train on, or to validate")
        if len(vocabulary) <= vocabulary.unknown_id + 1:
            raise ValueError(f"{path} holds no {level} {min_count} times: there is none to learn")
        return cls(vocabulary, train, validation, *parts)


def _divide(text: str, share: float, pieces: int, *, ends: bool) -> tuple[str, str]:
    """Cut a text into pieces of equal length, and take the end of each for validation."""
    places = [_place(text, len(text) * i // pieces, ends=ends) for i in range(pieces)] + [len(text)]
    train, validation = [], []
    for start, stop in pairwise(places):
        edge = max(start, _place(text, start + int((stop - start) * (1 - share)), ends=ends))
        train.append(text[start:edge])
        validation.append(text[edge:stop])
    return "".join(train), "".join(validation)


def _place(text: str, place: int, *, ends: bool) -> int:
    """Move a place back to the start of its line where texts are lines, which are not divided."""
    if not ends or place >= len(text):
        return place
    return text.rfind("\n", 0, place) + 1


def _encode(text: str, vocabulary: Vocabulary, *, ends: bool) -> Tensor:
    if not ends:
        return torch.tensor(vocabulary.encode(text))
    lines = [vocabulary.encode(line) for line in text.split("\n")]
    start, end = vocabulary.start_id, vocabulary.end_id
    return torch.tensor([token for line in lines if line for token in (start, *line, end)])


def streams(tokens: Tensor, count: int, start_id: int, *, seed: str | None = None) -> Tensor:
    """Cut a text into streams of equal length, each begun by the start token.

    Args:
        tokens: ids (tokens,)
        count: of streams; fewer where there are not as many tokens.
        start_id: the start token.
        seed: where given, the cuts are moved by a number of tokens that it chooses.

    Returns:
        (streams, 1 + tokens of each): to read all but the last, and to foretell all but the
        first. The few tokens that do not fill the streams are left out.
    """
    count = min(count, len(tokens))
    length = len(tokens) // count
    if seed is not None:
        chance = random.Random(seed)  # noqa: S311 - no secret depends on it
        tokens = tokens.roll(-chance.randrange(len(tokens)))
    cut = tokens[: count * length].view(count, length)
    return torch.cat([torch.full((count, 1), start_id), cut], dim=1)
