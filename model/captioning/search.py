"""Find the token sequences that describe encoded pictures, by beam search or by sampling."""

from collections.abc import Callable
from typing import Any

from model.arrays import Array
from model.captioning.consensus import ConsensusReranker
from model.captioning.constraints import decoding_constraints
from model.captioning.ranking import order_hypotheses
from model.config import DecodingConfig
from model.decoding import beam_search, sampling
from model.decoding.hypothesis import DecodingCancelled, Hypothesis, RankedHypothesis
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
    reranker: ConsensusReranker | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    recorder: SearchRecorder | None = None,
) -> list[list[RankedHypothesis]]:
    """Search for the captions of each picture, or draw them, and put them into order.

    Args:
        runner, vocabulary: of the captioner.
        grid: encoded pictures (batch, rows, columns, channels).
        decoding: how to search.
        reranker: of the captioner; without one, agreement is unknown.
        cancelled: asked before every step.
        recorder: records the steps of a search, if there is one.

    Returns:
        Of each picture the captions, best first, without their confidence.

    Raises:
        DecodingCancelled: `cancelled` returned True.
    """
    candidates = 1 if reranker is None else reranker.config.candidates
    arguments: dict[str, Any] = {
        "start_token": vocabulary.start_id,
        "end_token": vocabulary.end_id,
        "constraints": decoding_constraints(vocabulary, decoding),
    }
    if not decoding.sampled:
        num_results = candidates * decoding.beam_size if decoding.consensus else None
        arguments["num_results"] = num_results
    if runner.search is not None and not decoding.sampled and recorder is None:
        if cancelled():
            raise DecodingCancelled
        rerank = None if reranker is None else reranker.rerank
        return runner.search(grid, decoding, rerank=rerank, **arguments)
    context = runner.encode_context(grid)

    def step(tokens: Array, state: DecoderState) -> tuple[Array, DecoderState]:
        logprobs, state, _ = runner.step(tokens, state, context)
        return logprobs, state

    found: list[list[Hypothesis]]
    if decoding.sampled:
        if decoding.seed is None:
            decoding = decoding.merge(seed=draw_seed())
        found = sampling.sample(step, context.start, decoding, cancelled=cancelled, **arguments)
    else:
        found = beam_search.search(
            step, context.start, decoding, cancelled=cancelled, recorder=recorder, **arguments
        )
    return order_hypotheses(grid, found, decoding, reranker)
