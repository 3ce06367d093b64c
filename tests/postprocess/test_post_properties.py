"""What holds of any pipeline on any scan: nothing crosses a scan's border or a class."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from numpy.random import Generator

from casefold.config.postprocess import (
    DropEnds,
    DropRuns,
    FillGaps,
    FillHoles,
    LargestComponents,
    Overlap,
    SmallComponents,
    Step,
    Truncate,
)
from casefold.postprocess import STEPS, apply

CLASSES = ("a", "b", "c")
LEVELS = (100, 120, 140)
SPACING = (3.0, 1.5, 1.5)
SEEDS = range(40)
BY: tuple[Literal["scan", "slice"], ...] = ("scan", "slice")
LEAVES_FULL = ("small_components", "largest_components", "fill_holes", "fill_gaps", "drop_runs")


def a_size(rng: Generator, word: str, fields: tuple[str, str], by: str) -> dict[str, Any]:
    count, measure = fields
    size, voxel = int(rng.integers(2, 6)), 6.75 if by == "scan" else 2.25
    return {f"{word}_{count}": size} if rng.random() < 0.5 else {f"{word}_{measure}": size * voxel}


def small_components(rng: Generator) -> Step:
    by = BY[rng.integers(2)]
    size = a_size(rng, "min", ("voxels", "mm3") if by == "scan" else ("pixels", "mm2"), by)
    return SmallComponents(by=by, connectivity=(6, 18, 26)[rng.integers(3)], **size)


def fill_holes(rng: Generator) -> Step:
    by = BY[rng.integers(2)]
    if rng.random() < 0.5:
        return FillHoles(by=by)
    return FillHoles(by=by, **a_size(rng, "max", ("voxels", "mm3") if by == "scan" else ("pixels", "mm2"), by))


def drop_ends(rng: Generator) -> Step:
    return DropEnds(
        first_slices=int(rng.integers(3)), last_slices=int(rng.integers(1, 3)), edge_px=int(rng.integers(2))
    )


DRAWN: dict[str, Callable[[Generator], Step]] = {
    "small_components": small_components,
    "largest_components": lambda rng: LargestComponents(k=int(rng.integers(1, 4)), by=BY[rng.integers(2)]),
    "fill_holes": fill_holes,
    "fill_gaps": lambda rng: FillGaps(max_slices=int(rng.integers(1, 4))),
    "drop_runs": lambda rng: DropRuns(min_slices=int(rng.integers(2, 4))),
    "drop_ends": drop_ends,
    "truncate": lambda rng: Truncate(
        member="ends", level=int(rng.integers(60, 200)), foot=(None, "first", "last")[rng.integers(3)]
    ),
    "overlap": lambda rng: Overlap(rule=("priority", "largest")[rng.integers(2)]),
}  # fmt: skip
ALONE = [name for name in DRAWN if name != "overlap"]  # these see one class at a time


def a_scan(rng: Generator, depth: int | None = None) -> dict[str, Any]:
    """Boxes with noise as masks; maps and a member's presence as noise."""
    depth = depth or int(rng.integers(1, 12))
    masks = np.zeros((3, depth, 9, 8), bool)
    for index in range(3):
        for _ in range(rng.integers(5)):
            low = [int(rng.integers(size)) for size in masks.shape[1:]]
            z, y, x = (slice(start, start + int(rng.integers(1, 5))) for start in low)
            masks[index, z, y, x] = True
    masks ^= rng.random(masks.shape) < rng.choice([0, 0.01, 0.1])
    maps = rng.integers(0, 256, masks.shape, np.uint8)
    presence = {"ends": rng.integers(0, 256, (int(rng.choice([1, 3])), depth), np.uint8)}
    return {"masks": masks, "maps": maps, "presence": presence, "levels": LEVELS, "spacing_mm": SPACING}


def a_pipeline(rng: Generator, names: list[str] | None = None) -> list[Step]:
    """One to four steps, each for all classes or for some."""
    steps = [DRAWN[str(name)](rng) for name in rng.choice(names or list(DRAWN), rng.integers(1, 5))]
    some = [tuple(rng.permutation(CLASSES)[: rng.integers(1, 4)].tolist()) for _ in steps]
    chance = rng.random(len(steps)) < 0.3
    return [
        step.model_copy(update={"classes": names}) if named else step
        for step, names, named in zip(steps, some, chance, strict=True)
    ]


