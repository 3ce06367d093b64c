"""The phantom has what it says it has: drawn once at a small size, then looked at from all sides."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from casefold import rle
from casefold.config.datasets import PhantomDataset
from casefold.core import ConfigError, Grid, Scan, StaleError, pack_masks
from casefold.readers import Part, phantom, uwmgi
from casefold.readers.phantom.anatomy import CLASSES, WIDTH_MM, Drawing, draw

BAD = "case10_day13"
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "phantom_hardness.py"


def config(**changes: Any) -> PhantomDataset:
    small = {"cases": 6, "test_cases": 2, "drop_scans": (BAD,), "dropped_slices": 20}
    return PhantomDataset(**{"reader": "phantom", "root": "drawn", "classes": CLASSES, **small, **changes})


def tiny(**changes: Any) -> PhantomDataset:
    small = {"cases": 2, "test_cases": 1, "slices": (6, 4), "sizes": ((24, 24), (30, 24)), "dropped_slices": 6}
    return config(**{**small, **changes})


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


def table(path: Path) -> pd.DataFrame:
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
def hidden(root: Path) -> dict[str, np.ndarray]:
    """The masks of the test scans by name, from the truth kept aside."""
    rows = table(root / "hidden" / "solution.csv").set_index(["id", "class"])["segmentation"]
    return {
        scan.name: np.array(
            [[rle.decode(rows[name, label], scan.grid.shape[1:]) for name in scan.slice_names] for label in CLASSES]
        )
        for scan in read_all(config(), root, "test")
    }


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("phantom_hardness", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_each_class_is_one_run_of_slices(
    scans: list[Scan], drawings: list[Drawing], hidden: dict[str, np.ndarray]
) -> None:
    masks = {scan.name: scan.class_masks() for scan in scans} | hidden
    masks |= {f"{scan.name} whole": drawing.organs for scan, drawing in zip(scans, drawings, strict=True)}
    for name, volumes in masks.items():
        for label, volume in zip(CLASSES, volumes, strict=True):
            held = np.flatnonzero(volume.any((1, 2)))
            assert held.size and held.size == held[-1] - held[0] + 1, f"{label} of {name} is on the slices {held}"


def test_classes_overlap(scans: list[Scan]) -> None:
    masks = [scan.class_masks() for scan in scans]
    for one, two in ((0, 1), (0, 2)):
        assert sum(int((mask[one] & mask[two]).sum()) for mask in masks) > 100


def test_labels_of_some_scans_are_cut_off_at_the_foot_end(scans: list[Scan], drawings: list[Drawing]) -> None:
    cut = []
    for scan, drawing in zip(scans, drawings, strict=True):
        masks = scan.class_masks()
        floor = int(np.flatnonzero(masks.any((0, 2, 3)))[0])
        np.testing.assert_array_equal(masks[:, floor:], drawing.organs[:, floor:])
        if drawing.organs[:, :floor].any():
            cut.append(scan.name)
            assert drawing.organs[0, floor - 1].any() and not masks[0, floor - 1].any()
    assert cut == ["case3_day1", "case17_day1", "case31_day1", "case38_day13"]  # every third


def test_the_bad_scan_has_a_wrong_mask_and_is_dropped(root: Path, scans: list[Scan]) -> None:
    assert phantom.dropped(config(), root) == {BAD: 20}
    everything = read_all(config(drop_scans=(), dropped_slices=None), root, "train")
    assert [scan.name for scan in everything if scan.name != BAD] == [scan.name for scan in scans]
    (bad,) = (scan for scan in everything if scan.name == BAD)
    for mask, organ in zip(bad.class_masks(), redraw(bad).organs, strict=True):
        assert mask.any() and dice(mask, organ) < 0.3


def test_the_hidden_test_has_unseen_cases_and_later_days_of_known_ones(root: Path, scans: list[Scan]) -> None:
    raws = phantom.find(config(), root, "test")
    assert [raw.name for raw in raws] == ["case3_day27", "case31_day27", "case45_day1", "case52_day1", "case52_day13"]
    assert not any(raw.labelled for raw in raws)
    known = {scan.case for scan in scans}
    assert {raw.case for raw in raws} - known == {"case45", "case52"}
    for raw in raws:
        days = [int(scan.name.partition("_day")[2]) for scan in scans if scan.case == raw.case]
        assert all(day < int(raw.name.partition("_day")[2]) for day in days)


def test_the_truth_is_kept_aside_in_another_order_than_the_sample(root: Path) -> None:
    solution, sample = table(root / "hidden" / "solution.csv"), table(root / "sample_submission.csv")
    assert list(solution.columns) == ["id", "class", "segmentation"]
    assert list(sample.columns) == ["id", "class", "predicted"]
    asked, known = (list(zip(rows["id"], rows["class"], strict=True)) for rows in (sample, solution))
    slices = [name for raw in phantom.find(config(), root, "test") for name in uwmgi.slice_names(raw)]
    assert asked == sorted((name, label) for name in slices for label in CLASSES)
    assert asked == sorted(known) and asked != known
    assert set(sample["predicted"]) == {""}
    assert (solution["segmentation"] != "").mean() > 0.2


def test_the_raw_folder_is_as_in_the_competition(root: Path) -> None:
    assert {path.name for path in root.iterdir()} == {
        "train",
        "train.csv",
        "test",
        "sample_submission.csv",
        "hidden",
        "phantom.json",
    }
    assert (root / "train" / "case10" / "case10_day1" / "scans" / "slice_0001_112_96_3.60_3.60.png").is_file()
    assert list(table(root / "train.csv").columns) == ["id", "class", "segmentation"]


def test_a_config_may_name_the_classes_in_its_own_order(root: Path, tmp_path: Path) -> None:
    turned = tiny(classes=CLASSES[::-1])
    phantom.generate(tiny(), tmp_path / "one")
    phantom.generate(turned, tmp_path / "two")
    (one, *_), (two, *_) = read_all(tiny(), tmp_path / "one", "train"), read_all(turned, tmp_path / "two", "train")
    np.testing.assert_array_equal(one.class_masks(), two.class_masks()[::-1])


def test_what_is_drawn_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "drawn"
    phantom.generate(tiny(), root)
    before, times = content(root), {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    phantom.generate(tiny(), root)
    phantom.find(tiny(), root, "test")
    phantom.generate(tiny(drop_scans=(), dropped_slices=None, spacing_mm="unknown"), root)  # no part of the drawing
    assert content(root) == before
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times


def test_a_drawing_cut_short_is_begun_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / ".drawn.part" / "train" / "case3" / "case3_day1" / "scans"
    unfinished.mkdir(parents=True)
    (unfinished / "slice_0099_24_24_1.00_1.00.png").touch()
    phantom.generate(tiny(), tmp_path / "drawn")
    phantom.generate(tiny(), tmp_path / "again")
    assert content(tmp_path / "drawn") == content(tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "drawn"]


@pytest.mark.parametrize("change", [{"seed": 8}, {"cases": 3}, {"test_cases": 2}, {"slices": (6, 5)}])
def test_another_phantom_in_the_same_folder_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    root = tmp_path / "drawn"
    phantom.generate(tiny(), root)
    before = content(root)
    message = f"{root} holds something else than the phantom of this config; remove it, or change `root`"
    for part in ("train", "test"):
        with pytest.raises(StaleError, match=f"^{re.escape(message)}$"):
            phantom.find(tiny(**change), root, part)
    assert content(root) == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,class,segmentation\n")
    with pytest.raises(StaleError, match="holds something else than the phantom of this config"):
        phantom.generate(tiny(), tmp_path)
    assert content(tmp_path) == {"train.csv": b"id,class,segmentation\n"}


def test_classes_that_the_phantom_lacks_are_refused(tmp_path: Path) -> None:
    message = "the phantom has the classes ['large_bowel', 'small_bowel', 'stomach'], not ['liver']"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        phantom.generate(tiny(classes=("liver",)), tmp_path / "drawn")
    assert list(tmp_path.iterdir()) == []


def test_no_single_threshold_finds_a_class(scans: list[Scan], benchmark: ModuleType) -> None:
    best = benchmark.best_intervals(scans)
    assert tuple(best) == CLASSES
    for label, (score, low, high) in best.items():
        assert 0.03 < score < 0.5 and 0 <= low < high <= 1, f"{label}: {score:.3f} from {low:.2f} to {high:.2f}"


def test_the_search_finds_the_interval_that_was_planted(benchmark: ModuleType) -> None:
    image = np.linspace(0, 1000, 1 * 2 * 50 * 100).reshape(1, 2, 50, 100).astype(np.uint16)
    low, high = np.percentile(image, (0.5, 99.5))
    share = (image[0] - low) / (high - low)
    planted, scattered = (share >= 0.25) & (share < 0.5), np.indices(image.shape[1:]).sum(0) % 2 == 0
    masks = pack_masks(np.stack([planted, scattered, np.zeros_like(planted)]))
    names = ("case1_slice_1", "case1_slice_2")
    scan = Scan("case1", "case1", image, Grid((2, 50, 100)), ("planted", "scattered"), names, masks)
    best = benchmark.best_intervals([scan])
    assert best["planted"] == (1.0, 0.25, 0.5)
    assert best["scattered"] == (pytest.approx(2 / 3), 0.0, 1.0)  # all of it: Dice 2 * 0.5 / (1 + 0.5)
