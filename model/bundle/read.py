"""Read a weights bundle from disk, and check it.

A bundle is a folder of `config.json`, `model.safetensors`, `vocabulary.json` and `README.md`; a
captioner's may also hold `mean-picture.safetensors` (see `model.captioning.image_gain`),
`consensus.safetensors` (see `model.captioning.expected_words`) and pictures in `golden/` (see
`model.captioning.self_test`); any bundle may bring the graphs that OpenVINO runs, in `graphs/` (see
`model.runtime.export`). Nothing in it is ever unpickled. Every file is compared with its
sha256, and every tensor's name and shape with what the configuration requires, before any memory is
allocated for the network.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from model.bundle.format import (
    CARD,
    CONFIG,
    CONSENSUS,
    MEAN_PICTURE,
    MEND,
    VOCABULARY,
    WEIGHTS,
    BundleError,
    graph_files,
)
from model.bundle.tensors import read_shapes
from model.config import FORMAT, BundleConfig, CaptionerConfig, TextConfig, describe_fault
from model.vocabulary import Vocabulary

__all__ = [
    "Bundle",
    "Config",
    "count_parameters",
    "load_bundle",
    "load_text_bundle",
    "optional_files",
    "read_config",
]

# In bytes: far more than any real configuration, vocabulary or card. Weights have no limit.
_TEXT_LIMIT = 16 * 2**20

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")

Config = TypeVar("Config", CaptionerConfig, TextConfig)


@dataclass(frozen=True)
class Bundle(Generic[Config]):
    """A bundle whose files were read and checked; its tensors are loaded later."""

    folder: Path
    config: Config
    vocabulary: Vocabulary
    card: str


def load_bundle(folder: str | Path, kind: type[Config]) -> Bundle[Config]:
    """Read a bundle's configuration, vocabulary and card, and check all its files.

    Args:
        folder: the bundle's.
        kind: the class that its configuration must have.

    Raises:
        BundleError: it cannot be used; the message says why.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder: give the folder that contains {CONFIG}")
    config = read_config(folder)
    if not isinstance(config, kind):
        raise BundleError(
            f"{folder} holds a model of kind {config.kind!r}, but kind {kind.kind!r} is needed"
        )
    for name in _files(config):
        if name not in config.sha256:
            raise BundleError(f"{folder / CONFIG} gives no sha256 of {name}: {MEND}")
        if _sha256_of(folder / name) != config.sha256[name]:
            raise BundleError(
                f"{folder / name} is damaged or from another bundle: its sha256 is not that "
                f"in {CONFIG}; {MEND}"
            )
    try:
        vocabulary = Vocabulary.from_json(_json(folder / VOCABULARY))
    except ValueError as error:
        raise BundleError(f"{folder / VOCABULARY}: {error}") from error
    return Bundle(folder, config, vocabulary, _text(folder / CARD))


def load_text_bundle(folder: str | Path) -> Bundle[TextConfig]:
    """Read and check a language model's bundle, except its weights.

    Raises:
        BundleError: it cannot be used; the message says why.
    """
    bundle = load_bundle(folder, TextConfig)
    if bundle.vocabulary.level != bundle.config.level:
        raise BundleError(
            f"{folder}: its vocabulary has the level {bundle.vocabulary.level!r}, but its "
            f"configuration {bundle.config.level!r}"
        )
    if len(bundle.vocabulary) <= bundle.vocabulary.unknown_id + 1:
        raise BundleError(f"{folder}: its vocabulary has no token to write with")
    return bundle


def count_parameters(bundle: Bundle[Any]) -> int:
    """Count the learned parameters from the header of the weights alone.

    The statistics of batch normalisation are not learned, and do not count.

    Raises:
        BundleError: the file is damaged or cut short.
    """
    shapes = read_shapes(bundle.folder / WEIGHTS)
    learned = (shape for name, shape in shapes.items() if not name.endswith(_STATISTICS))
    return sum(map(math.prod, learned))


def read_config(folder: Path) -> CaptionerConfig | TextConfig:
    """Read a bundle's configuration alone, of whichever kind.

    Raises:
        BundleError: it cannot be read, or is invalid.
    """
    path = folder / CONFIG
    data = _json(path)
    if isinstance(data, dict) and data.get("format") != FORMAT:
        raise BundleError(
            f"{path} has the format {data.get('format')!r}, but this program reads {FORMAT}: "
            "use the version of Unrolled that wrote it, or a newer one"
        )
    try:
        config: CaptionerConfig | TextConfig = TypeAdapter(BundleConfig).validate_python(data)
        return config
    except ValidationError as error:
        raise BundleError(f"{path}: {describe_fault(error)}") from error


def _files(config: CaptionerConfig | TextConfig) -> list[str]:
    """List the files of a bundle; other files with a digest are never opened."""
    optional = [n for n in (MEAN_PICTURE, *graph_files(config.kind)) if n in config.sha256]
    return [WEIGHTS, VOCABULARY, CARD, *optional, *optional_files(config)]


def optional_files(config: CaptionerConfig | TextConfig) -> list[str]:
    """List the files that this configuration requires and not every bundle has."""
    if not isinstance(config, CaptionerConfig):
        return []
    consensus = [] if config.consensus is None else [CONSENSUS]
    return [*consensus, *(picture.file for picture in config.golden)]


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path} is not JSON ({error}): {MEND}") from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_TEXT_LIMIT + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): {MEND}") from error
    if len(data) > _TEXT_LIMIT:
        raise BundleError(f"{path} is larger than {_TEXT_LIMIT >> 20} MB: {MEND}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is not UTF-8 text: {MEND}") from error


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): {MEND}") from error
