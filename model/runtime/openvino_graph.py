"""Load a graph that OpenVINO runs on a CPU."""

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
        change: applied to the graph before it is compiled.
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
        self._buffers: Arrays = {}
        self._types = {
            port.get_any_name(): port.get_element_type().to_dtype()
            for port in self._compiled.inputs
        }
        self.inputs = list(self._types)
        self.outputs = [port.get_any_name() for port in self._compiled.outputs]

    def set_inputs(self, arrays: Arrays) -> None:
        """Set inputs for all calls from now on; names that the graph does not have are ignored."""
        for name, array in arrays.items():
            if name not in self.inputs:
                continue
            buffer = self._buffers.get(name)
            if buffer is not None and buffer.shape == array.shape:
                buffer[...] = array  # faster than passing OpenVINO another array
            else:
                self._buffers[name] = buffer = np.array(array, dtype=self._types[name], order="C")
                self._request.set_tensor(name, self._tensor(buffer, shared_memory=True))

    def __call__(self, arrays: Arrays) -> Arrays:
        """Run the graph on these inputs and those set before, and return its outputs by name."""
        self.set_inputs(arrays)
        # `infer` copies them, since the next call overwrites the request's own.
        return dict(zip(self.outputs, self._request.infer().to_tuple(), strict=True))

    def fixed_sizes(self, name: str) -> tuple[int, ...]:
        """Return the sizes of those axes of an input that cannot vary."""
        axes = self._compiled.input(name).get_partial_shape()
        return tuple(axis.get_length() for axis in axes if axis.is_static)


@cache
def _core() -> Any:
    """Create OpenVINO's core, once: several in one process have crashed it."""
    return openvino_module().Core()


def openvino_module() -> ModuleType:
    """Import OpenVINO without its telemetry, which would use the network.

    Raises:
        ImportError: it is not installed.
    """
    # The converter imports this package if it can, and works without it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module("openvino")
