"""Read text, and write files whole or not at all: under a temporary name first, then renamed.

Whoever reads meanwhile sees what was there before, and a process that is killed leaves no half of a
file under its name.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["atomic_folder", "atomic_write", "read_text", "write_json", "write_text"]


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` if the block succeeds.

    Folders are made as needed.

    Raises:
        OSError: the file cannot be written; what was at `path` before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, and put it in place of `path` if the block succeeds.

    Raises:
        OSError: it cannot be written or renamed; what was at `path` before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / "new"
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.rename(Path(folder) / "old")  # deleted with the temporary folder
        temporary.rename(path)


def read_text(path: Path) -> str:
    """Read a text file, without the byte order mark that some editors write.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 (byte {error.start + 1:,} is none of it): save it as UTF-8, for "
            "instance with iconv"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, see `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any, *, indent: int | None = 1) -> None:
    """Write JSON with a final newline, see `atomic_write`."""
    write_text(path, json.dumps(data, indent=indent, ensure_ascii=False) + "\n")
