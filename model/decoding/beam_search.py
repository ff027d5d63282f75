"""Beam search over any step function.

No model is known here: `step` maps the last tokens and a state to log-probabilities and the next
state, and `search` returns the best sequences. A batch is searched together, each member exactly as
if it were alone. Works on the arrays that the state consists of, NumPy's or PyTorch's, on their
device.
"""

from collections.abc import Callable, Sequence

from array_api_compat import array_namespace, device

from model.arrays import Array, argsort_descending, top_k
from model.config import DecodingConfig
from model.decoding.constraints import Constraint
from model.decoding.hypothesis import DecodingCancelled, Hypothesis, SearchState, StepFunction
from model.decoding.results import DEAD, FoundArrays, read_results
from model.decoding.search_trace import SearchRecorder

__all__ = ["search", "search_steps"]

_CHECK_EVERY = 4  # steps between two looks at whether a search on another device is over


def search(
    step: StepFunction,
    state: SearchState,
    decoding: DecodingConfig,
    *,
    start_token: int,
    end_token: int,
    constraints: Sequence[Constraint] = (),
    num_results: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    recorder: SearchRecorder | None = None,
) -> list[list[Hypothesis]]:
    """Find likely sequences.

    At each step the `beam_size` likeliest unfinished sequences continue (Graves 2012). One that the
    end token ends leaves the beam. The search of a member of the batch is over when no sequence of
    its beam can overtake the best `num_captions` that have ended.

    Args:
        step, state: see `StepFunction`; the state before the first step, each array (batch, ...).
        decoding: beam size, number and length of the results, length penalty.
        start_token: what the first step reads; it is not part of a result.
        end_token: ends a sequence, and counts as one of its tokens.
        constraints: on what may be written next.
        num_results: most sequences to return of each member (None: `num_captions`).
        cancelled: asked before each step whether to stop, with `DecodingCancelled`.
        recorder: records every step, if there is one.

    Returns:
        Sequences of each member, best first; those beyond `num_captions` are the best that have
        ended by then. Unfinished ones come only where too few have ended by `max_length`, and last.
    """
    if not state[0].shape[0]:
        return []
    on_host = str(device(state[0])) == "cpu"  # elsewhere, looking at a number makes the host wait

    def checked_step(tokens: Array, state: SearchState) -> tuple[Array, SearchState]:
        if cancelled():
            raise DecodingCancelled
        return step(tokens, state)

    def is_over(t: int, done: Array) -> bool:
        # A step too many beats waiting.
        return bool((on_host or t % _CHECK_EVERY == 0) and array_namespace(done).all(done))

    found = search_steps(
        checked_step,
        state,
        decoding,
        start_token=start_token,
        end_token=end_token,
        constraints=constraints,
        num_results=num_results,
        is_over=is_over,
        recorder=recorder,
    )
    return read_results(found, end_token)


def search_steps(
    step: StepFunction,
    state: SearchState,
    decoding: DecodingConfig,
    *,
    start_token: int,
    end_token: int,
    constraints: Sequence[Constraint] = (),
    num_results: int | None = None,
    num_steps: int | None = None,
    is_over: Callable[[int, Array], bool] = lambda _t, _done: False,
    recorder: SearchRecorder | None = None,
) -> FoundArrays:
    """Do the steps of a search, see `search`; by default all of them, with no look at any value.

    Args:
        num_steps: how many; None: `max_length`.
        is_over: asked after each step whether to stop there, by its number and `done`.
    """
    beam_size, length_penalty = decoding.beam_size, decoding.length_penalty
    xp, batch = array_namespace(state[0]), state[0].shape[0]
    rows = xp.arange(batch, device=device(state[0]))[:, None]  # (batch, 1)
    tokens, alive, history, state = _start(state, beam_size, start_token)
    found = _Found(alive, decoding.num_captions, num_results or decoding.num_captions)
    for t in range(num_steps or decoding.max_length):
        logprobs, state = step(tokens, state)  # (batch, beam, vocabulary)
        logprobs = xp.astype(logprobs, xp.float32, copy=False)
        totals = alive[:, :, None] + logprobs  # (batch, beam, vocabulary)
        for constraint in constraints:
            constraint.mask(totals, history)
        found.add_finished(totals[:, :, end_token] / (t + 1) ** length_penalty, t)
        totals[:, :, end_token] = DEAD
        alive, places = top_k(xp.reshape(totals, (batch, -1)), beam_size)  # (batch, beam)
        parents, tokens = places // logprobs.shape[-1], places % logprobs.shape[-1]
        found.add_step(parents, tokens, logprobs[rows, parents, tokens], logprobs[:, :, end_token])
        history = xp.concat([history[rows, parents], tokens[..., None]], axis=-1)
        state = tuple(part[rows, parents] for part in state)
        # A sequence only loses log-probability; a longer one gains most by the longest divisor.
        found.close_settled(xp.max(alive, axis=1) / decoding.max_length**length_penalty)
        if recorder is not None:
            recorder.add(totals, logprobs, logprobs[:, :, end_token], found.best, found.done)
        if is_over(t, found.done):
            break
    return found.arrays(alive / (t + 1) ** length_penalty)


