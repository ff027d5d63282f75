"""Read and write the safetensors files of a bundle, and compare them with what a network needs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from model.bundle.format import CONFIG, MEND, VOCABULARY, BundleError

__all__ = ["arrays_bytes", "check_tensors", "complete_safetensors", "read_arrays", "read_shapes"]


class _HasShape(Protocol):
    @property
    def shape(self) -> Any: ...


@contextmanager
def complete_safetensors(path: Path, mend: str = MEND) -> Iterator[None]:
    """Turn the library's errors into ones that say what to do.

    Raises:
        BundleError: the file read in this block is damaged or cut short.
    """
    try:
        yield
    except SafetensorError as error:
        raise BundleError(f"{path} is not a complete safetensors file ({error}): {mend}") from error


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes in a file's header.

    Raises:
        BundleError: the file is damaged or cut short.
    """
    with complete_safetensors(path), safe_open(path, framework="numpy") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict


def read_arrays(path: Path) -> dict[str, Any]:
    """Read all tensors as NumPy arrays.

    Raises:
        BundleError: the file is damaged or cut short.
    """
    with complete_safetensors(path):
        return load_file(path)


def arrays_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file that `read_arrays` reads, whatever the arrays' order in memory.

    The library writes memory as it lies there, and notes the shape alone.
    """
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def check_tensors(
    shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, _HasShape], source: str
) -> None:
    """Compare names and shapes with what a network needs.

    Raises:
        BundleError: they differ; the message names the first difference.
    """
    for name, tensor in expected.items():
        if name not in shapes:
            raise BundleError(f"{source} lacks the tensor {name}, which its {CONFIG} requires")
        if shapes[name] != tuple(tensor.shape):
            raise BundleError(
                f"{source}: {name} has the shape {list(shapes[name])}, but its {CONFIG} and "
                f"{VOCABULARY} require {list(tensor.shape)}"
            )
    if extra := sorted(set(shapes) - set(expected)):
        raise BundleError(
            f"{source} has an unexpected tensor {extra[0]}, which its {CONFIG} does not require"
        )
