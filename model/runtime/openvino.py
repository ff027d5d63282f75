"""Run networks with OpenVINO on a CPU, from the graphs that `model.runtime.export` makes.

Captioners run about twice as fast as with PyTorch, language models several times as fast, and
neither needs PyTorch.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.arrays import Array, to_numpy
from model.config import RecurrentConfig
from model.networks.heads import split_context_heads
from model.networks.image_context import DecoderState, ImageContext
from model.runtime.base import TextState, WholeSearch, read_by_steps
from model.runtime.openvino_graph import CompiledGraph, read_graph
from model.runtime.openvino_sequence import SEQUENCE_CELLS, sequence_graph
from model.runtime.options import Precision
from model.runtime.quantization import quantise
from model.runtime.usual_words import usual_words

__all__ = ["OpenVinoRunner", "OpenVinoTextRunner"]


class OpenVinoRunner:
    """Runs a captioner's exported graphs; see `Runner`.

    Args:
        folder: of the graphs, see `model.runtime.export`.
        tensors: the bundle's.
        threads: to use; None leaves it to OpenVINO.
        precision: of most arithmetic; a processor that lacks one computes in float32. int8 is for
            the weights of a step alone, see `quantise`.
    """

    name = "openvino"
    takes_bytes = False
    captured_sizes: tuple[int, ...] = ()
    device = "cpu"
    search: WholeSearch | None = None

    def __init__(
        self,
        folder: Path,
        tensors: Mapping[str, NDArray[Any]],
        threads: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        self.exact = precision == "float32"
        settings = _settings(threads, precision)

        def compiled(name: str) -> CompiledGraph:
            graph = read_graph(folder / f"{name}.xml", tensors)
            if name == "step" and precision == "int8":
                # Reading its weights is most of a step; the others read theirs once per picture.
                quantise(graph)
            return CompiledGraph(graph, settings)

        # Together, in two thirds of the time: most of it is spent outside Python.
        with ThreadPoolExecutor() as pool:
            graphs = pool.map(compiled, ("encode", "context", "step"))
            self._encode, self._encode_context, self._step = graphs
        self._grid_shape = self._encode_context.fixed_sizes("grid")  # (rows, columns, channels)
        self.channels = self._grid_shape[-1]
        self.usual_words = usual_words(tensors)
        self._encoded: tuple[NDArray[Any], ImageContext] | None = None  # the last grid
        self._last_context: ImageContext | None = None
        self._states = [name for name in self._step.inputs if name.startswith("state.")]
        self._next_states = [name for name in self._step.outputs if name.startswith("next.")]

    def encode(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Run the encoder, see `Runner.encode`."""
        # One by one, a picture's activations stay in the caches; a batch takes a fifth longer.
        grids = [self._encode({"pixels": pixels[i : i + 1]})["grid"] for i in range(len(pixels))]
        return (
            np.concatenate(grids) if grids else np.empty((0, *self._grid_shape), dtype=np.float32)
        )

    def encode_context(self, grid: NDArray[Any]) -> ImageContext:
        """Run the decoder's `encode_context`."""
        # A search, the details of its captions and the tags ask for the same one in turn.
        if self._encoded is None or self._encoded[0] is not grid:
            self._encoded = grid, ImageContext.from_dict(self._encode_context({"grid": grid}))
        return self._encoded[1]

    def step(
        self, tokens: NDArray[Any], state: DecoderState, context: ImageContext
    ) -> tuple[NDArray[Any], DecoderState, NDArray[Any] | None]:
        """Run the decoder's `step`."""
        if context is not self._last_context:  # the same for many steps
            self._step.set_inputs(self._step_context(context.to_dict()))
            self._last_context = context
        outputs = self._step({"tokens": tokens, **dict(zip(self._states, state, strict=True))})
        state = tuple(outputs[name] for name in self._next_states)
        return outputs["logprobs"], state, outputs.get("weights")

    def _step_context(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Return a context's arrays as the step graph expects them."""
        if "keys" in arrays and len(sizes := self._step.fixed_sizes("keys")) == 3:
            return split_context_heads(arrays, sizes[0])
        return arrays

    def place(self, values: Array) -> NDArray[Any]:
        """Convert an array to NumPy, see `Runner.place`."""
        return to_numpy(values)

    def synchronize(self) -> None:
        """Return at once: calls to OpenVINO are synchronous, see `Runner.synchronize`."""

    def finish_captures(self) -> None:
        """Return at once: nothing is captured here, see `Runner.finish_captures`."""


class OpenVinoTextRunner:
    """Runs a language model's graphs; see `TextRunner`.

    Args:
        folder: of the graph of a step, see `model.runtime.export`.
        config: of the network.
        tensors: the bundle's.
        threads: to use; None leaves it to OpenVINO.
    """

    device = "cpu"
    has_units = True

    def __init__(
        self,
        folder: Path,
        config: RecurrentConfig,
        tensors: Mapping[str, NDArray[Any]],
        threads: int | None = None,
    ) -> None:
        settings = _settings(threads)
        self._step = CompiledGraph(read_graph(folder / "step.xml", tensors), settings)
        self._sequence = None
        if config.cell in SEQUENCE_CELLS:
            self._sequence = CompiledGraph(sequence_graph(config, tensors), settings)
        self._states = [name for name in self._step.inputs if name.startswith("state.")]
        self._next_states = [name for name in self._step.outputs if name.startswith("next.")]

    def initial_state(self) -> TextState:
        """Return one text's state before its first token, see `TextRunner.initial_state`."""
        sizes = (self._step.fixed_sizes(name) for name in self._states)  # (layers, hidden)
        return tuple(np.zeros((layers, 1, hidden), dtype=np.float32) for layers, hidden in sizes)

    def read(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run one text through the network, see `TextRunner.read`."""
        if self._sequence is not None:
            return self._run(self._sequence, tokens, state)
        return read_by_steps(self.step, tokens, state)

    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run the network's `step`, see `TextRunner.step`."""
        return self._run(self._step, tokens, state)

    def _run(
        self, graph: CompiledGraph, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        outputs = graph({"tokens": tokens, **dict(zip(self._states, state, strict=True))})
        return outputs["logprobs"], tuple(outputs[name] for name in self._next_states)

    def place(self, state: TextState) -> TextState:
        """Convert a state to NumPy arrays."""
        return tuple(to_numpy(part) for part in state)


def _settings(threads: int | None, precision: Precision = "float32") -> dict[str, str]:
    hint = {"bfloat16": "bf16", "float16": "f16"}.get(precision, "f32")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    return settings if threads is None else settings | {"INFERENCE_NUM_THREADS": str(threads)}
