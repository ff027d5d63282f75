"""The names of a bundle's files, and the error for a bundle that cannot be used."""

import hashlib

__all__ = [
    "CARD",
    "CONFIG",
    "CONSENSUS",
    "MEAN_PICTURE",
    "MEND",
    "VOCABULARY",
    "WEIGHTS",
    "BundleError",
    "digest",
]

CONFIG, WEIGHTS, VOCABULARY, CARD = (
    "config.json",
    "model.safetensors",
    "vocabulary.json",
    "README.md",
)
MEAN_PICTURE = "mean-picture.safetensors"
CONSENSUS = "consensus.safetensors"

MEND = "restore the bundle from where you got it, or train it again"


class BundleError(ValueError):
    """A bundle cannot be used; the message says why and what to do."""


def digest(data: bytes) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