def _start(
    state: SearchState, beam_size: int, start_token: int
) -> tuple[Array, Array, Array, SearchState]:
    """Return the first tokens, scores, tokens so far and state of the beams, (batch, beam, ...)."""
    xp, where, batch = array_namespace(state[0]), device(state[0]), state[0].shape[0]
    tokens = xp.full((batch, beam_size), start_token, dtype=xp.int64, device=where)
    # All beams start alike, so only the first is alive: else they would stay copies.
    alive = xp.full((batch, beam_size), DEAD, dtype=xp.float32, device=where)
    alive[:, 0] = 0.0
    history = xp.zeros((batch, beam_size, 0), dtype=xp.int64, device=where)
    beams = (xp.broadcast_to(s[:, None], (batch, beam_size, *s.shape[1:])) for s in state)
    return tokens, alive, history, tuple(beams)


class _Found:
    """The best sequences that have ended, and the way back to the tokens of each.

    Args:
        beam: an array (batch, beam) of the library and on the device that the search uses.
        num_settled: sequences of each member that must be certain before its search is over.
        num_results: sequences of each member to keep.

    Attributes:
        done: whether the search of each member is over (batch,). Alone, it would have stopped then,
            so in a batch nothing more is added to it.
    """

    def __init__(self, beam: Array, num_settled: int, num_results: int) -> None:
        xp, where = array_namespace(beam), device(beam)
        batch, self._beam_size = beam.shape
        self._num_settled = num_settled
        self._num_results = num_results
        self._rows = xp.arange(batch, device=where)[:, None]
        self._slots = xp.broadcast_to(xp.arange(self._beam_size, device=where), beam.shape)
        self.done = xp.zeros((batch,), dtype=xp.bool, device=where)
        # Scores, best first, and where these ended: step x beam + slot.
        self._scores = xp.full((batch, num_results), DEAD, dtype=xp.float32, device=where)
        self._places = xp.zeros((batch, num_results), dtype=xp.int64, device=where)
        self._steps: list[tuple[Array, ...]] = []

    @property
    def best(self) -> tuple[Array, Array]:
        """The scores of the best that have ended, and where they did, each (batch, results)."""
        return self._scores, self._places

    def add_finished(self, scores: Array, step: int) -> None:
        """Consider the sequences that could end at a step, by their scores (batch, beam)."""
        xp = array_namespace(scores)
        scores = xp.where(self.done[:, None], DEAD, scores)
        scores = xp.concat([self._scores, scores], axis=1)
        places = xp.concat([self._places, step * self._beam_size + self._slots], axis=1)
        # Of equals, the earlier ones stay.
        order = argsort_descending(scores)[:, : self._num_results]
        self._scores, self._places = scores[self._rows, order], places[self._rows, order]

    def add_step(self, parents: Array, tokens: Array, logprobs: Array, ends: Array) -> None:
        """Remember a step, all arrays (batch, beam).

        Args:
            parents: the slots of the old beam that the new one comes from.
            tokens, logprobs: what each sequence got longer by.
            ends: the log-probability of the end token after each sequence of the old beam.
        """
        self._steps.append((parents, tokens, logprobs, ends))

    def close_settled(self, best_possible: Array) -> None:
        """End the search of members whose results the best possible score (batch,) cannot beat."""
        self.done = self.done | (self._scores[:, self._num_settled - 1] >= best_possible)

    def arrays(self, unfinished: Array) -> FoundArrays:
        """Return all that was found; `unfinished` are the scores of the last beam (batch, beam)."""
        xp = array_namespace(unfinished)
        unfinished = xp.where(self.done[:, None], DEAD, unfinished)
        steps = (xp.stack(part, axis=1) for part in zip(*self._steps, strict=True))
        return FoundArrays(self._scores, self._places, unfinished, self.done, *steps)