def done(scan: dict[str, Any], steps: list[Step], classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    others = {key: value for key, value in scan.items() if key != "masks"}
    return apply(scan["masks"], steps, classes, **others)


def joined(scans: list[dict[str, Any]]) -> dict[str, Any]:
    """Scans in one array, one above the other along z."""
    presence = [np.broadcast_to(scan["presence"]["ends"], (3, scan["masks"].shape[1])) for scan in scans]
    arrays = {key: np.concatenate([scan[key] for scan in scans], axis=1) for key in ("masks", "maps")}
    return {**scans[0], **arrays, "presence": {"ends": np.concatenate(presence, axis=1)}}


def test_every_step_is_drawn() -> None:
    assert list(DRAWN) == list(STEPS)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_crosses_a_scans_border(seed: int) -> None:
    """Scans that lie in one array come out as each does alone, and their neighbours are not touched."""
    rng = np.random.default_rng([seed, 2])
    scans, steps = [a_scan(rng) for _ in range(3)], a_pipeline(rng)
    alone = [done(scan, steps) for scan in scans]
    shared = joined(scans)
    before = {key: shared[key].copy() for key in ("masks", "maps")}
    start = 0
    for scan, wanted in zip(scans, alone, strict=True):
        z = slice(start, start + scan["masks"].shape[1])
        view = {**scan, "masks": shared["masks"][:, z], "maps": shared["maps"][:, z]}
        np.testing.assert_array_equal(done(view, steps), wanted)
        start = z.stop
    for key, array in before.items():
        np.testing.assert_array_equal(shared[key], array)


def test_scans_taken_as_one_would_come_out_otherwise() -> None:
    """So the test above is no empty one: most pipelines do reach across where they are let."""
    differing = 0
    for seed in SEEDS:
        rng = np.random.default_rng([seed, 2])
        scans, steps = [a_scan(rng) for _ in range(3)], a_pipeline(rng)
        alone = np.concatenate([done(scan, steps) for scan in scans], axis=1)
        differing += not np.array_equal(done(joined(scans), steps), alone)
    assert differing > len(SEEDS) // 2


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_crosses_a_class(seed: int) -> None:
    """Each class comes out as it does when the others are empty, in any order of the classes."""
    rng = np.random.default_rng([seed, 3])
    scan, steps = a_scan(rng), a_pipeline(rng, ALONE)
    together = done(scan, steps)
    for index in range(3):
        masks = np.zeros_like(scan["masks"])
        masks[index] = scan["masks"][index]
        np.testing.assert_array_equal(done({**scan, "masks": masks}, steps)[index], together[index])
    order = rng.permutation(3)
    presence = np.broadcast_to(scan["presence"]["ends"], (3, together.shape[1]))[order]
    turned = {**scan, "masks": scan["masks"][order], "maps": scan["maps"][order], "presence": {"ends": presence}}
    np.testing.assert_array_equal(done(turned, steps, tuple(CLASSES[at] for at in order)), together[order])


@pytest.mark.parametrize("seed", SEEDS)
def test_classes_that_no_step_names_stay_as_they_are(seed: int) -> None:
    rng = np.random.default_rng([seed, 4])
    scan = a_scan(rng)
    steps = [step.model_copy(update={"classes": ("c", "a")}) for step in a_pipeline(rng)]
    np.testing.assert_array_equal(done(scan, steps)[1], scan["masks"][1])


def between(mask: np.ndarray, axis: int) -> np.ndarray:
    """Voxels with the mask before and behind them (or at them) along an axis."""
    behind = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
    return np.asarray(np.logical_or.accumulate(mask, axis) & behind)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_adds_only_what_its_own_class_encloses(seed: int) -> None:
    rng = np.random.default_rng([seed, 5])
    scan = a_scan(rng, depth=9)
    masks = scan["masks"]
    for name, draw in DRAWN.items():
        step = draw(rng)
        added = done(scan, [step]) & ~masks
        if name == "fill_holes":
            assert isinstance(step, FillHoles)
            for axis in (1, 2, 3) if step.by == "scan" else (2, 3):
                assert not (added & ~between(masks, axis)).any()
        elif name == "fill_gaps":
            assert not added[masks.any((2, 3))].any()  # on no slice that has the class
            assert not (added & ~between(masks.any((2, 3), keepdims=True), 1)).any()
        else:
            assert not added.any()
    assert not (done(scan, a_pipeline(rng)) & ~masks.any((2, 3), keepdims=True).any(1, keepdims=True)).any()


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("seed", range(12))
def test_a_step_taken_twice_does_what_it_does_once(name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 6])
    scan, step = a_scan(rng), DRAWN[name](rng)
    once = done(scan, [step])
    np.testing.assert_array_equal(done(scan, [step, step]), once)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_comes_of_nothing_and_the_input_is_left_alone(seed: int) -> None:
    rng = np.random.default_rng([seed, 7])
    scan, steps = a_scan(rng), a_pipeline(rng)
    before = scan["masks"].copy()
    first = done(scan, steps)
    np.testing.assert_array_equal(scan["masks"], before)
    assert not np.shares_memory(first, scan["masks"])
    empty = done({**scan, "masks": np.zeros_like(before)}, steps)
    assert empty.shape == before.shape and empty.dtype == np.bool_ and not empty.any()
    np.testing.assert_array_equal(done(scan, steps), first)


@pytest.mark.parametrize("name", LEAVES_FULL)
@pytest.mark.parametrize("seed", range(5))
def test_a_full_scan_stays_full(name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 8])
    scan = a_scan(rng, depth=4)
    assert done({**scan, "masks": np.ones_like(scan["masks"])}, [DRAWN[name](rng)]).all()


@pytest.mark.parametrize("name", ["small_components", "fill_holes", "fill_gaps", "drop_runs"])
@pytest.mark.parametrize("seed", range(12))
def test_a_mirrored_scan_comes_out_mirrored(name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 9])
    scan, step = a_scan(rng), DRAWN[name](rng)
    wanted = done(scan, [step])
    for axis in (1, 2, 3):
        mirrored = done({**scan, "masks": np.flip(scan["masks"], axis)}, [step])
        np.testing.assert_array_equal(mirrored, np.flip(wanted, axis))
