"""Writing that can't leave half a file, and the hashes by which a step knows its inputs again."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

HASH_CHARACTERS = 16


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A binary stream that becomes `path` only when the block ends well: same folder, flushed, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
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
    """Read a JSON file."""
    return json.loads(path.read_text())


def hash_bytes(*parts: bytes) -> str:
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
