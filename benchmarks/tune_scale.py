"""What tune costs at UW-Madison's size: CPU-seconds, anonymous memory and disk by the number of scans.

python benchmarks/tune_scale.py [--scans 17 34 68] [--work DIR]; the files go to a temporary folder and are removed.

274 scans of 85 cases with UW-Madison's geometry; six segmenters and a classifier as gate, all made up: organs on 40 to
50 % of the slices; a member is the truth with its border moved by smooth random fields (partly the same for all
members), blurred, with organs that begin or end slices off, slices missed, and things seen where nothing is. The
smaller sizes are the first scans of the whole. Raw names, store, fold table, weights and OOF are written as prepare and
train would, so that the whole of `tune_step` runs, on two processes of one thread each.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from scipy.special import expit

from casefold.config.load import load_dataset, read_yaml
from casefold.config.paths import Paths
from casefold.config.postprocess import SmallComponents
from casefold.core import Prediction, pack_masks
from casefold.files import hash_file, hash_value, write_json, write_text
from casefold.models.weights import WeightsInfo, save_weights
from casefold.oof import write_prediction
from casefold.pipeline import tuning
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.training import plan
from casefold.postprocess import apply
from casefold.prepare import prepare
from casefold.readers.table import find
from casefold.store import LAYOUT
from casefold.train.loop import Habits

NAME = "sim"
CLASSES = ("large_bowel", "small_bowel", "stomach")
SHAPES = {(144, 266, 266): 180, (144, 310, 360): 78, (80, 276, 276): 15, (144, 234, 234): 1}  # z, y, x: how many
CASES, FOLDS, PROCESSES = 85, 5, 2
SEGMENTERS = {
    "m0": (2.0, -0.4),
    "m1": (2.2, 0.3),
    "m2": (2.4, 0.0),
    "m3": (2.6, 0.6),
    "m4": (3.0, -0.8),
    "m5": (3.4, 0.5),
}
GATE = "gate"  # a segmenter's border is off by so many pixels (standard deviation), and always by so many outwards
RADII = {"large_bowel": (58, 66), "small_bowel": (46, 56), "stomach": (24, 31)}  # pixels along y and x
SHARED = 0.8  # of a border's displacement, the part that all members have
MARGIN = 14  # pixels round an organ in which a member says more than nothing
MINUTE, GIB = 60, 2**30
Box = tuple[slice, slice, slice]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Planned:
    """One scan to be made up: its number, which seeds it, its case's number, and its shape (z, y, x)."""

    number: int
    case: int
    shape: tuple[int, int, int]

    @property
    def case_name(self) -> str:
        return f"case{self.case}"

    @property
    def name(self) -> str:
        return f"{self.case_name}_day{self.number}"


