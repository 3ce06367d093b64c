"""Roots for `start` to write to."""

import shutil
from pathlib import Path

import pytest

from casefold.config.paths import Paths

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Roots in a fresh folder, with the experiments that a starter ensemble names."""
    for path in CONFIGS.glob("*/start_*.yaml"):
        target = tmp_path / "configs" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return Paths(*(tmp_path / name for name in ("data", "store", "runs", "configs", "folds")))
