"""Writes a file whole or not at all; knows nothing of what is in it."""

import tempfile
from pathlib import Path

__all__ = ["write_text"]


def write_text(path: Path, text: str) -> None:
    """Writes `text` in UTF-8 beside `path` and then renames it, making folders as needed.

    Raises:
        OSError: the file cannot be written; what was at `path` before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder) / path.name
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
