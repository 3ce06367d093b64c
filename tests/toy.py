"""A tiny data set in the UW-Madison layout: 6 cases, 8 scans, two discs that overlap; small enough for any test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

CLASSES = ("left", "right")


@dataclass(frozen=True)
class ToyScan:
    """One scan to be written: slices, width and height (not equal, so that a swap shows), the first intensity step."""

    name: str
    slices: int = 8
    width: int = 36
    height: int = 28
    scale: int = 1
    labelled: bool = True

    @property
    def case(self) -> str:
        return self.name.partition("_")[0]


SCANS = (
    ToyScan("case2_day0"),
    ToyScan("case7_day1", scale=20),
    ToyScan("case7_day13", scale=20),
    ToyScan("case10_day3", slices=6),
    ToyScan("case11_day2"),
    ToyScan("case20_day0", scale=5),
    ToyScan("case20_day5", scale=5),
    ToyScan("case31_day4", width=30, height=32),
)
UNLABELLED = (ToyScan("case2_day9", labelled=False), ToyScan("case40_day1", slices=6, labelled=False))


def draw(scan: ToyScan) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Image uint16 (z, y, x) and masks bool (class, z, y, x), the same for the same name.

    `left` is on slices 1..3 and `right` on 3..4, so both are on slice 3, where they overlap; the others are empty.
    """
    random = np.random.default_rng([ord(letter) for letter in scan.name])
    image = random.integers(90, 111, (scan.slices, scan.height, scan.width))
    y, x = np.mgrid[: scan.height, : scan.width]
    masks = np.zeros((2, *image.shape), bool)
    middle = random.integers(11, 16)
    masks[0, 1:4] = (y - middle) ** 2 + (x - 11) ** 2 <= 36
    masks[1, 3:5] = (y - middle) ** 2 + (x - 19) ** 2 <= 25
    image = image + 200 * masks[0] + 400 * masks[1]
    return (image * scan.scale).astype(np.uint16), masks


def write_scan(base: Path, scan: ToyScan) -> Path:
    """Write a scan's slices below `base` (`.../train`, or a folder of new scans); gives its folder of slices."""
    folder = base / scan.case / scan.name / "scans"
    folder.mkdir(parents=True, exist_ok=True)
    for z, plane in enumerate(draw(scan)[0], start=1):
        cv2.imwrite(str(folder / f"slice_{z:04d}_{scan.width}_{scan.height}_1.50_1.25.png"), plane)
    return folder


def label_rows(scan: ToyScan) -> list[str]:
    """The lines of `train.csv` for a scan, class by class on each slice."""
    masks = draw(scan)[1]
    return [
        f"{scan.name}_slice_{z + 1:04d},{label},{row_major_rle(masks[index, z])}"
        for z in range(scan.slices)
        for index, label in enumerate(CLASSES)
    ]


def row_major_rle(mask: NDArray[np.bool_]) -> str:
    """The plainest RLE, a run of one for each pixel joined where they touch; 1-based, row after row."""
    runs: list[list[int]] = []
    for place in np.flatnonzero(mask).tolist():
        if runs and sum(runs[-1]) == place + 1:
            runs[-1][1] += 1
        else:
            runs.append([place + 1, 1])
    return " ".join(f"{start} {length}" for start, length in runs)


def write_raw(root: Path, scans: Sequence[ToyScan] = SCANS) -> Path:
    """Write a whole raw folder, `train/` and `train.csv`; unlabelled scans have images but no rows."""
    for scan in scans:
        write_scan(root / "train", scan)
    rows = [row for scan in scans if scan.labelled for row in label_rows(scan)]
    (root / "train.csv").write_text("\n".join(["id,class,segmentation", *rows]) + "\n")
    return root


def content(**changes: Any) -> dict[str, Any]:
    """The data set's config as YAML would give it."""
    folds = {"kind": "case", "count": 3}
    return {"reader": "uwmgi", "root": "toy", "classes": list(CLASSES), "folds": folds, **changes}


def write_config(configs: Path, **changes: Any) -> Path:
    """Write `configs/datasets/toy.yaml`."""
    path = configs / "datasets" / "toy.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content(**changes)))
    return path
