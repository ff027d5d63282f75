"""Checkpoints: everything that a run needs to resume exactly, in one safetensors file.

The file has tensors and a JSON header, and is written whole or not at all. It holds no state of
random generators, because the random choices of a step are a function of the seed and the step.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model.bundle.tensors import complete_safetensors
from model.files import atomic_write

__all__ = ["load_checkpoint", "read_progress", "save_checkpoint", "save_weights"]


_REMEDY = "delete it to start over"


def save_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
) -> None:
    """Write a checkpoint; `progress` holds any JSON values.

    Raises:
        OSError: it cannot be written, and what was there before is untouched.
    """
    tensors = {
        f"{module_name}/{name}": tensor
        for module_name, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in state.items()}
    _write(path, tensors, {"progress": json.dumps(progress)})


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights alone."""
    _write(path, network.state_dict())


def read_progress(path: Path) -> Any:
    """Return the `progress` of a checkpoint.

    Raises:
        ValueError: the file is damaged or is not a checkpoint.
    """
    # NumPy's opens the file once: a training may replace it at any moment.
    with complete_safetensors(path, _REMEDY), safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
    if "progress" not in metadata:
        raise ValueError(f"{path} is not a checkpoint: {_REMEDY}")
    return json.loads(metadata["progress"])


def load_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> None:
    """Restore modules and optimizer in place.

    Raises:
        ValueError: the file is damaged, or is the checkpoint of another network or optimizer.
    """
    with complete_safetensors(path, _REMEDY), safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    for module_name, module in modules.items():
        prefix = f"{module_name}/"
        state = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"{path} is the checkpoint of another network: {error}") from error
    states: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            states.setdefault(int(index), {})[name] = tensor
    if not _fits(states, optimizer):
        raise ValueError(
            f"{path} is the checkpoint of another optimizer, which trained other parameters"
        )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def _write(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    # Clones: tied weights share memory, which the format does not allow.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # a full disk, for example
            raise OSError(f"{path} cannot be written: {error}") from error


def _fits(states: dict[int, dict[str, Tensor]], optimizer: torch.optim.Optimizer) -> bool:
    """Check that every group has states of its parameters' shapes, or that none has any yet."""
    if not states:
        return True
    remaining, index = dict(states), 0
    for group in optimizer.param_groups:
        found = False
        for parameter in group["params"]:
            state = remaining.pop(index, {})
            if any(t.ndim and t.shape != parameter.shape for t in state.values()):
                return False
            found = found or bool(state)
            index += 1
        if not found:
            return False
    return not remaining
