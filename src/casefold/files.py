"""Writing that can't leave half a file, and the hashes by which a step knows its inputs again."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from casefold.core import DataError

HASH_CHARACTERS = 16
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Get the rights for that"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "Move away what stands in its place"),
}  # by what the system says
AFTERWARDS = "What is done stays, and the same command does only the rest"


class WriteError(DataError, OSError):
    """A file that the system does not let be written, made from its number, its words and the path."""

    def __str__(self) -> str:
        advice = ADVICE.get(self.errno or 0, "Mend that")
        return (
            f"{self.filename} can't be written: {self.strerror}. {advice}, or move its root to another disk and set "
            f"CASEFOLD_STORE, CASEFOLD_RUNS or CASEFOLD_DATA to where it is. {AFTERWARDS}"
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses in the block into a WriteError for `path`."""
    try:
        yield
    except OSError as e:
        raise WriteError(e.errno, e.strerror or str(e), str(path)) from e


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A binary stream that becomes `path` only when the block ends well: same folder, flushed, then renamed.

    Raises WriteError where the disk is full, the folder can't be written, or something stands in the way.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once, atomically."""
    with atomic(path) as stream:
        stream.write(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole text file (UTF-8) at once, atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented, atomically."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file in UTF-8; raises OSError where it is missing, ValueError where it is not JSON."""
    return json.loads(path.read_bytes())


def read_record(path: Path) -> Any:
    """Read a JSON file that casefold wrote; raises DataError where it is damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError) as e:
        raise DataError(f"{path} is damaged ({e}); remove it, and the same command makes it again") from e


def hash_bytes(*parts: bytes | memoryview) -> str:
    """A short BLAKE2 digest (hex) of the parts, in order."""
    digest = hashlib.blake2b(digest_size=HASH_CHARACTERS // 2)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def hash_value(value: Any) -> str:
    """A short digest of anything JSON can hold; the order of keys does not count."""
    return hash_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def hash_file(path: Path) -> str:
    """A short digest of a file's content, read in pieces."""
    with path.open("rb") as stream:
        digest: Callable[[], Any] = lambda: hashlib.blake2b(digest_size=HASH_CHARACTERS // 2)  # noqa: E731
        return hashlib.file_digest(stream, digest).hexdigest()
