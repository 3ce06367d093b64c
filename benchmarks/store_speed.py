"""A phantom of 4 GB of raw PNGs: memory of `prepare` and of an epoch of loading, and the store beside raw files.

python benchmarks/store_speed.py [--gb 4] [--work DIR] [--workers 2]; the phantom goes to a temporary folder and is
removed at the end. Memory is the most anonymous memory (RssAnon) that any one process had. Rates are by CPU time, one
thread, and by the clock; cold: the files' pages are dropped from the page cache first (posix_fadvise).
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold import rle
from casefold.config.datasets import UwmgiDataset
from casefold.config.experiments import Seg3d, Seg25d
from casefold.config.load import load_experiment
from casefold.core import DataError
from casefold.prepare import prepare
from casefold.store import Store

CLASSES = ("large_bowel", "small_bowel", "stomach")
SIZES = ((144, 310, 360), (144, 266, 266), (80, 320, 384))  # z, y, x, as they occur in the competition
LARGE = (600, 512, 512)  # and a CT's size, once
LIMIT_GB = 1.5
WINDOW = (-4, -2, 0, 2, 4)
MEMBERS = ("seg25d/upp_b4", "seg3d/unet3d", "seg3d/lgg_unet3d")  # the last one resamples
HERE = Path(__file__).resolve().parents[1]
Read = Callable[[Any], NDArray[Any]]


def draw(folder: Path, name: str, shape: tuple[int, int, int], noise: NDArray[np.uint16]) -> tuple[int, list[str]]:
    """Write a scan of discs in noise as 16-bit PNGs; gives their bytes and the label rows."""
    rng = np.random.default_rng([ord(letter) for letter in name])
    depth, height, width = shape
    y, x = np.mgrid[:height, :width]
    discs = []
    for _ in CLASSES:
        centre = rng.uniform(0.3, 0.7, 2) * (height, width)
        discs.append((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (height * rng.uniform(0.05, 0.15)) ** 2)
    base = (1000 + 400 * np.sum(discs, axis=0)).astype(np.uint16)
    runs, folder = [rle.encode(disc) for disc in discs], folder / name.split("_")[0] / name / "scans"
    folder.mkdir(parents=True)
    size, rows = 0, []
    for z in range(depth):
        start = int(rng.integers(0, noise.size - base.size))
        plane = base + noise[start : start + base.size].reshape(base.shape)
        path = folder / f"slice_{z + 1:04d}_{width}_{height}_1.50_1.50.png"
        cv2.imwrite(str(path), plane, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        size += path.stat().st_size
        inside = depth // 4 <= z < 3 * depth // 4
        labelled = zip(CLASSES, runs, strict=True)
        rows += [f"{name}_slice_{z + 1:04d},{label},{text if inside else ''}" for label, text in labelled]
    return size, rows


def write_phantom(root: Path, size_gb: float) -> float:
    """Scans until their PNGs are that large; gives their size in GB."""
    noise = np.random.default_rng(0).integers(0, 1024, 1 << 22, np.uint16)
    total, rows, number = 0, ["id,class,segmentation"], 0
    while total < size_gb * 1e9:
        shape = LARGE if number == 1 else SIZES[number % len(SIZES)]
        size, more = draw(root / "train", f"case{number // 2}_day{number % 2}", shape, noise)
        total, rows, number = total + size, rows + more, number + 1
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    return total / 1e9


def anonymous_memory() -> dict[int, float]:
    """RssAnon in GB of this process and of all that came from it."""
    parents, memory = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines = (entry / "status").read_text().splitlines()
            except OSError:
                continue  # it has ended meanwhile
            fields = {key: value for key, _, value in (line.partition(":") for line in lines)}
            parents[int(entry.name)] = int(fields["PPid"])
            memory[int(entry.name)] = int(fields.get("RssAnon", "0 kB").split()[0]) * 1024 / 1e9
    mine = {os.getpid()}
    while grown := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= grown
    return {pid: memory[pid] for pid in mine}


def watched(work: Callable[[], str]) -> None:
    """Do some work that says what it was; print its time and its largest process, refuse one above the limit."""
    peak: dict[int, float] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for pid, size in anonymous_memory().items():
                peak[pid] = max(peak.get(pid, 0.0), size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        what = work()
    finally:
        ended.set()
        watcher.join()
    own = peak.pop(os.getpid())
    print(
        f"{what}: {time.perf_counter() - start:.0f} s, RssAnon at most {own:.2f} GB in the main process, "
        f"{max(peak.values(), default=0):.2f} GB in the largest other",
        flush=True,
    )
    if max(own, *peak.values()) > LIMIT_GB:
        raise DataError(f"{what} took more than {LIMIT_GB} GB in one process")


def epoch(store: Store, member: str, budget: int, workers: int) -> str:
    """Load what a first epoch of training would, by the member's config; says how many items."""
    from torch.utils.data import DataLoader  # late: the processes of `prepare` import this file too

    from casefold.data.patches import PatchDataset
    from casefold.data.sampler import BatchSampler
    from casefold.data.slices import SliceDataset

    config, names = load_experiment(HERE / "configs", member), store.labelled()
    dataset: Any = None
    sampler: Any = None
    if isinstance(config, Seg25d):
        dataset = SliceDataset(store, names, config.data, config.augment, 0, budget)
        sampler = BatchSampler(dataset.positive, config.sampler.empty_share, config.train.batch_size, 0)
    elif isinstance(config, Seg3d):
        dataset = PatchDataset(store, names, config.data, config.sampler, config.augment, 0, budget)
        sampler = BatchSampler(np.ones(len(dataset), np.bool_), 1.0, config.train.batch_size, 0)
    spawn = "spawn" if workers else None
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers, multiprocessing_context=spawn)
    return f"{member}, {sum(len(batch['name']) for batch in loader)} items, {workers} workers"


