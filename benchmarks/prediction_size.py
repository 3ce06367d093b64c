"""Prediction files: bytes and time a voxel on real OOF, and the whole UW-Madison training set for one member.

python benchmarks/prediction_size.py RUNS/lgg/members/NAME ...; the files go to a temporary folder and are removed.

Other ways to keep a map are measured beside the file's own. The set has UW-Madison's 274 scans, 38,496 slices and three
classes; its maps are put together from slices of the dearest member given, drawn anew for each scan and class from
those where it sees a lesion, and mirrored at the border up to a slice's size. So a voxel holds more than one of the
member's own does, whose empty slices are left out. One thread, process time.
"""

import argparse
import bz2
import lzma
import tempfile
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casefold.core import HALF, Prediction
from casefold.oof import read_header, read_map, read_prediction, write_prediction

CLASSES = ("large_bowel", "small_bowel", "stomach")
SCANS = {(144, 266, 266): 180, (144, 310, 360): 78, (80, 276, 276): 15, (144, 234, 234): 1}  # z, y, x: how many
TIMED = 12  # files of a member
Map = NDArray[np.uint8]


def raw(data: bytes, shape: tuple[int, ...]) -> Map:
    """The inverse of `tobytes`."""
    return np.frombuffer(data, np.uint8).reshape(shape)


def by_rows(one: Map) -> bytes:
    """Differences of neighbouring rows, modulo 256."""
    return np.diff(one, axis=-2, prepend=np.uint8(0)).tobytes()


def from_rows(data: bytes, shape: tuple[int, ...]) -> Map:
    """The inverse of `by_rows`."""
    return np.cumsum(raw(data, shape), axis=-2, dtype=np.uint8)


def as_npz(one: Map) -> bytes:
    """What prediction files were before: the map whole, deflated."""
    stream = BytesIO()
    np.savez_compressed(stream, maps=one)
    return stream.getvalue()


def from_npz(data: bytes, shape: tuple[int, ...]) -> Map:
    """The inverse of `as_npz`."""
    with np.load(BytesIO(data)) as content:
        return np.asarray(content["maps"]).reshape(shape)


WAYS: dict[str, tuple[Callable[[Map], bytes], Callable[[bytes, tuple[int, ...]], Map]]] = {
    "np.savez_compressed (zlib 6)": (as_npz, from_npz),
    "zlib 1": (lambda m: zlib.compress(m.tobytes(), 1), lambda b, s: raw(zlib.decompress(b), s)),
    "rows' differences, zlib 6": (
        lambda m: zlib.compress(by_rows(m), 6),
        lambda b, s: from_rows(zlib.decompress(b), s),
    ),
    "bz2": (lambda m: bz2.compress(m.tobytes()), lambda b, s: raw(bz2.decompress(b), s)),
    "lzma 0": (lambda m: lzma.compress(m.tobytes(), preset=0), lambda b, s: raw(lzma.decompress(b), s)),
}


def seconds(call: Callable[[], object], rounds: int = 3) -> float:
    """CPU time of the quickest round."""
    times = []
    for _ in range(rounds):
        start = process_time()
        call()
        times.append(process_time() - start)
    return min(times)


def files_of(member: Path) -> list[Path]:
    """A member's OOF files."""
    return sorted(member.glob("fold*/oof/*.npz"))


def bytes_a_voxel(paths: Sequence[Path]) -> float:
    """Of whole files, all that is in them."""
    shapes = [read_header(path) for path in paths]
    voxels = sum(len(header["classes"]) * int(np.prod(header["shape"])) for header in shapes)
    return sum(path.stat().st_size for path in paths) / voxels


