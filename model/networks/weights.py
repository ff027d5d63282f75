"""Fill a network with the weights of a bundle."""

from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from model.bundle.format import MEND, WEIGHTS, BundleError
from model.bundle.read import Bundle
from model.bundle.tensors import check_tensors, complete_safetensors, read_shapes

__all__ = ["load_weights"]


def load_weights(bundle: Bundle[Any], network: nn.Module) -> None:
    """Fill a network that was built on the `meta` device with a bundle's weights, in float32.

    Raises:
        BundleError: a tensor is missing, unexpected, of another shape, or not finite.
    """
    path = bundle.folder / WEIGHTS
    check_tensors(read_shapes(path), network.state_dict(), str(path))
    with complete_safetensors(path), safe_open(path, framework="pt") as file:
        state = {name: _to_float32(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a dict
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise BundleError(f"{path}: {name} holds numbers that are not finite: {MEND}")
    network.load_state_dict(state, assign=True)


def _to_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
