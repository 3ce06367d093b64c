"""A whole page from made-up members on a few phantom scans; `python tests/toy_page.py PATH` writes it to look at."""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from casefold.analysis.edges import slice_rows
from casefold.analysis.volumes import changes, volume_rows
from casefold.core import Grid, Scan, pack_masks
from casefold.metrics.overlap import dice_of, overlap
from casefold.readers.phantom.anatomy import CLASSES, draw
from casefold.report.content import (
    Content,
    Curves,
    Estimate,
    Headline,
    Ledger,
    Losses,
    Members,
    Picks,
    Scores,
    Suspects,
)
from casefold.report.page import page
from casefold.report.viewer import Mark, pack

SHAPE, SPACING = (28, 96, 108), (12.0, 3.2, 3.2)
NAMES = ("cls_lite0", "seg25d_lite0", "seg3d_unet")
Masks = NDArray[np.bool_]


@cache
def scans() -> list[Scan]:
    """Six scans of three cases."""
    made = []
    for case in range(3):
        for day in (1, 13):
            drawn = draw(0, case, day, SHAPE, pixel_mm=3.2, span=SHAPE[0], scale=600.0, cut=False)
            name = f"case{3 + 7 * case}_day{day}"
            slices = tuple(f"{name}_slice_{z + 1:04d}" for z in range(SHAPE[0]))
            masks = pack_masks(drawn.labels)
            made.append(Scan(name.split("_")[0], name, drawn.image[None], Grid(SHAPE, SPACING), CLASSES, slices, masks))
    return made


def found_in(truth: Masks, seed: int) -> Masks:
    """Masks with faults of every kind: outline, lost slices, a stray piece, a class taken for another."""
    random, found = np.random.default_rng(seed), truth.copy()
    plane = np.ones((1, 3, 3), bool)
    for index in range(len(found)):
        found[index] = (binary_dilation if random.random() < 0.5 else binary_erosion)(found[index], plane)
        busy = np.flatnonzero(found[index].any(axis=(1, 2)))
        found[index, busy[: 1 + seed % 2]] = False
    z, y, x = (int(random.integers(6, size - 12)) for size in SHAPE)
    found[seed % len(found), z : z + 2, y : y + 6, x : x + 6] = True
    middle = int(np.flatnonzero(truth[0].any(axis=(1, 2)))[-2])
    found[1, middle] |= found[0, middle]
    found[0, middle] = False
    return found


def content(**changed: Any) -> Content:
    """Everything that a page can hold; `changed` replaces fields."""
    held = scans()
    members = {name: [found_in(scan.class_masks(), seed + 10 * n) for n, scan in enumerate(held)]
               for seed, name in enumerate(NAMES[1:])}  # fmt: skip
    ensemble = [found_in(scan.class_masks(), 5 + 10 * n) for n, scan in enumerate(held)]
    score = [float(np.nanmean(dice_of(overlap(s.class_masks(), f)))) for s, f in zip(held, ensemble, strict=True)]
    order = sorted(range(len(held)), key=lambda n: score[n])
    volumes = pd.concat(
        [
            volume_rows(s.case, s.name, CLASSES, s.class_masks(), f, SPACING)
            for s, f in zip(held, ensemble, strict=True)
        ],
        ignore_index=True,
    )
    edges = [
        slice_rows(s.name, CLASSES, s.class_masks(), f, s.image, (80.0,)) for s, f in zip(held, ensemble, strict=True)
    ]
    packed = tuple(
        pack(
            held[n],
            [("ensemble", ensemble[n]), *((name, masks[n]) for name, masks in members.items())],
            group="worst" if place < 3 else "best",
            score=score[n],
            marks=[Mark("stomach", 14, 40, 60)],
        )
        for place, n in enumerate(order)
    )
    filled: dict[str, Any] = {
        "ensemble": "demo",
        "dataset": "phantom",
        "classes": CLASSES,
        "members_used": NAMES,
        "cases": 3,
        "scans": len(held),
        "folds": (0, 1, 2),
        "made": "2026-11-30 21:04, casefold 0.1.0",
        "headline": Headline("Dice, mean over cases", Estimate(0.788, 0.741, 0.829), Estimate(0.803, 0.759, 0.842)),
        "warnings": (
            "Folds 3 and 4 of seg3d_unet are not trained: 3 of 5 folds are scored, 6 of 10 scans.",
            "seg25d_lite0 took its best epoch by its own fold (selected_on_fold): its scores are a little too good.",
        ),
        "scores": _scores(held, score, order, volumes),
        "losses": Losses(_ledger(), pd.concat(edges, ignore_index=True), _outliers(held)),
        "curves": _curves(),
        "members": _members(),
        "suspects": _suspects(held, order),
        "picks": _picks(),
        "viewer": packed,
    }
    return Content(**(filled | changed))


