"""Scans turned and flipped: small grids whose answer is written out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.config.studies import Unlike
from casefold.core import Grid, Scan
from casefold.intensity import scan_statistics
from casefold.pipeline.unlike import changes, flipped, rotated
from toy_members import ramp_scan


def scan(shape: tuple[int, int, int], **parts: Any) -> Scan:
    """Voxels that count 0, 1, 2 ... up, and as masks, of one class, those that are odd."""
    plain = ramp_scan(shape)
    return replace(plain, masks=(plain.image[0] % 2).astype(np.uint8), **parts)


def planes(array: NDArray[Any]) -> list[Any]:
    """The one slice of an array of one channel, or of none."""
    return list(array.reshape(array.shape[-2:]).tolist())


def test_a_flip_turns_image_masks_and_ignore_round_together() -> None:
    ignore = np.array([[[True, False, False], [False, False, False]]])
    turned = flipped(scan((1, 2, 3), ignore=ignore), "x")
    assert planes(turned.image) == [[2, 1, 0], [5, 4, 3]]
    assert turned.masks is not None and planes(turned.masks) == [[0, 1, 0], [1, 0, 1]]
    assert turned.ignore is not None and planes(turned.ignore) == [[False, False, True], [False, False, False]]
    assert planes(flipped(scan((1, 2, 3)), "xy").image) == [[5, 4, 3], [2, 1, 0]]
    assert flipped(scan((2, 1, 1)), "z").image.ravel().tolist() == [1, 0]


@pytest.mark.parametrize("axes", ["x", "y", "z", "xz", "xyz"])
def test_flipped_twice_a_scan_is_itself(axes: str) -> None:
    before = scan((2, 3, 4))
    after = flipped(flipped(before, axes), axes)
    assert np.array_equal(after.image, before.image) and after.statistics == before.statistics
    assert after.masks is not None and np.array_equal(after.masks, before.masks)


def test_a_quarter_turn_is_clockwise_and_exact() -> None:
    turned = rotated(scan((1, 3, 3)), 90)
    assert planes(turned.image) == [[6, 3, 0], [7, 4, 1], [8, 5, 2]]
    assert turned.masks is not None and planes(turned.masks) == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert turned.ignore is not None and not turned.ignore.any()
    assert turned.image.dtype == np.uint16


def test_what_was_outside_is_to_be_ignored() -> None:
    turned = rotated(scan((1, 1, 3)), 90)  # only the middle stays; the edge's voxels repeat beyond it
    assert planes(turned.image) == [[1, 1, 1]]
    assert turned.masks is not None and planes(turned.masks) == [[0, 1, 0]]
    assert turned.ignore is not None and planes(turned.ignore) == [[True, False, True]]


def test_what_was_to_be_ignored_still_is() -> None:
    ignore = np.zeros((1, 3, 3), np.bool_)
    ignore[0, 0, 0] = True
    turned = rotated(scan((1, 3, 3), ignore=ignore), 90)
    assert turned.ignore is not None and np.argwhere(turned.ignore).tolist() == [[0, 0, 2]]


def test_an_angle_is_one_in_mm() -> None:
    """Of voxels twice as high as wide, a quarter turn brings the one two to the right to one below."""
    turned = rotated(scan((1, 3, 5), grid=Grid((1, 3, 5), (1.0, 2.0, 1.0))), 90)
    assert turned.image[0, 0, 2, 2] == 9  # (y, x) = (1, 4), from the middle (1, 2)
    assert rotated(scan((1, 3, 5)), 90).image[0, 0, 2, 2] == 8


def test_between_voxels_the_image_is_linear_and_a_mask_the_nearest() -> None:
    turned = rotated(scan((1, 3, 3)), 45)
    # the voxel right of the middle comes from 0.707 to the right and 0.707 up: 4 + 0.707 * (1 - 3) = 2.59
    assert turned.image[0, 0, 1, 2] == 3
    assert turned.masks is not None and turned.masks[0, 1, 2] == 0  # of the voxel 2


def test_floats_stay_floats_and_sixty_classes_stay_apart() -> None:
    plain = scan((1, 3, 3))
    masks = np.zeros((1, 3, 3), np.uint64)
    masks[0, 0, 0] = (1 << 59) + 1
    turned = rotated(replace(plain, image=plain.image.astype(np.float32) / 2, masks=masks), 90)
    assert planes(turned.image) == [[3.0, 1.5, 0.0], [3.5, 2.0, 0.5], [4.0, 2.5, 1.0]]
    assert turned.masks is not None and int(turned.masks[0, 0, 2]) == (1 << 59) + 1


def test_a_changed_scan_has_the_statistics_of_its_own_voxels() -> None:
    turned = rotated(scan((1, 1, 3)), 90)
    assert turned.statistics == scan_statistics(turned.image) and turned.statistics[0]["mean"] == 1.0
    assert turned.grid == Grid((1, 1, 3))


def test_each_test_makes_what_its_name_says() -> None:
    made = {name: change(scan((1, 2, 2))) for name, change in changes(Unlike(rotated_deg=(90,), flipped=("y",)))}
    assert {name: planes(one.image) for name, one in made.items()} == {
        "rotated 90": [[2, 0], [3, 1]], "flipped y": [[2, 3], [0, 1]],
    }  # fmt: skip
