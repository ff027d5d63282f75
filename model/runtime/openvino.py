"""A captioner's network run by OpenVINO on a CPU: no PyTorch, and about twice as fast.

Knows the graphs that `model.runtime.export` keeps, and NumPy's arrays; knows nothing of words, of
beams or of how the graphs were made.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.arrays import Array, to_numpy
from model.networks.heads import lay_out
from model.networks.image_context import DecoderState, ImageContext
from model.runtime.base import TextState
from model.runtime.openvino_graph import CompiledGraph
from model.runtime.options import Precision
from model.runtime.quantization import quantise

__all__ = ["OpenVinoRunner", "OpenVinoTextRunner"]


class OpenVinoRunner:
    """Runs exported graphs; see `Runner`.

    Args:
        folder: of the graphs, see `model.runtime.export`.
        threads: of the processor; None leaves it to OpenVINO.
        precision: of most arithmetic; a processor that lacks one takes float32 in its place. int8
            is that of the weights of a step, see `quantise`, and leaves all else as it is.
    """

    device = "cpu"

    def __init__(
        self, folder: Path, threads: int | None = None, precision: Precision = "float32"
    ) -> None:
        self.exact = precision == "float32"
        settings = _settings(threads, precision)
        self._encode = CompiledGraph(folder / "encode.xml", settings)
        self._encode_context = CompiledGraph(folder / "context.xml", settings)
        # A step is bound by the weights it reads; the others read theirs once a picture.
        change = quantise if precision == "int8" else None
        self._step = CompiledGraph(folder / "step.xml", settings, change)
        self._grid = self._encode_context.fixed_sizes("grid")  # (rows, columns, channels)
        self.channels = self._grid[-1]
        self._seen: ImageContext | None = None
        self._states = [name for name in self._step.inputs if name.startswith("state.")]
        self._next_states = [name for name in self._step.outputs if name.startswith("next.")]

    def encode(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Run the encoder, see `Runner.encode`."""
        # One by one: a picture's activations stay in the caches, and in little memory; together
        # they take a fifth longer.
        grids = [self._encode({"pixels": pixels[i : i + 1]})["grid"] for i in range(len(pixels))]
        return np.concatenate(grids) if grids else np.empty((0, *self._grid), dtype=np.float32)

    def encode_context(self, grid: NDArray[Any]) -> ImageContext:
        """Run the decoder's `begin`."""
        return ImageContext.from_dict(self._encode_context({"grid": grid}))

    def step(
        self, tokens: NDArray[Any], state: DecoderState, picture: ImageContext
    ) -> tuple[NDArray[Any], DecoderState, NDArray[Any] | None]:
        """Run the decoder's `step`."""
        if picture is not self._seen:  # its many steps are told of it once
            self._step.give(self._laid_out(picture.to_dict()))
            self._seen = picture
        outputs = self._step({"tokens": tokens, **dict(zip(self._states, state, strict=True))})
        state = tuple(outputs[name] for name in self._next_states)
        return outputs["logprobs"], state, outputs.get("weights")

    def _laid_out(self, seen: dict[str, Array]) -> dict[str, Array]:
        """Give the parts of a picture as a step takes them."""
        if "keys" in seen and len(axes := self._step.fixed_sizes("keys")) == 3:
            return lay_out(seen, axes[0])
        return seen

    def place(self, values: Array) -> NDArray[Any]:
        """Give an array as NumPy's, see `Runner.place`."""
        return to_numpy(values)

    def synchronize(self) -> None:
        """Return at once: calls to OpenVINO are synchronous, see `Runner.synchronize`."""


class OpenVinoTextRunner:
    """Runs a language model's exported graph; see `TextRunner`.

    Args:
        folder: of the graph, see `model.runtime.export`.
        threads: of the processor; None leaves it to OpenVINO.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._step = CompiledGraph(folder / "step.xml", _settings(threads))
        self._states = [name for name in self._step.inputs if name.startswith("state.")]
        self._next_states = [name for name in self._step.outputs if name.startswith("next.")]

    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run the network's `step`, see `TextRunner.step`."""
        outputs = self._step({"tokens": tokens, **dict(zip(self._states, state, strict=True))})
        return outputs["logprobs"], tuple(outputs[name] for name in self._next_states)

    def place(self, state: TextState) -> TextState:
        """Convert a state of PyTorch's to NumPy's arrays."""
        return tuple(to_numpy(part) for part in state)


def _settings(threads: int | None, precision: Precision = "float32") -> dict[str, str]:
    hint = {"bfloat16": "bf16", "float16": "f16"}.get(precision, "f32")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    return settings if threads is None else settings | {"INFERENCE_NUM_THREADS": str(threads)}
