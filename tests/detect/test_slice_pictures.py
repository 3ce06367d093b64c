"""What a detector looks at, and what it is to find."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.core import ConfigError, Grid, Scan, pack_masks
from casefold.detect.pictures import kinds, pictures, true_boxes
from casefold.intensity import scan_statistics
from toy_detector import detect


def scan(image: NDArray[np.uint8]) -> Scan:
    names = tuple(f"s{z}" for z in range(image.shape[1]))
    shape: tuple[int, int, int] = image.shape[1:]  # type: ignore[assignment]
    return Scan("case1", "case1_day0", image, Grid(shape), ("a", "b"), names, statistics=scan_statistics(image))


def masked(**where: tuple[int, slice, slice]) -> Scan:
    """Three slices of 4 x 5, with rectangles of the classes a and b."""
    plain = scan(np.zeros((1, 3, 4, 5), np.uint8))
    masks = np.zeros((2, 3, 4, 5), np.bool_)
    for name, place in where.items():
        masks["ab".index(name[0]), *place] = True
    return replace(plain, masks=pack_masks(masks))


def test_neighbours_are_colours_and_the_ends_repeat() -> None:
    image = np.array([0, 51, 255], np.uint8)[None, :, None, None] * np.ones((1, 3, 2, 2), np.uint8)
    shown = list(pictures(scan(image), detect(data={"window": (-1, 0, 1)}).data))
    assert [picture.shape for picture in shown] == [(2, 2, 3)] * 3
    assert [picture[0, 0].tolist() for picture in shown] == [[0, 0, 51], [0, 51, 255], [51, 255, 255]]


def test_one_plane_is_grey_and_modalities_can_be_chosen() -> None:
    image = np.stack([np.full((2, 2, 2), 9, np.uint8), np.array([[[0, 255], [51, 0]]] * 2, np.uint8)])
    grey = list(pictures(scan(image), detect(data={"modalities": (1,)}).data))
    assert grey[1].tolist() == [[[0, 0, 0], [255, 255, 255]], [[51, 51, 51], [0, 0, 0]]]


def test_slices_are_left_out_evenly() -> None:
    image = np.arange(5, dtype=np.uint8)[None, :, None, None] * np.ones((1, 5, 2, 2), np.uint8)
    shown = list(pictures(scan(image), detect(data={"every": 2}).data))
    assert [int(picture[0, 0, 0]) for picture in shown] == [0, 128, 255]


def test_planes_that_make_no_picture_are_refused() -> None:
    image = np.zeros((2, 3, 2, 2), np.uint8)
    with pytest.raises(ConfigError, match="1 slices of 2 modalities are 2 planes, but a picture has 1 or 3"):
        next(pictures(scan(image), detect().data))
    with pytest.raises(ConfigError, match=r"case1_day0 has 2, counted from 0, and no \[2\]"):
        next(pictures(scan(image), detect(data={"modalities": (2,)}).data))


def test_boxes_round_all_classes_and_round_each() -> None:
    some = masked(a=(1, slice(0, 2), slice(1, 3)), b=(1, slice(3, 4), slice(4, 5)))
    union = true_boxes(some, detect())
    assert [boxes.tolist() for boxes, _ in union] == [[], [[1, 0, 5, 4]], []]
    each = true_boxes(some, detect(target={"name": "masks", "by": "class"}))
    assert each[1][0].tolist() == [[1, 0, 3, 2], [4, 3, 5, 4]] and each[1][1].tolist() == [0, 1]
    assert kinds(detect(), some.classes) == ("any",)
    assert kinds(detect(target={"name": "masks", "by": "class"}), some.classes) == ("a", "b")


def test_ignored_voxels_are_in_no_box() -> None:
    some = masked(a=(1, slice(0, 2), slice(1, 3)))
    ignore = np.zeros((3, 4, 5), np.bool_)
    ignore[1, 0] = True
    assert true_boxes(replace(some, ignore=ignore), detect())[1][0].tolist() == [[1, 1, 3, 2]]


def test_the_bodys_box_is_on_every_slice() -> None:
    image = np.zeros((1, 3, 9, 9), np.uint8)
    image[:, :, 2:8, 3:7] = 200
    config = detect(target={"name": "body", "median_px": 1, "margin_px": 1})
    assert [boxes.tolist() for boxes, _ in true_boxes(scan(image), config)] == [[[2, 1, 8, 9]]] * 3
    assert kinds(config, ("a", "b")) == ("body",)
