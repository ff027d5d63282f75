"""Record every step of a beam search, for looking at it afterwards.

A search without a recorder does nothing for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace
from numpy.typing import NDArray

from model.arrays import Array, to_numpy, top_k

__all__ = ["Candidate", "Ending", "SearchRecorder", "SearchTrace", "TracedStep"]

_CANDIDATES = 2  # times the beam: those that are kept, and as many that are not


@dataclass(frozen=True)
class Candidate:
    """A sequence that grew by one token; in a step the likeliest come first.

    Attributes:
        token: what it grew by.
        parent: the place of the sequence that it grew from among the step before's candidates;
            None in the first step.
        logprob: natural log-probability of the token.
        total: that of the whole sequence.
        kept: whether it is in the beam, so that it may grow further.
        caption: its place among the returned sequences, if it was returned unfinished.
    """

    token: str
    parent: int | None
    logprob: float
    total: float
    kept: bool
    caption: int | None = None


@dataclass(frozen=True)
class Ending:
    """A sequence that the end token ended, and that was among the best so far.

    Attributes:
        parent: the place of the sequence among the step before's candidates; None if it is empty.
        logprob: natural log-probability of the end token.
        total: that of the whole sequence.
        score: what it is ranked by, `total / length ** length_penalty`.
        caption: its place among the returned sequences; None if others were better.
    """

    parent: int | None
    logprob: float
    total: float
    score: float
    caption: int | None = None


@dataclass(frozen=True)
class TracedStep:
    """One step: the sequences that ended, and the candidates to go on."""

    endings: tuple[Ending, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class SearchTrace:
    """All steps of one member's search, in order."""

    steps: tuple[TracedStep, ...]


class SearchRecorder:
    """Records the steps of one call of `beam_search.search`."""

    def __init__(self) -> None:
        self._steps: list[tuple[Array, ...]] = []
        self._beam_size = 0

    def add(
        self,
        totals: Array,
        logprobs: Array,
        ends: Array,
        found: tuple[Array, Array],
        done: Array,
    ) -> None:
        """Record a step.

        Args:
            totals: of all candidates, -inf where they may not go on (batch, beam, vocabulary).
            logprobs: of their last tokens, same shape.
            ends: log-probability of the end token after each sequence (batch, beam).
            found: scores and places of the best sequences that have ended so far, each
                (batch, results); a place is step x beam + slot.
            done: whether the search of each member is over (batch,).
        """
        xp = array_namespace(totals)
        batch, self._beam_size, vocabulary = totals.shape
        count = min(_CANDIDATES * self._beam_size, self._beam_size * vocabulary)
        best, places = top_k(xp.reshape(totals, (batch, -1)), count)  # (batch, count)
        last = xp.take_along_axis(xp.reshape(logprobs, (batch, -1)), places, axis=1)
        ends = xp.asarray(ends, copy=True)  # a view would keep the log-probabilities of all words
        self._steps.append((best, places, last, ends, *found, done))

    def traces(
        self, tokens: Sequence[str], returned: Sequence[Sequence[Sequence[str]]]
    ) -> list[SearchTrace]:
        """Return the trace of each member.

        Args:
            tokens: the name of every token id.
            returned: the sequences that were returned of each member, by the names of their tokens.
        """
        steps = [tuple(map(to_numpy, step)) for step in self._steps]
        return [
            self._trace([tuple(part[i] for part in step) for step in steps], tokens, sequences)
            for i, sequences in enumerate(returned)
        ]

    def _trace(
        self,
        steps: Sequence[tuple[NDArray[Any], ...]],
        tokens: Sequence[str],
        returned: Sequence[Sequence[str]],
    ) -> SearchTrace:
        captions = {tuple(sequence): place for place, sequence in enumerate(returned)}
        paths: list[tuple[str, ...]] = [()]  # of the beam before the step
        before: list[float] = [0.0]
        traced = []
        for t, (best, places, last, ends, scores, ended, done) in enumerate(steps):
            endings = tuple(
                Ending(
                    parent=slot if t else None,
                    logprob=float(ends[slot]),
                    total=before[slot] + float(ends[slot]),
                    score=float(score),
                    # The end token is the last of what was returned.
                    caption=next((n for p, n in captions.items() if p[:-1] == paths[slot]), None),
                )
                for score, place in zip(scores, ended.tolist(), strict=True)
                if score > float("-inf") and place // self._beam_size == t
                for slot in (place % self._beam_size,)
            )
            candidates, grown = [], []
            for number, (total, place) in enumerate(
                zip(best.tolist(), places.tolist(), strict=True)
            ):
                if total == float("-inf"):
                    break
                slot, token = divmod(place, len(tokens))
                grown.append((*paths[slot], tokens[token]))
                candidates.append(
                    Candidate(
                        token=tokens[token],
                        parent=slot if t else None,
                        logprob=float(last[number]),
                        total=total,
                        kept=number < self._beam_size,
                        caption=captions.get(grown[-1]),
                    )
                )
            traced.append(TracedStep(endings, tuple(candidates)))
            if done:  # alone, its search would have stopped here
                break
            paths, before = grown[: self._beam_size], [one.total for one in candidates]
        return SearchTrace(tuple(traced))
