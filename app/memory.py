"""Memory that is done with goes back to the system.

Photographs are decoded in several threads, and glibc gives each thread a heap of its own. It keeps
up to 64 MB in each for later, since it takes one large block for a sign that others will follow;
and of what is free, it gives back what lies at a heap's end, and nothing that lies before a block
in use, however small that is. Knows the C library; does not know what the memory is for.
"""

import ctypes
import os
import sys
from functools import cache

__all__ = ["give_back_memory", "keep_little_memory"]

# Numbers of <malloc.h>, and bytes. Larger blocks, as photographs of more than a megapixel are, come
# from the system each time and go back to it. Smaller ones are kept, since getting their pages
# takes up to a tenth as long as a caption; and what lies free at an end beyond those is given back.
# Left to itself glibc raises the first bound to 32 MB and the second to 64.
_BOUNDS = {-3: 4 * 2**20, -1: 8 * 2**20}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD

# By which whoever runs the service may have told glibc otherwise.
_VARIABLES = {"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}


def keep_little_memory() -> None:
    """Bound what glibc keeps of memory that is done with, from now on.

    Where there is another library, or somebody has set bounds, nothing is done.
    """
    mallopt = getattr(_library(), "mallopt", None)
    if mallopt is not None and not _VARIABLES & os.environ.keys():
        for parameter, value in _BOUNDS.items():
            mallopt(parameter, value)


def give_back_memory() -> None:
    """Give back all whole pages that are free now, wherever they lie, if glibc is there.

    It takes some milliseconds, during which other threads may have to wait for memory; who needs
    those pages again has to get them again.
    """
    malloc_trim = getattr(_library(), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


@cache
def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
