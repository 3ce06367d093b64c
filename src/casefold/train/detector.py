"""One run of a detector: pictures written, ultralytics' trainer, a box of every scan, and how good they are."""

import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import yaml

from casefold.config.detectors import Detect
from casefold.config.load import dump, save
from casefold.core import CasefoldError, ConfigError
from casefold.detect import CONFIG, WEIGHTS, load_detector, scan_box, slice_boxes
from casefold.detect.pictures import kinds, pictures, true_boxes
from casefold.detect.scoring import LEAST, Tally
from casefold.detect.yolo import train_yolo, version
from casefold.files import hash_file, hash_value, read_record, write_json, write_text, writing
from casefold.folds import FoldTable
from casefold.models.precision import pick_device
from casefold.models.weights import WeightsInfo, read_info, save_weights
from casefold.oof import refuse_seen
from casefold.store import Store
from casefold.train.log import write_rows
from casefold.train.machine import cpu_seconds, peak_megabytes, surroundings
from casefold.train.run import is_done
from casefold.train.stop import Stop, StoppedError, noting_signals
from casefold.views import BOXES, Box, write_boxes

logger = logging.getLogger(__name__)
WORK = "yolo"  # what ultralytics reads and writes; it goes when the run is done


@dataclass(frozen=True)
class DetectJob:
    """What one run of a detector needs. fold: a number, or `full` for every labelled case but the test's."""

    config: Detect
    table: FoldTable
    fold: str
    store: Path
    run: Path
    device: str = "auto"
    data: Path = Path("data")
    workers: int = 0

    @property
    def title(self) -> str:
        """How progress lines call it."""
        return f"{self.config.kind}/{self.config.name} {self.fold}"

    def inputs(self, store: Store) -> dict[str, Any]:
        """What the result depends on; device and workers stay outside."""
        inputs = {"config": dump(self.config), "fold": self.fold, "folds": self.table.hash, "data": store.data_hash}
        first = self.pretrained()
        return inputs if first is None else inputs | {"initial": hash_file(first)}

    def pretrained(self) -> Path | None:
        """The file behind `model.pretrained`; raises ConfigError where it is missing."""
        name = self.config.model.pretrained
        if name is not None and not (self.data / name).is_file():
            raise ConfigError(f"model.pretrained: there is no {self.data / name}; nothing is downloaded")
        return None if name is None else self.data / name


def train_detector(job: DetectJob) -> dict[str, Any]:
    """Train a detector to its end, going on after the last whole epoch; gives its manifest.

    The run's folder gets weights that say what they have seen, and the box of every scan of the store, which is what
    `detect_box` gives for it. Raises StoppedError after SIGTERM: the epochs done stand.
    """
    store = Store(job.store)
    if is_done(job, store):
        read_info(job.run / WEIGHTS)
        if not (job.run / BOXES).is_file():
            _write_boxes(job, store, [])
        return dict(read_record(job.run / "manifest.json"))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            f"{job.title}: a detector trains in one process; call once without torchrun, with --member "
            f"{job.config.name}, then again as before"
        )
    names, held = (job.table.learnable(store), []) if job.fold == "full" else job.table.split(store, int(job.fold))
    info = _info(job, store, names)
    for name in held:
        refuse_seen(info, store, name, job.table.kind)
    save(job.config, job.run / CONFIG)
    inputs, began, cpu_before = job.inputs(store), time.perf_counter(), cpu_seconds()
    manifest = {"state": "running", "inputs": inputs, "seed": job.config.train.seed, **surroundings()}
    write_json(job.run / "manifest.json", manifest | {"ultralytics": version()})
    work = job.run / WORK
    listing = write_pictures(job.config, store, names, work)
    log = _Log(job)
    with noting_signals() as stop:
        weights = train_yolo(
            job.config, listing, work, job.pretrained(), pick_device(job.device), job.workers,
            lambda: _end_if_told(stop, job.title), log.note,
        )  # fmt: skip
    save_weights(weights, info, job.run / WEIGHTS)
    score = _write_boxes(job, store, held)
    log.add(score)
    manifest |= {
        "state": "done",
        "ultralytics": version(),
        "parameters": sum(value.numel() for value in weights.values()),
        "seen_cases": list(info.seen_cases),
        "cpu_s": round(cpu_seconds() - cpu_before, 1),
        "wall_s": round(time.perf_counter() - began, 1),
        "peak_mb": round(peak_megabytes()),
        "score": score,
        "weights_hash": hash_file(job.run / WEIGHTS),
        "pid": os.getpid(),
    }
    write_json(job.run / "manifest.json", manifest)
    shutil.rmtree(work)
    return manifest


