"""A device whose values nobody can look at, to test what a CUDA graph can hold without a GPU."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = "meta"  # tensors of this device have shapes and types, and no values


class DeviceAlone(TorchDispatchMode):
    """Fails where anything but the device takes part: a capture would fail there too.

    Looking at a value fails by itself, since there are none.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        result = func(*args, **kwargs or {})
        made = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        elsewhere = {str(one.device) for one in (*given, *made)} - {META}
        assert not elsewhere, f"{func} works on {elsewhere}"
        assert "lift_fresh" not in str(func), "torch.tensor copies its values from the host"
        return result


def on_meta(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors of the same shapes and types."""
    return tuple(torch.empty_like(tensor, device=META) for tensor in tensors)
