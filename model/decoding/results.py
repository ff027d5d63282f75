"""The results of a beam search: as arrays on the device of the search, and as hypotheses.

A search remembers, step by step, what each place of its beam got longer by and whose continuation
it is. `read_results` follows the best sequences back through that on the host, which is fastest for
few pictures; `trace_back` does so for a whole batch with arrays alone, looking at none of their
values, so that it can be captured as part of a CUDA graph.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device

from model.arrays import Array, argsort_descending, to_numpy
from model.decoding.hypothesis import Hypothesis, RankedHypothesis

__all__ = ["DEAD", "FoundArrays", "TracedArrays", "read_results", "read_traced", "trace_back"]

DEAD = -math.inf  # the score of what is not there


class FoundArrays(NamedTuple):
    """What a search has found, as arrays on its device.

    Attributes:
        scores: of the best sequences that have ended, best first (batch, results).
        places: where these ended: step x beam + slot (batch, results).
        unfinished: scores of the last beam (batch, beam).
        done: whether more steps could change no result (batch,).
        parents: the slots of the old beam that each step's comes from (batch, steps, beam).
        tokens, logprobs: what each sequence got longer by (batch, steps, beam).
        ends: log-probability of the end token after each of the old beam (batch, steps, beam).
    """

    scores: Array
    places: Array
    unfinished: Array
    done: Array
    parents: Array
    tokens: Array
    logprobs: Array
    ends: Array


class TracedArrays(NamedTuple):
    """Sequences, best first, as arrays on the device of their search.

    Attributes:
        tokens: with the end token, then zeros (batch, results, steps).
        logprobs: of each token, then zeros (batch, results, steps).
        lengths: in tokens; 0 where there is no sequence (batch, results).
        finished: whether the last token is the end token (batch, results).
        agreements: see `RankedHypothesis`; NaN if unknown (batch, results).
    """

    tokens: Array
    logprobs: Array
    lengths: Array
    finished: Array
    agreements: Array


def read_results(found: FoundArrays, end_token: int) -> list[list[Hypothesis]]:
    """Return the best finished sequences of each member, then unfinished ones if too few ended."""
    num_results, beam_size = found.scores.shape[1], found.unfinished.shape[1]
    scores, places, unfinished, _, *steps = (to_numpy(array).tolist() for array in found)
    results = []
    for member in range(len(scores)):
        member_steps = [part[member] for part in steps]
        hypotheses = [
            _read_back(member_steps, place // beam_size, place % beam_size, end_token)
            for score, place in zip(scores[member], places[member], strict=True)
            if score > DEAD
        ]
        # Of equals, those in the first slots come first.
        others = unfinished[member]
        hypotheses += [
            _read_back(member_steps, len(member_steps[0]), slot, None)
            for slot in sorted(range(beam_size), key=others.__getitem__, reverse=True)
            if others[slot] > DEAD
        ]
        results.append(hypotheses[:num_results])
    return results


def _read_back(
    steps: Sequence[list[list[Any]]], length: int, slot: int, end_token: int | None
) -> Hypothesis:
    """Follow a sequence of `length` tokens back from its slot; None: it did not end."""
    parents, tokens, logprobs, ends = steps
    words, numbers = [], []
    if end_token is not None:  # it has one token more, which leaves its slot without another step
        words, numbers = [end_token], [ends[length][slot]]
    for t in reversed(range(length)):
        words.append(tokens[t][slot])
        numbers.append(logprobs[t][slot])
        slot = parents[t][slot]
    return Hypothesis(tuple(reversed(words)), tuple(reversed(numbers)), end_token is not None)


def trace_back(found: FoundArrays, end_token: int) -> TracedArrays:
    """Return the sequences that `read_results` returns, in the same order, as arrays."""
    xp, where = array_namespace(found.scores), device(found.scores)
    batch, num_results = found.scores.shape
    num_steps, beam_size = found.parents.shape[1:]
    rows = xp.arange(batch, device=where)[:, None]  # (batch, 1)

    # Finished ones, then unfinished ones, those that are not there at the end: the order is stable.
    slots = argsort_descending(found.unfinished)  # (batch, beam)
    scores = xp.concat([found.scores, found.unfinished[rows, slots]], axis=1)
    slots = xp.concat([found.places % beam_size, slots], axis=1)
    whole = xp.full((batch, beam_size), num_steps, dtype=xp.int64, device=where)
    lengths = xp.concat([found.places // beam_size, whole], axis=1)  # without the end token
    finished = xp.arange(num_results + beam_size, device=where) < num_results
    alive = scores > DEAD
    order = argsort_descending(xp.astype(alive, xp.int8))[:, :num_results]
    alive, slots, lengths = alive[rows, order], slots[rows, order], lengths[rows, order]
    finished = finished[order] & alive

    # The step of the end token; of unfinished ones it is not used.
    ending = xp.where(finished, lengths, 0)
    end_logprobs = found.ends[rows, ending, slots]
    tokens, logprobs = [], []
    for t in reversed(range(num_steps)):
        within, ends = alive & (t < lengths), finished & (t == lengths)
        token, logprob = found.tokens[:, t][rows, slots], found.logprobs[:, t][rows, slots]
        tokens.append(xp.where(within, token, end_token * xp.astype(ends, xp.int64)))
        logprobs.append(xp.where(within, logprob, xp.where(ends, end_logprobs, 0.0)))
        slots = xp.where(within, found.parents[:, t][rows, slots], slots)
    lengths = xp.where(alive, lengths + xp.astype(finished, xp.int64), 0)
    unknown = xp.full(lengths.shape, math.nan, dtype=xp.float32, device=where)
    return TracedArrays(
        xp.stack(tokens[::-1], axis=2), xp.stack(logprobs[::-1], axis=2), lengths, finished, unknown
    )


def read_traced(traced: TracedArrays) -> list[list[RankedHypothesis]]:
    """Return the sequences of each member."""
    columns = (to_numpy(array).tolist() for array in traced)
    return [
        [
            RankedHypothesis(
                Hypothesis(tuple(tokens[:length]), tuple(logprobs[:length]), finished),
                None if math.isnan(agreement) else agreement,
            )
            for tokens, logprobs, length, finished, agreement in zip(*member, strict=True)
            if length
        ]
        for member in zip(*columns, strict=True)
    ]
