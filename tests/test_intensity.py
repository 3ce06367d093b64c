"""Statistics of a scan against numbers anyone can count."""

import json

import numpy as np
import pytest

from casefold.intensity import scan_statistics

KEYS = "0 0.1 0.5 1 2 5 10 25 50 75 90 95 98 99 99.5 99.9 100".split()


def test_statistics_of_0_to_1000() -> None:
    volume = np.random.default_rng(0).permutation(1001).astype(np.uint16).reshape(7, 11, 13)
    (statistics,) = scan_statistics(volume[np.newaxis])
    assert list(statistics) == ["mean", "std", "percentiles"]
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
