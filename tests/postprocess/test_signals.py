"""A gate's signal along z: what rules do to slices that pass or do not, and that a level may come before or after."""

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.config.gates import GateStep, Majority, Runs
from casefold.postprocess.signals import STEPS, along_z

Bits = NDArray[np.int64]


def bits(text: str) -> Bits:
    return np.array([[int(letter) for letter in text]])


def text(signal: Bits) -> str:
    return "".join(map(str, signal[0]))


def test_the_names_of_the_config_are_those_of_the_table() -> None:
    assert {get_args(step.model_fields["name"].annotation)[0] for step in get_args(get_args(GateStep)[0])} == set(STEPS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("00100", "00000"),  # two on each side contradict it
        ("11011", "11111"),
        ("01100", "01100"),  # one beside agrees
        ("10100", "10100"),
        ("1011", "1011"),  # the second has one slice on its left
        ("0010011011", "0000011111"),
        ("", ""),
    ],
)
def test_majority_of_two_on_each_side(before: str, after: str) -> None:
    assert text(along_z(bits(before), [Majority()], ["a"])) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("011011100", "000011100"),  # two in a row begin nothing
        ("01110100100", "01111111100"),  # two without do not end it, whatever stands between
        ("0111000110", "0111000000"),  # three without end it, and two do not begin another
        ("0011", "0000"),  # beyond the last slice nothing has it
        ("11100", "11100"),
        ("1110101", "1111111"),
        ("", ""),
        ("11", "00"),
    ],
)
def test_runs_begin_and_end_with_three(before: str, after: str) -> None:
    assert text(along_z(bits(before), [Runs()], ["a"])) == after


@pytest.mark.parametrize("step", [Majority(), Majority(slices=1), Runs(), Runs(slices=2)], ids=repr)
def test_a_level_may_come_before_or_after(step: Majority | Runs) -> None:
    random = np.random.default_rng(0)
    for depth in (1, 2, 3, 5, 40):
        signal = random.integers(0, 6, (1, depth))
        after = along_z(signal, [step], ["a"])
        for level in range(1, 6):
            before = along_z((signal >= level).astype(np.int64), [step], ["a"])
            assert ((after >= level) == (before > 0)).all()


def test_steps_follow_one_another_on_their_own_classes() -> None:
    signal = np.repeat(bits("0110111010"), 2, axis=0)
    found = along_z(signal, [Runs(classes=("b",)), Majority()], ["a", "b"])
    assert [text(found[:1]), text(found[1:])] == ["0111111010", "0000111110"]
    assert text(signal[:1]) == "0110111010"
