"""Views of a scan by hand: which voxel lies where, that nothing is copied, and that what goes there comes back."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.config.inputs import Plane
from casefold.core import DataError, Grid, Scan
from casefold.intensity import scan_statistics
from casefold.views import Box, crop_scan, put_back, turn_scan, view_scan, whole_box
from casefold.views.turning import TURNS

SHAPE = (2, 3, 4)
PLANES: tuple[Plane, ...] = get_args(Plane)
# x, y, z to mm: 1, 2 and 3 mm a voxel from the corner (10, 20, 30)
AFFINE = ((1.0, 0.0, 0.0, 10.0), (0.0, 2.0, 0.0, 20.0), (0.0, 0.0, 3.0, 30.0), (0.0, 0.0, 0.0, 1.0))


def counted(shape: tuple[int, int, int] = SHAPE) -> Scan:
    """Voxels 0, 1, 2 ...; the masks are the count's last bit, and what is above 12 is to be ignored."""
    image = np.arange(np.prod(shape), dtype=np.uint16).reshape(1, *shape)
    names = tuple(f"s{z}" for z in range(shape[0]))
    grid = Grid(shape, (3.0, 2.0, 1.0), AFFINE)
    return Scan(
        "case1", "case1_day0", image, grid, ("odd",), names, (image[0] & 1).astype(np.uint8), image[0] > 12,
        scan_statistics(image),
    )  # fmt: skip


def arrays(scan: Scan) -> list[NDArray[Any]]:
    assert scan.masks is not None and scan.ignore is not None
    return [scan.image[0], scan.masks, scan.ignore]


def test_coronal_slices_lie_along_y_and_their_height_is_z() -> None:
    seen = turn_scan(counted(), "coronal")
    assert seen.image[0].tolist() == [
        [[0, 1, 2, 3], [12, 13, 14, 15]],
        [[4, 5, 6, 7], [16, 17, 18, 19]],
        [[8, 9, 10, 11], [20, 21, 22, 23]],
    ]
    assert (seen.grid.shape, seen.grid.spacing_mm) == ((3, 2, 4), (2.0, 3.0, 1.0))
    assert seen.slice_names == ("case1_day0_coronal_0001", "case1_day0_coronal_0002", "case1_day0_coronal_0003")


def test_sagittal_slices_lie_along_x_and_are_as_wide_as_y() -> None:
    seen = turn_scan(counted(), "sagittal")
    assert seen.image[0].tolist() == [
        [[0, 4, 8], [12, 16, 20]],
        [[1, 5, 9], [13, 17, 21]],
        [[2, 6, 10], [14, 18, 22]],
        [[3, 7, 11], [15, 19, 23]],
    ]
    assert (seen.grid.shape, seen.grid.spacing_mm) == ((4, 2, 3), (1.0, 3.0, 2.0))


def test_a_crop_keeps_what_is_in_its_box() -> None:
    scan = counted()
    seen = crop_scan(scan, Box((1, 2), (0, 2), (1, 4)))
    assert seen.image.tolist() == [[[[13, 14, 15], [17, 18, 19]]]]
    assert (seen.grid.shape, seen.grid.spacing_mm, seen.slice_names) == ((1, 2, 3), (3.0, 2.0, 1.0), ("s1",))
    assert seen.statistics == scan.statistics  # normalised as the whole scan is


@pytest.mark.parametrize("plane", PLANES)
def test_masks_go_with_the_image_and_nothing_is_copied(plane: Plane) -> None:
    scan = counted()
    seen = view_scan(scan, Box((0, 2), (1, 3), (1, 4)), plane)
    image, masks, ignore = arrays(seen)
    np.testing.assert_array_equal(masks, image & 1)
    np.testing.assert_array_equal(ignore, image > 12)
    assert all(np.shares_memory(own, other) for own, other in zip(arrays(seen), arrays(scan), strict=True))


@pytest.mark.parametrize("plane", PLANES)
def test_a_voxel_stays_where_it_is_in_the_world(plane: Plane) -> None:
    seen = view_scan(counted(), Box((0, 2), (1, 3), (2, 4)), plane)
    assert seen.grid.affine is not None
    for place in np.ndindex(seen.grid.shape):
        z, y, x = np.unravel_index(int(seen.image[0][place]), SHAPE)
        at = np.array(seen.grid.affine) @ (*reversed(place), 1)
        assert at[:3].tolist() == [10 + x, 20 + 2 * y, 30 + 3 * z]


def test_all_of_a_scan_in_the_axial_plane_is_the_scan_itself() -> None:
    scan = counted()
    assert view_scan(scan, whole_box(SHAPE), "axial") is scan
    maps = np.zeros((2, *SHAPE), np.uint8)
    assert put_back(maps, whole_box(SHAPE), "axial", SHAPE) is maps


def test_an_unlabelled_scan_has_unlabelled_views() -> None:
    bare = replace(counted(), masks=None, ignore=None, grid=Grid(SHAPE))
    seen = view_scan(bare, Box((0, 2), (0, 1), (0, 1)), "coronal")
    assert (seen.masks, seen.ignore, seen.grid) == (None, None, Grid((1, 2, 1)))


def test_maps_of_a_view_by_hand() -> None:
    maps = np.array([[[[1, 2, 3]], [[4, 5, 6]]]], np.uint8)  # (class, y, z, x): two coronal slices of 1 x 3
    back = put_back(maps, Box((1, 2), (0, 2), (1, 4)), "coronal", SHAPE)
    assert back.dtype == np.uint8
    assert back.tolist() == [[[[0] * 4, [0] * 4, [0] * 4], [[0, 1, 2, 3], [0, 4, 5, 6], [0] * 4]]]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_what_goes_through_any_view_comes_back_exactly(kind: Any) -> None:
    random = np.random.default_rng(0)
    for _ in range(60):
        shape = tuple(int(size) for size in random.integers(1, 9, 3))
        ends = [sorted(random.choice(size + 1, 2, replace=False).tolist()) for size in shape]
        box, plane = Box(*((first, last) for first, last in ends)), PLANES[random.integers(3)]
        z, y, x = box.slices
        maps = (1 + random.random((3, *shape)) * 200).astype(kind)
        there = maps[:, z, y, x].transpose(0, *(1 + axis for axis in TURNS[plane]))
        back = put_back(there, box, plane, shape)  # type: ignore[arg-type]
        inside = np.zeros(shape, np.bool_)
        inside[z, y, x] = True
        assert back.dtype == kind
        np.testing.assert_array_equal(back, np.where(inside, maps, 0))


def test_a_box_beyond_the_scan_is_refused() -> None:
    with pytest.raises(DataError, match=r"scan case1_day0 of shape \(2, 3, 4\) does not hold the box Box\(z=\(0, 2\)"):
        crop_scan(counted(), Box((0, 2), (0, 3), (0, 5)))


def test_maps_of_another_box_are_refused() -> None:
    message = r"maps of shape \(2, 3, 4\) are not of a coronal view of Box"
    with pytest.raises(DataError, match=message):
        put_back(np.zeros((1, *SHAPE)), whole_box(SHAPE), "coronal", SHAPE)
