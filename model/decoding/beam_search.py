"""Beam search over any step function.

Knows nothing of pictures, words or LSTMs: `step` maps the last tokens and a state to
log-probabilities and the next state, and `search` returns the best sequences. A batch is searched
together, each member exactly as if it were alone. Works on whatever arrays the state is made of,
NumPy's or PyTorch's, on their device.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace, device

from model.arrays import Array, argsort_descending, largest, to_numpy

__all__ = ["Hypothesis", "SearchCancelled", "StepFunction", "search"]

SearchState = tuple[Array, ...]  # each (batch, beam, ...)

# (tokens (batch, beam), state) -> (log-probabilities (batch, beam, vocabulary), next state)
StepFunction = Callable[[Array, SearchState], tuple[Array, SearchState]]

_DEAD = -math.inf

_PATIENCE = 4  # steps between two looks at whether a search on a device is over


class SearchCancelled(Exception):
    """A search was given up between two steps, since nobody waits for its results."""


@dataclass(frozen=True)
class Hypothesis:
    """One sequence that was found.

    `tokens` holds the end token where the sequence is finished; `logprobs` has one natural
    log-probability a token, and `logprob` is their sum.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finished: bool

    @property
    def logprob(self) -> float:
        """The log-probability of the whole sequence."""
        return math.fsum(self.logprobs)

    def score(self, length_penalty: float) -> float:
        """Give what hypotheses are ranked by: `logprob / length ** length_penalty`."""
        return self.logprob / math.pow(len(self.tokens), length_penalty)


