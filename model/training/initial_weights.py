"""Begin a training with the weights of another one."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from model.bundle.format import WEIGHTS
from model.bundle.read import Config, load_bundle
from model.bundle.tensors import complete_safetensors
from model.vocabulary import Vocabulary

__all__ = ["load_initial_weights", "read_weights"]


def load_initial_weights(
    network: nn.Module,
    path: Path,
    config: Config,
    vocabulary: Vocabulary,
    parts: Sequence[str],
) -> None:
    """Load a network from a bundle, or from a run's `best.safetensors`, which is more precise.

    The tokens and `parts` must be the same, except for the dropout. For a run's weights this is
    only checked once the run has ended and written its bundle; before that, only shapes are.

    Args:
        network: is filled.
        path: the bundle's folder, or the file.
        config, vocabulary: of the network.
        parts: the fields of `config` that describe the network.

    Raises:
        ValueError: the weights do not fit; the message names the first difference.
        FileNotFoundError: there is no such file.
    """
    is_bundle = path.is_dir()
    folder = path if is_bundle else path.parent / "bundle"
    if folder.is_dir():
        bundle = load_bundle(folder, type(config))
        _compare_tokens(folder, bundle.vocabulary, vocabulary)
        for part in parts:
            _compare_part(folder, part, getattr(bundle.config, part), getattr(config, part))
    try:
        network.load_state_dict(read_weights(path / WEIGHTS if is_bundle else path))
    except RuntimeError as error:
        raise ValueError(
            f"{path} has the weights of another network than this recipe's: {error}"
        ) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name.

    Raises:
        BundleError: it is damaged.
        FileNotFoundError: there is no such file.
    """
    with complete_safetensors(path):
        return load_file(path)


def _compare_tokens(folder: Path, theirs: Vocabulary, ours: Vocabulary) -> None:
    if theirs.tokens == ours.tokens:
        return
    pairs = enumerate(zip_longest(theirs.tokens, ours.tokens))
    index, (there, here) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
    raise ValueError(
        f"{folder} has {len(theirs)} tokens and this recipe's data give {len(ours)}; the first "
        f"difference is token {index}, {there!r} there and {here!r} here: train on the "
        "same sets with the same min_count"
    )


def _compare_part(folder: Path, part: str, theirs: Any, ours: Any) -> None:
    # Shapes do not show every difference, such as the number of attention heads.
    there, here = asdict(theirs), asdict(ours)
    for name in there:
        if name != "dropout" and there[name] != here[name]:
            raise ValueError(
                f"{folder} has {part}.{name} = {there[name]!r}, and this recipe {here[name]!r}"
            )
