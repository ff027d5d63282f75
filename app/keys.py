"""API keys: which strings are one, and the file that holds them."""

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["check_keys", "read_keys"]

_VALID = re.compile(r"[!-+\--~]{16,512}").fullmatch  # printable ASCII without space and comma

_MAX_KEYS = 1_000
_MAX_FILE_BYTES = 1_000_000


def check_keys(keys: Iterable[str]) -> frozenset[str]:
    """Return the keys after checking them.

    Raises:
        ValueError: there are none or too many, or one is not a key; the message shows no key.
    """
    found = frozenset(keys)
    if not found:
        raise ValueError("there is no key: write at least one, or leave the setting out")
    if len(found) > _MAX_KEYS:
        raise ValueError(f"there are {len(found):,} keys: at most {_MAX_KEYS:,}")
    if not all(map(_VALID, found)):
        raise ValueError(
            "a key has 16 to 512 letters, digits or signs of ASCII, no space and no comma: make "
            "one with `openssl rand -hex 32`"
        )
    return found


def read_keys(path: Path) -> frozenset[str]:
    """Read a file of keys, one a line; empty lines and those that begin with # are left out.

    Raises:
        ValueError: the file cannot be read, is too large, or its keys are not valid.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from error
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"the file is too large: at most {_MAX_FILE_BYTES:,} bytes")
    lines = (line.strip() for line in data.decode("utf-8-sig", "replace").splitlines())
    return check_keys(line for line in lines if line and not line.startswith("#"))
