"""The state that a network carries along streams of text, which processes share.

Stream i belongs to process i modulo the number of processes.
"""

import math

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from model.networks.cells import CellState

__all__ = ["StreamState", "gather_state", "take_share"]


class StreamState(nn.Module):
    """The state of all streams as a module, which is what checkpoints can hold.

    Args:
        state: each part (layers, streams, hidden).
    """

    def __init__(self, state: CellState) -> None:
        super().__init__()
        for index, part in enumerate(state):
            self.register_buffer(f"part{index}", part.clone())  # zeros may share memory


def take_share(tensor: Tensor, accelerator: Accelerator, dim: int = 0) -> Tensor:
    """Select this process's streams along a dimension."""
    mine = range(accelerator.process_index, tensor.shape[dim], accelerator.num_processes)
    return tensor.index_select(dim, torch.tensor(mine, device=tensor.device))


def gather_state(state: CellState, accelerator: Accelerator, total: int) -> CellState:
    """Join the states of all processes' streams, in the order of the streams.

    Args:
        state: of this process's streams, each (layers, streams, hidden).
        accelerator: every process must call this.
        total: streams of all processes.

    Returns:
        Each (layers, total, hidden), the same in every process.
    """
    processes = accelerator.num_processes
    if processes == 1:
        return state
    longest = math.ceil(total / processes)
    whole = []
    for part in state:
        padded = nn.functional.pad(part, (0, 0, 0, longest - part.shape[1]))
        # (processes, layers, longest, hidden)
        gathered = accelerator.gather(padded[None].contiguous())
        # (layers, longest * processes, hidden)
        interleaved = gathered.permute(1, 2, 0, 3).flatten(1, 2)
        whole.append(interleaved[:, :total])
    return tuple(whole)
