"""What a report keeps of one scan: small arrays that add up or are joined over scans, in a file each."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.analysis.agreement import MOST, shared_voxels
from casefold.analysis.curves import above_levels, q_histogram, sweep_stats
from casefold.analysis.edges import slice_rows
from casefold.analysis.ledger import scan_states
from casefold.analysis.measure import Measure, cut
from casefold.analysis.outliers import outlier
from casefold.analysis.suspects import doubts
from casefold.analysis.volumes import volume_rows
from casefold.analysis.voxels import ClassVoxels
from casefold.check.along_z import motion
from casefold.check.overview import overview
from casefold.config.ensembles import Gate
from casefold.core import HALF, DataError, Prediction, Scan
from casefold.ensemble import gate_signal
from casefold.files import atomic
from casefold.metrics import Mask
from casefold.oof import read_prediction
from casefold.pipeline.report_masks import Maker, rungs_of
from casefold.recipe import Rung
from casefold.store import Store
from casefold.tune.objective import STATS

LAYOUT = 1  # of the files; another one makes them anew
EDGES = ["class", "z", "distance", "dice", "truth_voxels", "found_voxels", "contrast"]
VOLUMES = ["truth_voxels", "found_voxels", "truth_mm3", "found_mm3"]
SIDES = ("truth", "found")
Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """One scan to look at, and where its record goes.

    store: its folder. files: each member's prediction. rung: of its case, tuned without it. gate: the ensemble's,
    whether the rung uses it or not. The rest as `rungs_of`. What a process reads that has one imports no trainer.
    """

    store: Path
    scan: str
    files: tuple[tuple[str, Path], ...]
    rung: Rung
    segmenters: tuple[str, ...]
    readers: tuple[str, ...]
    others: Mapping[str, Rung]
    gate: Gate | None
    path: Path

    def read(self) -> tuple[Scan, dict[str, Prediction]]:
        """The labelled scan, and each member's prediction of it."""
        return Store(self.store).scan(self.scan), {name: read_prediction(path) for name, path in self.files}

    @property
    def rungs(self) -> list[Rung]:
        """Its own, and the others'."""
        return [self.rung, *self.others.values()]


@dataclass(frozen=True)
class Record:
    """One scan. Classes in these arrays are numbers.

    stats: (way, class, STATS), NaN for a way that can't be. shared: voxels that two ways share, (class, way, way), of
    the first MOST. states: the ledger's, (2, 1 + repairs, class, STATS). sweep: (class, 256, STATS). histogram: (class,
    2, 256). there, found: bool (class, z). signal: the gate's, (class, z), or (class, 0). doubts: (class, z, DOUBTS).
    edges: rows of EDGES. outliers: rows of class, side (of SIDES), z, y, x, voxels, normalised. volumes: (class,
    VOLUMES). grid: shape and spacing in mm, (6,), NaN where unknown. motion: of one, whether `check` would warn of it.
    """

    stats: Array
    shared: Array
    states: Array
    sweep: Array
    histogram: Array
    there: Array
    found: Array
    signal: Array
    doubts: Array
    edges: Array
    outliers: Array
    volumes: Array
    grid: Array
    motion: Array


def examine(task: Task) -> None:
    """Look at one scan and write its record."""
    scan, predictions = task.read()
    gate, shape, spacing = task.gate, scan.grid.shape, scan.grid.spacing_mm
    signal = np.zeros((len(scan.classes), 0), np.int64)
    if gate is not None:
        signal = gate_signal(predictions, gate.members, gate.source, gate.along_z, scan.classes)
    make = Maker(scan, predictions, task.rungs)
    del predictions
    masks, stats, shared = _ways(task, make, Measure(make.truth, shape, spacing))
    found = make.scored(masks)
    passed, ungated = None, None
    if task.rung.gate is not None:
        levels = [task.rung.gate.levels[name] for name in scan.classes]
        passed = signal >= np.array(levels)[:, None]
        ungated = make.scored(make.masks(replace(task.rung, gate=None)))
    held = [own if scan.ignore is None else _counted(own, scan.ignore) for own in make.voxels]
    mixed = [replace(own, q=make.q(c, task.rung)[None]) for c, own in enumerate(make.voxels)]
    if scan.ignore is not None:
        mixed = [_counted(own, scan.ignore) for own in mixed]
    above = above_levels(mixed, 0)
    write_record(
        Record(
            stats=stats,
            shared=shared,
            states=scan_states(make.truth, found, ungated, shape, spacing),
            sweep=sweep_stats(above, passed),
            histogram=q_histogram(above),
            there=np.asarray(make.truth.any(axis=(2, 3))),
            found=np.asarray(found.any(axis=(2, 3))),
            signal=signal,
            doubts=doubts(held, [make.names.index(name) for name in task.segmenters]),
            edges=_edges(scan, make, found),
            outliers=_outliers(scan, make, found),
            volumes=volume_rows("", "", scan.classes, make.truth, found, spacing)[VOLUMES].to_numpy(np.float64),
            grid=np.array([*shape, *(spacing or (np.nan,) * 3)], np.float64),
            motion=np.array([moved(scan)]),
        ),
        task.path,
    )


