"""Settings of the C library's allocator, with which memory that a process frees is kept for its next frame.

Every stage makes arrays of megabytes for a frame and frees them. By default glibc gives such memory back to the system
at once, and each fresh page of it costs a fault: most of the time of simple arithmetic on an image.
"""

import ctypes
import os
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's numbers of the two parameters (mallopt(3))."""
_KEPT_BYTES = 32 << 20
"""Free memory at the end of a heap (threads may have one each) that is kept: what a frame of 1080p takes at a time."""
_LARGEST_KEPT_BYTES = 32 << 20
"""Largest allocation that comes from a heap at all: the maximum of glibc."""


@cache
def keep_freed_memory() -> bool:
    """Set the allocator once for the whole process; return whether the C library supports it (glibc does).

    MALLOC_... and GLIBC_TUNABLES in the environment take precedence.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
