"""A captioner's network run by OpenVINO on a CPU: no PyTorch, and about twice as fast.

Knows the graphs that `model.export` keeps, and NumPy's arrays; knows nothing of words, of beams
or of how the graphs were made.
"""

import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.arrays import Array, to_numpy
from model.picture import Picture, State, from_parts, parts
from model.runner import Precision

__all__ = ["OpenVinoRunner", "openvino_module"]

Arrays = dict[str, NDArray[Any]]


class OpenVinoRunner:
    """Runs exported graphs; see `Runner`.

    Args:
        folder: of the graphs, see `model.export`.
        threads: of the processor; None leaves it to OpenVINO.
        precision: of most arithmetic; a processor that lacks one takes float32 in its place.
    """

    device = "cpu"

    def __init__(
        self, folder: Path, threads: int | None = None, precision: Precision = "float32"
    ) -> None:
        self.exact = precision == "float32"
        hint = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}[precision]
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        self._encode = _Graph(folder / "encode.xml", settings)
        self._begin = _Graph(folder / "begin.xml", settings)
        self._step = _Graph(folder / "step.xml", settings)
        self._grid = self._begin.fixed_sizes("grid")  # (rows, columns, channels)
        self.channels = self._grid[-1]
        self._seen: Picture | None = None
        self._states = [name for name in self._step.inputs if name.startswith("state.")]
        self._nexts = [name for name in self._step.outputs if name.startswith("next.")]

    def encode(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Run the encoder, see `Runner.encode`."""
        # One by one: a picture's activations stay in the caches, and in little memory; together
        # they take a fifth longer.
        grids = [self._encode({"pixels": pixels[i : i + 1]})["grid"] for i in range(len(pixels))]
        return np.concatenate(grids) if grids else np.empty((0, *self._grid), dtype=np.float32)

    def begin(self, grid: NDArray[Any]) -> Picture:
        """Run the decoder's `begin`."""
        return from_parts(self._begin({"grid": grid}))

    def step(
        self, tokens: NDArray[Any], state: State, picture: Picture
    ) -> tuple[NDArray[Any], State, NDArray[Any] | None]:
        """Run the decoder's `step`."""
        if picture is not self._seen:  # its many steps are told of it once
            self._step.give(parts(picture))
            self._seen = picture
        found = self._step({"tokens": tokens, **dict(zip(self._states, state, strict=True))})
        return found["logprobs"], tuple(found[n] for n in self._nexts), found.get("weights")

    def place(self, values: Array) -> NDArray[Any]:
        """Give an array as NumPy's, see `Runner.place`."""
        return to_numpy(values)


class _Graph:
    """A compiled graph: arrays in and arrays out, by name."""

    def __init__(self, path: Path, settings: dict[str, str]) -> None:
        self._compiled = _core().compile_model(path, "CPU", settings)
        self._request = self._compiled.create_infer_request()
        self._tensor = openvino_module().Tensor
        self._given: Arrays = {}
        self.inputs = [port.get_any_name() for port in self._compiled.inputs]
        self.outputs = [port.get_any_name() for port in self._compiled.outputs]

    def give(self, arrays: Arrays) -> None:
        """Set inputs, for the next call and all after; others than the graph's are left out."""
        for name, array in arrays.items():
            if name not in self.inputs:
                continue
            kept = self._given.get(name)
            if kept is not None and kept.shape == array.shape:
                kept[...] = array  # telling OpenVINO of another array takes longer than this
            else:
                self._given[name] = kept = np.array(array, order="C")
                self._request.set_tensor(name, self._tensor(kept, shared_memory=True))

    def __call__(self, arrays: Arrays) -> Arrays:
        self.give(arrays)
        self._request.infer()
        # Copied, for the next call overwrites it.
        return {name: self._request.get_tensor(name).data.copy() for name in self.outputs}

    def fixed_sizes(self, name: str) -> tuple[int, ...]:
        """Give the sizes of an input's axes, but for those that any size is good for."""
        axes = self._compiled.input(name).get_partial_shape()
        return tuple(axis.get_length() for axis in axes if axis.is_static)


@cache
def _core() -> Any:
    """Make OpenVINO's core, once: many of them in one process have crashed it."""
    return openvino_module().Core()


def openvino_module() -> ModuleType:
    """Import OpenVINO without its telemetry, which would ask the network.

    Raises:
        ImportError: it is not installed.
    """
    # Its converter imports this package if it can, and does without it if it cannot.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module("openvino")
