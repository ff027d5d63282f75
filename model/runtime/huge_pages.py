"""Huge pages for what a process keeps in memory, such as weights that every step reads.

In pages of 4 kB the processor looks up thousands of addresses for the 30 MB that a step of the
captioner reads, which takes a tenth of its time or more. Knows Linux and the C library; knows
nothing of models, nor of memory that is asked for later, which is left as it is.
"""

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["use_huge_pages"]

_SIZE = 2 * 2**20  # of a huge page, in bytes
# Of a mapping, how much has to be in memory: a huge page is there as a whole.
_LEAST_RESIDENT = 0.9

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MAPPINGS = Path("/proc/self/smaps")
# Private memory of no file, which can be written: from where to where, and how much of it is there.
_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0\b.*\n(?:\w+:.*\n)*?Rss: +([0-9]+) kB$", re.MULTILINE
)

# Numbers of <linux/mman.h>. The first does it now (Linux 6.1 and later), the second in a while.
_COLLAPSE = 25
_HUGEPAGE = 14


def use_huge_pages() -> None:
    """Put the large blocks that this process has in memory now into huge pages.

    What cannot be put there stays where it is: where the system gives none or has too few, or is
    another than Linux.
    """
    try:
        if "[never]" in _SETTING.read_text(encoding="ascii"):
            return
        mappings = _MAPPINGS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    madvise = ctypes.CDLL(None).madvise
    for start, size in _large_blocks(mappings):
        given = ctypes.c_void_p(start), ctypes.c_size_t(size)
        if madvise(*given, _COLLAPSE) != 0:
            madvise(*given, _HUGEPAGE)


def _large_blocks(mappings: str) -> Iterator[tuple[int, int]]:
    """Find whole huge pages' worth of memory that is used: addresses and sizes in bytes."""
    for first, last, resident in _MAPPING.findall(mappings):
        start, end = int(first, 16), int(last, 16)
        if 1024 * int(resident) < _LEAST_RESIDENT * (end - start):
            continue
        start, end = -(-start // _SIZE) * _SIZE, end // _SIZE * _SIZE
        if end > start:
            yield start, end - start