def search(
    step: StepFunction,
    state: SearchState,
    *,
    start_token: int,
    end_token: int,
    beam_size: int = 3,
    num_results: int = 1,
    num_settled: int | None = None,
    max_length: int = 20,
    min_length: int = 0,
    length_penalty: float = 0.0,
    no_repeat_ngram_size: int = 0,
    no_echo_words: Sequence[int] = (),
    forbidden: Sequence[int] = (),
    cancelled: Callable[[], bool] | None = None,
) -> list[list[Hypothesis]]:
    """Find likely sequences.

    At each step the `beam_size` likeliest unfinished sequences go on (Graves 2012). One that the
    end token ends leaves the beam, and the best `num_results` of those are kept; the search of a
    member of the batch is over when no sequence of its beam can overtake the best `num_settled`
    of them any more.

    Args:
        step: see `Step`. Log-probabilities of -inf are never taken.
        state: before the first step, each tensor (batch, ...): all beams start alike.
        start_token: what the first step reads; it is not part of a result.
        end_token: ends a sequence, and counts as one of its tokens.
        beam_size: sequences that are kept at each step.
        num_results: how many to return of each member, at most `beam_size`.
        num_settled: how many of those are certain to be the best; the others are the best that
            have ended by then. None: all.
        max_length: tokens in a sequence, the end token included.
        min_length: tokens before the end token may come.
        length_penalty: results are ranked by `logprob / length ** length_penalty`.
        no_repeat_ngram_size: no n tokens in a row come twice in a sequence (0: they may).
        no_echo_words: tokens ("and") that never stand between the same tokens: x and x, x y and x
        y.
        forbidden: tokens that are never taken. The others' log-probabilities stay as they are.
        cancelled: asked before each step whether to give up.

    Returns:
        For each member of the batch the best sequences, best first. Unfinished ones come only
        where fewer than `num_settled` have ended by `max_length`, and after those. Fewer than
        `num_settled` come only where no more exist.

    Raises:
        ValueError: a number is out of its range.
        SearchCancelled: `cancelled` said so.
    """
    num_settled = num_results if num_settled is None else num_settled
    _check(beam_size, num_results, num_settled, max_length)
    batch = state[0].shape[0]
    if batch == 0:
        return []
    xp, where = array_namespace(state[0]), device(state[0])
    at_hand = str(where) == "cpu"  # on a device, looking at a number makes it wait
    members = xp.arange(batch, device=where)[:, None]  # (batch, 1)
    slots = xp.broadcast_to(xp.arange(beam_size, device=where), (batch, beam_size))
    state = tuple(
        xp.broadcast_to(part[:, None], (batch, beam_size, *part.shape[1:])) for part in state
    )
    tokens = xp.full((batch, beam_size), start_token, dtype=xp.int64, device=where)
    # All beams start alike, so only the first is alive: else they would stay copies.
    alive = xp.full((batch, beam_size), _DEAD, dtype=xp.float32, device=where)
    alive[:, 0] = 0.0
    so_far = xp.zeros((batch, beam_size, 0), dtype=xp.int64, device=where)  # tokens of those alive
    # The best that have ended, by their scores and where they did: step x beam + slot.
    ended = xp.full((batch, num_results), _DEAD, dtype=xp.float32, device=where)
    ended_at = xp.zeros((batch, num_results), dtype=xp.int64, device=where)
    over = xp.zeros((batch,), dtype=xp.bool, device=where)
    middles = xp.asarray([*no_echo_words], dtype=xp.int64, device=where)
    joined = (
        bool(no_echo_words) and not at_hand
    )  # whether a joint has been taken, as far as is known
    trail = _Backpointers(beam_size, end_token)
    for t in range(max_length):
        if cancelled is not None and cancelled():
            raise SearchCancelled
        logprobs, state = step(tokens, state)  # (batch, beam, vocabulary)
        logprobs = xp.astype(logprobs, xp.float32, copy=False)
        vocabulary = logprobs.shape[-1]
        last = logprobs[:, :, end_token]  # (batch, beam)
        if t >= min_length and end_token not in forbidden:
            # Alone, a member that is over would have stopped before: so it does in a batch.
            scores = xp.where(over[:, None], _DEAD, (alive + last) / (t + 1) ** length_penalty)
            both = xp.concat([ended, scores], axis=1)
            places = xp.concat([ended_at, t * beam_size + slots], axis=1)
            # Of equals, those that were there before stay.
            order = argsort_descending(both)[:, :num_results]
            ended, ended_at = both[members, order], places[members, order]

        totals = alive[:, :, None] + logprobs  # (batch, beam, vocabulary)
        for token in (end_token, *forbidden):
            totals[:, :, token] = _DEAD
        if 0 < no_repeat_ngram_size <= t:
            _forbid(totals, members, slots, _repeats(so_far, no_repeat_ngram_size, end_token))
        if joined:
            _forbid(totals, members, slots, _echoes(so_far, middles, end_token))
        alive, places = largest(xp.reshape(totals, (batch, -1)), beam_size)  # (batch, beam)
        parents, tokens = places // vocabulary, places % vocabulary
        trail.go_on(parents, tokens, logprobs[members, parents, tokens], last)
        so_far = xp.concat([so_far[members, parents], tokens[..., None]], axis=-1)
        state = tuple(part[members, parents] for part in state)
        if no_echo_words and not joined:
            joined = not set(no_echo_words).isdisjoint(xp.reshape(tokens, (-1,)).tolist())
        over = over | _decided(alive, ended[:, num_settled - 1], max_length, length_penalty)
        # A step too many costs less than making a device wait.
        if (at_hand or t % _PATIENCE == 0) and xp.all(over):
            break

    unfinished = xp.where(over[:, None], _DEAD, alive / (t + 1) ** length_penalty)
    return trail.results(ended, ended_at, unfinished, num_results)


def _check(beam_size: int, num_results: int, num_settled: int, max_length: int) -> None:
    if not 1 <= num_results <= beam_size:
        raise ValueError(f"num_results must be in 1..beam_size ({beam_size}), not {num_results}")
    if not 1 <= num_settled <= num_results:
        raise ValueError(
            f"num_settled must be in 1..num_results ({num_results}), not {num_settled}"
        )
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, not {max_length}")


