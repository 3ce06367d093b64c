"""Planted faults are named; members that are merely bad are not accused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_search import planted
from toy_search import says, scan_of

from casefold.config.presence import CutOff
from casefold.tune.sanity import faults, spread

FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "z": (lambda q: q[:, ::-1], "axis z is flipped"),
    "y": (lambda q: q[:, :, ::-1], "axis y is flipped"),
    "x": (lambda q: q[:, :, :, ::-1], "axis x is flipped"),
    "later": (lambda q: np.concatenate([q[:, :1], q[:, :-1]], axis=1), "shifted by +1 slice along z"),
    "earlier": (lambda q: np.concatenate([q[:, 1:], q[:, -1:]], axis=1), "shifted by -1 slice along z"),
    "swapped": (lambda q: q[::-1], "the classes a and b are swapped"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_the_first_that_is_named(name: str) -> None:
    change, words = FAULTS[name]
    pairs = [(scan, {"good": found["m"], "bad": says(scan, "bad", change(found["m"].maps))})
             for scan, found in planted(5, first=5)]  # fmt: skip
    found = faults(pairs)
    assert list(found) == ["bad"] and found["bad"][0].startswith(words)


def test_a_classifier_too_is_looked_at() -> None:
    """Class a lies on slices 0 and 1, class b on 3, on more in every other scan."""

    def seen(change: Callable[[Any], Any]) -> dict[str, list[str]]:
        pairs = []
        for number in range(6):
            truth = np.zeros((2, 6, 2, 2), bool)
            truth[0, : 2 + number % 2], truth[1, 3 : 4 + number % 2] = True, True
            scan = scan_of(f"case{number}", "day0", truth)
            pairs.append((scan, {"c": says(scan, "c", presence=change(np.where(truth.any(axis=(2, 3)), 200, 20)))}))
        return faults(pairs)

    assert seen(lambda p: p) == {}
    assert seen(lambda p: p[::-1])["c"][0].startswith("the classes a and b are swapped")
    assert seen(lambda p: p[:, ::-1])["c"][0].startswith("axis z is flipped")
    assert seen(lambda p: np.concatenate([p[:, :1], p[:, :-1]], 1))["c"][0].startswith("shifted by +1 slice along z")


def test_a_truncation_member_is_held_against_its_own_truth() -> None:
    """Labels begin on slice 2 or 3 of 6 with their full area, so what lies before them was cut off."""
    target = CutOff(name="cut_off")

    def seen(change: Callable[[Any], Any], targets: dict[str, CutOff]) -> dict[str, list[str]]:
        pairs = []
        for number in range(6):
            truth = np.zeros((1, 6, 2, 2), bool)
            truth[0, 2 + number % 2 :] = True
            scan = scan_of(f"case{number}", "day0", truth)
            pairs.append((scan, {"c": says(scan, "c", presence=change(np.where(truth.any(axis=(2, 3)), 20, 230)))}))
        return faults(pairs, targets)

    assert seen(lambda p: p, {"c": target}) == {}
    assert seen(lambda p: p[:, ::-1], {"c": target})["c"][0].startswith("axis z is flipped")
    assert seen(lambda p: p, {})["c"][0].startswith("axis z is flipped")  # as presence it would be refused


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_bad_but_not_at_fault(seed: int) -> None:
    random = np.random.default_rng(seed)
    pairs = [(scan, {"noise": says(scan, "noise", random.integers(0, 256, scan.class_masks().shape))})
             for scan, _ in planted(5, first=5)]  # fmt: skip
    assert faults(pairs) == {}


def test_two_scans_are_too_few_to_accuse() -> None:
    pairs = [(scan, {"bad": says(scan, "bad", found["m"].maps[::-1])}) for scan, found in planted(5, first=5)[:2]]  # type: ignore[index]
    assert faults(pairs) == {}


def test_scans_are_looked_at_from_end_to_end() -> None:
    assert spread(["a", "b"]) == ["a", "b"]
    some = spread([str(n) for n in range(1000)])
    assert len(some) == 24 and some[0] == "0" and some[-1] == "999"