def write_pictures(config: Detect, store: Store, names: Sequence[str], work: Path) -> Path:
    """Write the pictures of scans and the boxes on them as ultralytics reads them; gives the YAML that lists them.

    Those of a stopped run are taken as they are. Raises CasefoldError where there is no box on any.
    """
    listing = work / "pictures.yaml"
    if listing.is_file():
        return listing
    images, labels = work / "images", work / "labels"
    with writing(work):
        for folder in (images, labels):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
    boxes = 0
    for name in names:
        scan = store.scan(name)
        true = true_boxes(scan, config)
        empty = [place for place, (there, _) in enumerate(true) if not len(there)]
        shown = set(evenly(empty, config.data.empty_share))
        for place, (picture, (there, kind)) in enumerate(zip(pictures(scan, config.data), true, strict=True)):
            if not len(there) and place not in shown:
                continue
            height, width = picture.shape[:2]
            lines = [
                f"{k} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} "
                f"{(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
                for k, (x0, y0, x1, y1) in zip(kind, there, strict=True)
            ]
            boxes += len(lines)
            stem = f"{name}_{place:05d}"
            with writing(images / f"{stem}.png"):
                cv2.imwrite(str(images / f"{stem}.png"), picture[..., ::-1])  # OpenCV writes blue first
                (labels / f"{stem}.txt").write_text("".join(lines))
    if not boxes:
        raise CasefoldError(f"{config.name}: no box is to be found on any of the {len(names)} scans to train on")
    told = {"path": str(work.resolve()), "train": "images", "val": "images"}  # it wants both, and reads the first
    write_text(
        listing, yaml.safe_dump(told | {"names": dict(enumerate(kinds(config, store.classes)))}, sort_keys=False)
    )
    return listing


def evenly(places: Sequence[int], share: float) -> list[int]:
    """A share of places, evenly spread, to the nearest whole number of them."""
    count = round(share * len(places))
    return [places[(2 * number + 1) * len(places) // (2 * count)] for number in range(count)]


def _info(job: DetectJob, store: Store, names: Sequence[str]) -> WeightsInfo:
    if not names:
        raise CasefoldError(f"{job.title}: no scan is left to train on")
    seen = job.config.model.seen
    by_scan = job.table.kind == "time"
    return WeightsInfo(
        member=job.config.name,
        fold=job.fold,
        config_hash=hash_value(dump(job.config)),
        modalities=len(store.scan(names[0]).image),
        classes=store.classes,
        seen_cases=tuple(dict.fromkeys([*(store.case_of[name] for name in names), *seen])),
        seen_scans=tuple(names) if by_scan else (),
    )


def _write_boxes(job: DetectJob, store: Store, held: Sequence[str]) -> dict[str, float]:
    """The box of every scan; gives the scores on those held out, and says them."""
    detector = load_detector(job.run, pick_device(job.device))
    boxes: dict[str, Box] = {}
    confidence = job.config.find.confidence
    tally = Tally(confidence)
    for name in store.case_of:
        scan = store.scan(name)
        found = slice_boxes(detector, scan, min(LEAST, confidence) if name in held else None)
        sure = [one[one[:, 4] > confidence] for one in found]  # as found alone: a weaker box drives out no stronger one
        boxes[name] = scan_box(sure, scan.grid.shape, job.config)
        if name in held:
            tally.add(scan, found, true_boxes(scan, job.config), boxes[name])
    write_boxes(job.run, boxes)
    if not held:
        return {}
    score = tally.row()
    logger.info(
        "%s: on %d held-out scans mAP50 %.3f, box recall %.3f; its crop keeps %.0f %% of a slice and cuts off "
        "%.3f %% of the mask voxels",
        job.title, len(held), score["valid_map50"], score["valid_box_recall"], 100 * score["valid_kept_area"],
        100 * score["valid_cut_off"],
    )  # fmt: skip
    return score


def _end_if_told(stop: Stop, title: str) -> None:
    if stop:
        logger.info("%s: told to stop; the epochs done stand, and the same command goes on from them", title)
        raise StoppedError(stop.exit_code)


class _Log:
    """`log.csv` and `timing.csv`, a row an epoch, written whole each time; those of a stopped run come first."""

    def __init__(self, job: DetectJob) -> None:
        self.job = job
        self.rows, self.times = (_earlier(job.run / name) for name in ("log.csv", "timing.csv"))
        self.wall, self.cpu = time.perf_counter(), cpu_seconds()

    def note(self, row: dict[str, float]) -> None:
        """An epoch's end."""
        epoch = int(row["epoch"])
        self.rows = [*(old for old in self.rows if old["epoch"] < epoch), row]
        now = {"epoch": epoch, "wall_s": time.perf_counter() - self.wall, "cpu_s": cpu_seconds() - self.cpu}
        self.times = [*(old for old in self.times if old["epoch"] < epoch), now]
        self.wall, self.cpu = time.perf_counter(), cpu_seconds()
        self._write()
        logger.info("%s  %s", self.job.title, "  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    def add(self, score: dict[str, float]) -> None:
        """The scores, to the last epoch's row."""
        *before, last = self.rows or [{"epoch": self.job.config.train.epochs}]  # none: ended just before the row
        self.rows = [*before, last | score]
        self._write()

    def _write(self) -> None:
        write_rows(self.rows, self.job.run / "log.csv")
        write_rows(self.times, self.job.run / "timing.csv")


def _earlier(path: Path) -> list[dict[str, Any]]:
    if not path.is_file() or not path.stat().st_size:
        return []
    return [{str(name): value for name, value in row.items()} for row in pd.read_csv(path).to_dict("records")]