def planned() -> list[Planned]:
    """The whole training set, in an order in which each shape comes evenly."""
    shapes = [shape for shape, count in SHAPES.items() for _ in range(count)]
    order = np.argsort(np.argsort(np.arange(len(shapes)) * (5**0.5 - 1) / 2 % 1))
    return [Planned(n, 1 + n * CASES // len(shapes), shapes[at]) for n, at in enumerate(order)]


def smooth(random: np.random.Generator, shape: Sequence[int], cell: Sequence[int]) -> Floats:
    """A random field, about standard normal, that changes over `cell` voxels."""
    coarse = [length // size + 3 for length, size in zip(shape, cell, strict=True)]
    drawn = torch.from_numpy(random.standard_normal(coarse, np.float32))[None, None]
    grown = torch.nn.functional.interpolate(drawn, tuple(shape), mode="trilinear", align_corners=True)[0, 0]
    return np.asarray(grown.numpy() * 1.7)


def organ(random: np.random.Generator, name: str, shape: Sequence[int]) -> tuple[Box, NDArray[np.bool_]]:
    """A mask on one run of slices, and the box that it is cut out of; bowels are winding, the stomach is one piece."""
    depth = int(random.uniform(0.40, 0.50) * shape[0])
    first = int(random.uniform(0.12, 0.35) * shape[0])
    radii = [size * random.uniform(0.85, 1.15) for size in RADII[name]]
    middle = [length * random.uniform(0.44, 0.56) for length in shape[1:]]
    sides = [slice(max(int(at - 1.3 * size), 0), int(at + 1.3 * size)) for at, size in zip(middle, radii, strict=True)]
    box = slice(first, first + depth), sides[0], sides[1]
    z, y, x = np.ogrid[box]
    reach = ((z - first - depth / 2) / (0.55 * depth)) ** 2
    reach = reach + ((y - middle[0]) / radii[0]) ** 2 + ((x - middle[1]) / radii[1]) ** 2
    inside = reach < 1 + 0.3 * smooth(random, reach.shape, (10, 24, 24))
    if name != "stomach":
        inside &= smooth(random, reach.shape, (7, 15, 15)) > 0.35
    return box, apply(inside[None], [SmallComponents(min_voxels=400)], (name,))[0]


def to_border(mask: NDArray[np.bool_]) -> Floats:
    """How far a voxel lies inside the mask's border in its slice, in pixels; below 0 outside."""
    planes = mask.astype(np.uint8)
    far = [
        cv2.distanceTransform(plane, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - plane, cv2.DIST_L2, 3)
        for plane in planes
    ]
    return np.asarray(np.clip(np.stack(far), -2.0 * MARGIN, 2.0 * MARGIN), np.float32)


def said(random: np.random.Generator, member: str, border: Floats, common: Floats, hard: float) -> NDArray[np.uint8]:
    """A member's q of an organ, from the distances to the true border and the displacement common to all members."""
    spread, outwards = SEGMENTERS[member]
    at = np.arange(len(border))
    shown = np.flatnonzero(border.max((1, 2)) > 0)
    off = np.rint(random.normal(0, 1.2 * hard, 2)).astype(int)
    seen = (at >= shown[0] - off[0]) & (at <= shown[-1] + off[1])
    border = border[np.clip(at, shown[0], shown[-1])]
    border = border - 0.8 * np.maximum(np.maximum(shown[0] - at, at - shown[-1]), 0)[:, None, None]
    if random.random() < 0.25:
        missed = random.integers(shown[0], shown[-1] + 1)
        border[missed : missed + random.integers(1, 6)] -= 6
    moved = SHARED * common + (1 - SHARED**2) ** 0.5 * smooth(random, border.shape, (3, 12, 12))
    found = np.rint(255 * expit((border + outwards + spread * hard * moved) / 1.5))
    found[~seen] = 0
    return np.asarray(np.maximum(found, np.clip(np.rint(1.2 * moved), 0, 3)), np.uint8)


def stray(random: np.random.Generator, shape: Sequence[int]) -> tuple[Box, Floats]:
    """A thing seen where nothing is: its box, and q there."""
    size = np.array([random.integers(1, 4), *random.integers(3, 10, 2)])
    middle = random.uniform([0.1 * n for n in shape], [0.9 * n for n in shape]).astype(int)
    at = [slice(max(int(m - s), 0), min(int(m + s + 1), n)) for m, s, n in zip(middle, size, shape, strict=True)]
    box = at[0], at[1], at[2]
    parts = [((line - m) / (s + 1)) ** 2 for line, m, s in zip(np.ogrid[box], middle, size, strict=True)]
    return box, np.asarray(255 * random.uniform(0.2, 1.0) * np.clip(1 - sum(parts), 0, 1), np.float32)


def simulate(scan: Planned) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.uint8]], NDArray[np.uint8]]:
    """Truth (class, z, y, x), each segmenter's maps, and the gate's presence (class, z)."""
    random = np.random.default_rng(scan.number)
    hard = float(np.exp(np.random.default_rng([7, scan.case]).normal(0, 0.3)))
    truth = np.zeros((len(CLASSES), *scan.shape), np.bool_)
    maps = {name: np.zeros(truth.shape, np.uint8) for name in SEGMENTERS}
    presence = np.zeros(truth.shape[:2], np.uint8)
    for c, name in enumerate(CLASSES):
        box, mask = organ(random, name, scan.shape)
        truth[c][box] = mask
        wide = [slice(max(s.start - pad, 0), s.stop + pad) for s, pad in zip(box, (4, MARGIN, MARGIN), strict=True)]
        around = wide[0], wide[1], wide[2]
        border = to_border(truth[c][around])
        common = smooth(random, border.shape, (3, 12, 12))
        strays = [stray(random, scan.shape) for _ in range(random.poisson(1.5 * hard))]
        for member, found in maps.items():
            found[c][around] = said(random, member, border, common, hard)
            own = [one for one in strays if random.random() < 0.7]
            own += [stray(random, scan.shape) for _ in range(random.poisson(0.5 * hard))]
            for where, q in own:
                found[c][where] = np.maximum(found[c][where], np.rint(q).astype(np.uint8))
        shown = np.flatnonzero(truth[c].any((1, 2)))
        inside = np.minimum(np.arange(scan.shape[0]) - shown[0], shown[-1] - np.arange(scan.shape[0])) + 0.5
        presence[c] = np.rint(255 * expit(4 * np.tanh(inside / 2) + random.normal(0, 1.2, scan.shape[0])))
    return truth, maps, presence


