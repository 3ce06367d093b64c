"""One file a raw format, each giving the same scans: what `table` calls, and what every reader reports faults with.

A reader is a module with

    find(config, root, part, folder=None, report=refuse) -> list[RawScan]   what a folder holds; opens no pixel
    load(config, raw, report=refuse) -> Scan                                reads one scan, whole
    dropped(config, root) -> dict[str, int]                                 scans that the config drops -> slices
    stored_bytes(config, raw) -> int                                        size of image and masks, from headers alone

and, where a modality may be a file of its own,

    filled(config, raw) -> list[int]                        the modalities that `load` fills in, by number

and, where predictions go back as files and not as rows of a CSV,

    write(config, root, raw, masks, folder) -> Path         one scan's masks in the input's own form
    read_masks(config, root, path) -> NDArray[np.bool_]     the reverse, (class, z, y, x), for scoring
    result_name(config, raw) -> str                         the file (or folder) name that `write` uses
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from casefold.core import DataError
from casefold.files import hash_value

Part = Literal["train", "test"]
FaultKind = Literal[
    "unreadable", "not an image", "size", "type", "name", "spacing", "missing slice", "duplicate slice", "gap",
    "rle", "unknown class", "doubled label", "partly labelled", "label without image", "image without label",
    "label grid", "label value", "missing modality", "missing file", "dropped scan",
]  # fmt: skip
Report = Callable[[FaultKind, str, str], None]


def refuse(kind: FaultKind, where: str, message: str) -> None:
    """The reporter of every step but `check`: the first fault ends the reading.

    where: a file, or the name of a slice or scan. message: whole, with what to do. The cause is the error at hand.
    """
    raise DataError(message) from sys.exception()


@dataclass(frozen=True)
class RawScan:
    """One scan as it lies in its raw files, not read yet; small, and it can be pickled.

    sources: every file that `load` reads. details: what the reader needs besides (RLE rows, label values).
    """

    case: str
    name: str
    sources: tuple[Path, ...]
    labelled: bool
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or {"/", "\\", "\0"} & set(self.name):
            raise DataError(f"{self.name!r} can't name a scan: it is a folder's name in the store; name it otherwise")

    def signature(self) -> str:
        """A digest of what the scan would be read from: names, sizes and times of the files, and the label rows."""
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.sources]
        return hash_value([self.case, self.name, self.labelled, stats, repr(self.details)])
