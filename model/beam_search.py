"""Beam search over any step function.

Knows nothing of pictures, words or LSTMs: `step` maps the last tokens and a state to
log-probabilities and the next state, and `search` returns the best sequences. A batch is searched
together, each member exactly as if it were alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Hypothesis", "Step", "search"]

State = tuple[Tensor, ...]  # each (batch, beam, ...)

# (tokens (batch, beam), state) -> (log-probabilities (batch, beam, vocabulary), next state)
Step = Callable[[Tensor, State], tuple[Tensor, State]]

_DEAD = -math.inf


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

    tokens: Tensor
    logprobs: Tensor
    length: Tensor
    score: Tensor

    @classmethod
    def dead(cls, batch: int, width: int, max_length: int, like: Tensor) -> "_Sequences":
        tokens = torch.zeros(batch, width, max_length, dtype=torch.long, device=like.device)
        logprobs = torch.zeros(batch, width, max_length, device=like.device)
        length = torch.zeros(batch, width, dtype=torch.long, device=like.device)
        return cls(tokens, logprobs, length, torch.full_like(length, _DEAD, dtype=torch.float32))

    def pick(self, slots: Tensor) -> "_Sequences":
        """Take slots (batch, n) of each member."""
        wide = slots[:, :, None].expand(-1, -1, self.tokens.shape[2])
        return _Sequences(
            self.tokens.gather(1, wide),
            self.logprobs.gather(1, wide),
            self.length.gather(1, slots),
            self.score.gather(1, slots),
        )

    def best_with(self, other: "_Sequences", width: int) -> "_Sequences":
        """Keep the best `width` of both; of equals, those that were there before."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        both = _Sequences(*(torch.cat(pair, dim=1) for pair in pairs))
        order = both.score.argsort(dim=1, descending=True, stable=True)
        return both.pick(order[:, :width])

    def append(self, t: int, tokens: Tensor, logprobs: Tensor, scores: Tensor) -> "_Sequences":
        """Write token number `t` of each sequence, (batch, width) each."""
        self.tokens[:, :, t] = tokens
        self.logprobs[:, :, t] = logprobs
        self.length = torch.full_like(self.length, t + 1)
        self.score = scores
        return self

    def _parts(self) -> tuple[Tensor, ...]:
        return self.tokens, self.logprobs, self.length, self.score


@torch.inference_mode()
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

    Returns:
        For each member of the batch the best sequences, best first. Unfinished ones come only
        where fewer than `num_settled` have ended by `max_length`, and after those. Fewer than
        `num_settled` come only where no more exist.

    Raises:
        ValueError: a number is out of its range.
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
    batch = len(state[0])
    if batch == 0:
        return []
    # All beams start alike, so only the first is alive: else they would stay copies.
    state = tuple(part[:, None].expand(-1, beam_size, *part.shape[1:]) for part in state)
    live = _Sequences.dead(batch, beam_size, max_length, like=state[0])
    live.score[:, 0] = 0
    ended = _Sequences.dead(batch, num_results, max_length, like=state[0])
    tokens = torch.full((batch, beam_size), start_token, device=state[0].device)
    over = torch.zeros(batch, dtype=torch.bool, device=state[0].device)
    never = torch.tensor([*forbidden], dtype=torch.long, device=state[0].device)

    for t in range(max_length):
        logprobs, state = step(tokens, state)  # (batch, beam, vocabulary)
        logprobs = logprobs.float()
        vocabulary = logprobs.shape[-1]
        allowed = logprobs.index_fill(2, never, _DEAD)
        if 0 < block_ngram <= t:
            allowed = _block(allowed, live.tokens[:, :, :t], block_ngram, end_token)
        for joint in joints:
            allowed = _block_echo(allowed, live.tokens[:, :, :t], joint)
        totals = live.score[:, :, None] + allowed  # (batch, beam, vocabulary)

        if t >= min_length:
            scores = totals[:, :, end_token] / (t + 1) ** length_penalty  # (batch, beam)
            everyone = torch.arange(beam_size, device=tokens.device).expand(batch, -1)
            ends = live.pick(everyone).append(
                t, torch.full_like(tokens, end_token), logprobs[:, :, end_token], scores
            )
            # Alone, this member would have stopped before: so it does in a batch.
            ends.score = ends.score.masked_fill(over[:, None], _DEAD)
            ended = ended.best_with(ends, num_results)
        totals[:, :, end_token] = _DEAD

        flat = totals.flatten(1)  # (batch, beam * vocabulary)
        scores, places = flat.topk(beam_size)
        parents = places // vocabulary  # (batch, beam)
        tokens = places % vocabulary
        chosen = logprobs.flatten(1).gather(1, places)
        live = live.pick(parents).append(t, tokens, chosen, scores)
        state = tuple(_gather(part, parents) for part in state)
        over = over | _decided(live, ended.score[:, num_settled - 1], max_length, length_penalty)
        if over.all():
            break

    live.score = live.score / live.length.clamp(min=1) ** length_penalty
    live.score = live.score.masked_fill(over[:, None], _DEAD)
    return _results(ended, live, num_results)


