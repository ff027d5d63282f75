"""Standard output that is closed, on a full disk, or lacks a character: never a traceback."""

import errno
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

from typer import Exit
from typer.core import TyperGroup

from app.cli.terminal import print_error

__all__ = ["Commands"]

# What writing to a full or closed file raises.
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class Commands(TyperGroup):
    """All commands: each reports what the system refuses in one line, and exits with status 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        _prepare_standard_output()
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # what is still unwritten would fail after the last message
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read has stopped; click then ends quietly
                raise
            print_error(f"unrolled: {_describe(error)}")
            raise Exit(1) from error


def _prepare_standard_output() -> None:
    """Replace characters that its encoding lacks; if it is closed, let only writing fail."""
    if sys.stdout is None:
        # Takes the free number 1, which the next file to be opened, an output say, would get.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _describe(error: OSError) -> str:
    """Describe in one line what could not be read or written, and why."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}"
    if error.errno not in _WRITING:
        return reason
    # Whatever else is written knows its file. Python writes once more when it exits: to nowhere.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return f"standard output: {reason}"
