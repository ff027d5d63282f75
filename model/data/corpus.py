"""A text file, split for training and validation, as streams of tokens for language models."""

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
    """The two parts of a text: for training, and for validation.

    `train` and `validation` are ids (tokens,); if each line is a text that ends by itself, it is
    between a start and an end token.
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
        If each line is a text that ends by itself, newlines are not among the characters.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not UTF-8, too short to be split, or has no token often enough.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not text in UTF-8: {error}") from error
        train, validation = _split(text, validation_share, validation_pieces, ends=ends)
        if characters is not None:
            train = train[: _line_start(train, characters, ends=ends)]
        known = text if level == "character" else train
        vocabulary = Vocabulary.build(known.split("\n") if ends else [known], level, min_count)
        parts = [_encode(part, vocabulary, ends=ends) for part in (train, validation)]
        if min(map(len, parts)) < 2:
            raise ValueError(f"{path} is too short to be split into training and validation text")
        if len(vocabulary) <= vocabulary.unknown_id + 1:
            raise ValueError(f"no {level} occurs {min_count} times in {path}: lower min_count")
        return cls(vocabulary, train, validation, *parts)


def _split(text: str, share: float, pieces: int, *, ends: bool) -> tuple[str, str]:
    """Cut a text into pieces of equal length, and use the end of each for validation."""
    edges = [_line_start(text, len(text) * i // pieces, ends=ends) for i in range(pieces)]
    train, validation = [], []
    for start, stop in pairwise([*edges, len(text)]):
        middle = start + int((stop - start) * (1 - share))
        middle = max(start, _line_start(text, middle, ends=ends))
        train.append(text[start:middle])
        validation.append(text[middle:stop])
    return "".join(train), "".join(validation)


def _line_start(text: str, position: int, *, ends: bool) -> int:
    """Move a position back to the start of its line if lines must not be split (`ends`)."""
    if not ends or position >= len(text):
        return position
    return text.rfind("\n", 0, position) + 1


def _encode(text: str, vocabulary: Vocabulary, *, ends: bool) -> Tensor:
    if not ends:
        return torch.tensor(vocabulary.encode(text))
    lines = [vocabulary.encode(line) for line in text.split("\n")]
    start, end = vocabulary.start_id, vocabulary.end_id
    return torch.tensor([token for line in lines if line for token in (start, *line, end)])


def streams(tokens: Tensor, count: int, start_id: int, *, seed: str | None = None) -> Tensor:
    """Cut a text into streams of equal length, each beginning with the start token.

    Args:
        tokens: ids (tokens,).
        count: how many streams; at most as many as there are tokens.
        start_id: the start token.
        seed: if given, moves the cuts by a random number of tokens.

    Returns:
        (streams, 1 + tokens of each): all but the last are to be read, and all but the first to
        be predicted. The few tokens that do not fill the streams are left out.
    """
    count = min(count, len(tokens))
    length = len(tokens) // count
    if seed is not None:
        rng = random.Random(seed)  # noqa: S311 - no secret depends on it
        tokens = tokens.roll(-rng.randrange(len(tokens)))
    cut = tokens[: count * length].view(count, length)
    return torch.cat([torch.full((count, 1), start_id), cut], dim=1)
