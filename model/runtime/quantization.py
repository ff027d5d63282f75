"""Quantise weights to eight bits, a quarter of the bytes that a step of the decoder reads."""

from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["quantise"]

_LARGEST = 127  # symmetric: -128 is unused


def quantise(graph: Any) -> None:
    """Quantise the matrices that a graph multiplies by to eight bits, in place.

    Each row w becomes integers round(w / s) and the number s = max |w| / 127 (symmetric, one scale
    per output). Where that is faster, the runtime also quantises the other factor of each product,
    32 numbers at a time.

    Args:
        graph: an `openvino.Model` in single precision.
    """
    opset = import_module("openvino.opset13")
    for operation in list(graph.get_ordered_ops()):
        if operation.get_type_name() != "MatMul":
            continue
        weights = operation.input(1).get_source_output().get_node()
        if weights.get_type_name() != "Constant" or len(weights.shape) != 2:
            continue
        matrix = weights.data
        rows = 1 if operation.get_attributes()["transpose_b"] else 0  # the axis that is summed over
        scale = np.maximum(np.abs(matrix).max(rows, keepdims=True), np.finfo(np.float32).tiny)
        scale = (scale / _LARGEST).astype(np.float32)
        integers = np.round(matrix / scale).astype(np.int8)
        product = opset.multiply(
            opset.convert(opset.constant(integers), "f32"), opset.constant(scale)
        )
        operation.input(1).replace_source_output(product.output(0))
