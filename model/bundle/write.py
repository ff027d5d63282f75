"""The weights of a bundle: a network's tensors into it and out of it, checked.

Knows tensors and their names; what else a bundle holds is `model.bundle.read`'s business.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from model.bundle.read import (
    CARD,
    CONFIG,
    MEND,
    VOCABULARY,
    WEIGHTS,
    Bundle,
    BundleError,
    Config,
    added_files,
    digest,
)
from model.vocabulary import Vocabulary

__all__ = ["check_tensors", "load_weights", "save_bundle"]


def save_bundle(
    folder: Path,
    config: Config,
    state: Mapping[str, Tensor],
    vocabulary: Vocabulary,
    card: str,
    *,
    files: Mapping[str, bytes] | None = None,
) -> Config:
    """Write a bundle, in place of the one that is there, never half of one.

    Matrices and kernels are kept in half precision; vectors (biases, the statistics of batch
    normalisation), where the range matters and the size does not, in single. `files` are those
    that not every bundle has, by name.

    Returns:
        The configuration as written, with the sha256 of the other files.

    Raises:
        ValueError: a weight does not fit into half precision, or is not finite; or a file that
            the configuration asks for is not among `files`.
    """
    if missing := set(added_files(config)) - set(files or {}):
        raise ValueError(f"the configuration names {min(missing)}, which is not there")
    contents = dict(files or {}) | {
        WEIGHTS: safetensors_bytes({name: _compact(name, t) for name, t in state.items()}),
        VOCABULARY: json.dumps(vocabulary.to_json(), ensure_ascii=False, indent=0).encode(),
        CARD: card.encode(),
    }
    config = replace(config, sha256={name: digest(data) for name, data in contents.items()})
    contents[CONFIG] = (json.dumps(asdict(config), indent=2, ensure_ascii=False) + "\n").encode()
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, data in contents.items():
        (temporary / name).parent.mkdir(exist_ok=True)
        (temporary / name).write_bytes(data)
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old)
    else:
        temporary.rename(folder)
    return config


def load_weights(bundle: Bundle[Any], network: nn.Module) -> None:
    """Fill a network that was built on the `meta` device with a bundle's weights, in float32.

    Raises:
        BundleError: a tensor is missing, too many, of another shape, or not finite.
    """
    path = bundle.folder / WEIGHTS
    expected = network.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - it is no dict
            check_tensors(shapes, expected, str(path))
            state = {name: _float(file.get_tensor(name)) for name in shapes}
    except SafetensorError as error:
        raise BundleError(f"{path} is not a whole safetensors file ({error}): {MEND}") from error
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise BundleError(f"{path}: {name} holds numbers that are not finite: {MEND}")
    network.load_state_dict(state, assign=True)


def check_tensors(
    shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor], source: str
) -> None:
    """Compare names and shapes with what a network needs.

    Raises:
        BundleError: they differ; the message names the first difference.
    """
    for name, tensor in expected.items():
        if name not in shapes:
            raise BundleError(f"{source} has no tensor {name}, which its {CONFIG} asks for")
        if shapes[name] != tuple(tensor.shape):
            raise BundleError(
                f"{source}: {name} has the shape {list(shapes[name])}, but its {CONFIG} and "
                f"{VOCABULARY} ask for {list(tensor.shape)}"
            )
    if extra := sorted(set(shapes) - set(expected)):
        raise BundleError(f"{source} has a tensor {extra[0]}, which its {CONFIG} has no place for")


def _compact(name: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    compact = tensor.half() if tensor.ndim >= 2 else tensor.float()
    if not torch.isfinite(compact).all():
        raise ValueError(f"{name} holds numbers that are not finite in {compact.dtype}")
    return compact


def _float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
