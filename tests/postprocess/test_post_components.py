"""Small and largest components, and holes, on drawings worked out by hand and against scipy."""

from typing import Any

import numpy as np
import pytest
from drawn import after
from scipy import ndimage

from casefold.config.postprocess import FillHoles, LargestComponents, SmallComponents
from casefold.core import DataError
from casefold.postprocess import apply, label

# Two voxels that share a face, an edge, or a corner only.
FACE, EDGE, CORNER = ("##/..", "../.."), ("#./.#", "../.."), ("#./..", "../.#")
RING = ".###./.#.#./.###./....."


@pytest.mark.parametrize(
    ("slices", "connectivity", "joined"),
    [
        (FACE, 6, True),
        (EDGE, 6, False),
        (EDGE, 18, True),
        (CORNER, 18, False),
        (CORNER, 26, True),
    ],
)
def test_neighbours_are_joined_as_the_connectivity_says(
    slices: tuple[str, ...], connectivity: Any, joined: bool
) -> None:
    step = SmallComponents(min_voxels=2, connectivity=connectivity)
    assert after(step, *slices) == (slices if joined else ("../..", "../.."))


def test_a_component_of_just_the_size_stays() -> None:
    slices = ("##..#/#....", "...../.....")
    assert after(SmallComponents(min_voxels=3), *slices) == ("##.../#....", "...../.....")
    assert after(SmallComponents(min_voxels=4), *slices) == ("...../.....", "...../.....")


def test_by_slice_areas_count_and_nothing_is_joined_along_z() -> None:
    column = ("##/##", "#./..", "##/##")  # 9 voxels in 3D; areas 4, 1, 4
    assert after(SmallComponents(min_voxels=9), *column) == column
    assert after(SmallComponents(by="slice", min_pixels=2), *column) == ("##/##", "../..", "##/##")
    assert after(SmallComponents(by="slice", min_pixels=5), *column) == ("../..", "../..", "../..")


@pytest.mark.parametrize(("connectivity", "stays"), [(6, False), (18, True), (26, True)])
def test_by_slice_there_are_4_neighbours_or_8(connectivity: Any, stays: bool) -> None:
    step = SmallComponents(by="slice", min_pixels=2, connectivity=connectivity)
    assert after(step, "#./.#") == (("#./.#",) if stays else ("../..",))


# A voxel of 3 x 1.5 x 1.5 mm holds 6.75 mm3, a pixel 2.25 mm2.
@pytest.mark.parametrize(
    ("size", "left"),
    [
        ({"min_mm3": 13.5}, "##.."),
        ({"min_mm3": 13.6}, "...."),
        ({"min_mm3": 6.75}, "##.#"),
        ({"by": "slice", "min_mm2": 4.5}, "##.."),
        ({"by": "slice", "min_mm2": 4.6}, "...."),
        ({"by": "slice", "min_mm2": 2.25}, "##.#"),
    ],
)
def test_sizes_in_mm_go_by_the_spacing(size: dict[str, Any], left: str) -> None:
    assert after(SmallComponents(**size), "##.#", spacing_mm=(3.0, 1.5, 1.5)) == (left,)


def test_a_thing_of_just_the_size_in_mm_does_not_fall_to_rounding() -> None:
    assert 1.029 / (0.7 * 0.7 * 0.7) > 3  # 3 voxels of 0.343 mm3 are 1.029 mm3
    assert after(SmallComponents(min_mm3=1.029), "###.", spacing_mm=(0.7, 0.7, 0.7)) == ("###.",)
    assert 3.63 / (1.1 * 1.1) < 3  # 3 pixels of 1.21 mm2 are 3.63 mm2
    hole = FillHoles(by="slice", max_mm2=3.63)
    assert after(hole, "#####/#...#/#####", spacing_mm=(1.0, 1.1, 1.1)) == ("#####/#####/#####",)


@pytest.mark.parametrize(
    ("step", "twin"),
    [
        (SmallComponents(min_mm3=5), "small_components: min_mm3 needs .* lacks; use min_voxels"),
        (SmallComponents(by="slice", min_mm2=5), "small_components: min_mm2 needs .* lacks; use min_pixels"),
        (FillHoles(max_mm3=5), "fill_holes: max_mm3 needs .* lacks; use max_voxels"),
        (FillHoles(by="slice", max_mm2=5), "fill_holes: max_mm2 needs .* lacks; use max_pixels"),
    ],
)
@pytest.mark.parametrize("slices", ["##", ".."])
def test_without_a_spacing_a_size_in_mm_is_refused_and_its_twin_named(step: Any, twin: str, slices: str) -> None:
    with pytest.raises(DataError, match=twin):
        after(step, slices)


def test_the_largest_components_stay() -> None:
    slices = ("##.#.###", "........")
    assert after(LargestComponents(k=1), *slices) == (".....###", "........")
    assert after(LargestComponents(k=2), *slices) == ("##...###", "........")
    assert after(LargestComponents(k=3), *slices) == after(LargestComponents(k=9), *slices) == slices


