"""Memory that was freed goes back to the system, so that a process which loads for days stays as small as at first."""

import ctypes
from functools import cache
from typing import Any


def give_back_freed() -> None:
    """Return the heap's free pages to the system; a few milliseconds. Without glibc nothing is done.

    glibc keeps freed arrays of up to 32 MB, and as they come and go in other orders their holes add up: a loading
    worker grew from 1.1 to 2.3 GB within 60 patches of 80 x 224 x 224.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or none that can be asked
        return None
