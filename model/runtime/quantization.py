"""Weights in eight bits: a fourth of the bytes that a step of the decoder reads.

Knows OpenVINO's graphs; does not know what they compute, nor what captions lose by it.
"""

from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["quantise"]

_LARGEST = 127  # of eight bits with a sign, used on both sides


def quantise(graph: Any) -> None:
    """Put the matrices that a graph multiplies by into eight bits, in place.

    Each row w becomes integers round(w / s) and the number s = max |w| / 127 (symmetric, one scale
    an output). On its way through a product the runtime puts the other factor into eight bits too,
    32 numbers at a time, where that is faster.

    Args:
        graph: an `openvino.Model` of single precision.
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
