"""Put the weights of a model, which every step reads from end to end, into huge pages.

In pages of 4 kB the processor looks up thousands of addresses for the 30 MB that a step of the
captioner reads, which takes a tenth of its time or more. Linux only.
"""

import ctypes
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

__all__ = ["huge_pages"]

_PAGE_SIZE = 2 * 2**20  # of a huge page, in bytes
# The share of a mapping that must be resident: a huge page takes memory as a whole.
_MIN_RESIDENT = 0.9

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MAPPINGS = Path("/proc/self/smaps")
# Private, writable memory that no file backs: its first and last address, and its resident size.
_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0\b.*\n(?:\w+:.*\n)*?Rss: +([0-9]+) kB$", re.MULTILINE
)

# Numbers from <linux/mman.h>. The first acts now (Linux 6.1 and later), the second some time later.
_COLLAPSE = 25
_HUGEPAGE = 14


@contextmanager
def huge_pages() -> Iterator[None]:
    """Move the large blocks of memory that come while a model is loaded into huge pages.

    They move in a thread of their own, while the model may be used already: it takes a third of a
    second for the captioner.

    Memory that the process had before is left as it is. Does nothing on systems other than Linux,
    or where huge pages are switched off. Blocks for which the system has too few stay where they
    are.
    """
    before = set(_large_blocks())
    yield
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # of the GNU C library
        library.malloc_trim(0)  # return what only loading needed, tens of megabytes, to the system
    new = set(_large_blocks()) - before
    Thread(target=_move, args=(new,), name="huge pages", daemon=True).start()


def _move(blocks: Iterable[tuple[int, int]]) -> None:
    madvise = ctypes.CDLL(None).madvise
    for start, size in blocks:
        block = ctypes.c_void_p(start), ctypes.c_size_t(size)
        if madvise(*block, _COLLAPSE) != 0:
            madvise(*block, _HUGEPAGE)


def _large_blocks() -> Iterator[tuple[int, int]]:
    """Yield addresses and sizes in bytes of resident blocks, in whole huge pages."""
    try:
        if "[never]" in _SETTING.read_text(encoding="ascii"):
            return
        mappings = _MAPPINGS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for first, last, resident in _MAPPING.findall(mappings):
        start, end = int(first, 16), int(last, 16)
        if 1024 * int(resident) < _MIN_RESIDENT * (end - start):
            continue
        start, end = -(-start // _PAGE_SIZE) * _PAGE_SIZE, end // _PAGE_SIZE * _PAGE_SIZE
        if end > start:
            yield start, end - start