def write_scan(scan: Planned, source: dict[str, str], paths: Paths) -> None:
    """One scan's folder in the store, as prepare leaves it (the image is a file of zeros), and its OOF files."""
    truth, maps, presence = simulate(scan)
    folder = paths.store / NAME / "scans" / scan.name
    folder.mkdir(parents=True)
    np.lib.format.open_memmap(folder / "image.npy", "w+", np.uint16, (1, *scan.shape))
    np.save(folder / "masks.npy", pack_masks(truth))
    record = {
        "case": scan.case_name,
        "scan": scan.name,
        "classes": CLASSES,
        "shape": scan.shape,
        "spacing_mm": (3.0, 1.5, 1.5),
        "affine": None,
        "slice_names": [f"{scan.name}_slice_{z:04d}" for z in range(1, scan.shape[0] + 1)],
        "statistics": (),
        "pixels": np.count_nonzero(truth, axis=(2, 3)).tolist(),
        "hashes": {what: hash_value([what, scan.name]) for what in ("image", "masks")},
        "source": source,
    }
    write_json(folder / "scan.json", record)
    fold = scan.case % FOLDS
    for name in (*SEGMENTERS, GATE):
        run = paths.run(NAME, name, str(fold))
        made = Prediction(
            scan.case_name, scan.name, CLASSES, scan.shape, name, str(fold), maps.get(name),
            presence if name == GATE else None, "", hash_file(run / "weights.safetensors"),
        )  # fmt: skip
        write_prediction(made, run / "oof" / f"{scan.name}.npz")


def write_configs(paths: Paths) -> None:
    """A data set, an ensemble with the default search, and members that are never built."""
    own = Path(__file__).resolve().parents[1] / "configs"
    folds = {"kind": "case", "count": FOLDS}
    dataset = {"reader": "uwmgi", "root": NAME, "classes": list(CLASSES), "folds": folds, "spacing_mm": [3.0, 1.5, 1.5]}
    contents: dict[str, dict[str, Any]] = {f"datasets/{NAME}": dataset}
    for name in SEGMENTERS:
        contents[f"seg25d/{name}"] = {**read_yaml(own / "seg25d/upp_b4.yaml"), "name": name}
    contents[f"cls/{GATE}"] = {**read_yaml(own / "cls/b4.yaml"), "name": GATE}
    members = [name for name in contents if not name.startswith("datasets/")]
    tune = {"objective": "uw_score"}
    contents[f"ensembles/{NAME}"] = {
        "name": NAME, "dataset": NAME, "members": members, "gate": {"members": [GATE]}, "tune": tune,
    }  # fmt: skip
    for name, content in contents.items():
        write_text(paths.configs / f"{name}.yaml", yaml.safe_dump(content))


