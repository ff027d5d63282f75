"""A graph that OpenVINO runs on a CPU: arrays in and arrays out, by name.

Knows files and NumPy's arrays; knows nothing of what a graph computes.
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CompiledGraph", "openvino_module"]

Arrays = dict[str, NDArray[Any]]


class CompiledGraph:
    """A compiled graph: arrays in and arrays out, by name.

    Args:
        path: of its file.
        settings: of OpenVINO.
        change: what is to be done to the graph before it is compiled.
    """

    def __init__(
        self, path: Path, settings: dict[str, str], change: Callable[[Any], None] | None = None
    ) -> None:
        graph = _core().read_model(path)
        if change is not None:
            change(graph)
        self._compiled = _core().compile_model(graph, "CPU", settings)
        self._request = self._compiled.create_infer_request()
        self._tensor = openvino_module().Tensor
        self._given: Arrays = {}
        self._types = {
            port.get_any_name(): port.get_element_type().to_dtype()
            for port in self._compiled.inputs
        }
        self.inputs = list(self._types)
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
                self._given[name] = kept = np.array(array, dtype=self._types[name], order="C")
                self._request.set_tensor(name, self._tensor(kept, shared_memory=True))

    def __call__(self, arrays: Arrays) -> Arrays:
        """Run it, on the inputs that are given here and those that were set before."""
        self.give(arrays)
        # What it gives are copies, for the next call overwrites its own.
        return dict(zip(self.outputs, self._request.infer().to_tuple(), strict=True))

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