def _scores(held: Sequence[Scan], score: Sequence[float], order: Sequence[int], volumes: pd.DataFrame) -> Scores:
    ways = _frame(
        "what kind score",
        ("ensemble demo", "ensemble", 0.788),
        ("seg25d_lite0", "member", 0.781),
        ("seg3d_unet", "member", 0.702),
        ("without cls_lite0", "without", 0.779),
        ("without seg25d_lite0", "without", 0.705),
        ("without seg3d_unet", "without", 0.784),
    )
    ways = ways.assign(low=ways["score"] - 0.04, high=ways["score"] + 0.035, dice_slice=ways["score"] - 0.1)
    ways = ways.assign(dice_scan=ways["score"], uw_score=ways["score"] + 0.03, uw_distance=0.11)
    by_scan = [(held[n].case, held[n].name, n % 3, score[n], score[n] + 0.02, 0.08 + 0.02 * n) for n in order]
    return Scores(
        ways=ways,
        by_class=_frame(
            "class score low high uw_distance",
            ("large_bowel", 0.741, 0.69, 0.79, 0.1),
            ("small_bowel", 0.703, 0.65, 0.75, 0.16),
            ("stomach", 0.921, 0.9, 0.94, 0.05),
        ),
        by_fold=_frame(
            "what fold score",
            *((what, fold, 0.78 - 0.03 * fold) for what in ("ensemble demo", *NAMES[1:]) for fold in range(3)),
        ),
        by_case=_frame("case scans score", ("case3", 2, 0.71), ("case10", 2, 0.8), ("case17", 2, 0.83)),
        by_scan=_frame("case scan fold score uw_score uw_distance", *by_scan),
        groups=_frame(
            "by group scans cases mean low high",
            ("slice size, px", "266", 4, 2, 0.81, 0.76, 0.85),
            ("slice size, px", "310", 2, 1, 0.73, 0.61, 0.82),
            ("motion (check)", "no", 5, 3, 0.79, 0.74, 0.83),
            ("motion (check)", "yes", 1, 1, 0.7, np.nan, np.nan),
        ),
        volumes=volumes,
        changes=changes(volumes),
    )


def _ledger() -> Ledger:
    entries = _frame(
        "repair part alone",
        ("gate misses", 0.021, 0.021),
        ("gate false alarms", 0.012, 0.010),
        ("extent along z", 0.046, 0.052),
        ("class swaps", 0.015, 0.017),
        ("stray components", -0.002, 0.004),
        ("boundary", 0.120, 0.135),
    )
    return Ledger("Dice, mean over cases", 0.788, 1.0, entries)


def _outliers(held: Sequence[Scan]) -> pd.DataFrame:
    return _frame(
        "scan class side z y x distance_voxels distance",
        (held[0].name, "stomach", "found", 14.0, 40.0, 60.0, 31.2, 0.21),
        (held[2].name, "large_bowel", "truth", 5.0, 22.0, 61.0, 12.7, 0.08),
        (held[3].name, "small_bowel", "found", np.nan, np.nan, np.nan, np.inf, 1.0),
    )


def _curves() -> Curves:
    level, share, said = np.arange(5, 256, 5), np.linspace(0, 1, 30), np.linspace(0.05, 0.95, 10)
    tops = {"large_bowel": 110, "small_bowel": 85, "stomach": 140, "all": 115}
    sweeps = [
        pd.DataFrame({"class": name, "level": level, "score": 0.8 - ((level - top) / 300) ** 2})
        for name, top in tops.items()
    ]
    gates = [
        pd.DataFrame({"class": name, "level": np.linspace(255, 1, 30).astype(int), "recall": 1 - (1 - share) ** power})
        .assign(precision=1 - 0.4 * share**power, false_alarms=share**power)
        for name, power in zip(CLASSES, (4, 3, 6), strict=True)
    ]  # fmt: skip
    true = [
        pd.DataFrame({"class": name, "said": said, "true": said**power, "voxels": 1000})
        for name, power in zip(CLASSES, (1.1, 1.4, 0.8), strict=True)
    ]
    sets = ["none", "large_bowel", "large_bowel + small_bowel", "large_bowel + stomach"]
    counts = [[61, 2, 0, 1], [3, 34, 4, 1], [0, 5, 28, 0], [0, 2, 1, 26]]
    return Curves(
        sweeps=pd.concat(sweeps, ignore_index=True),
        levels={"large_bowel": 110, "small_bowel": 90, "stomach": 135},
        gate=pd.concat(gates, ignore_index=True),
        gate_levels={"large_bowel": 60, "small_bowel": 40},
        calibration=pd.concat(true, ignore_index=True),
        confusion=pd.DataFrame(counts, sets, sets),
    )