class _Backpointers:
    """Which way each sequence of a beam came, so that those that are wanted can be read back.

    Args:
        beam_size: sequences that are kept at each step.
        end_token: of those that end.
    """

    def __init__(self, beam_size: int, end_token: int) -> None:
        self._beam_size = beam_size
        self._end_token = end_token
        self._steps: list[tuple[Array, ...]] = []

    def go_on(self, parents: Array, tokens: Array, logprobs: Array, ends: Array) -> None:
        """Note a step, all (batch, beam).

        Args:
            parents: the slots that those of the new beam come from.
            tokens, logprobs: what each of them was made longer by.
            ends: the log-probability of the end token after each of the old beam.
        """
        self._steps.append((parents, tokens, logprobs, ends))

    def results(
        self, ended: Array, ended_at: Array, unfinished: Array, count: int
    ) -> list[list[Hypothesis]]:
        """Read back the best finished sequences, then the best unfinished ones if too few ended.

        Args:
            ended: scores, best first (batch, results); -inf where there is none.
            ended_at: where these did, step x beam + slot.
            unfinished: scores of the last beam (batch, beam).
            count: sequences of each member at most.
        """
        # From a device all steps are fetched at once.
        stacked = (array_namespace(ended).stack(part) for part in zip(*self._steps, strict=True))
        steps = tuple(to_numpy(part) for part in stacked)  # each (steps, batch, beam)
        rows = zip(ended.tolist(), ended_at.tolist(), unfinished.tolist(), strict=True)
        found = []
        for member, (scores, places, others) in enumerate(rows):
            own = [part[:, member].tolist() for part in steps]
            hypotheses = [
                self._read_back(own, *divmod(place, self._beam_size), finished=True)
                for score, place in zip(scores, places, strict=True)
                if score > _DEAD
            ]
            # Of equals, those in the first slots come first.
            order = sorted(range(len(others)), key=others.__getitem__, reverse=True)
            hypotheses += [
                self._read_back(own, len(own[0]), slot, finished=False)
                for slot in order
                if others[slot] > _DEAD
            ]
            found.append(hypotheses[:count])
        return found

    def _read_back(
        self, steps: Sequence[list[list[Any]]], length: int, slot: int, *, finished: bool
    ) -> Hypothesis:
        """Follow a sequence of so many tokens back from its slot."""
        parents, tokens, logprobs, ends = steps
        # What ended has one token more, which leaves its slot without another step.
        words, numbers = ([self._end_token], [ends[length][slot]]) if finished else ([], [])
        for t in reversed(range(length)):
            words.append(tokens[t][slot])
            numbers.append(logprobs[t][slot])
            slot = parents[t][slot]
        return Hypothesis(tuple(reversed(words)), tuple(reversed(numbers)), finished)


def _forbid(totals: Array, members: Array, slots: Array, tokens: Array) -> None:
    """Rule out tokens (batch, beam, n) of each sequence, in place; the end token says none."""
    totals[members[..., None], slots[..., None], tokens] = _DEAD  # the end token is already


def _repeats(tokens: Array, n: int, end_token: int) -> Array:
    """List each token that would make the last n tokens a repetition of earlier ones.

    Args:
        tokens: so far (batch, beam, t), t >= n.
        n: how many in a row.
        end_token: stands where nothing is repeated.

    Returns:
        (batch, beam, t - n + 1)
    """
    xp, t = array_namespace(tokens), tokens.shape[2]
    last = tokens[:, :, n - 1 :]  # of every n in a row
    same = xp.ones_like(last, dtype=xp.bool)
    for i in range(n - 1):
        recent = tokens[:, :, t - n + 1 + i, None]
        same = same & (tokens[:, :, i : t - n + 1 + i] == recent)
    return xp.where(same, last, end_token)


def _echoes(tokens: Array, no_echo_words: Array, end_token: int, longest: int = 4) -> Array:
    """List each token that would make what follows a joint the same as what precedes it.

    Args:
        tokens: so far (batch, beam, t).
        no_echo_words: the tokens that may stand in the middle (no_echo_words,).
        end_token: stands where there is no joint, or no echo.
        longest: tokens on either side that are compared, at most.

    Returns:
        (batch, beam, as many as sides can be compared)
    """
    xp, t = array_namespace(tokens), tokens.shape[2]
    is_joint = xp.any(tokens[..., None] == no_echo_words, axis=-1)  # (batch, beam, t)
    found = [xp.zeros_like(tokens[:, :, :0])]
    for n in range(1, min(longest, t // 2) + 1):
        middle = t - n  # where the joint stands, if n - 1 tokens follow it so far
        before, after = tokens[:, :, middle - n : middle], tokens[:, :, middle + 1 :]
        echo = is_joint[:, :, middle] & xp.all(before[..., :-1] == after, axis=-1)
        found.append(xp.where(echo, before[..., -1], end_token)[..., None])
    return xp.concat(found, axis=-1)


def _decided(alive: Array, last: Array, max_length: int, length_penalty: float) -> Array:
    """Say of each member whether none of those alive can overtake one of the score `last` (batch,).

    A sequence only loses log-probability; the most that a longer one can win is the longest
    divisor.
    """
    xp = array_namespace(last)
    return last >= xp.max(alive, axis=1) / max_length**length_penalty
