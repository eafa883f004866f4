"""Keeping memory that torch frees, instead of giving it back to the system after every operator.

glibc maps every large block anew and the system fills it with zeros, page by page: on a CPU a step of a
convolutional network can spend a quarter of its time on that. Kept blocks cost no time the second time, and
huge pages make the first time cheap. Numbers stay the same, bit for bit.
"""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory for this process, and torch to ask for huge pages.

    Does nothing, and returns False, where the C library has no such setting. Call it before torch makes its
    first large tensor. The process keeps the most memory that it ever used.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
