"""How a model is to search or to draw: a bundle's defaults and what was asked for instead.

Knows which options go together; does not know whether HTTP or the command line asks.
"""

from dataclasses import replace
from typing import Any

from model.config import DecodingConfig, SamplingConfig

__all__ = ["resolve_decoding", "resolve_sampling"]


def resolve_decoding(defaults: DecodingConfig, **asked: Any) -> DecodingConfig:
    """Put what was asked for over the defaults; None asks for nothing.

    A default `num_captions` gives way to a smaller beam that was asked for.

    Raises:
        ValueError: more captions than the beam holds.
    """
    chosen = {name: value for name, value in asked.items() if value is not None}
    beam_size = chosen.get("beam_size", defaults.beam_size)
    num_captions = chosen.setdefault("num_captions", min(defaults.num_captions, beam_size))
    if num_captions > beam_size:
        raise ValueError(
            f"num_captions ({num_captions}) must be at most beam_size ({beam_size}): "
            f"a beam holds no more, so ask for beam_size {num_captions} too"
        )
    return replace(defaults, **chosen)


def resolve_sampling(
    defaults: SamplingConfig, *, most_tokens: int | None = None, **asked: Any
) -> SamplingConfig:
    """Put what was asked for over the defaults; None asks for nothing.

    A default `max_tokens` gives way to `most_tokens`, the most that are written at all.

    Raises:
        ValueError: a number is out of its range, or more than `most_tokens` are asked for.
    """
    chosen = {name: value for name, value in asked.items() if value is not None}
    if most_tokens is not None:
        max_tokens = chosen.setdefault("max_tokens", min(defaults.max_tokens, most_tokens))
        if max_tokens > most_tokens:
            raise ValueError(f"max_tokens: {max_tokens} are too many: at most {most_tokens}")
    return replace(defaults, **chosen)