def write_inputs(scans: Sequence[Planned], paths: Paths, processes: int = PROCESSES) -> Project:
    """All that tune reads, of these scans; scans that are there already stay."""
    write_configs(paths)
    lines = ["id,class,segmentation"]
    for scan in scans:
        folder = paths.data / NAME / "train" / scan.case_name / scan.name / "scans"
        slices = [f"slice_{z:04d}" for z in range(1, scan.shape[0] + 1)]
        lines += [f"{scan.name}_{one},{name}," for one in slices for name in CLASSES]
        if not folder.is_dir():
            folder.mkdir(parents=True)
            for one in slices:
                (folder / f"{one}_{scan.shape[2]}_{scan.shape[1]}_1.50_1.50.png").touch()
    write_text(paths.data / NAME / "train.csv", "\n".join(lines) + "\n")
    cases = dict.fromkeys((scan.case_name, scan.case % FOLDS) for scan in scans)
    write_text(
        paths.folds / f"{NAME}.csv", "\n".join(["case,fold", *(f"{case},{fold}" for case, fold in cases)]) + "\n"
    )
    every = dict.fromkeys((scan.case_name, scan.case % FOLDS) for scan in planned())
    for name in (*SEGMENTERS, GATE):
        for fold in range(FOLDS):
            path = paths.run(NAME, name, str(fold)) / "weights.safetensors"
            if not path.is_file():
                seen = tuple(case for case, held in every if held != fold)
                info = WeightsInfo(name, str(fold), "", 1, CLASSES, seen)
                save_weights({"weight": torch.tensor([float(fold)])}, info, path)
    dataset = load_dataset(paths.configs, NAME)
    form = hash_value([LAYOUT, dataset.model_dump(mode="json", exclude=set(dataset.OUTSIDE_STORE))])
    raws = {raw.name: raw for raw in find(dataset, paths.data / NAME, "train")}
    waiting = [scan for scan in scans if not (paths.store / NAME / "scans" / scan.name).is_dir()]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        sources = [{"form": form, "signature": raws[scan.name].signature()} for scan in waiting]
        list(pool.map(partial(write_scan, paths=paths), waiting, sources))
    prepare(dataset, paths.data / NAME, paths.store / NAME)
    project = open_project(paths, NAME, jobs=PROCESSES, device="cpu")
    store = project.store()
    for number, job in enumerate(plan(project, None, (), Habits())):
        write_json(
            job.run / "manifest.json", {"state": "done", "inputs": job.inputs(store), "s_a_scan": 1 + 0.1 * number}
        )
    return project


def tree() -> dict[int, tuple[int, float]]:
    """RssAnon in bytes and CPU-seconds so far of this process and of all that came from it and still run."""
    parents, found = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines = (entry / "status").read_text().splitlines()
                ticks = (entry / "stat").read_text().rpartition(")")[2].split()[11:15]
            except OSError:
                continue  # it has ended meanwhile
            fields = {key: value for key, _, value in (line.partition(":") for line in lines)}
            parents[int(entry.name)] = int(fields["PPid"])
            memory = int(fields.get("RssAnon", "0 kB").split()[0]) * 1024
            found[int(entry.name)] = memory, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    mine = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= grown
    return {pid: found[pid] for pid in mine}


def cpu_s() -> float:
    """CPU-seconds of this process, of its children that run, and of those that have ended and were waited for."""
    return sum(seconds for _, seconds in tree().values())


STAGES = {
    "trained": "prepare's, the runs' and the hashes' checks",
    "sources_of": "join: every OOF file's header",
    "_refuse_faults": "sanity checks on 24 scans",
    "_search": "gather: OOF to voxels",
    "compare": "search: all ways, cross-fitted",
    "ladder": "search: the ladder's rungs",
    "_metrics": "final metrics, from OOF again",
}


def timed(spent: dict[str, float], name: str) -> None:
    """Make tuning add up what a step of it costs."""
    step: Callable[..., Any] = getattr(tuning, name)

    @wraps(step)
    def wrapped(*given: Any, **named: Any) -> Any:
        start = cpu_s()
        try:
            return step(*given, **named)
        finally:
            spent[STAGES[name]] = cpu_s() - start

    setattr(tuning, name, wrapped)


