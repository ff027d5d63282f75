"""Build a graph that reads a text of any length through a language model's network.

OpenVINO has operations that run a whole sequence through an RNN, an LSTM or a GRU, several times
as fast as step by step.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import RecurrentConfig

__all__ = ["SEQUENCE_CELLS", "sequence_graph"]

Floats = NDArray[np.float32]

# Those that OpenVINO has an operation for, and its name.
_OPERATIONS = {"rnn": "rnn", "lstm": "lstm", "gru": "gru", "gru-cho": "gru"}
SEQUENCE_CELLS = tuple(_OPERATIONS)


def sequence_graph(config: RecurrentConfig, tensors: Mapping[str, NDArray[Any]]) -> Any:
    """Build a graph: tokens, state -> log-probabilities, state.

    Inputs and outputs are named as in the graph of a step: `tokens` (time,) and `state.0`, ...
    (layers, 1, hidden) in; `logprobs` (time, vocabulary) and `next.0`, ... out.

    Args:
        config: its cell is one of `SEQUENCE_CELLS`.
        tensors: the bundle's.

    Returns:
        An `openvino.Model`.
    """
    ov, ops = import_module("openvino"), import_module("openvino.opset13")
    weights = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    tokens = ops.parameter(ov.PartialShape([-1]), np.int32, name="tokens")
    hidden = config.hidden_size
    states = [
        ops.parameter(ov.PartialShape([config.layers, 1, hidden]), np.float32, name=f"state.{i}")
        for i in range(2 if config.cell == "lstm" else 1)
    ]
    read = ops.unsqueeze(_embed(ops, config, weights, tokens), np.int64(0))  # (1, time, input)
    length = ops.reshape(ops.shape_of(tokens, "i32"), np.array([1]), special_zero=False)
    after: list[tuple[Any, ...]] = []
    for layer in range(config.layers):
        before = [ops.gather(s, np.array([layer]), np.int64(0)) for s in states]  # (1, 1, hidden)
        matrices = _cell_weights(config, weights, layer)
        run = getattr(ops, f"{_OPERATIONS[config.cell]}_sequence")
        options = {"linear_before_reset": True} if config.cell == "gru" else {}
        outputs = run(read, *before, length, *matrices, hidden, "forward", **options)
        read = ops.squeeze(outputs.output(0), np.array([1]))  # (1, time, hidden)
        after.append(tuple(outputs.output(1 + i) for i in range(len(states))))
    logits = _score(ops, config, weights, ops.squeeze(read, np.array([0])))
    results = {"logprobs": ops.log_softmax(logits, -1)}
    for i in range(len(states)):
        results[f"next.{i}"] = ops.concat([layer[i] for layer in after], 0)
    graph = ov.Model(list(results.values()), [tokens, *states], "sequence")
    for port, name in zip(graph.outputs, results, strict=True):
        port.get_tensor().set_names({name})
    return graph


def _embed(ops: Any, config: RecurrentConfig, weights: Mapping[str, Floats], tokens: Any) -> Any:
    """Embed tokens, see `TextNetwork.read`: (time,) -> (time, input)."""
    if config.embedding_size:
        return ops.gather(weights["embedding.weight"], tokens, np.int64(0))
    size = np.int64(weights["recurrent.projections.0.weight"].shape[1])
    return ops.one_hot(tokens, size, np.float32(1), np.float32(0), -1)


def _score(ops: Any, config: RecurrentConfig, weights: Mapping[str, Floats], hidden: Any) -> Any:
    """Score every token, see `TextNetwork.score`: (time, hidden) -> (time, vocabulary)."""
    word = _linear(ops, hidden, weights["to_word.weight"], weights["to_word.bias"])
    if config.tie_output and config.embedding_size:
        return _linear(ops, word, weights["embedding.weight"], weights["output_bias"])
    return word


def _linear(ops: Any, inputs: Any, weight: Floats, bias: Floats) -> Any:
    return ops.add(ops.matmul(inputs, weight, transpose_a=False, transpose_b=True), bias)


def _cell_weights(
    config: RecurrentConfig, weights: Mapping[str, Floats], layer: int
) -> tuple[Floats, Floats, Floats]:
    """Return W, U and b of a layer, in OpenVINO's order of gates: (1, blocks * hidden, ...)."""
    projection, cell = f"recurrent.projections.{layer}", f"recurrent.cells.{layer}"
    w, b = weights[f"{projection}.weight"], weights[f"{projection}.bias"]
    if config.cell == "gru-cho":
        u = np.concatenate([weights[f"{cell}.{part}.weight"] for part in ("gates", "candidate")])
        # r, z, n -> z, r, n
        w, u, b = (_reorder(each, (1, 0, 2), 3) for each in (w, u, b))
        return w[None], u[None], b[None]
    u = weights[f"{cell}.recurrent.weight"]
    if config.cell == "gru":
        # r, z, n -> z, r, n; the biases of both products of n stay apart, since r resets one.
        d = weights[f"{cell}.recurrent.bias"]
        b_n, d_n = np.split(b, 3)[2], np.split(d, 3)[2]
        b = np.concatenate([_reorder(b + d, (1, 0), 3), b_n, d_n])
        return _reorder(w, (1, 0, 2), 3)[None], _reorder(u, (1, 0, 2), 3)[None], b[None]
    if config.cell == "lstm":
        order = (1, 0, 2, 3)  # i, f, g, o -> f, i, g, o
        w, u, b = (_reorder(each, order, 4) for each in (w, u, b))

    return w[None], u[None], b[None]


def _reorder(matrix: Floats, order: tuple[int, ...], count: int) -> Floats:
    """Return some of `count` blocks of rows in another order."""
    blocks = np.split(matrix, count)
    return np.concatenate([blocks[i] for i in order])
