"""The box of a body whose edges are known, beside noise, spots and frames."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.config.inputs import BodyCrop
from casefold.core import DataError, Grid, Scan
from casefold.intensity import scan_statistics
from casefold.views import Box, find_box
from casefold.views.body import body_box

SHAPE = (6, 48, 60)


def scan_of(*volumes: NDArray[Any]) -> Scan:
    image = np.stack(volumes)
    names = tuple(f"s{z}" for z in range(image.shape[1]))
    grid = Grid((image.shape[1], image.shape[2], image.shape[3]))
    return Scan("case1", "case1_day0", image, grid, ("a",), names, statistics=scan_statistics(image))


def body(scale: float = 1.0, noise: int = 12) -> NDArray[Any]:
    """500 in rows 10..33 and columns 8..49 of the slices 1..4, and noise below `noise` everywhere."""
    volume = np.random.default_rng(0).integers(0, noise + 1, SHAPE)
    volume[1:5, 10:34, 8:50] += 500
    return (volume * scale).astype(np.uint16)


def crop(**changes: Any) -> BodyCrop:
    return BodyCrop(name="body", **changes)


BODY = Box((1, 5), (10, 34), (8, 50))


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_the_body_is_found_at_any_scale(scale: float) -> None:
    assert body_box(scan_of(body(scale)), crop()) == BODY


def test_spots_and_noise_beside_it_do_not_count() -> None:
    volume = body()
    spots = np.random.default_rng(1).random(SHAPE) < 0.02
    volume[spots] = 4000
    assert body_box(scan_of(volume), crop()) == BODY
    alone = body_box(scan_of(volume), crop(median_px=1))
    assert alone.y[0] < 10 or alone.x[1] > 50  # spots that touch it


def test_of_two_pieces_the_larger_one_counts() -> None:
    volume = body()
    volume[:, 40:, 52:] = 500  # a table: 6 slices of 8 x 8
    assert body_box(scan_of(volume), crop()) == BODY


def test_what_any_modality_shows_counts() -> None:
    left, right, empty = body(), body(20.0), np.zeros(SHAPE, np.uint16)
    left[:, :, 30:], right[:, :, :30] = 0, 0
    assert body_box(scan_of(left, right, empty), crop()) == BODY


def test_the_level_lies_between_the_percentiles() -> None:
    volume = np.zeros(SHAPE, np.uint16)
    volume[:, :, 10:] = 400
    volume[:, :, 40:] = 1000
    # percentile 0 is 0 and 100 is 1000: above 350 lie columns 10.., above 450 columns 40..
    assert body_box(scan_of(volume), crop(low=0, high=100, level=0.35)).x == (10, 60)
    assert body_box(scan_of(volume), crop(low=0, high=100, level=0.45)).x == (40, 60)


def test_the_margin_stops_at_the_slices_edge_and_every_slice_is_kept() -> None:
    scan = scan_of(body())
    assert find_box(crop(margin_px=0), scan) == Box((0, 6), (10, 34), (8, 50))
    assert find_box(crop(margin_px=9), scan) == Box((0, 6), (1, 43), (0, 59))
    assert find_box(crop(margin_px=99), scan) == Box((0, 6), (0, 48), (0, 60))
    assert find_box(None, scan) == Box((0, 6), (0, 48), (0, 60))


def test_a_blank_scan_stays_whole_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert body_box(scan_of(np.full(SHAPE, 7, np.uint16)), crop()) == Box((0, 6), (0, 48), (0, 60))
    assert caplog.messages == ["scan case1_day0: nothing is brighter than the level of data.crop; it stays whole"]


def test_a_scan_without_statistics_has_no_body() -> None:
    with pytest.raises(DataError, match="scan case1_day0 has statistics of 0 modalities, but 1"):
        body_box(replace(scan_of(body()), statistics=()), crop())
