"""Prediction files there and back, whole or a class alone; what can't be read, or is of another version, is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from casefold.core import DataError, Prediction
from casefold.oof import read_header, read_map, read_prediction, write_prediction

MAPS = np.arange(2 * 2 * 1 * 3, dtype=np.uint8).reshape(2, 2, 1, 3)
PRESENCE = np.array([[0, 255], [7, 128]], np.uint8)
WHOLE = Prediction("case1", "case1_day0", ("a", "NA"), (2, 1, 3), "upp_b4", "2", MAPS, PRESENCE, "c0", "f0")


@pytest.mark.parametrize(
    "prediction",
    [WHOLE, replace(WHOLE, presence=None), replace(WHOLE, maps=None, fold="mean")],
    ids=["both", "maps", "presence"],
)
def test_a_prediction_comes_back(prediction: Prediction, tmp_path: Path) -> None:
    path = tmp_path / "oof" / "case1_day0.npz"
    write_prediction(prediction, path)
    back = read_prediction(path)
    for what in ("maps", "presence"):
        np.testing.assert_array_equal(getattr(back, what), getattr(prediction, what))
    assert replace(back, maps=MAPS, presence=None) == replace(prediction, maps=MAPS, presence=None)
    assert read_header(path)["scan"] == "case1_day0"
    assert [file.name for file in path.parent.iterdir()] == ["case1_day0.npz"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[120] ^= 255
    path.write_bytes(content)


def foreign(path: Path) -> None:
    path.write_text("not a prediction")


def of_another_program(path: Path) -> None:
    np.savez(path, maps=MAPS)


def an_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, MAPS)


def absent(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("spoil", [cut, flip_a_byte, foreign, of_another_program, an_array, absent])
def test_what_cannot_be_read_is_named(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "case1_day0.npz"
    write_prediction(WHOLE, path)
    spoil(path)
    with pytest.raises(DataError, match=r"prediction .*case1_day0\.npz can't be read \(.*\); make it again"):
        read_prediction(path)


def test_a_map_that_does_not_fill_its_shape_is_named(tmp_path: Path) -> None:
    """6 voxels a class fit into one byte of bits; a header that claims 12 wants two."""
    path = tmp_path / "case1_day0.npz"
    write_prediction(replace(WHOLE, presence=None), path)
    with np.load(path) as content:
        arrays = dict(content)
    header = arrays.pop("header").tobytes().replace(b"[2, 1, 3]", b"[4, 1, 3]")
    np.savez(path, allow_pickle=False, header=np.frombuffer(header, np.uint8), **arrays)
    for read in (read_prediction, lambda path: read_map(path, "a")):
        with pytest.raises(DataError, match=r"can't be read \(ValueError: 1 bytes of bits for .* \(4, 1, 3\)\)"):
            read(path)


def test_a_class_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "case1_day0.npz"
    write_prediction(WHOLE, path)
    assert read_map(path, "a").tolist() == [[[0, 1, 2]], [[3, 4, 5]]]
    assert read_map(path, "NA").tolist() == [[[6, 7, 8]], [[9, 10, 11]]]
    with pytest.raises(DataError, match=r"has no map of b; it holds \['a', 'NA'\]"):
        read_map(path, "b")
    write_prediction(replace(WHOLE, maps=None), path)
    with pytest.raises(DataError, match="has no map of a; it holds presence alone"):
        read_map(path, "a")


def test_maps_of_zeros_and_of_the_highest_come_back(tmp_path: Path) -> None:
    maps = np.stack([np.zeros((2, 1, 3), np.uint8), np.full((2, 1, 3), 255, np.uint8)])
    write_prediction(replace(WHOLE, maps=maps), tmp_path / "flat.npz")
    np.testing.assert_array_equal(read_prediction(tmp_path / "flat.npz").maps, maps)


def test_zeros_cost_next_to_nothing(tmp_path: Path) -> None:
    """A million voxels are 125,000 bytes of bits, which deflate to 1/1000 at best; the rest is the file's own."""
    maps = np.zeros((2, 1, 1000, 1000), np.uint8)
    write_prediction(replace(WHOLE, shape=(1, 1000, 1000), maps=maps, presence=None), tmp_path / "empty.npz")
    assert (tmp_path / "empty.npz").stat().st_size < 2500


@pytest.mark.parametrize(
    ("schema", "said"), [(b'"schema": 3, ', "schema 3"), (b"", "schema None")], ids=["later", "before it had one"]
)
def test_another_version_is_refused(schema: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "case1_day0.npz"
    write_prediction(WHOLE, path)
    with np.load(path) as content:
        header = content["header"].tobytes().replace(b'"schema": 2, ', schema)
    np.savez(path, header=np.frombuffer(header, np.uint8), maps=MAPS)
    message = rf"prediction .*npz has {said}, this casefold reads schema 2; remove it, and the same command makes it"
    for read in (read_header, read_prediction):
        with pytest.raises(DataError, match=message):
            read(path)
