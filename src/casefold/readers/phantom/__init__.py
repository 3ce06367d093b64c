"""The embedded data set: drawn from a seed, written once in the UW-Madison layout, read from there like any other.

Cases are 3, 10, 17 ...; their days 1, 13 and 20, as many as each has. `train`, `train.csv` and
`sample_submission.csv` lie as in the competition; the test part holds unseen cases and a later day of known ones, and
its truth is kept aside in `hidden/solution.csv`. The last day of the second case has another place's masks: drop it.
"""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from casefold import rle
from casefold.config.datasets import PhantomDataset
from casefold.core import ConfigError, DataError, Scan, StaleError
from casefold.files import hash_value, read_record, write_json, writing
from casefold.readers import Part, RawScan, Report, refuse, uwmgi
from casefold.readers.phantom.anatomy import CLASSES, WIDTH_MM, draw

log = logging.getLogger(__name__)
DAYS = (1, 13, 20)
LATER_DAY = 27
SCALES = (600.0, 12000.0)
MARK = "phantom.json"
DRAWING = 1


class Labels(NamedTuple):
    """One row of train.csv or of the truth kept aside."""

    id: str
    label: str
    text: str


@dataclass(frozen=True)
class Plan:
    """One scan to draw: the case's place in the list decides its size, the scan's its slices and scale."""

    index: int
    day: int
    order: int
    part: Part

    @property
    def case(self) -> int:
        """The case's number."""
        return 3 + 7 * self.index

    @property
    def name(self) -> str:
        """The scan's name."""
        return f"case{self.case}_day{self.day}"


def find(
    config: PhantomDataset, root: Path, part: Part, folder: Path | None = None, report: Report = refuse
) -> list[RawScan]:
    """As the uwmgi reader, after drawing what is not there yet."""
    generate(config, root)
    return uwmgi.find(config, root, part, folder, report)


def dropped(config: PhantomDataset, root: Path) -> dict[str, int]:
    """As the uwmgi reader, after drawing what is not there yet."""
    generate(config, root)
    return uwmgi.dropped(config, root)


def load(config: PhantomDataset, raw: RawScan, report: Report = refuse) -> Scan:
    """As the uwmgi reader."""
    return uwmgi.load(config, raw, report)


def stored_bytes(config: PhantomDataset, raw: RawScan) -> int:
    """As the uwmgi reader."""
    return uwmgi.stored_bytes(config, raw)


def generate(config: PhantomDataset, root: Path) -> None:
    """Draw the data set into `root`; one that is there already is left alone.

    Raises StaleError where `root` holds something else, ConfigError for other classes than the phantom has.
    """
    drawn = config.model_dump(mode="json", include={"seed", "cases", "test_cases", "slices", "sizes", "classes"})
    mark = {"drawn": hash_value([DRAWING, drawn])}
    if root.exists():
        if not (root / MARK).is_file() or read_record(root / MARK) != mark:
            raise StaleError(
                f"{root} holds something else than the phantom of this config; remove it, or change `root`"
            )
        return
    if set(config.classes) != set(CLASSES):
        raise ConfigError(f"the phantom has the classes {list(CLASSES)}, not {list(config.classes)}")
    plans = list(_plans(config))
    log.info("drawing the phantom: %d scans into %s", len(plans), root)
    unfinished = root.with_name(f".{root.name}.part")
    with writing(root):
        shutil.rmtree(unfinished, ignore_errors=True)
        rows: dict[Part, list[Labels]] = {"train": [], "test": []}
        for plan in plans:
            rows[plan.part] += _draw(config, plan, unfinished)
        _table(rows["train"], "segmentation").to_csv(unfinished / "train.csv", index=False)
        truth = _table(rows["test"], "segmentation")
        (unfinished / "hidden").mkdir()
        truth.to_csv(unfinished / "hidden" / "solution.csv", index=False)
        sample = truth.assign(predicted="").drop(columns="segmentation").sort_values(["id", "class"])
        sample.to_csv(unfinished / "sample_submission.csv", index=False)
        write_json(unfinished / MARK, mark)
        unfinished.rename(root)


def _plans(config: PhantomDataset) -> Iterator[Plan]:
    order = 0
    for index in range(config.cases + config.test_cases):
        for day in DAYS[: 1 + index % 2 + (index % 5 == 4)]:
            yield Plan(index, day, order, "train" if index < config.cases else "test")
            order += 1
    for index in range(0, config.cases, 4):
        yield Plan(index, LATER_DAY, order, "test")
        order += 1


def _draw(config: PhantomDataset, plan: Plan, root: Path) -> list[Labels]:
    """Write the slices of one scan; gives its label rows."""
    width, height = config.sizes[plan.index % len(config.sizes)]
    depth = config.slices[plan.order % 4 == 3]
    pixel_mm = WIDTH_MM / min(width, height)
    drawing = draw(
        config.seed,
        plan.case,
        plan.day,
        (depth, height, width),
        pixel_mm=pixel_mm,
        span=max(config.slices),
        scale=SCALES[plan.order % 2],
        cut=plan.order % 3 == 0,
    )
    labels = drawing.labels
    if plan.index == 1 and plan.day == DAYS[1]:
        labels = np.roll(labels[:, ::-1], width // 3, axis=3)
    folder = root / plan.part / f"case{plan.case}" / plan.name / "scans"
    folder.mkdir(parents=True)
    rows = []
    for z, image in enumerate(drawing.image):
        name = f"slice_{z + 1:04d}"
        path = folder / f"{name}_{width}_{height}_{pixel_mm:.2f}_{pixel_mm:.2f}.png"
        if not cv2.imwrite(str(path), image):
            raise DataError(f"{path} can't be written; is the disk full?")
        for label, mask in zip(CLASSES, labels[:, z], strict=True):
            rows.append(Labels(f"{plan.name}_{name}", label, rle.encode(mask)))
    return rows


def _table(rows: list[Labels], column: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "class", column])
