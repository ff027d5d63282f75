"""Seeds of random numbers."""

import secrets

__all__ = ["draw_seed"]


def draw_seed() -> int:
    """Return a random seed, small enough to be typed again."""
    return secrets.randbelow(2**32)
