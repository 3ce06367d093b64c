"""Scans packed for the viewer: runs, slices that are kept, the budget, what is refused."""

import base64
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.core import DataError, Grid, Scan, pack_masks
from casefold.report.viewer import Mark, pack, runs


def scan(shape: tuple[int, int, int] = (12, 6, 8), labelled: bool = True) -> Scan:
    """Class `a` is 2 x 3 voxels on slices 4 and 5, `b` is nowhere."""
    masks = np.zeros((2, *shape), bool)
    masks[0, 4:6, 1:3, 2:5] = True
    image = np.arange(np.prod(shape), dtype=np.uint16).reshape(1, *shape)
    names = tuple(f"s{z}" for z in range(shape[0]))
    return Scan(
        "c", "c_1", image, Grid(shape, (3.0, 2.0, 1.0)), ("a", "b"), names, pack_masks(masks) if labelled else None
    )


def read(text: str, size: int) -> NDArray[np.bool_]:
    """The plainest reading of runs."""
    mask, place, number, shift, inside = np.zeros(size, bool), 0, 0, 0, False
    for byte in base64.b64decode(text):
        number += (byte & 127) << shift
        shift += 7
        if byte < 128:
            mask[place : place + number] = inside
            place, number, shift, inside = place + number, 0, 0, not inside
    return mask


def test_runs_are_lengths_of_background_and_mask_in_turn() -> None:
    mask = np.zeros((2, 200), bool)
    mask[0, 3:5] = True
    mask[1, 10] = True  # 205 of background before it: 205 = 77 + 128
    assert list(base64.b64decode(runs(mask))) == [3, 2, 205 - 128 | 128, 1, 1]
    assert runs(np.zeros((3, 3), bool)) == ""
    assert list(base64.b64decode(runs(np.ones((3, 3), bool)))) == [0, 9]


def test_runs_read_back_are_the_mask() -> None:
    random = np.random.default_rng(0)
    for share in (0.01, 0.5, 0.99):
        mask = random.random((40, 300)) < share
        assert np.array_equal(read(runs(mask), mask.size), mask.ravel())


def test_a_scan_keeps_the_slices_around_what_is_labelled_or_found() -> None:
    found = np.zeros((2, 12, 6, 8), bool)
    found[1, 10, 0, 0] = True
    packed = pack(scan(), [("ensemble", found)], group="worst", score=0.5, marks=[Mark("b", 10, 0, 0)])
    held = json.loads(packed.text)
    assert (packed.scan, packed.group, packed.score) == ("c_1", "worst", 0.5)
    assert [one["z"] for one in held["slices"]] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert held["slices"][0]["name"] == "s2"
    assert (held["depth"], held["height"], held["width"], held["scale"], held["aspect"]) == (12, 6, 8, 1.0, 2.0)
    assert list(held["masks"]) == ["truth", "ensemble"]
    assert held["masks"]["truth"][0] == ["", "", *[runs(scan().class_masks()[0, 4])] * 2, *[""] * 6]
    assert held["masks"]["ensemble"][1][8] == "AAE="
    assert held["dice"] == {"ensemble": [0.0, 0.0]}
    assert held["marks"] == [{"label": "b", "z": 10, "y": 0, "x": 0}]


def test_an_empty_unlabelled_scan_shows_its_middle() -> None:
    held = json.loads(pack(scan(labelled=False), [("ensemble", np.zeros((2, 12, 6, 8), bool))], group="g").text)
    assert [one["z"] for one in held["slices"]] == [4, 5, 6, 7, 8]
    assert list(held["masks"]) == ["ensemble"]
    assert held["dice"] == {}


def test_slices_are_pictures_of_their_size() -> None:
    held = json.loads(pack(scan(), [], group="g").text)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(held["slices"][0]["image"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (6, 8, 3)


def test_what_is_too_much_for_the_budget_is_shown_less_closely() -> None:
    large = scan((12, 600, 900))
    random = np.random.default_rng(0)
    large.image[:] = random.integers(0, 1000, large.image.shape)
    found = [("ensemble", random.random((2, 12, 600, 900)) < 0.001)]
    held = [pack(large, found, group="g", budget=budget) for budget in (4_000_000, 150_000)]
    sizes = [(one["width"], one["height"], len(one["slices"])) for one in (json.loads(packed.text) for packed in held)]
    assert sizes[0][:2] == (512, 341)
    assert len(held[0].text) <= 4_000_000
    assert sizes[1][:2] == (320, 213)
    assert 0 < sizes[1][2] < 12
    assert len(held[1].text) <= 150_000


def test_masks_on_another_grid_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"masks of m on c_1 should be \(class, z, y, x\) = \(2, 12, 6, 8\), not \(1, 2"
    ):
        pack(scan(), [("m", np.zeros((1, 2, 6, 8), bool))], group="g")


def test_the_modality_in_which_the_labels_stand_out_is_shown() -> None:
    plain = scan()
    marked = np.where(plain.class_masks()[0], 900, 100).astype(np.uint16)
    both = replace(plain, image=np.stack([plain.image[0], marked]))
    held = json.loads(pack(both, [], group="g").text)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(held["slices"][2]["image"]), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert held["slices"][2]["z"] == 4 and picture is not None
    assert picture[1:3, 2:5].min() > 200 and picture[4:].max() < 60


def test_colour_wants_three_modalities() -> None:
    with pytest.raises(DataError, match="has 1 modalities; an RGB image wants three"):
        pack(scan(), [], group="g", colour=True)
