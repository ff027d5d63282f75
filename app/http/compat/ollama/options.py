"""Ollama's options as ours."""

from app.errors import InvalidParameter
from app.http.compat.ollama.schemas import Options
from model.config import DecodingConfig, SamplingConfig
from model.seeds import draw_seed

__all__ = ["decoding_of", "sampling_of", "seed_of"]

_LEAST_TOP_P = 1e-9  # 0 means the likeliest alone to Ollama, and our bound is above it


def decoding_of(options: Options, default: DecodingConfig) -> DecodingConfig:
    """Merge options into a captioner's own.

    Clients ask large models for a low temperature because they want the likeliest answer. That is
    what beam search finds, and drawing words at 0.2 would find a worse one, without a confidence:
    so captions are drawn only from temperature 1 on.

    Raises:
        InvalidParameter: an option is out of range.
    """
    length = _limit(options.num_predict, default.max_length)
    if options.temperature is None or options.temperature < 1:
        return default.merge(max_length=length)
    try:
        return default.merge(
            max_length=length,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=_top_p(options),
            seed=seed_of(options),
        )
    except ValueError as error:
        raise InvalidParameter(f"options: {error}") from error


def sampling_of(options: Options, default: SamplingConfig, max_tokens: int) -> SamplingConfig:
    """Merge options into a language model's own; the service caps the length.

    Raises:
        InvalidParameter: an option is out of range.
    """
    asked = default.max_tokens if options.num_predict is None else options.num_predict
    try:
        return default.merge(
            max_tokens=_limit(asked, max_tokens),
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=_top_p(options),
        )
    except ValueError as error:
        raise InvalidParameter(f"options: {error}") from error


def seed_of(options: Options) -> int:
    """Return the seed; a random one if there is none."""
    seed = options.seed
    return draw_seed() if seed is None or seed < 0 else seed % 2**63


def _limit(asked: int | None, most: int) -> int:
    """Return how many tokens there may be: -1 and -2 mean any number to Ollama."""
    return most if asked is None or asked < 1 else min(asked, most)


def _top_p(options: Options) -> float | None:
    return None if options.top_p is None else max(options.top_p, _LEAST_TOP_P)
