"""The least that a piece of work can cost: its multiply-adds, and the bytes of weights it reads.

Counts what really runs, from the shapes of the operands, and times the two plainest things a
processor can do, in float32. Knows nothing of caches, of activations read and written, nor of
products that are not torch's own (another runtime's, packed weights): for those it counts nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Cost", "count", "multiply", "read_weights"]

_EDGE = 1024
_LOOKUP = torch.ops.aten.embedding.default


@dataclass(frozen=True)
class Cost:
    """What a call costs at least; weights count each time an operation reads them."""

    multiply_adds: int
    weight_bytes: int

    def least_seconds(self, multiply_adds_a_second: float, bytes_a_second: float) -> float:
        """Give the larger of the time to compute and the time to read."""
        return max(self.multiply_adds / multiply_adds_a_second, self.weight_bytes / bytes_a_second)


def count(call: Callable[[], object], network: nn.Module) -> Cost:
    """Run a call once and count its matrix products and convolutions, and the weights they read."""
    reads = _Reads(network)
    # Inside inference mode a linear layer arrives whole, rather than as a view and a product.
    with torch.inference_mode(), FlopCounterMode(display=False) as counter, reads:
        call()
    return Cost(counter.get_total_flops() // 2, reads.total)


def multiply() -> tuple[Callable[[], object], int]:
    """Make a call that multiplies two large matrices, and say how many multiply-adds that is."""
    left, right = torch.randn(_EDGE, _EDGE), torch.randn(_EDGE, _EDGE)
    return (lambda: left @ right), _EDGE**3


def read_weights(size: int, times: int) -> tuple[Callable[[], object], int]:
    """Make a call that multiplies vectors by a matrix of `size` bytes, and say what it reads.

    A search of beam 1 does as much, over and over; the matrix stays in the caches as far as the
    decoder's weights would.
    """
    matrix = torch.randn(max(1, size // (4 * _EDGE)), _EDGE)
    vector = torch.randn(_EDGE)

    def read() -> None:
        for _ in range(times):
            torch.mv(matrix, vector)

    return read, matrix.nbytes * times


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of a network's parameters that operations read.

    Neither a lookup, which reads one row, nor a view, which reads nothing, counts.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._sizes = {weights.data_ptr(): weights.nbytes for weights in network.parameters()}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        view = isinstance(result, Tensor) and result.data_ptr() in self._sizes
        if func is not _LOOKUP and not view:
            operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            self.total += sum(self._sizes.get(operand.data_ptr(), 0) for operand in operands)
        return result
