"""`log.csv` holds only what is deterministic, `timing.csv` what the clock says; both are rewritten whole."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from casefold.files import write_text

PACKAGES = ("casefold", "torch", "timm", "segmentation-models-pytorch", "monai", "albumentations", "numpy")


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Rows (one an epoch) as CSV, atomically; no rows give an empty file."""
    write_text(path, pd.DataFrame(rows).to_csv(index=False) if rows else "")


def surroundings() -> dict[str, Any]:
    """Versions, git commit and hardware, for the manifest; what can't be told is None."""
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
