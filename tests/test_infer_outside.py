"""Maps made elsewhere take a member's place at submission; where a scan has none, it is refused or others fill in."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from casefold.config.external import Entry, Manifest
from casefold.core import DataError, Scan
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.oof.external import Outside
from casefold.predict import Member
from casefold.recipe import GateRule, Rung
from toy_external import external
from toy_members import Given, padded, ramp_scan, seg25d
from toy_recipe import CLASSES, recipe, rung

CPU = torch.device("cpu")
BOTH = {"mate": {"a": 1, "b": 1}, "one": {"a": 1, "b": 1}}
# of class b, then of class a: (class, z, y, x)
HIS = np.array([[[[0, 0, 255]], [[0, 0, 255]]], [[[255, 0, 0]], [[255, 0, 0]]]], np.uint8)


def scan(name: str = "case1_day0") -> Scan:
    return replace(ramp_scan((2, 1, 3), name), classes=CLASSES)


def loaded(folder: Path, *rungs: Rung, **changes: Any) -> Loaded:
    """One member that says 51, 153, 204 of class a and 204, 204, 51 of class b, beside a mate's maps of case1_day0."""
    np.savez(folder / "x.npz", maps=HIS, presence=np.array([[1.0, 0.0], [1.0, 0.0]]))
    says = np.array([[[0.2, 0.6, 0.8]], [[0.8, 0.8, 0.2]]])
    net = padded(Given(np.log(says / (1 - says)).astype(np.float32)), 2)
    one = Member(seg25d(data={"size": (1, 3)}), (net,), CLASSES, "0", "abc")
    test = (Entry(scan="case1_day0", file="x.npz"),)
    mate = Outside(external(**changes), folder, Manifest(classes=("b", "a"), test=test), CLASSES)
    return Loaded(recipe(*rungs), {"one": one}, CPU, {"mate": mate})


def test_maps_made_elsewhere_count_like_a_members(tmp_path: Path) -> None:
    # class a: (51 + 255) / 2 = 153, (153 + 0) / 2 = 76, (204 + 0) / 2 = 102; class b: 102, 102, (51 + 255) / 2 = 153
    both = rung(weights=BOTH, levels={"a": 100, "b": 110})
    masks = infer(loaded(tmp_path, both), scan()).masks
    assert masks[:, 0, 0].tolist() == [[True, False, True], [False, False, True]]
    np.testing.assert_array_equal(masks[:, 1], masks[:, 0])


def test_alone_they_need_no_network(tmp_path: Path) -> None:
    alone = recipe(rung(weights={"mate": {"a": 1, "b": 1}}, levels={"a": 128, "b": 128}))
    outside = loaded(tmp_path).outside
    assert infer(load_ensemble_models(alone, {}, "cpu", outside=outside), scan()).masks[:, 0, 0].tolist() == [
        [True, False, False],
        [False, False, True],
    ]
    with pytest.raises(DataError, match=r"no trained folds are given for \['mate'\]"):
        load_ensemble_models(alone, {}, "cpu")


def test_their_presence_gates(tmp_path: Path) -> None:
    gate = GateRule(("mate",), "presence", {"a": 128, "b": 0})
    masks = infer(loaded(tmp_path, rung(levels={"a": 150, "b": 200}, gate=gate)), scan()).masks
    assert masks[:, :, 0].tolist() == [
        [[False, True, True], [False, False, False]],
        [[True, True, False], [True, True, False]],
    ]


def test_a_scan_without_maps_is_refused(tmp_path: Path) -> None:
    message = r"mate has no maps of scan case1_day1 among the test of .*manifest\.json; add them, or .*missing_test"
    with pytest.raises(DataError, match=message):
        infer(loaded(tmp_path, rung(weights=BOTH)), scan("case1_day1"))


def test_or_the_others_share_the_weight(tmp_path: Path) -> None:
    gate = GateRule(("mate", "one"), "pixels", {"a": 1, "b": 2})
    alone = replace(gate, members=("one",))
    both = loaded(tmp_path, rung(weights=BOTH, gate=gate), missing_test="share")
    own = rung(gate=alone)
    expected = infer(Loaded(recipe(own), both.members, CPU), scan("case1_day1"))
    assert expected.masks.any()
    np.testing.assert_array_equal(infer(both, scan("case1_day1")).masks, expected.masks)
    assert not np.array_equal(infer(both, scan()).masks, expected.masks)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {"mate": {"a": 1, "b": 1}, "one": {"a": 1, "b": 0}}}, "no member has one above 0 for ['b']"),
        (
            {"weights": BOTH, "gate": GateRule(("mate",), "presence", {"a": 1, "b": 1})},
            "members of a gate should be one or more",
        ),
    ],
    ids=["weights", "gate"],
)
def test_where_nobody_is_left_to_share_the_scan_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    wanted = "scan case1_day1: ['mate'] have no maps of it, and without them there is no ensemble: "
    with pytest.raises(DataError, match=re.escape(wanted) + ".*" + re.escape(message)):
        infer(loaded(tmp_path, rung(**changes), missing_test="share"), scan("case1_day1"))


def test_a_gate_that_lets_all_through_needs_nobody(tmp_path: Path) -> None:
    open_gate = rung(weights=BOTH, gate=GateRule(("mate",), "presence", {"a": 0, "b": 0}))
    assert infer(loaded(tmp_path, open_gate, missing_test="share"), scan("case1_day1")).masks.any()


def test_maps_on_another_grid_are_refused(tmp_path: Path) -> None:
    other = replace(ramp_scan((3, 1, 3)), classes=CLASSES)
    with pytest.raises(DataError, match=re.escape("= (2, 3, 1, 3) for scan case1_day0, but are (2, 2, 1, 3)")):
        infer(loaded(tmp_path, rung(weights=BOTH)), other)
