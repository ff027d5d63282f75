"""Huge pages for a captioner's weights, of which a step of the decoder reads 31 MB.

In pages of 4 kB the processor looks up thousands of addresses for that, which takes a tenth of a
step or more. Knows the C library and the system's settings; knows nothing of models.
"""

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["ask_for_huge_pages"]

_VARIABLE = "GLIBC_TUNABLES"
# Beside huge pages: what is larger than 4 MB, as large photographs are, has pages of its own, and
# the system gets them back as soon as they are done with. Left to itself glibc raises that bound
# when it first meets such a photograph.
_TUNABLES = ":".join(
    [
        "glibc.malloc.hugetlb=1",
        f"glibc.malloc.mmap_threshold={4 * 2**20}",
        f"glibc.malloc.trim_threshold={8 * 2**20}",
    ]
)
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def ask_for_huge_pages() -> None:
    """Start this program again so that glibc asks for huge pages, where that makes a difference.

    glibc is told of it when a process starts, and at no other time. A system that gives huge pages
    to everybody, or to nobody, need not be asked; nor is one where somebody has set the variable.
    """
    if _VARIABLE not in os.environ and _would_help():
        os.environ[_VARIABLE] = _TUNABLES
        with suppress(OSError):  # who may not start programs goes on with small pages
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this one


def _would_help() -> bool:
    try:
        given_on_request = "[madvise]" in _SETTING.read_text(encoding="ascii")
    except OSError:  # another system than Linux
        return False
    library, version = platform.libc_ver()
    return given_on_request and library == "glibc" and _numbers(version) >= (2, 35)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