def tune(work: Path) -> None:
    """Tune what lies in `work`, in a process of its own, and write what it cost."""
    torch.set_num_threads(1)
    spent: dict[str, float] = {}
    peak, largest, ended = 0, 0, threading.Event()

    def watch() -> None:
        nonlocal peak, largest
        while not ended.wait(0.1):
            sizes = [size for size, _ in tree().values()]
            peak, largest = max(peak, sum(sizes)), max(largest, *sizes)

    for name in STAGES:
        timed(spent, name)
    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        recipe, scores = tuning.tune_step(open_project(paths_in(work), NAME, jobs=PROCESSES, device="cpu"))
    finally:
        ended.set()
        watcher.join()
    wall, used = time.perf_counter() - start, os.times()
    cost = {"cpu_s": sum(used[:4]), "wall_s": wall, "peak": peak, "largest": largest, "stages": spent}
    write_json(work / "cost.json", cost)
    scores.to_csv(work / "scores.csv", index=False)
    write_text(work / "recipe.txt", repr(recipe.rungs))


def paths_in(work: Path) -> Paths:
    """The five roots below one folder."""
    return Paths(*(work / name for name in ("data", "store", "runs", "configs", "folds")))


def disk(folder: Path) -> int:
    """Bytes that a folder takes on disk; holes take none."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def measure(scans: Sequence[Planned], work: Path) -> dict[str, Any]:
    """Tune the first scans afresh; gives a row of what that cost."""
    paths = paths_in(work)
    project = write_inputs(scans, paths)
    shutil.rmtree(project.out, ignore_errors=True)
    oof = disk(project.paths.runs)
    subprocess.run([sys.executable, __file__, "--tune", str(work)], check=True)
    cost = json.loads((work / "cost.json").read_text())
    print(f"\n{len(scans)} scans of {len({scan.case for scan in scans})} cases; CPU-seconds by stage:")
    for stage, seconds in cost["stages"].items():
        print(f"  {seconds:8.1f}  {stage}")
    print((work / "recipe.txt").read_text())
    print(pd.read_csv(work / "scores.csv").to_string(float_format=lambda value: f"{value:.4f}"), flush=True)
    return {
        "scans": len(scans),
        "slices": sum(scan.shape[0] for scan in scans),
        "cpu_s": cost["cpu_s"],
        "cpu_s_a_scan": cost["cpu_s"] / len(scans),
        "min_on_2_cores": cost["cpu_s"] / PROCESSES / MINUTE,
        "wall_min": cost["wall_s"] / MINUTE,
        "anon_gib": cost["peak"] / GIB,
        "largest_gib": cost["largest"] / GIB,
        "oof_gib": oof / GIB,
        "search_mib": disk(project.out) / 2**20,
    }


def main() -> None:
    """Print a row for each number of scans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, nargs="+", default=[17, 34, 68])
    parser.add_argument("--work", type=Path, help="kept, and gone on with; else a temporary folder")
    parser.add_argument("--tune", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tune is not None:
        tune(given.tune)
        return
    with tempfile.TemporaryDirectory(dir=given.work and given.work.parent) as temporary:
        work = Path(temporary) if given.work is None else given.work
        rows = [measure(planned()[:count], work) for count in sorted(given.scans)]
    frame = pd.DataFrame(rows)
    print("\n" + frame.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    if len(frame) > 1:
        slope, offset = np.polyfit(frame["scans"], frame["cpu_s"], 1)
        whole = offset + slope * sum(SHAPES.values())
        worst = np.abs(offset + slope * frame["scans"] - frame["cpu_s"]).max()
        print(
            f"\nCPU-seconds: {offset:.0f} + {slope:.2f} a scan, {worst:.0f} off at most; for 274 scans {whole:.0f}, "
            f"which two free cores do in {whole / PROCESSES / MINUTE:.1f} minutes"
        )


if __name__ == "__main__":
    main()
