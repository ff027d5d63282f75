"""A language model's bundle, read and checked, all but its weights.

Knows what fits together in one; does not know how a network is made of it.
"""

from pathlib import Path

from model.bundle.read import Bundle, BundleError, load_bundle
from model.config import TextConfig

__all__ = ["load_text_bundle"]


def load_text_bundle(path: str | Path) -> Bundle[TextConfig]:
    """Read and check a language model's bundle, all but its weights.

    Raises:
        BundleError: it cannot be used; the message says why.
    """
    bundle = load_bundle(path, TextConfig)
    if bundle.vocabulary.level != bundle.config.level:
        raise BundleError(
            f"{path}: its vocabulary is of the level {bundle.vocabulary.level!r}, its "
            f"configuration of {bundle.config.level!r}"
        )
    if len(bundle.vocabulary) <= bundle.vocabulary.unknown_id + 1:
        raise BundleError(f"{path}: its vocabulary has no token to write with")
    return bundle
