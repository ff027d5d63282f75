"""How captions are to be searched for: a bundle's defaults and what was asked for instead.

Knows which options go together; does not know whether HTTP or the command line asks.
"""

from dataclasses import replace
from typing import Any

from model.config import DecodingConfig

__all__ = ["resolve_decoding"]


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
