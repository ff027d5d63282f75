"""Quantised matrices against rounding by hand."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as opset

from model.runtime.quantization import quantise


@pytest.mark.parametrize("transposed", [False, True])
def test_each_row_has_its_own_scale(transposed):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(40, 6)) * 10.0 ** np.arange(-3, 3)  # outputs of all sizes
    matrix[:, 2] = 0
    inputs = opset.parameter([-1, 40], np.float32, name="inputs")
    weights = opset.constant((matrix.T if transposed else matrix).astype(np.float32).copy())
    graph = openvino.Model([opset.matmul(inputs, weights, False, transposed)], [inputs])

    quantise(graph)

    kinds = [
        str(node.get_element_type()) for node in graph.get_ops() if node.get_name()[:5] == "Const"
    ]
    assert any("int8" in kind for kind in kinds), kinds
    batch = random.normal(size=(5, 40)).astype(np.float32)
    # Without this, some processors quantise the inputs too.
    exact = openvino.Core().compile_model(
        graph, "CPU", {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0", "INFERENCE_PRECISION_HINT": "f32"}
    )
    scale = np.abs(matrix).max(0) / 127
    rounded = np.round(matrix / np.where(scale, scale, 1)) * scale
    np.testing.assert_allclose(exact(batch)[0], batch @ rounded, rtol=1e-4, atol=1e-3)
    assert np.abs(batch @ rounded - batch @ matrix).max() > 0.01
