"""What goes wrong outside the program: a disk without room, folders and files without rights; and what files hold."""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casefold.files import hash_file

CAPABILITY_VERSION = 0x20080522
OVERRIDES_RIGHTS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root passes every check


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """The system refuses to write files any further than `size` bytes, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def without_right(path: Path, right: int) -> Iterator[None]:
    """Nobody has this right (0o222 to write, 0o444 to read) on a path and all below it, this process included."""
    before = {each: each.stat().st_mode for each in (path, *path.rglob("*"))}
    for each, mode in before.items():
        each.chmod(mode & ~right)
    _override_rights(False)
    try:
        yield
    finally:
        _override_rights(True)
        for each, mode in before.items():
            each.chmod(mode)


def _override_rights(allowed: bool) -> None:
    """Take from root, for this thread, what lets it pass over the rights of files, or give it back."""
    if os.geteuid() != 0:
        return
    system = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, twice
    system.capget(header, sets)
    sets[0] = sets[0] | OVERRIDES_RIGHTS & sets[1] if allowed else sets[0] & ~OVERRIDES_RIGHTS
    if system.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "the rights of root can't be changed")


def content(root: Path, *folders: str) -> dict[str, str]:
    """Every file below a root, or some folders in it, with a digest of its bytes."""
    return {name: hash_file(root / name) for name in times(root, *folders)}


def times(root: Path, *folders: str) -> dict[str, int]:
    """Every file below a root, or some folders in it, with when it was written."""
    found = [path for folder in folders or (".",) for path in sorted((root / folder).rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): path.stat().st_mtime_ns for path in found}


def written(before: dict[str, int], root: Path, *folders: str) -> set[str]:
    """The files that are new or were written again since."""
    return {name for name, time in times(root, *folders).items() if before.get(name) != time}
