"""Overlap rules, hysteresis, and what holds of every pipeline: order, classes, refusals."""

from typing import Any, get_args

import numpy as np
import pytest
from drawn import after, mask, picture

from casefold.config.postprocess import (
    DropEnds,
    DropRuns,
    FillGaps,
    FillHoles,
    LargestComponents,
    Overlap,
    SmallComponents,
    StepConfig,
)
from casefold.core import ConfigError, DataError
from casefold.postprocess import STEPS, apply, hysteresis

CLASSES = ("a", "b", "c")


def rows(*texts: str) -> np.ndarray:
    """A row of voxels a class, as masks (class, 1, 1, x)."""
    return np.concatenate([mask(text) for text in texts])


def read(masks: np.ndarray) -> list[str]:
    return [picture(masks[index : index + 1])[0] for index in range(len(masks))]


def q(*texts: list[int]) -> np.ndarray:
    """A row of q a class, as maps (class, 1, 1, x)."""
    return np.array(texts, np.uint8)[:, None, None]


def test_the_table_has_the_names_of_the_schema() -> None:
    union, _ = get_args(StepConfig)
    assert [get_args(step.model_fields["name"].annotation)[0] for step in get_args(union)] == list(STEPS)


@pytest.mark.parametrize(
    ("order", "left"),
    [
        (None, ["###...", "...#..", "....##"]),
        (("c", "b", "a"), ["#.....", ".##...", "...###"]),
        (("b", "a"), ["#.....", ".###..", "...###"]),  # c takes no part
    ],
)
def test_an_overlap_goes_to_the_class_named_first(order: tuple[str, ...] | None, left: list[str]) -> None:
    masks = rows("###...", ".###..", "...###")
    if order == ("c", "b", "a"):
        masks[0, ..., 3] = True  # all three meet there
    assert read(apply(masks, [Overlap(rule="priority", classes=order)], CLASSES)) == left


def test_an_overlap_goes_to_the_largest_q_above_its_level() -> None:
    masks = rows(".####.", ".####.", "...##.")
    maps = q([9, 200, 100, 150, 130, 255], [9, 199, 190, 150, 130, 255], [9, 255, 255, 149, 131, 255])
    step = Overlap(rule="largest")
    # Level 100 each: a by 1; b by 90; a and b equal; c by 1. Where c has no mask its q does not count.
    assert read(apply(masks, [step], CLASSES, maps=maps, levels=(100, 100, 100))) == [".#.#..", "..#...", "....#."]
    # Levels 100, 99, 90 make the margins 100 and 100; 0 and 91; 50, 51 and 59; 30, 31 and 41.
    assert read(apply(masks, [step], CLASSES, maps=maps, levels=(100, 99, 90))) == [".#....", "..#...", "...##."]
    named = Overlap(rule="largest", classes=("b", "a"))
    assert read(apply(masks, [named], CLASSES, maps=maps, levels=(100, 100, 100))) == [".#....", "..###.", "...##."]


def test_an_overlap_of_classes_that_take_no_part_stays() -> None:
    masks = rows("#.....", "##....", "...##.", "...##.")
    done = apply(masks, [Overlap(rule="priority", classes=("a", "b"))], ("a", "b", "c", "d"))
    assert read(done) == ["#.....", ".#....", "...##.", "...##."]


def test_without_the_step_classes_may_overlap() -> None:
    masks = rows("###", ".##", "..#")
    assert read(apply(masks, [DropEnds(edge_px=1, classes=("b",))], CLASSES)) == ["###", "...", "..#"]


@pytest.mark.parametrize("known", [{}, {"levels": (1, 1, 1)}, {"maps": q([1], [1], [1])}])
def test_the_largest_q_needs_maps_and_levels(known: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="the rule `largest` needs maps and levels; the rule `priority` needs neither"):
        apply(rows("#", "#", "#"), [Overlap(rule="largest")], CLASSES, **known)


def test_hysteresis_keeps_a_component_where_its_peak_reaches() -> None:
    maps = q([50, 60, 0, 50, 59, 0, 40, 90])
    assert read(hysteresis(maps, [50], [60])) == ["##.....#"]
    assert read(hysteresis(maps, [50], [61])) == [".......#"]
    assert read(hysteresis(maps, [40], [60])) == ["##....##"]
    assert read(hysteresis(maps, [50], [91])) == ["........"]


def test_a_peak_not_above_the_level_drops_nothing() -> None:
    maps = q([50, 60, 0, 50, 59, 0, 40, 90])
    for peak in (0, 49, 50):
        assert read(hysteresis(maps, [50], [peak])) == ["##.##..#"]