def _members() -> Members:
    random = np.random.default_rng(0)
    training = [
        (name, fold, epoch, 1.6 * 0.85**epoch + 0.2 + 0.03 * random.random(),
         0.8 - 0.6 * 0.8**epoch + 0.02 * fold if epoch % 2 == 0 else np.nan)
        for name in NAMES for fold in range(3) for epoch in range(1, 21)
    ]  # fmt: skip
    agreement = np.array([[1, 0.74, 0.91], [0.74, 1, 0.83], [0.91, 0.83, 1]])
    names = [*NAMES[1:], "ensemble"]
    costs = _frame(
        "member peak_memory_gb disk_mb per_1000_steps_s per_scan_s",
        ("cls_lite0", 0.9, 14.1, 118.0, 0.4),
        ("seg25d_lite0", 1.9, 61.0, 402.0, 1.3),
        ("seg3d_unet", 3.4, 12.2, 911.0, 4.8),
    )
    weights = [(name, label, weight) for name, weight in zip(NAMES[1:], (0.8, 0.2), strict=True) for label in CLASSES]
    return Members(
        adds=_frame(
            "member score adds adds_low adds_high",
            ("cls_lite0", np.nan, 0.009, 0.002, 0.016),
            ("seg25d_lite0", 0.781, 0.083, 0.05, 0.12),
            ("seg3d_unet", 0.702, 0.004, -0.003, 0.011),
        ),
        weights=_frame("member class weight", *weights),
        agreement=pd.DataFrame(agreement, names, names),
        training=_frame("member fold epoch loss score", *training),
        gaps=_frame("member training validation", ("seg25d_lite0", 0.931, 0.781), ("seg3d_unet", 0.705, 0.702)),
        fields=_frame("member share", ("seg25d_lite0", 0.11), ("seg3d_unet", 0.64)),
        costs=costs.assign(hardware="CPU, 2 cores"),
    )


def _suspects(held: Sequence[Scan], order: Sequence[int]) -> Suspects:
    lacks, elsewhere = "members find it, the label lacks it", "members find it elsewhere"
    scan = [
        (held[n].name, "stomach", 8, 12, lacks, 0.9, 0.67 - 0.1 * place, 0.6 - 0.1 * place, 14.0 - 5 * place)
        for place, n in enumerate(order)
    ]
    rows = [
        (held[order[n % 3]].name, CLASSES[n % 3], 8 + n, elsewhere, 0.95, 0.84 - 0.04 * n, 0.8 - 0.04 * n)
        for n in range(14)
    ]
    return Suspects(
        _frame("scan class first last why agreement disagreement score excess", *scan),
        _frame("scan class z why agreement disagreement score", *rows),
        members=2,
    )


def _picks() -> Picks:
    return Picks(
        _frame(
            "candidate score behind behind_low behind_high pick",
            ("demo", 0.788, 0.0, np.nan, np.nan, "first"),
            ("demo_flips", 0.786, 0.002, -0.004, 0.008, ""),
            ("demo_3d", 0.781, 0.007, -0.003, 0.017, "second"),
            ("seg25d_lite0", 0.781, 0.007, 0.001, 0.013, ""),
        ),
        (
            "First demo: the best cross-fitted score, 0.788.",
            "Second demo_3d: within noise of the best (0.007, -0.003 to 0.017) and the least like it (Dice 0.81).",
        ),
        _frame("submission cv lb", ("first try", 0.71, 0.69), ("gate", 0.762, 0.748), ("demo", 0.788, 0.771)),
    )


def _frame(columns: str, *rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(content()), encoding="utf-8")
