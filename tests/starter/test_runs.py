"""The evidence in texts of runs: boundaries by hand, and readings of masks written in each of the ways."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.rle import Base, Order, Starts, encode
from casefold.starter.runs import Sample, boundary, edge_share, find_reading, parse_runs

NOWHERE = Path("no image is read")
WAYS = list(itertools.product(("row", "column"), (0, 1), ("absolute", "relative")))


def ball(height: int, width: int, y: int, x: int, radius: int) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def write_image(path: Path, mask: NDArray[np.bool_]) -> Path:
    """A noisy image on which the mask is bright."""
    noise = np.random.default_rng(1).normal(0, 3, mask.shape)
    cv2.imwrite(str(path), (80 + 90 * mask + noise).astype(np.uint8))
    return path


@pytest.mark.parametrize(
    ("runs", "sides"),
    [
        ("8 2 14 2", 8),  # a square of 2 x 2 pixels
        ("8 1 9 1 14 2", 8),  # runs that touch
        ("8 2 15 2", 10),  # the lower half one pixel to the right
        (
            "10 4",
            10,
        ),  # two pixels at the end of a line, two at the start of the next: apart, each with a side at the edge
        ("6 12", 12),  # two whole lines of six in the middle
        ("0 12", 6),  # the first two lines
        ("0 24", 0),  # all
        ("7 1 9 1", 8),  # two pixels apart on a line
        ("0 1 23 1", 4),  # two corners
    ],
)
def test_a_boundary_inside_an_image_of_4_lines_of_6_pixels(runs: str, sides: int) -> None:
    assert boundary(parse_runs(runs), 6, 4) == sides


def test_the_boundary_is_that_of_the_mask() -> None:
    random = np.random.default_rng(5)
    for _ in range(50):
        mask = random.random(random.integers(1, 9, 2)) < 0.6
        mask[0, 0] = True
        sides = int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())
        height, width = mask.shape
        assert boundary(parse_runs(encode(mask, base=0)), width, height) == sides
        assert boundary(parse_runs(encode(mask, order="column", base=0)), height, width) == sides


@pytest.mark.parametrize(("order", "base", "starts"), WAYS)
def test_masks_of_uneven_images_say_how_they_are_written(order: Order, base: Base, starts: Starts) -> None:
    masks = [ball(20, 34, 8, 0, 5), ball(34, 20, 0, 11, 5), ball(24, 30, 12, 15, 7)]  # two of them at an edge
    samples = [Sample(encode(mask, order=order, base=base, starts=starts), *mask.shape, NOWHERE) for mask in masks]
    found = find_reading(samples)
    assert (found.order.value, found.base.value, found.starts.value) == (order, base, starts)
    assert found.order.check == found.base.check == ""


def test_the_evidence_is_told() -> None:
    # On 3 x 6 pixels. By rows: a square at the lower edge, 6 sides, and a pair in a corner, 3. Down columns the square
    # is two pairs at the lower edge, 5 sides each.
    found = find_reading([Sample("7 2 13 2", 3, 6, NOWHERE), Sample("0 2", 3, 6, NOWHERE)])
    told = "the boundary of 2 masks of images that are not square is 9 px long, read by column 13 px"
    assert found.order == ("row", told, "")
    assert found.base == (0, "a start of 0 occurs", "")
    assert found.starts == ("absolute", "in all 1 texts of several runs the starts increase", "")
    relative = find_reading([Sample("7 2 4 2", 3, 6, NOWHERE)]).starts
    assert relative == ("relative", "in 1 of 1 texts a start lies before the end of the last run", "")


@pytest.mark.parametrize("order", ["row", "column"])
def test_on_square_images_the_image_decides(tmp_path: Path, order: Order) -> None:
    masks = [ball(40, 40, 8 + 2 * index, 26 - index, 5 + index % 3) for index in range(8)]
    samples = [
        Sample(encode(mask, order=order), 40, 40, write_image(tmp_path / f"{index}.png", mask))
        for index, mask in enumerate(masks)
    ]
    found = find_reading(samples)
    assert (found.order.value, found.order.check) == (order, "")
    assert f"8 masks lie on edges of their images by {order}" in found.order.why


@pytest.mark.parametrize("base", [0, 1])
def test_where_no_mask_is_at_the_edge_the_image_decides_on_the_first_pixel(tmp_path: Path, base: Base) -> None:
    masks = [ball(30, 40, 12 + index, 15 + 2 * index, 5 + index % 3) for index in range(6)]
    samples = [
        Sample(encode(mask, base=base), 30, 40, write_image(tmp_path / f"{index}.png", mask))
        for index, mask in enumerate(masks)
    ]
    found = find_reading(samples).base
    assert (found.value, found.check) == (base, "")
    assert "no start of 0, and no mask at the image's edge; the outlines of 6 masks" in found.why


def test_images_that_say_nothing_leave_the_guess_to_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((20, 20), 90, np.uint8))
    masks = [ball(20, 20, 6, 12, 4), ball(20, 20, 9, 14, 3)]
    found = find_reading([Sample(encode(mask), 20, 20, path) for mask in masks])
    assert (found.order.value, found.order.check) == ("row", "that is thin; look at a scan with its masks")
    assert (found.base.value, found.base.check) == (1, "that is thin, and a pixel to the side hard to see")


def test_an_outline_on_an_edge_has_more_than_its_share() -> None:
    mask = ball(40, 40, 20, 20, 8)
    image = 200.0 * mask
    assert edge_share(image, mask) > 3 > edge_share(image, ball(40, 40, 10, 10, 8))
    assert edge_share(image, np.zeros((40, 40), np.bool_)) == 1
    assert edge_share(np.full((40, 40), 7.0), mask) == 1
