"""Memory that is done with goes back to the system.

Photographs are decoded in several threads, and glibc gives each thread memory of its own, of which
it keeps up to 64 MB for later, since it takes one large block for a sign that others will follow.
Knows the C library; does not know what the memory is for.
"""

import ctypes
import sys

__all__ = ["give_back_memory"]

# Numbers of <malloc.h>, and bytes. Larger blocks, as photographs of more than a megapixel are, come
# from the system each time and go back to it. Smaller ones are kept, since getting their pages
# takes up to a tenth as long as a caption; and what lies free beyond those is given back. Left to
# itself glibc raises the first bound to 32 MB and the second to 64.
_BOUNDS = {-3: 4 * 2**20, -1: 8 * 2**20}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def give_back_memory() -> None:
    """Bound what glibc keeps of memory that is done with; where there is another, do nothing."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    mallopt = getattr(library, "mallopt", None)
    if mallopt is not None:
        for parameter, value in _BOUNDS.items():
            mallopt(parameter, value)
