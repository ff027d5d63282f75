"""The names of devices, runtimes and precisions, for settings and commands as well.

Importing this module imports nothing heavy, so that `unrolled --help` stays fast.
"""

from typing import Literal

__all__ = ["Device", "Precision", "PrecisionChoice", "Runtime"]

Device = Literal["auto", "cpu", "cuda", "mps"]
Runtime = Literal["auto", "torch", "openvino", "cuda_graphs"]
# Of a network's arithmetic; all but float32 lose digits of log-probabilities.
Precision = Literal["float32", "bfloat16", "float16", "int8"]
PrecisionChoice = Literal["auto", Precision]
