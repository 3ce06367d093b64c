"""Weighted means in literal bytes, gates, and the order of gate, levels and peaks, and post-processing."""

import itertools
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from casefold import ensemble
from casefold.config.gates import Majority, Runs
from casefold.config.postprocess import FillGaps, Overlap, SmallComponents, Truncate
from casefold.core import DataError, Prediction
from casefold.ensemble import combine, combine_class, gate_signal, near_level, passed_gate, to_masks
from casefold.recipe import GateRule, Rung
from toy_recipe import CLASSES, rung

EACH = np.arange(256, dtype=np.uint8)
BOTH = {"a": 1, "b": 1}


def q(*values: int) -> NDArray[np.uint8]:
    return np.array(values, np.uint8)


def says(member: str, maps: Any = None, presence: Any = None) -> Prediction:
    """What a member says of a scan of two classes: maps (class, z, x) on slices of one row, presence (class, z)."""
    planes = None if maps is None else np.array(maps, np.uint8)[:, :, None, :]
    found = None if presence is None else np.array(presence, np.uint8)
    depth = planes.shape[1] if planes is not None else found.shape[1]
    width = planes.shape[3] if planes is not None else 3
    return Prediction("case1", "case1_day0", CLASSES, (depth, 1, width), member, "0", planes, found)


def rows(member: Prediction, chosen: Rung, spacing_mm: Any = None) -> list[Any]:
    """The masks (class, z, x) of a single member's prediction."""
    return to_masks({member.member: member}, chosen, CLASSES, spacing_mm)[0][:, :, 0].astype(int).tolist()


def test_a_mean_of_probabilities_by_hand() -> None:
    maps = [q(10, 255, 0, 1, 0, 100), q(13, 255, 1, 2, 3, 104)]
    # means 11.5, 255, 0.5, 1.5, 1.5, 102: halves go to the even number
    assert combine_class(maps, [1, 1], "probabilities").tolist() == [12, 255, 0, 2, 2, 102]
    # 12.25, 255, 0.75, 1.75, 2.25, 103
    assert combine_class(maps, [1, 3], "probabilities").tolist() == [12, 255, 1, 2, 2, 103]
    assert combine_class(maps, [1, 3], "probabilities").dtype == np.uint8


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_only_the_ratio_of_weights_counts(average: str) -> None:
    maps = [q(0, 255, 10), q(255, 255, 20)]
    assert combine_class(maps, [3, 1], "probabilities").tolist() == [64, 255, 12]  # 63.75, 255, 12.5
    pairs = [np.repeat(EACH, 256), np.tile(EACH, 256)]
    once = combine_class(pairs, [3, 1], average)
    np.testing.assert_array_equal(combine_class(pairs, [9, 3], average), once)
    np.testing.assert_array_equal(combine_class(pairs[::-1], [1, 3], average), once)
    np.testing.assert_array_equal(combine_class([EACH, EACH[::-1]], [7, 0], average), EACH)


@pytest.mark.parametrize(
    "weights", [(1, 1), (1, 2), (1, 3), (2, 3), (1, 5), (1, 254), (1, 255), (1, 256), (999, 65538)], ids=str
)
def test_whole_numbers_give_what_float64_gives_for_every_sum(weights: tuple[int, int]) -> None:
    pairs = [np.repeat(EACH, 256), np.tile(EACH, 256)]
    sums = sum(weight * part.astype(np.float64) for weight, part in zip(weights, pairs, strict=True))
    whole = sum(weights)
    if weights[0] == 1:
        assert len(np.unique(sums)) == 255 * whole + 1  # every one that can be
    assert (np.remainder(sums / whole, 1) == 0.5).any() == (whole % 2 == 0)
    np.testing.assert_array_equal(combine_class(pairs, weights, "probabilities"), np.rint(sums / whole))


def test_a_mean_of_logits_by_hand() -> None:
    # odds of 10 and 100 are 21/491 and 201/311; the root of their product is 0.16626, p = 0.14256, 256 p - 0.5 = 35.99
    # 1 to 3: (21/491 (201/311)^3)^(1/4) = 0.32780, p = 0.24687, 256 p - 0.5 = 62.70. 0 and 255 mirror: 127.5, to even
    maps = [q(10, 0), q(100, 255)]
    assert combine_class(maps, [1, 1], "logits").tolist() == [36, 128]
    assert combine_class(maps, [1, 3], "logits").tolist()[0] == 63
    assert combine_class(maps, [1, 3], "logits").dtype == np.uint8


