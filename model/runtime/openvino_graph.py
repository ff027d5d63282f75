"""Load a graph that OpenVINO runs on a CPU."""

import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.bundle.format import BundleError
from model.runtime.graph_weights import compute_weights

__all__ = ["NORMS", "WEIGHT", "CompiledGraph", "openvino_module", "read_graph"]

Arrays = dict[str, NDArray[Any]]

WEIGHT = "weight:"  # what the names of a stored graph's weights begin with
NORMS = ["unrolled", "folded_norms"]  # where a stored graph keeps `Graph.norms`, in JSON


class CompiledGraph:
    """A compiled graph: arrays in and arrays out, by name.

    Args:
        graph: an `openvino.Model`.
        settings: of OpenVINO.
    """

    def __init__(self, graph: Any, settings: dict[str, str]) -> None:
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


def read_graph(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Any:
    """Read a stored graph, and fill in its weights.

    Args:
        path: of its .xml file, which a .bin file with small constants may accompany.
        tensors: the bundle's.

    Returns:
        An `openvino.Model`.

    Raises:
        BundleError: the graph is damaged, or was made for another bundle.
    """
    openvino = openvino_module()
    try:
        graph = _core().read_model(path)
        norms = graph.get_rt_info(NORMS).value if graph.has_rt_info(NORMS) else "[]"
        parameters = {
            parameter.get_friendly_name().removeprefix(WEIGHT): parameter
            for parameter in graph.get_parameters()
            if parameter.get_friendly_name().startswith(WEIGHT)
        }
        shapes = {name: tuple(node.shape) for name, node in parameters.items()}
        weights = compute_weights(shapes, tensors, json.loads(norms))
    except (RuntimeError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise BundleError(
            f"{path} does not fit its bundle ({reason}): delete {path.parent}, and `unrolled "
            "export` makes it again"
        ) from error
    for name, parameter in parameters.items():
        # Copied, not shared: OpenVINO aligns its own memory, which makes a search 3% faster.
        constant = openvino.op.Constant(weights[name])
        parameter.output(0).replace(constant.output(0))
        graph.remove_parameter(parameter)
    graph.validate_nodes_and_infer_types()
    return graph


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
