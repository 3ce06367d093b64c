"""The nouns refuse what breaks a contract, and bitfields and quantised probabilities have literal answers."""

from typing import Any

import numpy as np
import pytest

from casefold.core import DataError, Grid, Masks, Prediction, Scan, mask_type, nearest_word, pack_masks, quantise
from casefold.core import unpack_masks as unpack

SHAPE = (2, 3, 4)


def scan(**changes: Any) -> Scan:
    fields: dict[str, Any] = {
        "case": "case2", "name": "case2_day0", "image": np.zeros((1, *SHAPE), np.uint16), "grid": Grid(SHAPE),
        "classes": ("left", "right"), "slice_names": ("a", "b"),
    }  # fmt: skip
    return Scan(**{**fields, **changes})


def prediction(**changes: Any) -> Prediction:
    fields: dict[str, Any] = {
        "case": "case2", "scan": "case2_day0", "classes": ("left", "right"), "shape": SHAPE, "member": "m", "fold": "0",
    }  # fmt: skip
    return Prediction(**{**fields, **changes})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (3, 4)}, r"a grid has three axes \(z, y, x\) of at least one voxel; this one has shape \(3, 4\)"),
        ({"shape": (0, 3, 4)}, r"this one has shape \(0, 3, 4\)"),
        ({"shape": SHAPE, "spacing_mm": (1.0, 1.0)}, r"spacing_mm is three positive lengths"),
        ({"shape": SHAPE, "spacing_mm": (3.0, 0.0, 1.0)}, r"or None, not \(3\.0, 0\.0, 1\.0\)"),
        ({"shape": SHAPE, "affine": ((1.0, 0.0), (0.0, 1.0))}, r"a 4 x 4 matrix, not one of shape \(2, 2\)"),
    ],
)
def test_a_grid_that_is_none_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Grid(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"image": np.zeros(SHAPE)},
            r"scan case2_day0: the image should be \(modality, z, y, x\) on the grid \(2, 3, 4\), but has shape \(2, 3",
        ),
        ({"image": np.zeros((1, 2, 4, 3))}, r"but has shape \(1, 2, 4, 3\)"),
        ({"slice_names": ("a",)}, "scan case2_day0: 1 slice names for 2 slices"),
        ({"classes": ("left", "left")}, r"a class is named twice in \['left', 'left'\]"),
        ({"masks": np.zeros((2, 4, 3), np.uint8)}, r"masks of shape \(2, 4, 3\) on a grid of \(2, 3, 4\)"),
        ({"ignore": np.zeros((3, 4), bool)}, r"ignore of shape \(3, 4\) on a grid of \(2, 3, 4\)"),
    ],
)
def test_a_scan_whose_parts_do_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        scan(**fields)


def test_a_scan_gives_its_masks_by_class_and_none_without_labels() -> None:
    packed = np.zeros(SHAPE, np.uint8)
    packed[0, 0, 0], packed[1, 2, 3], packed[0, 1, 1] = 1, 2, 3
    masks = scan(masks=packed).class_masks()
    assert masks.dtype == np.bool_ and masks.shape == (2, *SHAPE)
    assert np.argwhere(masks).tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 1, 1], [1, 1, 2, 3]]
    with pytest.raises(DataError, match="scan case2_day0 has no labels, so it has no masks"):
        scan().class_masks()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "prediction for case2_day0: neither maps nor presence"),
        (
            {"maps": np.zeros((2, *SHAPE), np.float32)},
            r"maps should be uint8 of shape \(2, 2, 3, 4\), but is float32 of shape \(2, 2, 3, 4\)",
        ),
        ({"maps": np.zeros((1, *SHAPE), np.uint8)}, r"but is uint8 of shape \(1, 2, 3, 4\)"),
        ({"presence": np.zeros((2, 3), np.uint8)}, r"presence should be uint8 of shape \(2, 2\)"),
    ],
)
def test_a_prediction_off_its_grid_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prediction(**fields)


def test_a_prediction_may_hold_maps_or_presence_or_both() -> None:
    maps, presence = np.zeros((2, *SHAPE), np.uint8), np.zeros((2, 2), np.uint8)
    assert prediction(maps=maps).presence is None
    assert prediction(presence=presence).maps is None
    assert prediction(maps=maps, presence=presence).maps is maps


@pytest.mark.parametrize("masks", [np.zeros((1, *SHAPE), bool), np.zeros((2, *SHAPE), np.uint8), np.zeros(SHAPE, bool)])
def test_masks_are_bool_by_class(masks: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"masks of case2_day0 should be bool \(class, z, y, x\), not"):
        Masks("case2", "case2_day0", ("left", "right"), ("a", "b"), masks)


@pytest.mark.parametrize(
    ("classes", "kind"),
    [(1, np.uint8), (8, np.uint8), (9, np.uint16), (17, np.uint32), (32, np.uint32), (33, np.uint64), (64, np.uint64)],
)
def test_a_bitfield_takes_the_smallest_type_that_fits(classes: int, kind: type) -> None:
    assert mask_type(classes) is kind
    masks = np.eye(classes, dtype=bool)  # voxel c holds class c alone
    packed = pack_masks(masks)
    assert packed.dtype == kind and packed.tolist() == [2**index for index in range(classes)]
    np.testing.assert_array_equal(unpack(packed, classes), masks)


def test_more_than_64_classes_are_refused() -> None:
    with pytest.raises(DataError, match="65 classes do not fit a bitfield; 64 is the most"):
        mask_type(65)


def test_overlapping_classes_share_a_voxel() -> None:
    masks = np.array([[[True, False]], [[True, False]], [[False, False]], [[True, True]]])
    assert pack_masks(masks).tolist() == [[0b1011, 0b1000]]
    np.testing.assert_array_equal(unpack(pack_masks(masks), 4), masks)


def test_probabilities_become_the_nearest_of_256() -> None:
    p = np.array([0, 0.5 / 255, 0.51 / 255, 1.5 / 255, 0.5, 254.6 / 255, 1], np.float32)
    q = quantise(p)
    assert q.dtype == np.uint8 and q.tolist() == [0, 0, 1, 2, 128, 255, 255]
    assert quantise(np.zeros((2, 0), np.float32)).shape == (2, 0)


@pytest.mark.parametrize("bad", [-0.001, 1.001, np.nan, np.inf])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(DataError, match=r"probabilities should lie in 0\.\.1, but span"):
        quantise(np.array([0.5, bad], np.float32))


def test_the_nearest_word() -> None:
    known = ["light", "medium", "heavy"]
    assert nearest_word("mediun", known) == " (did you mean 'medium'?)"
    assert nearest_word("zzz", known) == ""
    assert nearest_word("light", []) == ""
