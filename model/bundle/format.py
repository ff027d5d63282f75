"""The names of a bundle's files, and the error for a bundle that cannot be used."""

import hashlib

__all__ = [
    "CARD",
    "CONFIG",
    "CONSENSUS",
    "GRAPHS",
    "MEAN_PICTURE",
    "MEND",
    "VOCABULARY",
    "WEIGHTS",
    "BundleError",
    "digest",
    "graph_files",
]

CONFIG, WEIGHTS, VOCABULARY, CARD = (
    "config.json",
    "model.safetensors",
    "vocabulary.json",
    "README.md",
)
MEAN_PICTURE = "mean-picture.safetensors"
CONSENSUS = "consensus.safetensors"
GRAPHS = {"captioner": ("encode", "context", "step"), "text": ("step",)}  # by kind of bundle

MEND = "restore the bundle from where you got it, or train it again"


class BundleError(ValueError):
    """A bundle cannot be used; the message says why and what to do."""


def digest(data: bytes) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def graph_files(kind: str) -> list[str]:
    """List the files of the graphs that a bundle of this kind may bring."""
    return [f"graphs/{name}.{suffix}" for name in GRAPHS[kind] for suffix in ("xml", "bin")]
