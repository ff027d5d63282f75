"""One text while it is being written.

Turns tokens into pieces of text, and knows when the text has ended; knows nothing of networks, or
of how the tokens are drawn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.decoding.sampling import NoRepeatNgram
from model.text.stop_strings import StopStrings, TextDelta
from model.vocabulary import Vocabulary

__all__ = ["Draft"]


class Draft:
    """One text while it is being written.

    Args:
        index: which of the texts that are written at once it is.
        vocabulary: what the tokens mean; a word brings the space before it.
        begun: the tokens that it goes on from.
        spaced: whether the first word needs no space before it.
        no_repeat_ngram_size: see `NoRepeatNgram`; it counts those of `begun` too.
        stop: texts at the first of which it ends, itself left out.
    """

    def __init__(
        self,
        index: int,
        vocabulary: Vocabulary,
        begun: Sequence[int],
        *,
        spaced: bool,
        no_repeat_ngram_size: int,
        stop: Sequence[str],
    ) -> None:
        self.ended = False
        self._index = index
        self._vocabulary = vocabulary
        self._guard = NoRepeatNgram(no_repeat_ngram_size, begun)
        self._stopper = StopStrings(stop)
        self._gap = " " if vocabulary.level == "word" else ""
        self._before = "" if spaced else self._gap

    def forbid(self, logprobs: NDArray[np.floating[Any]]) -> None:
        """Set to -inf what must not come next (vocabulary,)."""
        self._guard.forbid(logprobs)

    def add(
        self, token: int, logprob: float, top: tuple[tuple[str, float], ...] | None = None
    ) -> list[TextDelta]:
        """Take the next token, and give the pieces that are certain by now."""
        self._guard.add(token)
        name = self._vocabulary.tokens[token]
        if token == self._vocabulary.end_id:
            self.ended = True
            last = TextDelta(self._index, "", name, logprob, top, finish_reason="stop")
            return [*self._stopper.flush(), last]
        text = self._before + self._vocabulary.decode([token])
        piece = TextDelta(self._index, text, name, logprob, top)
        self._before = self._gap
        pieces, self.ended = self._stopper.add(piece)
        if self.ended:
            pieces.append(TextDelta(self._index, "", finish_reason="stop"))
        return pieces

    def cut(self) -> list[TextDelta]:
        """End the text where it is: it has reached its greatest length."""
        self.ended = True
        return [*self._stopper.flush(), TextDelta(self._index, "", finish_reason="length")]