def _gather(part: Tensor, parents: Tensor) -> Tensor:
    """Give each new beam the state of its parent: (batch, beam, ...) by (batch, beam)."""
    index = parents.reshape(*parents.shape, *(1 for _ in part.shape[2:]))
    return part.gather(1, index.expand(-1, -1, *part.shape[2:]))


def _block(logprobs: Tensor, tokens: Tensor, n: int, end_token: int) -> Tensor:
    """Forbid each token that would make the last n tokens a repetition of earlier ones.

    Args:
        logprobs: (batch, beam, vocabulary)
        tokens: so far (batch, beam, t), t >= n.
    """
    windows = tokens.unfold(2, n, 1)  # (batch, beam, t - n + 1, n)
    recent = tokens[:, :, tokens.shape[2] - (n - 1) :]  # (batch, beam, n - 1)
    repeats = (windows[..., : n - 1] == recent[:, :, None]).all(-1)  # (batch, beam, windows)
    penalty = torch.where(repeats, _DEAD, 0.0)
    blocked = torch.zeros_like(logprobs).scatter_reduce(2, windows[..., -1], penalty, "amin")
    blocked[:, :, end_token] = 0
    return logprobs + blocked


def _block_echo(logprobs: Tensor, tokens: Tensor, joint: int, longest: int = 4) -> Tensor:
    """Forbid each token that would make what follows a joint the same as what precedes it.

    Args:
        logprobs: (batch, beam, vocabulary)
        tokens: so far (batch, beam, t).
        joint: the token in the middle.
        longest: tokens on either side that are compared, at most.
    """
    t = tokens.shape[2]
    for n in range(1, min(longest, t // 2) + 1):
        middle = t - n  # where the joint stands, if n - 1 tokens follow it so far
        before, after = tokens[:, :, middle - n : middle], tokens[:, :, middle + 1 :]
        echoes = (tokens[:, :, middle] == joint) & (before[..., :-1] == after).all(-1)
        penalty = torch.where(echoes, _DEAD, 0.0)[..., None]  # (batch, beam, 1)
        logprobs = logprobs.scatter_add(2, before[..., -1:], penalty)
    return logprobs


def _decided(live: _Sequences, last: Tensor, max_length: int, length_penalty: float) -> Tensor:
    """Say of each member whether no live sequence can overtake one of the score `last` (batch,).

    A live sequence only loses log-probability; the most that a longer one can win is the longest
    divisor.
    """
    best_possible = live.score.amax(1) / max_length**length_penalty
    decided: Tensor = last >= best_possible
    return decided


def _results(ended: _Sequences, live: _Sequences, num_results: int) -> list[list[Hypothesis]]:
    """Read out the best finished sequences, then the best unfinished ones where too few ended."""
    found: list[list[Hypothesis]] = [[] for _ in range(len(ended.score))]
    for sequences, finished in ((ended, True), (live, False)):
        order = sequences.score.argsort(dim=1, descending=True, stable=True)
        ranked = sequences.pick(order)
        parts = (part.tolist() for part in ranked._parts())
        for hypotheses, rows in zip(found, zip(*parts, strict=True), strict=True):
            for tokens, logprobs, length, score in zip(*rows, strict=True):
                if score > _DEAD and len(hypotheses) < num_results:
                    hypotheses.append(
                        Hypothesis(tuple(tokens[:length]), tuple(logprobs[:length]), finished)
                    )
    return found