@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 4), (5, 3, 1, 1)], ids=str)
def test_equal_logits_give_themselves_back(weights: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(combine_class([EACH] * len(weights), weights, "logits"), EACH)


@pytest.mark.parametrize("weights", [(1, 1), (1, 2), (2, 3), (1, 5)], ids=str)
def test_logits_by_table_give_what_the_formula_gives(weights: tuple[int, int]) -> None:
    pairs = [np.repeat(EACH, 256), np.tile(EACH, 256)]
    mean = sum(weight * logit((part + 0.5) / 256) for weight, part in zip(weights, pairs, strict=True)) / sum(weights)
    np.testing.assert_array_equal(combine_class(pairs, weights, "logits"), np.rint(256 * expit(mean) - 0.5))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_some_voxels_get_what_they_get_in_the_volume(average: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    maps = [random.integers(0, 256, (2, 3, 4, 5)).astype(np.uint8).swapaxes(0, 1) for _ in range(3)]
    chosen = maps[0] > 60
    whole = combine_class(maps, [1, 2, 3], average)
    assert whole.shape == (3, 2, 4, 5) and 0 < chosen.sum() < chosen.size
    np.testing.assert_array_equal(combine_class([part[chosen] for part in maps], [1, 2, 3], average), whole[chosen])
    assert combine_class([part[:0] for part in maps], [1, 2, 3], average).shape == (0, 2, 4, 5)
    monkeypatch.setattr(ensemble, "BLOCK", 7)
    np.testing.assert_array_equal(combine_class(maps, [1, 2, 3], average), whole)


def test_the_mean_of_one_is_a_copy() -> None:
    maps = q(7, 255)
    mean = combine_class([maps], [3], "logits")
    mean[:] = 0
    assert maps.tolist() == [7, 255]


@pytest.mark.parametrize(
    ("maps", "weights", "average", "message"),
    [
        ([q(1)], [1], "median", "there is no mean of 'median'; there is that of probabilities, logits"),
        ([], [], "logits", "0 members with the weights []; wanted 0 or more for each, not all 0"),
        ([q(1)], [1, 1], "logits", "1 members with the weights [1, 1]"),
        ([q(1), q(2)], [0, 0], "logits", "2 members with the weights [0, 0]"),
        ([q(1), q(2)], [2, -1], "logits", "2 members with the weights [2, -1]"),
        ([q(1), q(2, 3)], [1, 1], "logits", "members of one mean should be equal in shape, but are [(1,), (2,)]"),
    ],
    ids=["average", "none", "too many", "all 0", "negative", "shapes"],
)
def test_a_mean_that_cannot_be_is_refused(maps: Any, weights: list[int], average: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        combine_class(maps, weights, average)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_the_order_of_listing_does_not_matter(average: str) -> None:
    random = np.random.default_rng(0)
    found = {name: says(name, random.integers(0, 256, (2, 6, 50))) for name in "wxyz"}
    weights = {name: {"a": weight, "b": 5 - weight} for name, weight in zip("wxyz", (1, 2, 3, 4), strict=True)}
    gate = GateRule(("w", "x", "y"), "pixels", {"a": 24, "b": 26})
    masks, maps = to_masks(found, rung(weights=weights, average=average, gate=gate), CLASSES)
    assert masks.any() and not masks.all()
    for names in itertools.permutations("wxyz"):
        turned = rung(
            weights={name: weights[name] for name in reversed(names)}, average=average,
            gate=replace(gate, members=tuple(name for name in names if name != "z")),
        )  # fmt: skip
        again = to_masks({name: found[name] for name in names}, turned, CLASSES)
        np.testing.assert_array_equal(again[0], masks)
        np.testing.assert_array_equal(again[1], maps)


def test_every_class_has_weights_of_its_own() -> None:
    found = {"one": says("one", [[[10, 20]], [[10, 20]]]), "two": says("two", [[[30, 60]], [[30, 60]]])}
    mixed = rung(weights={"one": {"a": 1, "b": 0}, "two": {"a": 1, "b": 2}})
    assert combine(found, mixed, CLASSES)[:, 0, 0].tolist() == [[20, 40], [30, 60]]
    turned = {name: replace(part, classes=("b", "a")) for name, part in found.items()}
    assert combine(turned, mixed, ("b", "a"))[:, 0, 0].tolist() == [[30, 60], [20, 40]]


def test_a_weight_of_nothing_needs_no_member() -> None:
    chosen = rung(weights={"one": BOTH, "gone": {"a": 0, "b": 0}})
    masks, maps = to_masks({"one": says("one", [[[127, 128, 129]], [[199, 200, 255]]])}, chosen, CLASSES)
    assert masks[:, 0, 0].tolist() == [[False, True, True], [False, True, True]]
    assert maps[:, 0, 0].tolist() == [[127, 128, 129], [199, 200, 255]]


def test_a_gate_by_presence_is_the_rounded_mean() -> None:
    found = {
        "one": says("one", presence=[[0, 10, 255], [1, 1, 1]]),
        "two": says("two", presence=[[1, 13, 255], [2, 3, 4]]),
    }
    assert gate_signal(found, ["one"], "presence").tolist() == [[0, 10, 255], [1, 1, 1]]
    # 0.5, 11.5, 255; 1.5, 2, 2.5
    assert gate_signal(found, ["two", "one"], "presence").tolist() == [[0, 12, 255], [2, 2, 2]]


def test_a_gate_by_pixels_counts_those_of_the_mean_map_at_a_half() -> None:
    one = says("one", [[[128, 127, 255], [0, 0, 0]], [[100, 200, 255], [255, 255, 255]]])
    two = says("two", [[[128, 128, 0], [0, 0, 255]], [[156, 54, 255], [255, 255, 255]]])
    assert gate_signal({"one": one}, ["one"], "pixels").tolist() == [[2, 0], [2, 3]]
    # means 128, 127.5 (to 128), 127.5 and 0, 0, 127.5; 128, 127, 255 and 255
    assert gate_signal({"one": one, "two": two}, ["one", "two"], "pixels").tolist() == [[3, 1], [2, 3]]


def test_an_unknown_gate_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="there is no gate by 'area'; there is one by presence, pixels"):
        gate_signal({}, [], "area")


@pytest.mark.parametrize("level", [0, 127, 128, 129, 255])
def test_a_slice_passes_where_the_signal_reaches_the_level(level: int) -> None:
    found = says("one", [[[255] * 3] * 4] * 2, [[0, 127, 128, 255], [0, 0, 0, 0]])
    gate = GateRule(("one",), "presence", {"a": level, "b": 0})
    kept = {0: [1, 1, 1, 1], 127: [0, 1, 1, 1], 128: [0, 0, 1, 1], 129: [0, 0, 0, 1], 255: [0, 0, 0, 1]}[level]
    assert rows(found, rung(gate=gate)) == [[[on] * 3 for on in kept], [[1] * 3] * 4]


def test_the_gate_comes_before_levels_and_levels_before_components() -> None:
    """A component of 2 + 1 voxels over two slices: without its second slice it is smaller than 3 voxels."""
    maps = [[[200, 200, 100], [200, 0, 0]], [[255, 255, 255], [0, 0, 0]]]
    found = {"one": says("one", maps), "slices": says("slices", presence=[[255, 100], [255, 255]])}

    def kept(**changes: Any) -> list[Any]:
        return to_masks(found, rung(**changes), CLASSES)[0][:, :, 0].tolist()

    gate = GateRule(("slices",), "presence", {"a": 128, "b": 0})
    whole = [[[True, True, False], [True, False, False]], [[True, True, True], [False, False, False]]]
    assert kept() == whole
    assert kept(post=(SmallComponents(min_voxels=3),)) == whole
    without = [[[True, True, False], [False, False, False]], whole[1]]
    assert kept(gate=gate) == without
    small = [[[False] * 3] * 2, whole[1]]
    assert kept(gate=gate, post=(SmallComponents(min_voxels=3),)) == small
    assert kept(gate=gate, post=(SmallComponents(min_voxels=2),)) == without


def test_a_peak_on_a_slice_that_the_gate_closed_does_not_count() -> None:
    """Two components of class a; the first reaches 250 on the second slice alone, the other 220 on the first."""
    maps = [[[200, 0, 220], [250, 0, 130], [0, 0, 0]], [[0] * 3] * 3]
    found = says("one", maps, [[255, 0, 255], [255] * 3])
    gate = GateRule(("one",), "presence", {"a": 1, "b": 0})
    empty = [[0] * 3] * 3
    assert rows(found, rung()) == [[[1, 0, 1], [1, 0, 1], [0, 0, 0]], empty]
    assert rows(found, rung(peaks={"a": 230, "b": 0})) == [[[1, 0, 0], [1, 0, 0], [0, 0, 0]], empty]
    assert rows(found, rung(peaks={"a": 210, "b": 0}, gate=gate)) == [[[0, 0, 1], [0] * 3, [0] * 3], empty]
    assert rows(found, rung(peaks={"a": 230, "b": 0}, gate=gate)) == [empty, empty]
    assert rows(found, rung(peaks={"a": 128, "b": 0})) == rows(found, rung())  # not above the level: off


def test_a_gate_by_pixels_reads_another_members_map() -> None:
    found = {
        "one": says("one", [[[255] * 3, [255] * 3], [[255] * 3, [255] * 3]]),
        "two": says("two", [[[128, 128, 0], [128, 0, 0]], [[0] * 3, [255] * 3]]),
    }
    gate = GateRule(("two",), "pixels", {"a": 2, "b": 3})
    masks = to_masks(found, rung(gate=gate), CLASSES)[0]
    assert masks.any(axis=(2, 3)).tolist() == [[True, False], [False, True]]


def test_a_gate_that_lets_all_through_is_not_read() -> None:
    gate = GateRule(("gone",), "presence", {"a": 0, "b": 0})
    assert rows(says("one", [[[128]], [[128]]]), rung(gate=gate)) == [[[1]], [[0]]]


def test_what_passes_is_known_from_the_gates_members_alone() -> None:
    slices = {"slices": says("slices", presence=[[255, 100, 99], [1, 2, 3]])}
    gate = GateRule(("slices",), "presence", {"a": 100, "b": 0})
    found = passed_gate(slices, rung(gate=gate), CLASSES)
    assert found is not None and found.tolist() == [[True, True, False], [True, True, True]]
    assert passed_gate({}, rung(gate=replace(gate, levels={"a": 0, "b": 0})), CLASSES) is None
    assert passed_gate({}, rung(), CLASSES) is None
    along = replace(gate, levels={"a": 100, "b": 3}, along_z=(Majority(slices=1), Runs(slices=2, classes=("b",))))
    slices = {"slices": says("slices", presence=[[255, 99, 100], [3, 2, 2]])}
    passed = passed_gate(slices, rung(gate=along), CLASSES)
    assert passed is not None and passed.tolist() == [[True, True, True], [False, False, False]]
    with pytest.raises(DataError, match=re.escape("the recipe wants slices, but there are predictions of []")):
        passed_gate({}, rung(gate=gate), CLASSES)


def test_maps_are_0_where_the_gate_closes_every_class() -> None:
    found = {
        "one": says("one", [[[10] * 3, [20] * 3, [30] * 3], [[40] * 3, [50] * 3, [60] * 3]]),
        "slices": says("slices", presence=[[9, 0, 0], [0, 9, 0]]),
    }
    gate = GateRule(("slices",), "presence", {"a": 9, "b": 9})
    assert to_masks(found, rung(gate=gate), CLASSES)[1][:, :, 0, 0].tolist() == [[10, 20, 0], [40, 50, 0]]
    assert to_masks(found, rung(), CLASSES)[1][:, :, 0, 0].tolist() == [[10, 20, 30], [40, 50, 60]]


def test_what_lies_near_a_level_or_a_peak_is_counted() -> None:
    # levels 128 and 200
    maps = np.array([[[[126, 127, 128, 129, 130]]], [[[198, 199, 201, 202, 0]]]], np.uint8)
    assert near_level(maps, rung(), CLASSES) == 3 + 2
    assert near_level(maps, rung(peaks={"a": 131, "b": 100}), CLASSES) == 3 + 1 + 2
    ends = np.array([[[[0, 1, 2, 3]]], [[[253, 254, 255, 0]]]], np.uint8)
    assert near_level(ends, rung(levels={"a": 1, "b": 255}), CLASSES) == 3 + 2


def test_post_processing_gets_spacing_presence_maps_and_levels() -> None:
    found = says(
        "one", [[[200, 0, 140], [200, 0, 0], [200, 0, 0]], [[210, 0, 255]] + [[0] * 3] * 2], [[200, 9, 9], [0] * 3]
    )
    plain = [[[1, 0, 1], [1, 0, 0], [1, 0, 0]], [[1, 0, 1], [0] * 3, [0] * 3]]
    assert rows(found, rung()) == plain
    volume = rung(post=(SmallComponents(classes=("a",), min_mm3=4.0),))  # 3 voxels and 1, of 2 mm3 each
    assert rows(found, volume, (2.0, 1.0, 1.0)) == [[[1, 0, 0]] * 3, plain[1]]
    with pytest.raises(DataError, match="needs spacing_mm, which this scan lacks"):
        rows(found, volume)
    until = rung(post=(Truncate(classes=("a",), member="one", level=100),))
    assert rows(found, until) == [[[1, 0, 1], [0] * 3, [0] * 3], plain[1]]
    # q - level: a 72 and 12, b 10 and 55
    assert rows(found, rung(post=(Overlap(rule="largest"),))) == [[[1, 0, 0]] * 3, [[0, 0, 1], [0] * 3, [0] * 3]]


def test_steps_are_taken_in_their_order() -> None:
    found = says("one", [[[200, 0, 0], [0, 0, 0], [200, 0, 0]], [[0] * 3] * 3])
    steps = (FillGaps(max_slices=1), SmallComponents(min_voxels=3))
    assert rows(found, rung(post=steps))[0] == [[1, 0, 0]] * 3
    assert rows(found, rung(post=steps[::-1]))[0] == [[0, 0, 0]] * 3


@pytest.mark.parametrize(
    ("found", "changes", "message"),
    [
        ({}, {}, "the recipe wants one, but there are predictions of []"),
        (
            {"one": replace(says("one", [[[1]], [[1]]]), classes=("b", "a"))},
            {},
            "one predicts ('b', 'a'), the recipe is for ('a', 'b')",
        ),
        (
            {"one": says("one", [[[1]], [[1]]])},
            {"gate": GateRule(("one",), "presence", {"a": 1, "b": 1})},
            "the gate one predicts no presence; take a `cls` member or one with a presence head",
        ),
        (
            {"one": says("one", [[[1] * 3], [[1] * 3]]), "cls": says("cls", presence=[[1], [1]])},
            {"gate": GateRule(("cls",), "pixels", {"a": 1, "b": 1})},
            "cls predicts no maps; weights and gates by pixels want a segmenter",
        ),
        (
            {"one": says("one", [[[1]], [[1]]])},
            {"post": (Truncate(member="one"),)},
            "the truncation by one predicts no presence",
        ),
        ({"one": says("one", presence=[[1], [1]])}, {}, "one predicts no maps; weights and gates by pixels want"),
        (
            {"one": says("one", [[[1]], [[1]]]), "two": says("two", [[[1] * 2], [[1] * 2]])},
            {"weights": {"one": BOTH, "two": BOTH}},
            "two predicts case1_day0 on a grid of (1, 1, 2), but one case1_day0 on (1, 1, 1)",
        ),
        (
            {"one": says("one", [[[1]], [[1]]]), "two": replace(says("two", [[[1]], [[1]]]), scan="case2_day0")},
            {"weights": {"one": BOTH, "two": BOTH}},
            "two predicts case2_day0 on a grid of (1, 1, 1), but one case1_day0 on (1, 1, 1)",
        ),
    ],
    ids=[
        "missing",
        "classes",
        "no presence",
        "gate without maps",
        "truncation",
        "no maps",
        "grid",
        "scan",
    ],
)
def test_predictions_that_do_not_fit_are_named(
    found: dict[str, Prediction], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        to_masks(found, rung(**changes), CLASSES)


def test_a_rung_for_other_classes_is_named() -> None:
    with pytest.raises(DataError, match=re.escape("the rung is for ['a', 'b'], but wanted are ['a']")):
        to_masks({"one": says("one", [[[1]], [[1]]])}, rung(), ("a",))
