"""Single files: every format, depth and mode to the pixels written, and every broken file refused by name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import toy_dicom
from casefold.core import DataError
from casefold.readers.images.files import Header, as_grey, read_header, read_image, read_labels

GREY = np.arange(0, 240, 4, dtype=np.uint8).reshape(6, 10)
COLOUR = np.arange(180, dtype=np.uint8).reshape(6, 10, 3)
DEEP = GREY.astype(np.uint16) * 257 + 1


def save(path: Path, pixels: NDArray[Any], mode: str | None = None) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp", "gif"])
def test_grey_of_8_bits(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", GREY)
    pixels = as_grey(read_image(path))
    assert pixels is not None and pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, GREY)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_colour_is_in_the_order_red_green_blue(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", COLOUR)
    np.testing.assert_array_equal(read_image(path), COLOUR)
    assert read_header(path) == Header(6, 10, "uint8")


def test_jpeg_is_near_what_was_written(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 100, 40), np.uint8)
    assert np.abs(read_image(save(tmp_path / "a.jpg", flat)).astype(int) - flat).max() <= 2
    assert read_image(save(tmp_path / "b.jpeg", np.full((16, 16), 77, np.uint8))).tolist() == [[77] * 16] * 16


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_stay_16_bits_in_grey_and_colour(tmp_path: Path, suffix: str) -> None:
    colour = np.dstack([DEEP, DEEP + 1, DEEP + 2])
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), DEEP)
    cv2.imwrite(str(tmp_path / f"b é.{suffix}"), colour[..., ::-1])
    for name, wanted in (("a", DEEP), ("b é", colour)):
        pixels = read_image(tmp_path / f"{name}.{suffix}")
        assert pixels.dtype == np.uint16
        np.testing.assert_array_equal(pixels, wanted)
        assert read_header(tmp_path / f"{name}.{suffix}") == Header(6, 10, "uint16")


def test_other_kinds_of_pixels(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(save(tmp_path / "f.tif", GREY / np.float32(8))), GREY / np.float32(8))
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.png", GREY > 100)), (GREY > 100).astype(np.uint8))
    alpha = np.dstack([COLOUR, np.full((6, 10), 255, np.uint8)])
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", alpha)), COLOUR)
    np.testing.assert_array_equal(read_image(save(tmp_path / "la.png", alpha[..., 2:])), COLOUR[..., 2])
    cv2.imwrite(str(tmp_path / "d.png"), np.dstack([DEEP, DEEP, DEEP, np.full_like(DEEP, 65535)]))
    np.testing.assert_array_equal(read_image(tmp_path / "d.png"), np.dstack([DEEP, DEEP, DEEP]))


def palette(path: Path) -> Path:
    """Index 0 is red, 1 is black, 2 is white."""
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([255, 0, 0, 0, 0, 0, 255, 255, 255])
    image.save(path)
    return path


def test_a_palette_is_applied_to_an_image_and_numbers_the_labels(tmp_path: Path) -> None:
    path = palette(tmp_path / "a.png")
    assert read_image(path).tolist() == [[[255, 0, 0], [0, 0, 0], [255, 255, 255]]]
    assert read_labels(path).tolist() == [[0, 1, 2]]
    grey = np.array([[0, 7, 7, 3]], np.uint8)
    assert read_labels(save(tmp_path / "b.gif", grey)).tolist() == [[0, 7, 7, 3]]
    assert read_labels(save(tmp_path / "c.png", np.dstack([grey] * 3))).tolist() == [[0, 7, 7, 3]]
    assert read_labels(save(tmp_path / "d.png", COLOUR)).shape == (6, 10, 3)


def test_equal_channels_are_grey() -> None:
    np.testing.assert_array_equal(as_grey(np.dstack([GREY] * 3)), GREY)
    assert as_grey(COLOUR) is None
    assert as_grey(GREY) is GREY


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def turn(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("a.png", cut),
        ("a.png", turn),
        ("a.jpg", cut),
        ("a.tif", cut),
        ("a.bmp", cut),
        ("a.gif", cut),
        ("a.png", lambda _: b"no image at all"),
        ("a.png", lambda _: b""),
        ("a.dcm", lambda _: b"no image at all"),
    ],
)
def test_a_broken_file_is_refused_and_never_filled_up(
    tmp_path: Path, name: str, harm: Callable[[bytes], bytes]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    whole = save(tmp_path / name.replace("dcm", "png"), noise).read_bytes()
    path = tmp_path / name
    path.write_bytes(harm(whole))
    with pytest.raises(DataError, match=f"^{re.escape(str(path))} can't be read as an image, is it cut short?"):
        read_image(path)


def test_deep_colour_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (40, 40, 3)).astype(np.uint16)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), noise)
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(
        DataError, match=r"a\.png can't be read as an image, is it cut short\? OSError: image file is trunc"
    ):
        read_image(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png can't be read as an image, is it cut short\? FileNotFoundError"):
        read_header(tmp_path / "gone.png")


def test_several_frames_and_transparent_pixels_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a\.tif holds 2 frames; write each to a file of its own"):
        read_image(tmp_path / "a.tif")
    save(tmp_path / "b.png", np.dstack([COLOUR, GREY]))
    with pytest.raises(DataError, match=r"b\.png has transparent pixels, whose colour is anybody's guess"):
        read_image(tmp_path / "b.png")


def test_a_large_image_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(save(tmp_path / "a.png", GREY)).shape == (6, 10)


def dicom(path: Path, pixels: NDArray[Any], **changes: Any) -> Path:
    return toy_dicom.save(path, toy_dicom.header(**{"RescaleSlope": None, "RescaleIntercept": None, **changes}), pixels)


def test_dicom_is_read_as_it_is_stored(tmp_path: Path) -> None:
    for pixels in (GREY, DEEP, COLOUR):
        path = dicom(tmp_path / "a.dcm", pixels)
        found = read_image(path)
        assert found.dtype == pixels.dtype
        np.testing.assert_array_equal(found, pixels)
        assert read_header(path) == Header(6, 10, pixels.dtype.name)


def test_monochrome1_is_turned_so_that_more_is_brighter(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dicom", GREY, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path), 255 - GREY)


def test_a_rescale_is_applied(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.DCM", DEEP[:1, :3], RescaleSlope=2, RescaleIntercept=-5)
    assert read_image(path).tolist() == [[-3, 2053, 4109]]  # 1, 1029 and 2057, doubled, less 5


def test_dicom_of_several_frames_is_for_another_reader(tmp_path: Path) -> None:
    toy_dicom.write_multiframe(tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"a\.dcm holds 4 frames; volumes are for the reader dicom"):
        read_image(tmp_path / "a.dcm")


def test_dicom_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = dicom(tmp_path / "b.dcm", GREY)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"b\.dcm: its pixels can't be decoded, is it cut short\?"):
        read_image(path)
