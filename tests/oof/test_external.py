"""A team mate's files as uint8 on the scan's grid, whatever he wrote; what is no map of it is named."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.config.external import Entry, Manifest
from casefold.core import DataError
from casefold.oof.external import Outside, open_outside, read_outside
from toy_external import external

SHAPE = (2, 1, 3)
ENTRY = Entry(scan="case1_day0", file="x")
# of class b, then of class a, as the mate has them: (z, y, x)
LEVELS = np.array([[[[0, 51, 255]], [[0, 0, 0]]], [[[102, 0, 0]], [[0, 0, 204]]]], np.uint8)


def outside(folder: Path, **changes: Any) -> Outside:
    return Outside(external(**changes), folder, Manifest(classes=("b", "a")), ("a", "b"))


def read_npz(folder: Path, **arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
    with (folder / "x").open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return read_outside(outside(folder), ENTRY, SHAPE)


@pytest.mark.parametrize(
    "maps",
    [
        LEVELS,
        LEVELS * np.uint16(257),
        LEVELS / 255,
        (LEVELS / 255).astype(np.float32),
        (LEVELS / 255).astype("float16"),
    ],
    ids=lambda maps: str(maps.dtype),
)
def test_maps_of_every_type_come_in_the_order_of_our_classes(maps: NDArray[Any], tmp_path: Path) -> None:
    found = read_npz(tmp_path, maps=maps)
    assert list(found) == ["maps"] and found["maps"].dtype == np.uint8
    np.testing.assert_array_equal(found["maps"], LEVELS[::-1])


def test_presence_comes_along(tmp_path: Path) -> None:
    found = read_npz(tmp_path, maps=LEVELS, presence=np.array([[0.2, 0.4], [0.6, 1.0]]))
    assert found["presence"].tolist() == [[153, 255], [51, 102]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"probs": LEVELS}, "x should hold an array called maps, but holds ['probs']"),
        (
            {"maps": LEVELS[:1]},
            "maps should be (class, z, y, x) = (2, 2, 1, 3) for scan case1_day0, but are (1, 2, 1, 3)",
        ),
        ({"maps": LEVELS.transpose(0, 3, 2, 1)}, "but are (2, 3, 1, 2), the same axes in another order"),
        ({"maps": LEVELS.astype(np.int64)}, "x: maps are int64; wanted floats 0..1, uint8 0..255, or uint16 0..65535"),
        ({"maps": LEVELS > 0}, "x: maps are bool; wanted floats 0..1"),
        (
            {"maps": LEVELS.astype(np.float32)},
            "in 0..1, but span 0.0 to 204.0; of logits, give the sigmoid, and of bytes",
        ),
        ({"maps": LEVELS / 255 - 0.5}, "in 0..1, but span -0.5 to 0."),
        ({"maps": np.full((2, *SHAPE), np.nan)}, "in 0..1, but span nan to nan"),
        (
            {"maps": LEVELS, "presence": np.zeros((2, 3))},
            "presence should be (class, z) = (2, 2) for scan case1_day0, but",
        ),
        ({"maps": np.full((2, *SHAPE), None)}, "x can't be read as .npz (ValueError: Object arrays cannot be loaded"),
    ],
)
def test_what_is_no_map_of_the_scan_is_named(arrays: dict[str, NDArray[Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_npz(tmp_path, **arrays)


def test_a_file_that_is_no_npz_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no zip")
    with pytest.raises(DataError, match=r"x can't be read as \.npz \(.*\); write it again"):
        read_outside(outside(tmp_path), ENTRY, SHAPE)


def write_pngs(folder: Path, maps: NDArray[Any]) -> None:
    """Slices named 9.png and 10.png, so that only an order by number is the right one."""
    for name, volume in zip(("b", "a"), maps, strict=True):
        (folder / "x" / name).mkdir(parents=True)
        for z, plane in zip((9, 10), volume, strict=True):
            cv2.imwrite(str(folder / "x" / name / f"{z}.png"), plane)


@pytest.mark.parametrize("maps", [LEVELS, LEVELS * np.uint16(257)], ids=["8 bits", "16 bits"])
def test_pngs_are_stacked_by_number(maps: NDArray[Any], tmp_path: Path) -> None:
    write_pngs(tmp_path, maps)
    found = read_outside(outside(tmp_path, format="png"), ENTRY, SHAPE)
    np.testing.assert_array_equal(found["maps"], LEVELS[::-1])


def lose_a_class(folder: Path) -> None:
    for path in (folder / "a").iterdir():
        path.unlink()


def lose_a_slice(folder: Path) -> None:
    (folder / "a" / "9.png").unlink()


def colour(folder: Path) -> None:
    cv2.imwrite(str(folder / "b" / "10.png"), np.array([[[0, 9, 90]] * 3], np.uint8))


def widen(folder: Path) -> None:
    cv2.imwrite(str(folder / "b" / "10.png"), np.zeros((1, 4), np.uint8))


def deepen(folder: Path) -> None:
    for path in (folder / "a").iterdir():
        cv2.imwrite(str(path), np.zeros((1, 3), np.uint16))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_a_class, "x/a should be a folder with a PNG a slice, but has none"),
        (
            lose_a_slice,
            "as many slices, of one size and type, but have {'b': ('uint8', 2, 1, 3), 'a': ('uint8', 1, 1, 3)}",
        ),
        (colour, "10.png is a colour image; wanted grey, a PNG a class and slice"),
        (widen, "10.png is uint8 of (1, 4), but 9.png beside it is uint8 of (1, 3) (height, width)"),
        (deepen, "but have {'b': ('uint8', 2, 1, 3), 'a': ('uint16', 2, 1, 3)}"),
    ],
)
def test_pngs_that_are_no_stack_are_named(spoil: Any, message: str, tmp_path: Path) -> None:
    write_pngs(tmp_path, LEVELS)
    spoil(tmp_path / "x")
    with pytest.raises(DataError, match=re.escape(message)):
        read_outside(outside(tmp_path, format="png"), ENTRY, SHAPE)


def test_too_many_slices_are_named(tmp_path: Path) -> None:
    write_pngs(tmp_path, LEVELS)
    with pytest.raises(DataError, match=re.escape("= (2, 1, 1, 3) for scan case1_day0, but are (2, 2, 1, 3)")):
        read_outside(outside(tmp_path, format="png"), ENTRY, (1, 1, 3))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ('{"classes": ["a", "c"]}', "classes should be ['a', 'b'] in any order, but are ['a', 'c']"),
        ('{"classes": ["a", "b", "b"]}', "classes should be ['a', 'b'] in any order, but are ['a', 'b', 'b']"),
        (
            '{"classes": ["a", "b"], "test": [{"scan": "s", "file": "x"}, {"scan": "s", "file": "y"}]}',
            "test names the scan s more than once",
        ),
        (
            '{"classes": ["a", "b"], "test": [{"scan": "s", "file": "x"}, {"scan": "t", "file": "x"}]}',
            "test names the file x more than once",
        ),
        (
            '{"classes": ["a", "b"], "test": [{"scan": "s", "file": "../x"}]}',
            "../x should lie below the manifest's folder",
        ),
        ('{"classes": ["a", "b"], "test": [{"scan": "s", "file": "/x"}]}', "/x should lie below the manifest's folder"),
        (
            '{"classes": ["a", "b"], "test": [{"scan": "s", "file": "z"}]}',
            "1 files of test are not there, the first are ['z']",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_or_the_folder(manifest: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    for name in ("x", "y"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=re.escape(message)):
        open_outside(external(), tmp_path, ("a", "b"))
