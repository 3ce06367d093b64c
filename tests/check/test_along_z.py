"""Jumps of brightness and slices out of place, each with a scan that is only nearly so."""

import numpy as np
import pytest
from bodies import body, disc, scan
from numpy.typing import NDArray

from casefold.check import along_z
from casefold.check.overview import overview


def jumps(image: NDArray[np.int16], **changes: object) -> list[tuple[str, str]]:
    one = scan(image, **changes)
    seen = overview(one)
    return [(f.where[-4:], f.what) for f in along_z.jumps(one, seen, ~seen.constant)]


def motion(image: NDArray[np.int16], **changes: object) -> list[str]:
    one = scan(image, **changes)
    seen = overview(one)
    return [f.where[-4:] for f in along_z.motion(one, seen, ~seen.constant)]


def brighter(factors: list[float]) -> NDArray[np.int16]:
    return (body(len(factors)) * np.array(factors)[:, None, None]).astype(np.int16)


def test_nothing_jumps_in_a_sound_scan() -> None:
    assert jumps(body()) == [] and motion(body()) == []


@pytest.mark.parametrize(("factor", "told"), [(1.5, "1.5"), (0.5, "0.4"), (0.0, "0.0")])
def test_a_slice_of_another_brightness_is_found(factor: float, told: str) -> None:
    factors = [1.0] * 10
    factors[4] = factor
    image = brighter(factors)
    image[4, 0, 0] = 1  # else a black slice would be a constant one
    ((where, what),) = jumps(image)
    assert where == "0005" and what.startswith(told) and what.endswith("times as bright as the slices before and after")


def test_a_slice_a_little_brighter_is_not() -> None:
    assert jumps(brighter([1, 1, 1, 1, 1.15, 1, 1, 1, 1, 1])) == []


@pytest.mark.parametrize(("factor", "told"), [(2.0, "2.0"), (0.5, "0.4")])
def test_a_step_to_another_brightness_is_found_once(factor: float, told: str) -> None:
    ((where, what),) = jumps(brighter([1.0] * 5 + [factor] * 5))
    assert where == "0006" and what.startswith(f"from here on {told}")


def test_brightness_that_fades_over_several_slices_is_no_step() -> None:
    assert jumps(brighter([1, 1, 1, 1, 1, 1, 0.7, 0.49, 0.34, 0.24])) == []


def test_a_slice_moved_sideways_is_found() -> None:
    image = body()
    image[4] = np.roll(image[4], 4, axis=1)
    assert motion(image) == ["0005"]
    assert jumps(image) == []


def test_a_body_that_goes_over_into_another_is_no_motion() -> None:
    image = body(12)
    for z in range(6, 12):
        image[z] = np.roll(image[z], 4, axis=1)
    assert motion(image) == []


def test_the_ends_of_a_scan_are_not_judged() -> None:
    image = np.where(np.stack([disc(24, 24, 16 if z < 7 else 5) for z in range(10)]), body(), 2).astype(np.int16)
    image[8] = np.roll(image[8], 6, axis=1)
    assert motion(image) == []


def test_slices_that_do_not_follow_one_another_are_not_compared() -> None:
    names = tuple(f"case1_day0_slice_{number:04d}" for number in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12))
    assert jumps(brighter([1.0] * 5 + [2.0] * 5), slice_names=names) == []


def test_correlation_by_hand() -> None:
    one = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert along_z.correlation(one, 3 * one + 1) == pytest.approx(1)
    assert along_z.correlation(one, one[::-1, ::-1]) == pytest.approx(-1)
    assert along_z.correlation(one, np.array([[1.0, 2.0], [2.0, 1.0]])) == 0
    assert along_z.correlation(one, np.zeros((2, 2))) == 0
