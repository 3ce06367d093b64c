"""A member tried out: Dice by case and class, worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from casefold.core import DataError, Scan
from casefold.pipeline import trial
from casefold.pipeline.trial import try_out
from casefold.predict import Member
from toy_members import Given, cls, padded, ramp_scan, seg3d

MASKS = np.array([[[1, 1, 0, 0]]], np.uint8)


def scan(name: str, masks: np.ndarray = MASKS, ignore: np.ndarray | None = None) -> Scan:
    return replace(ramp_scan((1, 1, 4), name), masks=masks, ignore=ignore)


def member(net: Given) -> Member:
    config = seg3d(data={"patch": None}, train={"batch_size": 1})
    return Member(config, (padded(net, 3),), ("blob",), "0", "")


SAYS = member(Given(np.array([[[[9.0, -9.0, 9.0, -9.0]]]], np.float32)))  # the first voxel and the third


def test_dice_is_by_case_with_all_its_scans_pooled() -> None:
    nothing = np.zeros_like(MASKS)
    tried = try_out(SAYS, [scan("case1_day0"), scan("case1_day1"), scan("case2_day0", nothing)])
    assert tried.dice.tolist() == [[0.5], [0.0]]  # 2 * 2 / (4 + 4); nothing there, two voxels said
    assert (tried.mean, tried.by_class, tried.by_case.tolist()) == (0.25, [0.25], [0.5, 0.0])


def test_time_is_that_of_a_scan_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 20.0, 21.0])  # two seconds, then one
    monkeypatch.setattr(trial, "time", SimpleNamespace(process_time=lambda: next(clock)))
    assert try_out(SAYS, [scan("case1_day0"), scan("case2_day0")]).ms_a_scan == 1500.0


def test_a_voxel_to_be_ignored_does_not_count() -> None:
    ignore = np.array([[[False, True, True, False]]])
    assert try_out(SAYS, [scan("case1_day0", ignore=ignore)]).mean == 1.0


def test_where_there_is_nothing_there_is_no_dice() -> None:
    says_nothing = member(Given(np.full((1, 1, 1, 4), -9.0, np.float32)))
    trial = try_out(says_nothing, [scan("case1_day0", np.zeros_like(MASKS)), scan("case2_day0")])
    assert np.isnan(trial.dice[0, 0]) and trial.mean == 0.0


def test_a_member_without_maps_is_refused() -> None:
    presence_only = Member(cls(), (padded(Given(None, np.zeros(1, np.float32)), 2),), ("blob",), "0", "")
    with pytest.raises(DataError, match="toy_cls predicts no maps, so it has no Dice"):
        try_out(presence_only, [scan("case1_day0")])
