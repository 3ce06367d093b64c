"""What is wrong with single slices, each with a scan that is only nearly so."""

import numpy as np
import pytest
from bodies import SIDE, X, Y, body, disc, scan
from numpy.typing import NDArray

from casefold.check import pixels
from casefold.check.findings import Finding
from casefold.check.overview import overview


def places(found: list[Finding]) -> list[tuple[str, str]]:
    """Kind and where, the scan's own name taken off."""
    return [(finding.kind, finding.where.replace("case1_day0_slice_", "")) for finding in found]


def test_nan_and_infinity_are_found() -> None:
    image = body(4).astype(np.float32)
    assert pixels.not_a_number(scan(image)) == []
    image[1, 0, :3], image[2, 0, 0] = np.nan, np.inf
    (found,) = pixels.not_a_number(scan(image))
    assert (found.kind, found.where) == ("not a number", "case1_day0_slice_0002 to case1_day0_slice_0003")
    assert found.what == "as many as 3 voxels of a slice are NaN or infinite"


def test_constant_slices_are_told_from_blank_ends() -> None:
    image = body(8)
    image[[0, 1, 4, 7]] = 3
    found = pixels.constant(scan(image), "folder")
    assert places(found) == [("constant slice", "0005"), ("blank end", "0001 to 0002"), ("blank end", "0008")]


def test_one_other_pixel_makes_a_slice_no_constant_one() -> None:
    image = body(3)
    image[1] = 3
    image[1, 5, 5] = 4
    assert pixels.constant(scan(image), "folder") == []


def test_a_constant_scan_is_one_finding() -> None:
    (found,) = pixels.constant(scan(np.full((3, 4, 4), 7, np.uint8)), "folder")
    assert (found.kind, found.where, found.what) == ("constant scan", "folder", "every pixel is 7")


def test_a_constant_modality_is_named() -> None:
    image = np.stack([body(3), np.zeros((3, SIDE, SIDE), np.int16)])
    (found,) = pixels.constant(scan(image), "folder")
    assert (found.kind, found.what) == ("constant scan", "modality 2 of 2 is 0")
    assert pixels.constant(scan(image), "folder", filled=[1]) == []
    image[0] = 5
    (found,) = pixels.constant(scan(image), "folder", filled=[1])
    assert found.what == "modality 1 of 2 is 5"


@pytest.mark.parametrize(
    "cut", [Y > 24, Y < 20, X > 24, X + Y > 48], ids=["bottom", "top", "right", "corner along a slant"]
)
@pytest.mark.parametrize("z", [0, 3, 5], ids=["first", "middle", "last"])
def test_a_slice_cut_along_a_line_is_found(cut: NDArray[np.bool_], z: int) -> None:
    image = body(6)
    image[z, cut] = 0
    assert list(pixels.truncated(overview(scan(image)))) == [z]


def test_the_share_that_is_lost_is_told() -> None:
    image = body(6)
    image[2, 24:] = 0  # of the disc's 33 rows the lower 17
    lost = disc(24, 24, 16)[24:].sum() / disc(24, 24, 16).sum()
    assert pixels.truncated(overview(scan(image))) == {2: pytest.approx(100 * lost)}


def test_a_body_that_gets_smaller_in_blank_air_is_not_cut() -> None:
    image = np.where(np.stack([disc(24, 24 + z, 16 - 3 * z) for z in range(5)]), body(5), 0).astype(np.int16)
    assert pixels.truncated(overview(scan(image))) == {}


def test_little_lost_is_not_told() -> None:
    image = body(6)
    image[2, 37:] = 0  # 5 % of the disc
    assert pixels.truncated(overview(scan(image))) == {}


def test_a_line_parts_two_halves_wholly_and_a_ring_from_its_middle_not_at_all() -> None:
    assert pixels.parted_share(Y < 20, Y >= 20) == 1
    ring = disc(24, 24, 16) & ~disc(24, 24, 8)
    assert pixels.parted_share(disc(24, 24, 8), ring) == pytest.approx(0.5, abs=0.02)
    assert pixels.parted_share(Y < 20, Y < 0) == 0


def test_clipped_slices_are_found() -> None:
    image = body(6)
    image[1:4] = np.minimum(image[1:4], 90)
    assert pixels.saturated(scan(image)) == []  # 90 is not the scan's maximum
    image = np.minimum(image, 90)
    image[5] //= 2
    assert places(pixels.saturated(scan(image))) == [("saturated", "0001 to 0005")]


def test_a_white_background_is_not_clipped() -> None:
    image = np.where(disc(24, 24, 16), body(3), 255).astype(np.uint8)
    assert (image == 255).mean() > 0.5
    assert pixels.saturated(scan(image)) == []


def test_one_clipped_modality_is_enough() -> None:
    image = np.stack([body(3), np.minimum(body(3), 90)])
    assert places(pixels.saturated(scan(image))) == [("saturated", "0001 to 0003")]


def ct(depth: int = 8) -> NDArray[np.int16]:
    """A body of about 40 HU in air of -1000."""
    return np.where(disc(24, 24, 16), body(depth) - 60, -1000).astype(np.int16)


def with_metal(image: NDArray[np.int16]) -> NDArray[np.int16]:
    """Metal of 13 pixels on slices 3 and 4."""
    image[3:5, disc(24, 24, 2)] = 3071
    return image


def test_metal_is_found_in_a_ct() -> None:
    found = pixels.metal(scan(with_metal(ct())), overview(scan(with_metal(ct()))))
    assert places(found) == [("metal", "0004 to 0005")]
    assert found[0].what == "up to 13 pixels of a slice above 3000 HU"


def test_streaks_are_found_where_the_tissue_is_rough() -> None:
    image = with_metal(ct())
    image[4] += np.where(disc(24, 24, 16) & (Y % 4 < 2), 150, 0).astype(np.int16)
    found = pixels.metal(scan(image), overview(scan(image)))
    assert places(found) == [("metal", "0004 to 0005"), ("streaks", "0005")]


def test_bright_voxels_of_an_mr_are_no_metal() -> None:
    image = with_metal(body(8))
    assert pixels.metal(scan(image), overview(scan(image))) == []
    assert pixels.metal(scan(ct()), overview(scan(ct()))) == []