def forget(files: Sequence[Path]) -> None:
    """Drop the files' pages from the page cache."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def rates(read: Read, keys: Sequence[Any]) -> tuple[float, float]:
    """Keys read a second: of CPU time, and by the clock."""
    cpu, clock = time.process_time(), time.perf_counter()
    for key in keys:
        read(key)
    return len(keys) / (time.process_time() - cpu), len(keys) / (time.perf_counter() - clock)


def compare(title: str, ways: Mapping[str, tuple[Read, list[Path]]], keys: Sequence[Any], each: int = 1) -> None:
    """A row a way of reading the same keys, cold and then warm; `each`: things a key. The first way is the store."""
    rows = []
    for name, (read, files) in ways.items():
        forget(files)
        cold, warm = rates(read, keys), rates(read, keys)
        numbers = [each * number for number in (*cold, *warm)]
        rows.append([name, *numbers])
    columns = [title, *(f"{state} a {clock}" for state in ("cold", "warm") for clock in ("CPU-second", "second"))]
    frame = pd.DataFrame(rows, columns=columns)
    warm_rate = frame["warm a CPU-second"]
    frame["the store's lead, warm"] = warm_rate.iloc[0] / warm_rate
    print("\n" + frame.to_string(index=False, float_format=lambda value: f"{value:.1f}"), flush=True)


def compare_slices(store: Store, raw: Path, count: int) -> None:
    """Random windows of five slices from the store, and by decoding the five PNGs."""
    rng = np.random.default_rng(1)
    names = list(store.case_of)
    files = {name: sorted((raw / "train" / store.case_of[name] / name / "scans").iterdir()) for name in names}
    keys = []
    for name in rng.choice(names, count):
        z = int(rng.integers(4, len(files[name]) - 4))
        keys.append((str(name), [z + offset for offset in WINDOW]))

    def from_store(key: tuple[str, list[int]]) -> NDArray[Any]:
        return np.asarray(store.scan(key[0]).image[0, key[1]])

    def from_pngs(key: tuple[str, list[int]]) -> NDArray[Any]:
        return np.stack([np.asarray(cv2.imread(str(files[key[0]][z]), cv2.IMREAD_UNCHANGED)) for z in key[1]])

    if not all(np.array_equal(from_store(key), from_pngs(key)) for key in keys[:5]):
        raise DataError("the store and the PNGs differ")
    pngs = [files[name][z] for name, window in keys for z in window]
    ways = {"store": (from_store, arrays_of(store)), "PNGs, OpenCV": (from_pngs, pngs)}
    compare("slices in windows of 5", ways, keys, each=len(WINDOW))


def compare_patches(store: Store, work: Path, patch: tuple[int, int, int], count: int) -> None:
    """Random patches from the store, and from the same scans as NIfTI."""
    rng = np.random.default_rng(2)
    names = [name for name in store.case_of if store.scan(name).grid.shape == SIZES[0]][:6]
    for name in names:
        image = nib.Nifti1Image(np.asarray(store.scan(name).image[0]).transpose(), np.eye(4))
        for suffix in ("nii", "nii.gz"):
            if not (work / f"{name}.{suffix}").exists():
                nib.save(image, work / f"{name}.{suffix}")
    keys = []
    for name in rng.choice(names, count):
        corner = [int(rng.integers(0, size - wanted + 1)) for size, wanted in zip(SIZES[0], patch, strict=True)]
        keys.append((str(name), tuple(slice(c, c + wanted) for c, wanted in zip(corner, patch, strict=True))))

    def from_store(key: tuple[str, tuple[slice, ...]]) -> NDArray[Any]:
        return np.array(store.scan(key[0]).image[0][key[1]])

    def voxels(file: str) -> NDArray[Any]:
        return np.asarray(nib.load(work / file).dataobj)  # of an uncompressed file a map, of a compressed one an array

    def loaded(suffix: str) -> Read:
        return lambda key: np.array(voxels(f"{key[0]}.{suffix}")).transpose()[key[1]]

    def mapped(key: tuple[str, tuple[slice, ...]]) -> NDArray[Any]:
        return np.array(voxels(f"{key[0]}.nii").transpose()[key[1]])

    reads = {"store": from_store, ".nii.gz, loaded": loaded("nii.gz"), ".nii, loaded": loaded("nii"),
             ".nii, mapped anew": mapped}  # fmt: skip
    if not all(np.array_equal(from_store(keys[0]), read(keys[0])) for read in reads.values()):
        raise DataError("the store and the NIfTI files differ")
    images = [store.root / "scans" / name / "image.npy" for name in names]
    files = {
        name: [work / f"{scan}{name.split(',')[0]}" for scan in names] if name != "store" else images for name in reads
    }
    compare(f"patches of {'x'.join(map(str, patch))}", {name: (reads[name], files[name]) for name in reads}, keys)


def arrays_of(store: Store) -> list[Path]:
    """Every array file of a store."""
    return sorted((store.root / "scans").glob("*/*.npy"))


def run(work: Path, size_gb: float, workers: int) -> None:
    """Every figure, one after the other."""
    raw, root = work / "raw", work / "store"
    start = time.perf_counter()
    print(
        f"phantom: {write_phantom(raw, size_gb):.2f} GB of PNGs, drawn in {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    dataset = UwmgiDataset(reader="uwmgi", root="raw", classes=CLASSES)

    def prepared() -> str:
        prepare(dataset, raw, root, workers)
        return f"prepare, {workers} processes"

    watched(prepared)
    store = Store(root)
    stored = sum(path.stat().st_size for path in arrays_of(store)) / 1e9
    print(f"store: {len(store.case_of)} scans, {len(store.slices)} slices, {stored:.2f} GB", flush=True)
    budget = int(dataset.cache_gib * 2**30) // max(1, workers)
    for member in MEMBERS:
        watched(partial(epoch, store, member, budget, workers))
    cv2.setNumThreads(1)
    compare_slices(store, raw, count=400)
    for patch in ((16, 80, 80), (32, 128, 128), (80, 224, 224)):
        compare_patches(store, work, patch, count=60)


def main() -> None:
    """Read the options and clean up afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=4.0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        run(Path(work), options.gb, options.workers)


if __name__ == "__main__":
    main()
