"""Quantise weights to eight bits, a quarter of the bytes that a step of the decoder reads."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUP", "quantise"]

GROUP = 32  # weights that share a scale

_LARGEST = 127  # symmetric: -128 is unused
_FEWEST = 32  # outputs of a matrix; a smaller one takes no time


def quantise(graph: Any) -> None:
    """Quantise the matrices that a graph multiplies by to eight bits, in place.

    Every 32 weights w of a row become integers round(w / s) and a number s = max |w| / 127; a row
    whose length is no multiple of 32 has one s. Small matrices, such as the decoder's trust in the
    word detector, stay as they are.

    Args:
        graph: an `openvino.Model` in single precision.
    """
    opset = import_module("openvino.opset13")
    for operation in list(graph.get_ordered_ops()):
        if operation.get_type_name() != "MatMul":
            continue
        weights = operation.input(1).get_source_output().get_node()
        by_rows = operation.get_attributes()["transpose_b"]
        if weights.get_type_name() != "Constant" or not by_rows or len(weights.shape) != 2:
            continue
        if weights.shape[0] < _FEWEST:
            continue
        integers, scales = _in_groups(weights.data)
        product = opset.multiply(
            opset.convert(opset.constant(integers), "f32"), opset.constant(scales)
        )
        matrix = opset.reshape(product, np.array(weights.shape), special_zero=False)
        operation.input(1).replace_source_output(matrix.output(0))


def _in_groups(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return integers (outputs, groups, group) and scales (outputs, groups, 1)."""
    outputs, inputs = matrix.shape
    size = inputs if inputs % GROUP else GROUP
    groups = matrix.reshape(outputs, inputs // size, size)
    scales = np.maximum(np.abs(groups).max(2, keepdims=True), np.finfo(np.float32).tiny)
    scales = (scales / _LARGEST).astype(np.float32)
    return np.round(groups / scales).astype(np.int8), scales