def test_of_equal_components_the_first_in_the_scan_stays() -> None:
    assert after(LargestComponents(k=1), "..#/#..", ".../...", "#../...") == ("..#/...", ".../...", ".../...")
    assert after(LargestComponents(k=2), "..#/#..", ".../...", "#../...") == ("..#/#..", ".../...", ".../...")


def test_by_slice_each_slice_keeps_its_own_largest() -> None:
    slices = ("#.##.", "##.##", ".....", "#.#.#")
    assert after(LargestComponents(by="slice"), *slices) == ("..##.", "##...", ".....", "#....")
    assert after(LargestComponents(by="slice", k=2), *slices) == ("#.##.", "##.##", ".....", "#.#..")


def test_largest_components_heed_the_connectivity() -> None:
    assert after(LargestComponents(connectivity=26), "#./.#", "../..") == ("#./.#", "../..")
    assert after(LargestComponents(connectivity=6), "#./.#", "../..") == ("#./..", "../..")


def test_a_hole_of_a_slice_is_filled_by_slice_and_not_in_3d() -> None:
    full = ".###./.###./.###./....."
    assert after(FillHoles(by="slice"), RING, RING) == (full, full)
    assert after(FillHoles(), RING, RING) == (RING, RING)  # a tube, open along z


def test_a_cavity_is_filled_in_3d() -> None:
    assert after(FillHoles(), "###/###/###", "###/#.#/###", "###/###/###") == ("###/###/###",) * 3


def test_walls_may_touch_at_corners_as_background_leaves_over_faces_alone() -> None:
    assert after(FillHoles(by="slice"), ".#./#.#/.#.") == (".#./###/.#.",)


@pytest.mark.parametrize("by", ["scan", "slice"])
def test_what_is_open_to_the_scans_border_is_no_hole(by: Any) -> None:
    slices = ("#.#/#.#/###",) * 3
    assert after(FillHoles(by=by), *slices) == slices


def test_an_island_in_a_hole_is_filled_round() -> None:
    assert after(FillHoles(by="slice"), "#####/#...#/#.#.#/#...#/#####") == ("#####/#####/#####/#####/#####",)


def test_holes_above_a_size_stay() -> None:
    two = "####.###/#..#.#.#/####.###"  # holes of 2 pixels and of 1
    filled = "####.###/#..#.###/####.###"
    assert after(FillHoles(by="slice", max_pixels=1), two) == (filled,)
    assert after(FillHoles(by="slice", max_pixels=2), two) == ("####.###/####.###/####.###",)
    assert after(FillHoles(by="slice", max_mm2=2.25), two, spacing_mm=(3.0, 1.5, 1.5)) == (filled,)
    lids = "####.###/####.###/####.###"
    assert after(FillHoles(max_voxels=1), lids, two, lids) == (lids, filled, lids)
    assert after(FillHoles(max_mm3=6.75), lids, two, lids, spacing_mm=(3.0, 1.5, 1.5)) == (lids, filled, lids)


def structure(by: str, connectivity: int) -> np.ndarray:
    """The same neighbours for scipy."""
    whole = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    if by == "slice":
        whole[[0, 2]] = False
    return whole


@pytest.mark.parametrize("by", ["scan", "slice"])
@pytest.mark.parametrize("seed", range(12))
def test_components_and_holes_are_those_of_scipy(by: Any, seed: int) -> None:
    rng = np.random.default_rng([seed, 1])
    voxels = rng.random(tuple(rng.integers(1, 10, 3))) < rng.uniform(0.05, 0.8)
    for connectivity in (6, 18, 26):
        theirs, _ = ndimage.label(voxels, structure(by, connectivity))
        np.testing.assert_array_equal(label(voxels, by, connectivity), theirs)
        np.testing.assert_array_equal(label(np.asfortranarray(voxels), by, connectivity), theirs)
        sizes = np.bincount(theirs.ravel())
        sizes[0] = 0
        step = SmallComponents(by=by, connectivity=connectivity, **{"min_voxels" if by == "scan" else "min_pixels": 3})
        np.testing.assert_array_equal(apply(voxels[None], [step], "a")[0], (sizes >= 3)[theirs])
    filled = ndimage.binary_fill_holes(voxels, structure(by, 6))
    np.testing.assert_array_equal(apply(voxels[None], [FillHoles(by=by)], "a")[0], filled)


@pytest.mark.parametrize("shape", [(3, 1, 1), (5, 1, 1), (1, 1, 7), (1, 9, 1), (3, 1, 5), (5, 5, 1)])
def test_scattered_voxels_in_a_scan_one_voxel_wide_are_labelled(shape: tuple[int, ...]) -> None:
    """cc3d 4.1 fails on these where it is given bool and 26 neighbours."""
    scattered = (np.indices(shape) % 2 == 0).all(0)
    assert label(scattered).max() == scattered.sum()