def test_hysteresis_joins_in_3d_over_corners_and_class_by_class() -> None:
    maps = np.zeros((2, 2, 2, 2), np.uint8)
    maps[0, 0, 0, 0], maps[0, 1, 1, 1] = 50, 90
    maps[1, 0, 0, 0] = 50  # where the other class is sure this one is not
    masks = hysteresis(maps, [50, 50], [90, 90])
    assert np.argwhere(masks).tolist() == [[0, 0, 0, 0], [0, 1, 1, 1]]
    assert np.argwhere(hysteresis(maps, [50, 50], [90, 50])).tolist() == [[0, 0, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]]


def test_peaks_count_after_the_gate() -> None:
    maps = np.array([50, 90, 50], np.uint8).reshape(1, 3, 1, 1)
    assert hysteresis(maps, [50], [90]).ravel().tolist() == [True, True, True]
    # Without the slice of the peak two components are left, and neither reaches it.
    assert hysteresis(maps, [50], [90], np.array([[True, False, True]])).ravel().tolist() == [False] * 3
    assert hysteresis(maps, [50], [90], np.array([[True, True, False]])).ravel().tolist() == [True, True, False]
    assert hysteresis(maps, [50], [0], np.array([[True, False, True]])).ravel().tolist() == [True, False, True]


def test_hysteresis_refuses_what_does_not_fit() -> None:
    maps = np.zeros((2, 3, 1, 1), np.uint8)
    with pytest.raises(DataError, match=r"wants uint8 maps \(class, z, y, x\), not float64 of shape \(2, 3, 1, 1\)"):
        hysteresis(maps.astype(float), [1, 1], [1, 1])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="2 maps, 1 levels and 2 peaks; wanted one a class of each"):
        hysteresis(maps, [1], [1, 1])
    with pytest.raises(DataError, match=r"allowed should be \(class, z\), \(2, 3\) here, but has shape \(3,\)"):
        hysteresis(maps, [1, 1], [1, 1], np.ones(3, bool))


def test_steps_are_taken_in_the_order_given() -> None:
    slices = ("#", ".", "#", ".", ".")
    fill, drop = FillGaps(max_slices=1), DropRuns(min_slices=2)
    assert after([fill, drop], *slices) == ("#", "#", "#", ".", ".")
    assert after([drop, fill], *slices) == (".",) * 5


def test_a_step_treats_the_classes_it_names() -> None:
    masks = rows("#.##", "#.##", "#.##")
    done = apply(masks, [SmallComponents(min_voxels=2, classes=("c", "a"))], CLASSES)
    assert read(done) == ["..##", "#.##", "..##"]


def test_components_of_two_classes_are_not_joined() -> None:
    assert read(apply(rows("##..", "..##", "...."), [SmallComponents(min_voxels=3)], CLASSES)) == ["...."] * 3
    ring, dot = mask("###/#.#/###"), mask(".../.#./...")  # a hole in one class is a hole, whatever fills it
    done = apply(np.concatenate([ring, dot]), [FillHoles(by="slice")], ("a", "b"))
    assert read(done) == ["###/###/###", ".../.#./..."]


def test_no_step_gives_a_copy() -> None:
    masks = rows("#.#", "...", "###")
    done = apply(masks, [], CLASSES)
    np.testing.assert_array_equal(done, masks)
    done[:] = False
    assert masks.sum() == 5


@pytest.mark.parametrize(
    ("masks", "known", "message"),
    [
        (np.ones((3, 1, 1), bool), {}, r"wants bool masks \(class, z, y, x\), not bool of shape \(3, 1, 1\)"),
        (np.ones((3, 1, 1, 1), np.uint8), {}, r"not uint8 of shape \(3, 1, 1, 1\)"),
        (np.ones((2, 1, 1, 1), bool), {}, r"2 masks, classes \['a', 'b', 'c'\] and levels None; wanted one a class"),
        (np.ones((3, 1, 1, 1), bool), {"levels": [1, 1]}, r"3 masks, .* and levels \[1, 1\]; wanted one a class"),
        (
            np.ones((3, 1, 1, 1), bool),
            {"maps": np.ones((3, 1, 1, 2), np.uint8)},
            r"maps should be uint8 of shape \(3, 1, 1, 1\), but are uint8 of shape \(3, 1, 1, 2\)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(masks: np.ndarray, known: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        apply(masks, [], CLASSES, **known)


def test_a_class_that_is_not_there_is_refused_before_any_work() -> None:
    step = LargestComponents(classes=("large_bowl",))
    message = r"largest_components: 'large_bowl' is none of the classes \['large_bowel'\] \(did you mean 'large_bowel'"
    with pytest.raises(ConfigError, match=message):
        apply(mask("#"), [step], ("large_bowel",))
