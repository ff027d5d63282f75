"""Beam search over any step function.

Knows nothing of pictures, words or LSTMs: `step` maps the last tokens and a state to
log-probabilities and the next state, and `search` returns the best sequences. A batch is searched
together, each member exactly as if it were alone. Works on whatever arrays the state is made of,
NumPy's or PyTorch's, on their device.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from array_api_compat import array_namespace, device

from model.arrays import Array, largest

__all__ = ["Abandoned", "Hypothesis", "Step", "search"]

State = tuple[Array, ...]  # each (batch, beam, ...)

# (tokens (batch, beam), state) -> (log-probabilities (batch, beam, vocabulary), next state)
Step = Callable[[Array, State], tuple[Array, State]]

_DEAD = -math.inf


class Abandoned(Exception):
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


@dataclass
class _Sequences:
    """Sequences of each member of the batch, side by side.

    tokens, logprobs: (batch, width, max_length); length, score: (batch, width). A dead slot has
    the score -inf.
    """

    tokens: Array
    logprobs: Array
    length: Array
    score: Array

    @classmethod
    def dead(cls, batch: int, width: int, max_length: int, like: Array) -> "_Sequences":
        xp, where = array_namespace(like), device(like)
        return cls(
            xp.zeros((batch, width, max_length), dtype=xp.int64, device=where),
            xp.zeros((batch, width, max_length), dtype=xp.float32, device=where),
            xp.zeros((batch, width), dtype=xp.int64, device=where),
            xp.full((batch, width), _DEAD, dtype=xp.float32, device=where),
        )

    def pick(self, slots: Array) -> "_Sequences":
        """Take slots (batch, n) of each member."""
        return _Sequences(*(_take(part, slots) for part in self.parts()))

    def best_with(self, other: "_Sequences", width: int) -> "_Sequences":
        """Keep the best `width` of both; of equals, those that were there before."""
        xp = array_namespace(self.score)
        pairs = zip(self.parts(), other.parts(), strict=True)
        return _Sequences(*(xp.concat(pair, axis=1) for pair in pairs)).ranked(width)

    def ranked(self, width: int) -> "_Sequences":
        """Put the best `width` into order; equals stay in theirs."""
        xp = array_namespace(self.score)
        return self.pick(xp.argsort(self.score, axis=1, descending=True, stable=True)[:, :width])

    def append(self, t: int, tokens: Array, logprobs: Array, scores: Array) -> "_Sequences":
        """Give the sequences with token number `t` at their ends, (batch, width) each."""
        xp = array_namespace(tokens)
        longer = _Sequences(
            xp.asarray(self.tokens, copy=True),
            xp.asarray(self.logprobs, copy=True),
            xp.full_like(self.length, t + 1),
            scores,
        )
        longer.tokens[:, :, t] = tokens
        longer.logprobs[:, :, t] = logprobs
        return longer

    def parts(self) -> tuple[Array, ...]:
        return self.tokens, self.logprobs, self.length, self.score


def search(
    step: Step,
    state: State,
    *,
    start_token: int,
    end_token: int,
    beam_size: int = 3,
    num_results: int = 1,
    num_settled: int | None = None,
    max_length: int = 20,
    min_length: int = 0,
    length_penalty: float = 0.0,
    block_ngram: int = 0,
    joints: Sequence[int] = (),
    forbidden: Sequence[int] = (),
    abandoned: Callable[[], bool] | None = None,
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
        block_ngram: no n tokens in a row come twice in a sequence (0: they may).
        joints: tokens ("and") that never stand between the same tokens: x and x, x y and x y.
        forbidden: tokens that are never taken. The others' log-probabilities stay as they are.
        abandoned: asked before each step whether to give up.

    Returns:
        For each member of the batch the best sequences, best first. Unfinished ones come only
        where fewer than `num_settled` have ended by `max_length`, and after those. Fewer than
        `num_settled` come only where no more exist.

    Raises:
        ValueError: a number is out of its range.
        Abandoned: `abandoned` said so.
    """
    if not 1 <= num_results <= beam_size:
        raise ValueError(f"num_results must be in 1..beam_size ({beam_size}), not {num_results}")
    num_settled = num_results if num_settled is None else num_settled
    if not 1 <= num_settled <= num_results:
        raise ValueError(
            f"num_settled must be in 1..num_results ({num_results}), not {num_settled}"
        )
    if max_length < 1:
        raise ValueError(f"max_length must be at least 1, not {max_length}")
    batch = state[0].shape[0]
    if batch == 0:
        return []
    xp, where = array_namespace(state[0]), device(state[0])
    # All beams start alike, so only the first is alive: else they would stay copies.
    state = tuple(
        xp.broadcast_to(part[:, None], (batch, beam_size, *part.shape[1:])) for part in state
    )
    live = _Sequences.dead(batch, beam_size, max_length, like=state[0])
    live.score[:, 0] = 0.0
    ended = _Sequences.dead(batch, num_results, max_length, like=state[0])
    tokens = xp.full((batch, beam_size), start_token, dtype=xp.int64, device=where)
    over = xp.zeros((batch,), dtype=xp.bool, device=where)
    never = xp.asarray([end_token, *forbidden], dtype=xp.int64, device=where)
    middles = xp.asarray([*joints], dtype=xp.int64, device=where)

    for t in range(max_length):
        if abandoned is not None and abandoned():
            raise Abandoned
        logprobs, state = step(tokens, state)  # (batch, beam, vocabulary)
        logprobs = xp.astype(logprobs, xp.float32, copy=False)
        if t >= min_length and end_token not in forbidden:
            last = logprobs[:, :, end_token]  # (batch, beam)
            scores = (live.score + last) / (t + 1) ** length_penalty
            # Alone, this member would have stopped before: so it does in a batch.
            scores = xp.where(over[:, None], _DEAD, scores)
            ends = live.append(t, xp.full_like(tokens, end_token), last, scores)
            ended = ended.best_with(ends, num_results)

        totals = live.score[:, :, None] + logprobs  # (batch, beam, vocabulary)
        totals[:, :, never] = _DEAD
        so_far = live.tokens[:, :, :t]
        if 0 < block_ngram <= t:
            _forbid(totals, _repeats(so_far, block_ngram, end_token))
        if joints:
            _forbid(totals, _echoes(so_far, middles, end_token))
        vocabulary = logprobs.shape[-1]
        scores, places = largest(xp.reshape(totals, (batch, -1)), beam_size)  # (batch, beam)
        parents, tokens = places // vocabulary, places % vocabulary
        chosen = _take(xp.reshape(logprobs, (batch, -1)), places)
        live = live.pick(parents).append(t, tokens, chosen, scores)
        state = tuple(_take(part, parents) for part in state)
        over = over | _decided(live, ended.score[:, num_settled - 1], max_length, length_penalty)
        if xp.all(over):
            break

    live.score = xp.where(over[:, None], _DEAD, live.score / (t + 1) ** length_penalty)
    return _results(ended, live, num_results)


