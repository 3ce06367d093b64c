"""One file a raw format, each giving the same scans; `find` lists what a folder holds, `load` reads one scan."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from casefold.files import hash_value

Part = Literal["train", "test"]


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

    def signature(self) -> str:
        """A digest of what the scan would be read from: names, sizes and times of the files, and the label rows."""
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.sources]
        return hash_value([self.case, self.name, self.labelled, stats, repr(self.details)])