def member_stats(root: Path, file: tuple[str, Path]) -> Array:
    """Statistics (class, STATS) of a member's masks at level 128. root: of the store. file: a scan's name, its OOF."""
    scan, maps = Store(root).scan(file[0]), read_prediction(file[1]).maps
    if maps is None:
        raise DataError(f"{file[1]} has no maps; only members that segment can be compared")
    truth, found = scan.class_masks(), maps >= HALF
    if scan.ignore is not None:
        truth, found = truth & ~scan.ignore, found & ~scan.ignore
    _, (truth, found) = cut(truth, found)
    return Measure(truth, scan.grid.shape, scan.grid.spacing_mm)(found)


def _ways(task: Task, make: Maker, measure: Measure) -> tuple[Mask, Array, Array]:
    """The ensemble's masks, and of all ways the statistics and the voxels that they share, where anything is said."""
    masks = make.masks(task.rung)
    rungs = rungs_of(task.rung, task.segmenters, task.readers, task.others)
    stats = np.full((len(rungs), len(masks), len(STATS)), np.nan)
    bits: list[list[Array]] = [[] for _ in masks]
    for place, rung in enumerate(rungs.values()):
        own = masks if rung == task.rung else np.zeros_like(masks) if rung is None else make.masks(rung)
        if rung is not None:
            stats[place] = measure(make.scored(own))
        if place < MOST:
            for of_class, one, at in zip(bits, own, make.place, strict=True):
                of_class.append(one.reshape(-1)[at])
    return masks, stats, np.stack([shared_voxels(of_class) for of_class in bits])


def write_record(record: Record, path: Path) -> None:
    """Write a record, atomically."""
    with atomic(path) as stream:
        np.savez_compressed(stream, **{one.name: getattr(record, one.name) for one in fields(record)})


def read_record_of(path: Path) -> Record:
    """Read it back; raises DataError where it is damaged."""
    try:
        with np.load(path) as content:
            return Record(**{one.name: content[one.name] for one in fields(Record)})
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as e:
        raise DataError(f"{path} can't be read ({e}); remove it, and `report` makes it again") from e


def moved(scan: Scan) -> bool:
    """Whether `check` would find motion in it."""
    seen = overview(scan)
    return not seen.constant.all() and bool(motion(scan, seen, ~seen.constant))


def _counted(own: ClassVoxels, ignore: Mask) -> ClassVoxels:
    """The voxels that count."""
    keep = ~ignore.reshape(-1)[own.index]
    before = np.concatenate([[0], np.cumsum(keep)])
    gone = [np.count_nonzero(plane) for plane in ignore]
    return ClassVoxels(own.index[keep], before[own.edges], own.q[:, keep], own.truth[keep], own.counted - gone)


def _edges(scan: Scan, make: Maker, found: Mask) -> Array:
    spread = [float(own["std"]) for own in scan.statistics] or [np.nan] * len(scan.image)
    image = scan.image[:, *make.box]
    rows = slice_rows(scan.name, scan.classes, make.truth, found, image, spread)
    number = {name: c for c, name in enumerate(scan.classes)}
    return rows.assign(**{"class": rows["class"].map(number)})[EDGES].to_numpy(np.float64)


def _outliers(scan: Scan, make: Maker, found: Mask) -> Array:
    rows = []
    for c, (one, other) in enumerate(zip(make.truth, found, strict=True)):
        far = outlier(one, other, scan.grid.shape, scan.grid.spacing_mm)
        if far is not None:
            place = np.full(3, np.nan)
            if far.place is not None:
                place = np.add(far.place, [side.start for side in make.box])
            rows.append([c, SIDES.index(far.side), *place, far.voxels, far.normalised])
    return pd.DataFrame(rows, columns=range(7)).to_numpy(np.float64)
