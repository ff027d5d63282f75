"""Quantised matrices against rounding by hand."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as opset

from model.runtime.quantization import GROUP, quantise


def product(matrix: np.ndarray) -> openvino.Model:
    inputs = opset.parameter([-1, matrix.shape[1]], np.float32, name="inputs")
    weights = opset.constant(matrix.astype(np.float32))
    return openvino.Model([opset.matmul(inputs, weights, False, True)], [inputs])


def kinds(graph: openvino.Model) -> str:
    constants = [node for node in graph.get_ops() if node.get_type_name() == "Constant"]
    return " ".join(str(node.get_element_type()) for node in constants)


@pytest.mark.parametrize(("inputs", "group"), [(3 * GROUP, GROUP), (41, 41)])
def test_weights_that_share_a_scale_are_rounded_to_its_multiples(inputs, group):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(40, inputs))
    matrix *= 10.0 ** random.integers(-3, 3, size=(40, inputs // group, 1)).repeat(
        group, 2
    ).reshape(40, inputs)
    matrix[2] = 0
    graph = product(matrix)

    quantise(graph)

    assert "int8" in kinds(graph)
    batch = random.normal(size=(5, inputs)).astype(np.float32)
    # Without this, some processors quantise the inputs too.
    exact = openvino.Core().compile_model(
        graph, "CPU", {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0", "INFERENCE_PRECISION_HINT": "f32"}
    )
    groups = matrix.reshape(40, -1, group)
    scale = np.abs(groups).max(2, keepdims=True) / 127
    rounded = (np.round(groups / np.where(scale, scale, 1)) * scale).reshape(40, inputs)
    np.testing.assert_allclose(exact(batch)[0], batch @ rounded.T, rtol=1e-4, atol=1e-3)
    assert np.abs(batch @ rounded.T - batch @ matrix.T).max() > 0.01


def test_a_small_matrix_stays_as_it_is():
    graph = product(np.ones((1, 3 * GROUP)))
    quantise(graph)
    assert "int8" not in kinds(graph)
