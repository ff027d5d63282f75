"""A language model's steps run by OpenVINO on a CPU: several times as fast as by PyTorch.

Knows the graph that `model.runtime.export` keeps, and NumPy's arrays; knows nothing of chance or
texts.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.arrays import to_numpy
from model.runtime.openvino_graph import CompiledGraph
from model.runtime.text_base import TextState

__all__ = ["OpenVinoTextRunner"]


class OpenVinoTextRunner:
    """Runs an exported graph; see `TextRunner`.

    Args:
        folder: of the graph, see `model.runtime.export`.
        threads: of the processor; None leaves it to OpenVINO.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        self._step = CompiledGraph(folder / "step.xml", settings)
        self._states = [name for name in self._step.inputs if name.startswith("state.")]
        self._nexts = [name for name in self._step.outputs if name.startswith("next.")]

    def step(
        self, tokens: NDArray[np.int64], state: TextState
    ) -> tuple[NDArray[np.float32], TextState]:
        """Run the network's `step`, see `TextRunner.step`."""
        given = {"tokens": tokens, **dict(zip(self._states, state, strict=True))}
        found: dict[str, NDArray[Any]] = self._step(given)
        return found["logprobs"], tuple(found[name] for name in self._nexts)

    def place(self, state: TextState) -> TextState:
        """Give PyTorch's state as NumPy's arrays."""
        return tuple(to_numpy(part) for part in state)
