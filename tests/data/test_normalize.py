"""Intensities against numbers worked out by hand."""

from typing import Any, get_args

import numpy as np
import pytest

from casefold.config.inputs import (
    ForegroundNormalize,
    MinmaxNormalize,
    NoNormalize,
    NormalizeConfig,
    PercentileNormalize,
    WindowNormalize,
    ZscoreNormalize,
)
from casefold.core import DataError, Grid, Scan
from casefold.data.normalize import SCALES, normalizer
from casefold.intensity import scan_statistics


def scan(image: np.ndarray, statistics: Any = None) -> Scan:
    depth = image.shape[1]
    if statistics is None:
        statistics = scan_statistics(image)
    grid = Grid((depth, *image.shape[2:]))  # type: ignore[arg-type]
    return Scan("case1", "case1_day0", image, grid, ("a",), tuple(map(str, range(depth))), statistics=statistics)


RAMP = np.arange(101, dtype=np.uint16).reshape(1, 1, 1, 101)  # its percentile p is p


def test_percentiles_go_to_minus_one_and_one() -> None:
    norm = normalizer(PercentileNormalize(low=10.0, high=90.0), scan(RAMP))
    unit = norm.to_unit(RAMP)
    assert unit.dtype == np.float32
    assert unit[0, 0, 0, [0, 10, 30, 50, 90, 100]].tolist() == [0, 0, 0.25, 0.5, 1, 1]
    seen = norm.finish(unit)
    assert seen.dtype == np.float32
    assert seen[0, 0, 0, [0, 10, 30, 50, 90, 100]].tolist() == [-1, -1, -0.5, 0, 1, 1]


def test_zscore_gives_mean_0_and_standard_deviation_1() -> None:
    norm = normalizer(ZscoreNormalize(name="zscore"), scan(RAMP))
    unit = norm.to_unit(RAMP)
    assert unit[0, 0, 0, [0, 50, 100]].tolist() == [0, 0.5, 1]  # clipped at 0.1 and 99.9 of 0..100
    seen = norm.finish(unit)
    deviation = ((101**2 - 1) / 12) ** 0.5
    wanted = [(0.1 - 50) / deviation, (20 - 50) / deviation, 0, (99.9 - 50) / deviation]
    np.testing.assert_allclose(seen[0, 0, 0, [0, 20, 50, 100]], wanted, rtol=1e-5, atol=1e-6)


def test_minmax_gives_0_to_1() -> None:
    norm = normalizer(MinmaxNormalize(name="minmax"), scan(RAMP + 500))
    unit = norm.to_unit(RAMP + 500)
    assert unit[0, 0, 0, [0, 25, 100]].tolist() == [0, 0.25, 1]
    np.testing.assert_array_equal(norm.finish(unit), unit)


def test_foreground_leaves_the_background_out() -> None:
    """0, then 1 to 1000 with mean 500.5 and percentile 99.9 at 999.001: more background changes nothing."""
    deviation = ((1000**2 - 1) / 12) ** 0.5
    for background in (1, 5000):
        image = np.concatenate([np.zeros(background), np.arange(1, 1001)]).astype(np.uint16).reshape(1, 1, 1, -1)
        norm = normalizer(ForegroundNormalize(name="foreground"), scan(image))
        unit = norm.to_unit(image)
        assert unit[0, 0, 0, 0] == 0 and unit[0, 0, 0, -1] == 1
        wanted = [(0 - 500.5) / deviation, (500 - 500.5) / deviation, (999.001 - 500.5) / deviation]
        np.testing.assert_allclose(norm.finish(unit)[0, 0, 0, [0, -501, -1]], wanted, rtol=1e-4, atol=1e-6)


def test_a_window_is_the_same_for_every_scan() -> None:
    """Centre 40 and width 400 show -160 to 240."""
    image = np.array([-1000, -160, -60, 40, 240, 3000], np.int16).reshape(1, 1, 1, 6)
    for other in (image, image[..., :4]):
        norm = normalizer(WindowNormalize(name="window", centre=40, width=400), scan(other))
        unit = norm.to_unit(image)
        assert unit.ravel().tolist() == [0, 0, 0.25, 0.5, 1, 1]
        assert norm.finish(unit).ravel().tolist() == [-1, -1, -0.5, 0, 1, 1]


def test_none_shows_the_raw_numbers() -> None:
    image = np.array([-1024, -500, 0, 37, 3071], np.int16).reshape(1, 1, 1, 5)
    norm = normalizer(NoNormalize(name="none"), scan(image))
    unit = norm.to_unit(image)  # augmentation works here
    assert (unit.min(), unit.max()) == (0, 1)
    np.testing.assert_allclose(norm.finish(unit), image, atol=1e-3)


def test_every_name_of_the_config_is_in_the_table() -> None:
    union, _ = get_args(NormalizeConfig)
    names = [get_args(choice.model_fields["name"].annotation)[0] for choice in get_args(union)]
    assert names == list(SCALES)


@pytest.mark.parametrize(
    ("config", "seen"),
    [
        (PercentileNormalize(), -1.0),
        (ZscoreNormalize(name="zscore"), 0.0),
        (MinmaxNormalize(name="minmax"), 0.0),
        (ForegroundNormalize(name="foreground"), 0.0),
        (NoNormalize(name="none"), 700.0),
    ],
    ids=lambda c: str(c),
)
def test_a_constant_image_stays_finite(config: Any, seen: float) -> None:
    image = np.full((1, 2, 3, 4), 700, np.uint16)
    norm = normalizer(config, scan(image))
    unit = norm.to_unit(image)
    assert set(np.unique(unit)) == {0.0}
    assert set(np.unique(norm.finish(unit))) == {seen}


def test_each_modality_has_its_own_numbers_and_channels_repeat_them() -> None:
    image = np.concatenate([RAMP, RAMP * 10 + 100])
    norm = normalizer(PercentileNormalize(low=0.0, high=100.0), scan(image))
    unit = norm.to_unit(image)
    np.testing.assert_array_equal(unit[0], unit[1])
    stacked = np.stack([image[0, 0], image[1, 0]])[None]
    np.testing.assert_array_equal(norm.to_unit(stacked, axis=1)[0, 1], unit[1, 0])

    zscore = normalizer(ZscoreNormalize(name="zscore"), scan(np.concatenate([RAMP, RAMP**2])))
    once = zscore.finish(np.full((2, 3, 3), 0.5, np.float32))
    np.testing.assert_array_equal(zscore.finish(np.full((6, 3, 3), 0.5, np.float32)), np.tile(once, (3, 1, 1)))
    assert once[0, 0, 0] != once[1, 0, 0]


def test_another_scale_of_the_same_scan_gives_the_same_input() -> None:
    image = np.random.default_rng(0).integers(0, 3000, (1, 3, 20, 20)).astype(np.uint16)
    for config in (PercentileNormalize(), ZscoreNormalize(name="zscore")):
        one, two = (normalizer(config, scan(x)) for x in (image, image * 20))
        seen = one.finish(one.to_unit(image))
        np.testing.assert_allclose(two.finish(two.to_unit(image * 20)), seen, atol=1e-5)


def test_a_scan_without_statistics_is_refused() -> None:
    with pytest.raises(DataError, match="scan case1_day0 has statistics of 0 modalities, but 1"):
        normalizer(PercentileNormalize(), scan(RAMP, ()))
