"""The roofline of a piece of work: the time that its arithmetic or its reads of weights must take.

Counts what really runs, from the shapes of operands, and times the plainest operations of each
kind, in float32 (Williams et al. 2009, "Roofline"). It ignores caches and activations, and counts
only torch's own products, not those of another runtime or on packed weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Cost", "bandwidth_probe", "count_cost", "matmul_probe"]

_MATRIX_SIZE = 1024
_LOOKUP = torch.ops.aten.embedding.default


@dataclass(frozen=True)
class Cost:
    """The work of a call; weights count each time an operation reads them."""

    multiply_adds: int
    weight_bytes: int

    def roofline_seconds(self, multiply_adds_per_second: float, bytes_per_second: float) -> float:
        """Return the larger of the seconds to compute and the seconds to read."""
        return max(
            self.multiply_adds / multiply_adds_per_second, self.weight_bytes / bytes_per_second
        )


def count_cost(call: Callable[[], object], network: nn.Module) -> Cost:
    """Run a call once and count its matrix products and convolutions, and the weights they read."""
    reads = _WeightReads(network)
    # In inference mode a linear layer is dispatched as one operation, not a view and a product.
    with torch.inference_mode(), FlopCounterMode(display=False) as counter, reads:
        call()
    return Cost(counter.get_total_flops() // 2, reads.total)


def matmul_probe() -> tuple[Callable[[], object], int]:
    """Return a call that multiplies two large matrices, and its number of multiply-adds."""
    left, right = torch.randn(_MATRIX_SIZE, _MATRIX_SIZE), torch.randn(_MATRIX_SIZE, _MATRIX_SIZE)
    return (lambda: left @ right), _MATRIX_SIZE**3


def bandwidth_probe(size: int, times: int) -> tuple[Callable[[], object], int]:
    """Return a call that multiplies a matrix of `size` bytes by a vector, and the bytes it reads.

    A search with beam 1 does the same, over and over; the matrix stays in the caches as far as the
    decoder's weights would.
    """
    matrix = torch.randn(max(1, size // (4 * _MATRIX_SIZE)), _MATRIX_SIZE)
    vector = torch.randn(_MATRIX_SIZE)

    def read() -> None:
        for _ in range(times):
            torch.mv(matrix, vector)

    return read, matrix.nbytes * times


class _WeightReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A counter of the bytes of a network's parameters that operations read.

    Lookups, which read one row, and views, which read nothing, do not count.
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
