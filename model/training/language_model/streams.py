"""The state that a network carries along streams of text, when processes share the streams.

Stream i belongs to process i modulo their number. Knows states and processes; knows nothing of
text or of training.
"""

import math

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from model.networks.cells import CellState

__all__ = ["HeldState", "gather_state", "own_streams"]


class HeldState(nn.Module):
    """The state of all streams, in the form in which checkpoints keep tensors.

    Args:
        state: the first one, each (layers, streams, hidden).
    """

    def __init__(self, state: CellState) -> None:
        super().__init__()
        for index, part in enumerate(state):
            self.register_buffer(f"part{index}", part.clone())  # zeros may share memory

    def state(self, device: torch.device) -> CellState:
        """Give the state."""
        return tuple(part.to(device) for part in self.buffers())


def own_streams(tensor: Tensor, accelerator: Accelerator, dim: int = 0) -> Tensor:
    """Take this process's streams, which lie along a dimension, out of all."""
    mine = range(accelerator.process_index, tensor.shape[dim], accelerator.num_processes)
    return tensor.index_select(dim, torch.tensor(mine, device=tensor.device))


def gather_state(state: CellState, accelerator: Accelerator, total: int) -> CellState:
    """Put the states of all processes' streams together, in the order of the streams.

    Args:
        state: of this process's streams, each (layers, streams, hidden).
        accelerator: every process must call this.
        total: streams of all processes.

    Returns:
        Each (layers, total, hidden), the same in every process.
    """
    of = accelerator.num_processes
    if of == 1:
        return state
    most = math.ceil(total / of)
    whole = []
    for part in state:
        padded = nn.functional.pad(part, (0, 0, 0, most - part.shape[1]))
        gathered = accelerator.gather(padded[None].contiguous())  # (of, layers, most, hidden)
        in_turn = gathered.permute(1, 2, 0, 3).flatten(1, 2)  # (layers, most * of, hidden)
        whole.append(in_turn[:, :total])
    return tuple(whole)
