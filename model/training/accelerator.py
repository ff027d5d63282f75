"""What every training does alike: its processes and precision, its progress, what it keeps.

Knows processes, terminals and files; knows nothing of what is trained.
"""

from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import nn

from model.files import atomic_write
from model.training.recipe import CaptionerRecipe, TextRecipe

__all__ = ["from_main", "keep_weights", "make_accelerator", "progress_bar"]

Value = TypeVar("Value")

_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def make_accelerator(recipe: CaptionerRecipe | TextRecipe, **options: Any) -> Accelerator:
    """Make what runs a training on the device and in the precision of its recipe."""
    precision = _PRECISIONS[recipe.precision]
    return Accelerator(mixed_precision=precision, cpu=recipe.device == "cpu", **options)


def progress_bar(console: Console) -> Progress:
    """Make a progress bar whose tasks have a `note`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )


def from_main(accelerator: Accelerator, value: Value) -> Value:
    """Give every process what the main one has."""
    if accelerator.num_processes == 1:
        return value
    held = [value]
    torch.distributed.broadcast_object_list(held)
    return held[0]


def keep_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights, whole or not at all."""
    state = network.state_dict()
    # Clones: tied weights share memory, which the format does not allow.
    tensors = {name: tensor.cpu().clone().contiguous() for name, tensor in state.items()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary)