def _take(part: Array, slots: Array) -> Array:
    """Take slots (batch, n) of each member: (batch, width, ...) -> (batch, n, ...)."""
    xp = array_namespace(part)
    rows = xp.arange(part.shape[0], device=device(part))
    return part[rows[:, None], slots]


def _forbid(totals: Array, tokens: Array) -> None:
    """Rule out tokens (batch, beam, n) of each sequence, in place; the end token says none."""
    xp, (batch, beam, _) = array_namespace(totals), totals.shape
    rows = xp.arange(batch, device=device(totals))[:, None, None]
    beams = xp.arange(beam, device=device(totals))[None, :, None]
    totals[rows, beams, tokens] = _DEAD  # the end token is ruled out already


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


def _echoes(tokens: Array, joints: Array, end_token: int, longest: int = 4) -> Array:
    """List each token that would make what follows a joint the same as what precedes it.

    Args:
        tokens: so far (batch, beam, t).
        joints: the tokens that may stand in the middle (joints,).
        end_token: stands where there is no joint, or no echo.
        longest: tokens on either side that are compared, at most.

    Returns:
        (batch, beam, as many as sides can be compared)
    """
    xp, t = array_namespace(tokens), tokens.shape[2]
    is_joint = xp.any(tokens[..., None] == joints, axis=-1)  # (batch, beam, t)
    found = [xp.zeros_like(tokens[:, :, :0])]
    for n in range(1, min(longest, t // 2) + 1):
        middle = t - n  # where the joint stands, if n - 1 tokens follow it so far
        before, after = tokens[:, :, middle - n : middle], tokens[:, :, middle + 1 :]
        echo = is_joint[:, :, middle] & xp.all(before[..., :-1] == after, axis=-1)
        found.append(xp.where(echo, before[..., -1], end_token)[..., None])
    return xp.concat(found, axis=-1)


def _decided(live: _Sequences, last: Array, max_length: int, length_penalty: float) -> Array:
    """Say of each member whether no live sequence can overtake one of the score `last` (batch,).

    A live sequence only loses log-probability; the most that a longer one can win is the longest
    divisor.
    """
    xp = array_namespace(last)
    return last >= xp.max(live.score, axis=1) / max_length**length_penalty


def _results(ended: _Sequences, live: _Sequences, num_results: int) -> list[list[Hypothesis]]:
    """Read out the best finished sequences, then the best unfinished ones where too few ended."""
    found: list[list[Hypothesis]] = [[] for _ in range(ended.score.shape[0])]
    for sequences, finished in ((ended, True), (live, False)):
        ranked = sequences.ranked(sequences.score.shape[1])
        parts = (part.tolist() for part in ranked.parts())
        for hypotheses, rows in zip(found, zip(*parts, strict=True), strict=True):
            for tokens, logprobs, length, score in zip(*rows, strict=True):
                if score > _DEAD and len(hypotheses) < num_results:
                    hypotheses.append(
                        Hypothesis(tuple(tokens[:length]), tuple(logprobs[:length]), finished)
                    )
    return found
