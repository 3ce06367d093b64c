"""The demo as a user runs it, twice, and the stand-alone submission script on what it left."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from casefold.config.load import load_dataset
from casefold.readers.table import find, load
from casefold.submission import check_csv

HERE = Path(__file__).resolve().parents[2]


def _run(command: list[str], work: Path) -> str:
    environment = os.environ | {f"CASEFOLD_{name.upper()}": str(work / name) for name in ("data", "store", "runs")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = str(HERE / "src")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
def test_the_demo_ends_with_a_valid_scored_submission_and_does_nothing_twice(tmp_path: Path) -> None:
    out = tmp_path / "out"
    demo = [str(HERE / "run.sh"), "demo", "--out", str(out)]
    printed = _run(demo, tmp_path)
    for title in ("OOF, each member at level 128", "cross-fitted", "hidden test, against the truth kept aside"):
        assert title in printed
    config = load_dataset(HERE / "configs", "demo")
    scans = [load(config, raw) for raw in find(config, tmp_path / "data" / "demo", "test")]
    sizes = {name: (scan.image.shape[2], scan.image.shape[3]) for scan in scans for name in scan.slice_names}
    check_csv(out / "submission.csv", tmp_path / "data" / "demo" / "sample_submission.csv", sizes, config.classes)
    assert (out / "predictions.png").read_bytes().startswith(b"\x89PNG")

    before = _times(tmp_path / "runs") | _times(tmp_path / "store")
    assert _run(demo, tmp_path) == printed
    assert _times(tmp_path / "runs") | _times(tmp_path / "store") == before

    script = [sys.executable, str(HERE / "inference" / "submit.py"), str(HERE / "configs" / "datasets" / "demo.yaml")]
    paths = ["data/demo", "runs/demo/ensembles/demo/recipe.yaml", "runs/demo/members", "alone.csv"]
    _run([*script, *(str(tmp_path / path) for path in paths)], tmp_path)
    assert (tmp_path / "alone.csv").read_bytes() == (out / "submission.csv").read_bytes()
    assert len(np.unique([scan.image.shape[1] for scan in scans])) == 2  # both slice counts were submitted
