"""Order the captions that were found, and say how sure the captioner is of each."""

from collections.abc import Sequence

from array_api_compat import array_namespace

from model.arrays import Array
from model.captioning.calibration import Evidence, estimate_confidence
from model.captioning.consensus import ConsensusReranker
from model.config import CalibrationConfig, DecodingConfig
from model.decoding.hypothesis import Hypothesis, RankedHypothesis

__all__ = ["add_confidence", "order_hypotheses"]


def order_hypotheses(
    grid: Array,
    found: Sequence[Sequence[Hypothesis]],
    decoding: DecodingConfig,
    reranker: ConsensusReranker | None,
) -> list[list[RankedHypothesis]]:
    """Order the captions of each picture, best first, and keep those that were asked for.

    Args:
        grid: encoded pictures (batch, rows, columns, channels).
        found: captions of each picture.
        decoding: how they were found.
        reranker: of the captioner; without one, agreement is unknown.
    """
    if decoding.sampled:  # a search's results come in this order already
        by_score = lambda one: one.score(decoding.length_penalty)  # noqa: E731
        found = [sorted(drawn, key=by_score, reverse=True) for drawn in found]
    if reranker is None:
        return [[RankedHypothesis(one) for one in hypotheses] for hypotheses in found]
    features = array_namespace(grid).mean(grid, axis=(1, 2))  # (batch, channels)
    ranked = reranker.rank(features, found, reorder=decoding.consensus)
    return [best[: decoding.num_captions] for best in ranked]


def add_confidence(
    ranked: Sequence[Sequence[RankedHypothesis]],
    decoding: DecodingConfig,
    calibration: CalibrationConfig | None,
) -> list[list[RankedHypothesis]]:
    """Return the captions of each picture with the chance that each is good.

    Args:
        ranked: captions of each picture.
        decoding: how they were found.
        calibration: of the captioner; without one, the chance is unknown.
    """
    return [
        [one._replace(confidence=_confidence(one, decoding, calibration)) for one in best]
        for best in ranked
    ]


def _confidence(
    ranked: RankedHypothesis, decoding: DecodingConfig, calibration: CalibrationConfig | None
) -> float | None:
    """Return the chance that a caption is good, where the calibration holds for it."""
    hypothesis = ranked.hypothesis
    # It was fitted to the best captions of beam searches; one that was cut off gets none.
    if calibration is None or not hypothesis.finished or decoding.sampled:
        return None
    evidence = Evidence(
        hypothesis.logprobs, hypothesis.finished, decoding.beam_size, ranked.agreement or 0.0
    )
    return estimate_confidence(calibration, evidence)
