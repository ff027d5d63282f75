"""A weights bundle on disk: saved whole, loaded checked.

A bundle is a folder of `config.json`, `model.safetensors`, `vocabulary.json` and `README.md`; a
captioner's may also hold `mean-picture.safetensors` (see `model.grounding`),
`consensus.safetensors` (see `model.known_pictures`) and pictures in `golden/` (see
`model.golden`). Nothing in it is ever unpickled. Loading compares every file with its sha256 and
every tensor's name and shape with what the configuration asks for, before any memory is taken for
the network, and says what is wrong and how to mend it. Knows nothing of what the network does.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from model.config import FORMAT, BundleConfig, CaptionerConfig, TextConfig
from model.vocabulary import Vocabulary

__all__ = [
    "CONSENSUS",
    "MEAN_PICTURE",
    "MEND",
    "Bundle",
    "BundleError",
    "check_tensors",
    "load_bundle",
    "load_weights",
    "save_bundle",
]

CONFIG, WEIGHTS, VOCABULARY, CARD = (
    "config.json",
    "model.safetensors",
    "vocabulary.json",
    "README.md",
)
MEAN_PICTURE = "mean-picture.safetensors"
CONSENSUS = "consensus.safetensors"

# No honest configuration, vocabulary or card comes near this; weights may be of any size.
_TEXT_LIMIT = 16 * 2**20

Config = TypeVar("Config", CaptionerConfig, TextConfig)

MEND = "restore the bundle from where you got it, or train it again"


class BundleError(ValueError):
    """A bundle that cannot be used; the message names the fault and what would mend it."""


@dataclass(frozen=True)
class Bundle(Generic[Config]):
    """A bundle that was read and checked, all but its tensors."""

    folder: Path
    config: Config
    vocabulary: Vocabulary
    card: str


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
    if missing := set(_added(config)) - set(files or {}):
        raise ValueError(f"the configuration names {min(missing)}, which is not there")
    contents = dict(files or {}) | {
        WEIGHTS: safetensors_bytes({name: _compact(name, t) for name, t in state.items()}),
        VOCABULARY: json.dumps(vocabulary.to_json(), ensure_ascii=False, indent=0).encode(),
        CARD: card.encode(),
    }
    config = replace(config, sha256={name: _sha256(data) for name, data in contents.items()})
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


def load_bundle(folder: str | Path, kind: type[Config]) -> Bundle[Config]:
    """Read a bundle's configuration, vocabulary and card, and check all its files.

    Args:
        folder: the bundle's.
        kind: what its configuration must be.

    Raises:
        BundleError: see the module.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder: give the folder that holds {CONFIG}")
    config = _config(folder)
    if not isinstance(config, kind):
        raise BundleError(
            f"{folder} holds a model of the kind {config.kind!r}, and {kind.kind!r} is asked for"
        )
    for name in _files(config):
        if name not in config.sha256:
            raise BundleError(f"{folder / CONFIG} gives no sha256 of {name}: {MEND}")
        if _sha256_of(folder / name) != config.sha256[name]:
            raise BundleError(
                f"{folder / name} is damaged or of another bundle: its sha256 is not the one in "
                f"{CONFIG}; {MEND}"
            )
    try:
        vocabulary = Vocabulary.from_json(_json(folder / VOCABULARY))
    except ValueError as error:
        raise BundleError(f"{folder / VOCABULARY}: {error}") from error
    return Bundle(folder, config, vocabulary, _text(folder / CARD))


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


def _config(folder: Path) -> CaptionerConfig | TextConfig:
    path = folder / CONFIG
    data = _json(path)
    if isinstance(data, dict) and data.get("format") != FORMAT:
        raise BundleError(
            f"{path} has the format {data.get('format')!r}, and this program reads {FORMAT}: "
            "use the version of Unrolled that wrote it, or a newer one"
        )
    try:
        config: CaptionerConfig | TextConfig = TypeAdapter(BundleConfig).validate_python(data)
        return config
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise BundleError(f"{path}: {where}: {first['msg']}") from error


def _files(config: CaptionerConfig | TextConfig) -> list[str]:
    """Name the files of a bundle; whatever else has a digest is not its, and never opened."""
    optional = [MEAN_PICTURE] if MEAN_PICTURE in config.sha256 else []
    return [WEIGHTS, VOCABULARY, CARD, *optional, *_added(config)]


def _added(config: CaptionerConfig | TextConfig) -> list[str]:
    """Name the files that a configuration asks for and that not every bundle has."""
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


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): {MEND}") from error


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
