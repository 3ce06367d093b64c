"""The one table of readers, and the three calls every reader answers."""

from pathlib import Path
from typing import Any

from casefold.config.datasets import Dataset
from casefold.core import Scan
from casefold.readers import Part, RawScan, nifti, phantom, uwmgi

READERS: dict[str, Any] = {"uwmgi": uwmgi, "phantom": phantom, "nifti": nifti}


def find(config: Dataset, root: Path, part: Part, folder: Path | None = None) -> list[RawScan]:
    """The scans of a part, or those in `folder` (never labelled); an absent or empty test folder gives none."""
    found: list[RawScan] = _reader(config).find(config, root, part, folder)
    return found


def load(config: Dataset, raw: RawScan) -> Scan:
    """Read one scan, whole."""
    scan: Scan = _reader(config).load(config, raw)
    return scan


def dropped(config: Dataset, root: Path) -> dict[str, int]:
    """The scans that the config drops, each with its number of slices."""
    counts: dict[str, int] = _reader(config).dropped(config, root)
    return counts


def _reader(config: Dataset) -> Any:
    return READERS[config.reader]  # type: ignore[attr-defined]
