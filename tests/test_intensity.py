"""Statistics of a scan against numbers anyone can count."""

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from casefold import intensity
from casefold.config.inputs import PERCENTILES
from casefold.core import DataError
from casefold.intensity import scan_statistics

KEYS = "0 0.1 0.5 1 2 5 10 25 50 75 90 95 98 99 99.5 99.9 100".split()


def test_statistics_of_0_to_1000() -> None:
    volume = np.random.default_rng(0).permutation(1001).astype(np.uint16).reshape(7, 11, 13)
    (statistics,) = scan_statistics(volume[np.newaxis])
    assert list(statistics) == ["mean", "std", "percentiles", "foreground"]
    assert statistics["mean"] == 500.0
    assert statistics["std"] == pytest.approx(((1001**2 - 1) / 12) ** 0.5, rel=1e-12)
    assert list(statistics["percentiles"]) == KEYS
    assert list(statistics["percentiles"].values()) == pytest.approx([10 * float(key) for key in KEYS], rel=1e-12)


def test_percentiles_between_two_values_are_interpolated() -> None:
    (statistics,) = scan_statistics(np.array([0, 10], np.uint8).reshape(1, 1, 1, 2))
    assert statistics["percentiles"]["25"] == 2.5 and statistics["percentiles"]["99.5"] == 9.95
    assert (statistics["mean"], statistics["std"]) == (5.0, 5.0)


def test_each_modality_has_its_own() -> None:
    image = np.stack([np.full((2, 3, 4), 7), np.full((2, 3, 4), -1)]).astype(np.int16)
    first, second = scan_statistics(image)
    assert (first["mean"], first["std"], set(first["percentiles"].values())) == (7.0, 0.0, {7.0})
    assert (second["mean"], second["std"], set(second["percentiles"].values())) == (-1.0, 0.0, {-1.0})


def test_means_of_large_integers_do_not_overflow() -> None:
    image = np.full((1, 40, 50, 50), 65535, np.uint16)
    assert scan_statistics(image)[0]["mean"] == 65535.0


def test_they_survive_json_unchanged() -> None:
    image = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32)
    statistics = scan_statistics(image)
    assert json.loads(json.dumps(statistics)) == list(statistics)


@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64", ">i2", ">f4"]
)
@pytest.mark.parametrize("small", [intensity.SMALL_VOXELS, 0], ids=["sorted", "digit by digit"])
def test_percentiles_are_numpys_for_every_type(kind: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intensity, "SMALL_VOXELS", small)
    random = np.random.default_rng(2)
    for shape in [(1, 1, 1), (1, 1, 2), (3, 5, 7), (4, 16, 16)]:
        volume = (
            random.normal(20 if kind == "uint8" else 0, 1 if kind == "uint8" else 50, shape).clip(-120).astype(kind)
        )
        (statistics,) = scan_statistics(volume[np.newaxis])
        wanted = np.percentile(volume.astype(np.float64), PERCENTILES)
        assert list(statistics["percentiles"].values()) == wanted.tolist()


def test_the_foreground_is_what_lies_above_the_lowest_value() -> None:
    """9 voxels of background at -1000, then 0 to 1000: the background does not count."""
    volume = np.concatenate([np.full(9, -1000), np.random.default_rng(0).permutation(1001)]).reshape(2, 5, 101)
    (statistics,) = scan_statistics(volume[np.newaxis].astype(np.int16))
    assert statistics["foreground"]["mean"] == 500.0
    assert statistics["foreground"]["std"] == pytest.approx(((1001**2 - 1) / 12) ** 0.5, rel=1e-12)
    assert statistics["foreground"]["top"] == pytest.approx(999.0, rel=1e-12)
    assert statistics["mean"] == pytest.approx((500 * 1001 - 9000) / 1010, rel=1e-12)


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_a_scan_of_one_value_has_it_as_foreground(kind: str) -> None:
    (statistics,) = scan_statistics(np.full((1, 2, 3, 4), -7, kind))
    assert statistics["foreground"] == {"mean": -7.0, "std": 0.0, "top": -7.0}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_is_refused(value: float) -> None:
    image = np.zeros((1, 2, 3, 4), np.float32)
    image[0, 1, 2, :2] = value
    with pytest.raises(
        DataError, match=r"2 voxels of the image are no finite numbers \(NaN or infinite\); mend the files"
    ):
        scan_statistics(image)


def test_a_type_without_an_order_is_refused() -> None:
    with pytest.raises(DataError, match="the image is of type complex64; wanted whole numbers, float32 or float64"):
        scan_statistics(np.zeros((1, 1, 1, 2), np.complex64))


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_memory_is_that_of_slices(kind: Any) -> None:
    """A scan of 30 MB or more is measured in 15 MB: 512 KB a histogram, at most two dozen of them, and some slices."""
    image = np.random.default_rng(0).integers(0, 3000, (1, 240, 256, 256), np.int16).astype(kind)
    tracemalloc.start()
    scan_statistics(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15e6 < image.nbytes / 2
