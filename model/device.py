"""Which device a model runs on. Knows nothing of models."""

from collections.abc import Callable

import torch

__all__ = ["choose_device"]


def choose_device(device: str = "auto") -> torch.device:
    """Choose where to run: `auto` takes CUDA where there is one, else Apple's MPS, else the CPU.

    Raises:
        ValueError: torch knows no such device, or this machine has none.
    """
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there()))
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu, cuda or mps, not {device!r}") from error
    if not available.get(chosen.type, lambda: False)():
        raise ValueError(f"this machine has no device {device!r}: use auto or cpu")
    return chosen
