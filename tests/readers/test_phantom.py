"""The phantom has what it says it has: drawn once at a small size, then looked at from all sides."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from casefold import rle
from casefold.config.datasets import PhantomDataset
from casefold.core import ConfigError, Scan, StaleError
from casefold.readers import Part, phantom
from casefold.readers.phantom_anatomy import CLASSES, WIDTH_MM, Drawing, draw

BAD = "case10_day13"
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "phantom_hardness.py"


def config(**changes: Any) -> PhantomDataset:
    small = {"cases": 6, "test_cases": 2, "drop_scans": (BAD,), "dropped_slices": 20}
    return PhantomDataset(**{"reader": "phantom", "root": "drawn", "classes": CLASSES, **small, **changes})


def tiny(**changes: Any) -> PhantomDataset:
    return config(cases=2, test_cases=1, slices=(6, 4), sizes=((24, 24), (30, 24)), **{"dropped_slices": 6, **changes})


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def read_all(chosen: PhantomDataset, root: Path, part: Part) -> list[Scan]:
    return [phantom.load(chosen, raw) for raw in phantom.find(chosen, root, part)]


def redraw(scan: Scan) -> Drawing:
    """The same scan drawn again with whole labels; the organs depend on neither scale nor cut."""
    case, day = map(int, re.findall(r"\d+", scan.name))
    _, height, width = scan.grid.shape
    scale = phantom.SCALES[int(np.percentile(scan.image, 99) > 2000)]
    drawing = draw(
        config().seed,
        case,
        day,
        scan.grid.shape,
        pixel_mm=WIDTH_MM / min(height, width),
        span=max(config().slices),
        scale=scale,
        cut=False,
    )
    np.testing.assert_array_equal(drawing.image, scan.image[0])
    return drawing


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def truth(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "drawn"
    phantom.generate(config(), path)
    return path


@pytest.fixture(scope="module")
def scans(root: Path) -> list[Scan]:
    """The training scans but the bad one."""
    return read_all(config(), root, "train")


@pytest.fixture(scope="module")
def drawings(scans: list[Scan]) -> list[Drawing]:
    """The training scans with what was in them."""
    return [redraw(scan) for scan in scans]


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("phantom_hardness", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two", "other"):
        phantom.generate(tiny(seed=8 if folder == "other" else 7), tmp_path / folder)
    one, two, other = (content(tmp_path / folder) for folder in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    same = {name for name in one if one[name] == other[name]}
    assert same == {"sample_submission.csv"}  # it says nothing of what was drawn


def test_several_cases_and_days(scans: list[Scan]) -> None:
    assert [scan.name for scan in scans] == [
        "case3_day1",
        "case10_day1",
        "case17_day1",
        "case24_day1",
        "case24_day13",
        "case31_day1",
        "case31_day13",
        "case38_day1",
        "case38_day13",
    ]
    assert all(scan.name.startswith(f"{scan.case}_day") and scan.image.dtype == np.uint16 for scan in scans)


def test_both_sizes_and_both_slice_counts_occur(scans: list[Scan]) -> None:
    assert {scan.grid.shape[1:] for scan in scans} == {(96, 96), (96, 112)}
    assert {scan.grid.shape[0] for scan in scans} == {20, 14}
    for case in {scan.case for scan in scans}:
        assert len({scan.grid.shape[1:] for scan in scans if scan.case == case}) == 1


def test_spacing_comes_from_the_names(scans: list[Scan]) -> None:
    assert {scan.grid.spacing_mm for scan in scans} == {(3.0, 3.6, 3.6)}  # 346 mm over 96 pixels


def test_days_of_a_case_look_alike_but_are_not_the_same(scans: list[Scan]) -> None:
    one, two = (scan.class_masks() for scan in scans if scan.case == "case24")
    overlaps = [dice(a, b) for a, b in zip(one, two, strict=True)]
    others = [dice(a, b) for a, b in zip(one, scans[1].class_masks(), strict=True)]  # of the same shape
    assert np.mean(others) < np.mean(overlaps) < 0.9


def test_intensity_scales_are_20_times_apart(scans: list[Scan]) -> None:
    maxima = [int(scan.image.max()) for scan in scans]
    assert max(maxima) / min(maxima) > 10
    bright = np.array([np.percentile(scan.image, 99) for scan in scans])
    dim = bright < 2000
    assert 3 <= dim.sum() <= 6
    assert 15 < np.median(bright[~dim]) / np.median(bright[dim]) < 25


def test_over_half_of_the_slices_are_empty(scans: list[Scan]) -> None:
    empty = np.concatenate([~scan.class_masks().any((0, 2, 3)) for scan in scans])
    assert 0.5 < empty.mean() < 0.75
    assert all(not scan.class_masks()[:, end].any() for scan in scans for end in (0, -1))


def test_each_class_is_one_run_of_slices(scans: list[Scan], drawings: list[Drawing], root: Path) -> None:
    masks = {scan.name: scan.class_masks() for scan in scans}
    masks |= {f"{scan.name} whole": drawing.organs for scan, drawing in zip(scans, drawings, strict=True)}
    for (name, label), rows in truth(root / "hidden" / "solution.csv").groupby(
        [lambda index: index, "class"] if False else ["scan", "class"]
    ) if False else ():
        masks[name] = rows
    for name, volumes in masks.items():
        for label, volume in zip(CLASSES, volumes, strict=True):
            held = np.flatnonzero(volume.any((1, 2)))
            assert held.size and held.size == held[-1] - held[0] + 1, f"{label} of {name} is on the slices {held}"


def test_classes_overlap(scans: list[Scan]) -> None:
    masks = [scan.class_masks() for scan in scans]
    for one, two in ((0, 1), (0, 2)):
        assert sum(int((mask[one] & mask[two]).sum()) for mask in masks) > 100
