"""Sequences with labels: texts and their writers or next characters, and a moving shape."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Draw", "LabelTask", "moving_shape", "next_character", "which_writer"]

# (generator, count) -> inputs (count, time, input), labels (count,) or (count, time)
Draw = Callable[[torch.Generator, int], tuple[Tensor, Tensor]]

_HELD_OUT = 0.2  # of each text, its end
_CHARACTERS = 100  # in the alphabet; what is rarer is one more

SIDE, FRAMES, _SHAPE = 10, 8, 3  # pixels and frames of a clip, and the side of the square in it
_NOISE = 0.3
_MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # right, down, left, up


@dataclass(frozen=True)
class LabelTask:
    """What a network learns to label.

    Attributes:
        name, shape: what it is called, and whether it is many to one or many to many.
        labels: their names.
        input_size: size of an input.
        draw, draw_test: return sequences to train on, and others to test with.
        in_step: whether every step has a label, or the sequence one.
    """

    name: str
    labels: tuple[str, ...]
    input_size: int
    draw: Draw
    draw_test: Draw
    in_step: bool

    @property
    def shape(self) -> str:
        """Return the name of its kind."""
        return "many to many, in step" if self.in_step else "many to one"


def which_writer(texts: Mapping[str, str], length: int) -> LabelTask:
    """Build the task of finding whose text `length` characters are from.

    Args:
        texts: of each writer; the last fifth of each is for the test.
        length: the most that is read; in training a half, a quarter or an eighth of it too.

    Raises:
        ValueError: there is one writer, or a text is too short.
    """
    if len(texts) < 2:
        raise ValueError("whose text it is needs at least two texts: give another")
    _check_lengths(texts, length)
    alphabet = _alphabet(texts)
    train, test = _split([_encode(text, alphabet) for text in texts.values()])

    def draw(parts: list[Tensor], generator: torch.Generator, count: int, size: int) -> Drawn:
        labels = torch.randint(len(parts), (count,), generator=generator)
        rows = [_window(parts[int(label)], size, generator) for label in labels]
        return _one_hot(torch.stack(rows), alphabet), labels

    def draw_train(generator: torch.Generator, count: int) -> Drawn:
        shift = int(torch.randint(4, (), generator=generator))
        return draw(train, generator, count, max(1, length >> shift))

    def draw_test(generator: torch.Generator, count: int) -> Drawn:
        return draw(test, generator, count, length)

    size = len(alphabet) + 1
    return LabelTask("whose text", tuple(texts), size, draw_train, draw_test, in_step=False)


def next_character(texts: Mapping[str, str], length: int) -> LabelTask:
    """Build the task of predicting the next character after each of `length`.

    Raises:
        ValueError: a text is too short.
    """
    _check_lengths(texts, length + 1)
    alphabet = _alphabet(texts)
    train, test = _split([_encode(text, alphabet) for text in texts.values()])

    def draw(parts: list[Tensor], generator: torch.Generator, count: int) -> Drawn:
        chosen = torch.randint(len(parts), (count,), generator=generator).tolist()
        rows = torch.stack([_window(parts[i], length + 1, generator) for i in chosen])
        return _one_hot(rows[:, :-1], alphabet), rows[:, 1:]

    return LabelTask(
        "next character",
        ("other", *alphabet),
        len(alphabet) + 1,
        lambda generator, count: draw(train, generator, count),
        lambda generator, count: draw(test, generator, count),
        in_step=True,
    )


def moving_shape(*, in_step: bool) -> LabelTask:
    """Build the task of finding in which direction a square moves over noisy frames.

    It wraps around at the edges. In step, it turns once, and every frame is labelled with the
    direction in which the square came; of the first frame nobody can tell.
    """

    def draw(generator: torch.Generator, count: int) -> Drawn:
        first, second = torch.randint(len(_MOVES), (2, count), generator=generator)
        turn = torch.randint(2, FRAMES - 1, (count,), generator=generator)
        if not in_step:
            second = first
        time = torch.arange(FRAMES)
        labels = torch.where(time < turn[:, None], first[:, None], second[:, None])
        moves = torch.tensor(_MOVES)[labels]  # (count, frames, 2)
        moves[:, 0] = torch.randint(SIDE, (count, 2), generator=generator)
        places = moves.cumsum(1) % SIDE
        pixels = (
            torch.arange(SIDE) - places[..., None]
        ) % SIDE < _SHAPE  # (count, frames, 2, side)
        frames = (pixels[:, :, 0, :, None] & pixels[:, :, 1, None, :]).float()
        frames += _NOISE * torch.randn(frames.shape, generator=generator)
        return frames.flatten(2), labels if in_step else first

    name = "direction of each frame" if in_step else "direction of a clip"
    return LabelTask(name, ("right", "down", "left", "up"), SIDE**2, draw, draw, in_step)


Drawn = tuple[Tensor, Tensor]


def _check_lengths(texts: Mapping[str, str], length: int) -> None:
    for name, text in texts.items():
        least = int(length / _HELD_OUT) + 1
        if len(text) < least:
            raise ValueError(
                f"the text {name!r} has {len(text)} characters: at least {least} are needed, "
                "the last fifth for the test"
            )


def _alphabet(texts: Mapping[str, str]) -> str:
    counts = Counter("".join(texts.values()))
    return "".join(character for character, _ in counts.most_common(_CHARACTERS))


def _encode(text: str, alphabet: str) -> Tensor:
    numbers = {character: i for i, character in enumerate(alphabet, start=1)}
    return torch.tensor([numbers.get(character, 0) for character in text])


def _split(texts: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    ends = [int((1 - _HELD_OUT) * len(text)) for text in texts]
    pairs = list(zip(texts, ends, strict=True))
    return [text[:end] for text, end in pairs], [text[end:] for text, end in pairs]


def _window(text: Tensor, length: int, generator: torch.Generator) -> Tensor:
    start = int(torch.randint(len(text) - length + 1, (), generator=generator))
    return text[start : start + length]


def _one_hot(ids: Tensor, alphabet: str) -> Tensor:
    return torch.nn.functional.one_hot(ids, len(alphabet) + 1).float()
