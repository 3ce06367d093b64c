"""The one source of inference/kaggle.ipynb; `python -m casefold.bundle.notebook FILE` writes it anew."""

import json
import sys
from pathlib import Path
from typing import Any

from casefold.files import write_text

TITLE = """\
# Submission by casefold, without a network

Attached: the bundle's dataset and the competition. The public run has no test scans and predicts a few training scans
instead, so that a fault shows here, and not in the scoring rerun."""

INSTALL = """\
import os
import subprocess
import sys
import time
from pathlib import Path

STARTED = time.monotonic()
HOURS = 8.5  # Kaggle ends a notebook after 9
FAST = False  # True: larger batches, by which a mask differs where the ensemble is within 1 of 255 of its level
INPUT = Path(os.environ.get("CASEFOLD_INPUT", "/kaggle/input"))
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"


def find(pattern):  # not always as many folders down
    found = [path for depth in ("", "*/", "*/*/") for path in INPUT.glob(depth + pattern)]
    if len(found) != 1:
        raise FileNotFoundError(f"wanted one {pattern} below {INPUT}, but found {found}; add or remove an input")
    return found[0]


BUNDLE = find("*/checksums.txt").parent
WHEELS = BUNDLE / "wheels"
install = "install --quiet --no-index --no-deps --find-links".split()
subprocess.run(
    [sys.executable, "-m", "pip", *install, WHEELS, "--requirement", WHEELS / "requirements.txt"], check=True
)"""

OPEN = """\
import logging

from casefold.rerun.opened import open_bundle

logging.basicConfig(level=logging.INFO, format="%(message)s")
bundle = open_bundle(BUNDLE)  # compares every file with checksums.txt
DATA = find(bundle.dataset.root)
print(bundle.recipe.rung(0).words())"""

RUN = """\
from casefold.rerun.notebook import run_notebook

deadline_s = HOURS * 3600 - (time.monotonic() - STARTED)
report = run_notebook(bundle, DATA, Path("submission.csv"), deadline_s, fast=FAST)
print(report.words())"""

HEAD = """\
import pandas as pd

print(pd.read_csv("submission.csv", nrows=12).to_string())"""

PICTURES = """\
if not report.rerun:
    import matplotlib.pyplot as plt

    from casefold.bundle.pictures import draw_submission

    for path in draw_submission(bundle.dataset, DATA, Path("submission.csv"), Path("pictures"), count=3):
        plt.figure(figsize=(12, 8))
        plt.imshow(plt.imread(path))
        plt.axis("off")
        plt.show()"""

END = """\
report.raise_for_failures()  # in the public run alone; the submission is written"""

CELLS = (
    ("markdown", TITLE),
    ("code", INSTALL),
    ("code", OPEN),
    ("code", RUN),
    ("code", HEAD),
    ("code", PICTURES),
    ("code", END),
)


def notebook() -> str:
    """The notebook as a file's text, without outputs."""
    content = {
        "cells": [_cell(kind, source) for kind, source in CELLS],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    return json.dumps(content, indent=1) + "\n"


def _cell(kind: str, source: str) -> dict[str, Any]:
    outputs: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, **outputs, "source": source.splitlines(keepends=True)}


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), notebook())
