"""Compute the weights of graphs from a bundle's tensors, with NumPy.

A graph names its weights as the traced network does, see `model.runtime.graphs`. Most are a
bundle's tensors as they are. The others are computed from these, once: batch normalisation folded
into convolutions, all words projected, and an output that is one product.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from model.bundle.format import CONFIG, MEND, WEIGHTS, BundleError, digest
from model.bundle.read import Bundle
from model.bundle.tensors import complete_safetensors

__all__ = ["compute_weights", "read_tensors"]

Floats = NDArray[np.float32]


def read_tensors(bundle: Bundle[Any]) -> dict[str, NDArray[Any]]:
    """Read a bundle's tensors, as they are stored.

    Raises:
        BundleError: the file has changed since the bundle was read.
    """
    path = bundle.folder / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): {MEND}") from error
    if digest(data) != bundle.config.sha256[WEIGHTS]:
        raise BundleError(f"{path} is damaged: its sha256 is not that in {CONFIG}; {MEND}")
    with complete_safetensors(path):
        return load(data)


def compute_weights(
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, NDArray[Any]],
    norms: Iterable[tuple[str, str, float]] = (),
) -> dict[str, NDArray[Any]]:
    """Compute the weights of one graph.

    Args:
        shapes: of the weights, by name.
        tensors: the bundle's.
        norms: the convolutions into which normalisation is folded: name of the convolution, name of
            the normalisation, epsilon.

    Raises:
        KeyError: the bundle lacks a tensor; the argument is its name.
        ValueError: a weight has another shape than the graph expects, or is not finite.
    """
    single = _SinglePrecision(tensors)
    weights: dict[str, NDArray[Any]] = {}
    for convolution, norm, epsilon in norms:
        weights |= _fold_norm(single, convolution, norm, epsilon)
    if "words" in shapes:
        weights["words"] = _project_words(single)
    if "decoder.to_word.weight" in shapes and "decoder.output_bias" in tensors.keys() - shapes:
        weights |= _multiply_output(single)
    weights |= {name: single[name] for name in shapes if name not in weights}
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has the shape {weights[name].shape}, not {shape}")
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    return {name: np.ascontiguousarray(weights[name]) for name in shapes}


class _SinglePrecision:
    """A bundle's tensors in single precision; whole numbers, such as ids, stay as they are."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._tensors = tensors

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        if np.issubdtype(tensor.dtype, np.integer):
            return tensor
        return tensor.astype(np.float32, copy=False)


def _fold_norm(
    tensors: _SinglePrecision, convolution: str, norm: str, epsilon: float
) -> dict[str, Floats]:
    """Fold (x - mean) / sqrt(variance + epsilon) * scale + shift into the convolution before it."""
    weight, bias = f"{convolution}.weight", f"{convolution}.bias"
    deviation = np.sqrt(tensors[f"{norm}.running_var"] + np.float32(epsilon))
    factor, shift = 1 / deviation, np.zeros_like(deviation)
    if f"{norm}.weight" in tensors:
        factor, shift = factor * tensors[f"{norm}.weight"], tensors[f"{norm}.bias"]
    before = tensors[bias] if bias in tensors else np.zeros_like(deviation)
    return {
        weight: tensors[weight] * factor[:, None, None, None],
        bias: (before - tensors[f"{norm}.running_mean"]) * factor + shift,
    }


def _project_words(tensors: _SinglePrecision) -> Floats:
    """Embed and project all words, as `Decoder.project_words` does: (vocabulary, width)."""
    vectors = tensors["decoder.embedding.weight"]
    if "decoder.from_word.weight" in tensors:
        projected: Floats = vectors @ tensors["decoder.from_word.weight"].T
        projected += tensors["decoder.from_word.bias"]
        return projected
    # Two blocks, and then the vector itself: the input of some MUT cells.
    blocks = vectors @ tensors["decoder.from_word.blocks.weight"].T
    through = "decoder.from_word.through.weight"
    return np.concatenate(
        [
            blocks + tensors["decoder.from_word.blocks.bias"],
            vectors @ tensors[through].T if through in tensors else vectors,
        ],
        axis=-1,
    )


def _multiply_output(tensors: _SinglePrecision) -> dict[str, Floats]:
    """Compute (E W) and (E b + c) of an output E (W h + b) + c, see `fold_output`."""
    vectors = tensors["decoder.embedding.weight"]
    bias = vectors @ tensors["decoder.to_word.bias"] + tensors["decoder.output_bias"]
    return {
        "decoder.to_word.weight": vectors @ tensors["decoder.to_word.weight"],
        "decoder.to_word.bias": bias,
    }
