"""How the C library hands out memory."""

import ctypes

__all__ = ["return_large_blocks"]

_LARGE = 4 * 2**20  # bytes; the picture of a usual photograph is smaller
_MMAP_THRESHOLD = -3  # from the GNU C library's <malloc.h>


def return_large_blocks() -> None:
    """Let every block of 4 MB or more return to the system as soon as it is freed.

    By default the GNU C library raises this bound to the largest block that was ever freed. Then
    large uploads leave the heap in pieces, and the service keeps hundreds of megabytes that it no
    longer needs. Does nothing with another C library.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
