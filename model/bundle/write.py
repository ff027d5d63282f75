"""Write a weights bundle, whole or not at all, or add files to one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from model.bundle.format import CARD, CONFIG, VOCABULARY, WEIGHTS, digest
from model.bundle.read import Bundle, Config, optional_files
from model.config import CaptionerConfig, TextConfig
from model.files import atomic_folder, atomic_write, write_text
from model.vocabulary import Vocabulary

__all__ = ["add_files", "save_bundle", "write_config"]


def save_bundle(
    folder: Path,
    config: Config,
    state: Mapping[str, Tensor],
    vocabulary: Vocabulary,
    card: str,
    *,
    files: Mapping[str, bytes] | None = None,
) -> Config:
    """Write a bundle, replacing any in the same folder, whole or not at all.

    Matrices and kernels are stored in half precision; vectors (biases, the statistics of batch
    normalisation), where range matters and size does not, in single. `files` are the bundle's
    optional files, by name.

    Returns:
        The configuration as written, with the sha256 of the other files.

    Raises:
        ValueError: a weight is not finite or too large for half precision; or a file that the
            configuration requires is not among `files`.
    """
    if missing := set(optional_files(config)) - set(files or {}):
        raise ValueError(f"the configuration names {min(missing)}, which is not there")
    contents = dict(files or {}) | {
        WEIGHTS: safetensors_bytes({name: _compact(name, t) for name, t in state.items()}),
        VOCABULARY: json.dumps(vocabulary.to_json(), ensure_ascii=False, indent=0).encode(),
        CARD: card.encode(),
    }
    config = replace(config, sha256={name: digest(data) for name, data in contents.items()})
    contents[CONFIG] = _config_json(config).encode()
    with atomic_folder(folder) as temporary:
        for name, data in contents.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(data)
    return config


def add_files(bundle: Bundle[Any], files: Mapping[str, bytes]) -> None:
    """Add optional files to a bundle on disk, and their sha256 to its configuration.

    Raises:
        OSError: the bundle's folder cannot be written to.
    """
    for name, data in files.items():
        with atomic_write(bundle.folder / name) as temporary:
            temporary.write_bytes(data)
    digests = {name: digest(data) for name, data in files.items()}
    config = replace(bundle.config, sha256=bundle.config.sha256 | digests)
    # Last: until then, nothing reads the new files.
    write_config(bundle.folder, config)


def write_config(folder: Path, config: CaptionerConfig | TextConfig) -> None:
    """Replace the configuration of a bundle on disk.

    Raises:
        OSError: the bundle's folder cannot be written to.
    """
    write_text(folder / CONFIG, _config_json(config))


def _config_json(config: CaptionerConfig | TextConfig) -> str:
    return json.dumps(asdict(config), indent=2, ensure_ascii=False) + "\n"


def _compact(name: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    compact = tensor.half() if tensor.ndim >= 2 else tensor.float()
    if not torch.isfinite(compact).all():
        raise ValueError(f"{name} holds numbers that are not finite in {compact.dtype}")
    return compact
