"""Find the token sequences that describe encoded pictures, by beam search or by sampling."""

from collections.abc import Callable

from model.arrays import Array
from model.captioning.constraints import decoding_constraints
from model.config import DecodingConfig
from model.decoding import beam_search, sampling
from model.decoding.hypothesis import DecodingCancelled, Hypothesis
from model.decoding.search_trace import SearchRecorder
from model.networks.image_context import DecoderState
from model.runtime.base import Runner
from model.seeds import draw_seed
from model.vocabulary import Vocabulary

__all__ = ["find_hypotheses"]


def find_hypotheses(
    runner: Runner,
    vocabulary: Vocabulary,
    grid: Array,
    decoding: DecodingConfig,
    *,
    candidates: int = 1,
    cancelled: Callable[[], bool],
    recorder: SearchRecorder | None,
) -> list[list[Hypothesis]]:
    """Search for the captions of each picture, or draw them.

    Args:
        runner, vocabulary: of the captioner.
        grid: encoded pictures (batch, rows, columns, channels).
        decoding: how to search.
        candidates: for a consensus, how many captions to return, in multiples of the beam size.
        cancelled: asked before every step.
        recorder: records the steps of a search, if there is one.

    Returns:
        Of each picture the captions, best first; of drawn ones, in the order they were drawn in.

    Raises:
        DecodingCancelled: `cancelled` returned True.
    """
    start, end = vocabulary.start_id, vocabulary.end_id
    constraints = decoding_constraints(vocabulary, decoding)
    num_results = candidates * decoding.beam_size if decoding.consensus else None
    if runner.search is not None and not decoding.sampled and recorder is None:
        if cancelled():
            raise DecodingCancelled
        return runner.search(
            grid,
            decoding,
            start_token=start,
            end_token=end,
            constraints=constraints,
            num_results=num_results,
        )
    context = runner.encode_context(grid)

    def step(tokens: Array, state: DecoderState) -> tuple[Array, DecoderState]:
        logprobs, state, _ = runner.step(tokens, state, context)
        return logprobs, state

    if decoding.sampled:
        if decoding.seed is None:
            decoding = decoding.merge(seed=draw_seed())
        return sampling.sample(
            step,
            context.start,
            decoding,
            start_token=start,
            end_token=end,
            constraints=constraints,
            cancelled=cancelled,
        )
    return beam_search.search(
        step,
        context.start,
        decoding,
        start_token=start,
        end_token=end,
        constraints=constraints,
        num_results=num_results,
        cancelled=cancelled,
        recorder=recorder,
    )