def compare(member: Path, work: Path) -> None:
    """Print the ways side by side."""
    paths = files_of(member)[::5][:TIMED]
    predictions = [read_prediction(path) for path in paths]
    maps = [prediction.maps for prediction in predictions if prediction.maps is not None]
    voxels = sum(one.size for one in maps)

    def write() -> None:
        for number, prediction in enumerate(predictions):
            write_prediction(prediction, work / f"{number}.npz")

    rows = [
        {
            "way": "prediction file",
            "bytes": bytes_a_voxel(paths),
            "write_ns": seconds(write) / voxels * 1e9,
            "read_ns": seconds(lambda: [read_prediction(path) for path in paths]) / voxels * 1e9,
        }
    ]
    for name, (pack, unpack) in WAYS.items():
        packed = [pack(one) for one in maps]
        if not all(np.array_equal(unpack(b, m.shape), m) for b, m in zip(packed, maps, strict=True)):
            raise SystemExit(f"{name}: what comes back differs")
        writing = seconds(lambda pack=pack: [pack(one) for one in maps], 1)  # type: ignore[misc]
        reading = seconds(
            lambda u=unpack, packed=packed: [u(b, m.shape) for b, m in zip(packed, maps, strict=True)]  # type: ignore[misc]
        )
        size = sum(len(b) for b in packed) / voxels
        rows.append({"way": name, "bytes": size, "write_ns": writing / voxels * 1e9, "read_ns": reading / voxels * 1e9})
    zeros = np.mean([np.mean(one == 0) for one in maps])
    print(f"\n{member.name}: {len(maps)} files, {zeros:.1%} of the voxels are 0; bytes and CPU-nanoseconds a voxel")
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4g}"), flush=True)


def slices_of(member: Path) -> NDArray[np.uint8]:
    """Every slice (y, x) of a member where some voxel reaches one half."""
    kept = []
    for path in files_of(member):
        maps = read_prediction(path).maps
        kept += [] if maps is None else [plane for plane in maps.reshape(-1, *maps.shape[2:]) if plane.max() >= HALF]
    return np.stack(kept)


def whole_set(member: Path, work: Path) -> None:
    """Write one member's files for every training scan of UW-Madison, and read them again."""
    slices, rng = slices_of(member), np.random.default_rng(5)
    size = voxels = scans = 0
    written = read = one_class = headers = 0.0
    for shape, count in SCANS.items():
        grown = [max(0, wanted - have) for wanted, have in zip(shape[1:], slices.shape[1:], strict=True)]
        sized = np.pad(slices, ((0, 0), *((0, more) for more in grown)), "reflect")[:, : shape[1], : shape[2]]
        for _ in range(count):
            maps = np.stack([sized[rng.permutation(len(sized))[: shape[0]]] for _ in CLASSES])
            prediction = Prediction("case1", "case1_day0", CLASSES, shape, member.name, "0", maps)
            path = work / f"{scans}.npz"
            written += seconds(lambda p=prediction, to=path: write_prediction(p, to), 1)  # type: ignore[misc]
            read += seconds(lambda of=path: read_prediction(of), 1)  # type: ignore[misc]
            one_class += seconds(lambda of=path: read_map(of, CLASSES[1]), 1)  # type: ignore[misc]
            headers += seconds(lambda of=path: read_header(of), 1)  # type: ignore[misc]
            size, voxels, scans = size + path.stat().st_size, voxels + maps.size, scans + 1
            path.unlink()
    print(f"\nUW-Madison's training set from {len(slices)} slices of {member.name}:")
    print(f"{scans} files, {voxels / 1e9:.2f} G voxels, {size / 1e9:.3f} GB, {size / voxels:.4f} bytes a voxel")
    print(f"(a file of {member.name} itself: {bytes_a_voxel(files_of(member)):.4f} bytes a voxel)")
    print(f"CPU-seconds: {written:.0f} to write all, {read:.0f} to read all, {one_class:.0f} one class of each file,")
    print(f"{headers:.2f} the headers", flush=True)


def main() -> None:
    """Read the options and clean up afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("members", type=Path, nargs="+", help="folders of a member's folds with OOF maps")
    members = parser.parse_args().members
    with tempfile.TemporaryDirectory() as work:
        for member in members:
            compare(member, Path(work))
        whole_set(max(members, key=lambda member: bytes_a_voxel(files_of(member))), Path(work))


if __name__ == "__main__":
    main()
