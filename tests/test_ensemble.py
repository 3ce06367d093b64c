"""Weighted means in literal bytes, the order of gate, levels and components, and recipes on disk."""

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from casefold.core import DataError, Prediction
from casefold.ensemble import Recipe, combine, gate_slices, load_recipe, save_recipe, to_masks

RECIPE = Recipe("mix", "toy", ("a", "b"), {"one": 1.0}, {"a": 128, "b": 200})


def volume(*values: int) -> NDArray[np.uint8]:
    """One class, one slice, one row."""
    return np.array(values, np.uint8).reshape(1, 1, 1, -1)


def says(member: str, maps: Any = None, presence: Any = None) -> Prediction:
    """What a member says of a scan of two classes: maps (class, z, x) on slices of one row, presence (class, z)."""
    planes = None if maps is None else np.array(maps, np.uint8)[:, :, None, :]
    found = None if presence is None else np.array(presence, np.uint8)
    depth = planes.shape[1] if planes is not None else found.shape[1]
    width = planes.shape[3] if planes is not None else 3
    return Prediction("case1", "case1_day0", ("a", "b"), (depth, 1, width), member, "0", planes, found)


def test_combine_by_hand() -> None:
    maps = {"one": volume(10, 255, 0, 1, 0, 100), "two": volume(13, 255, 1, 2, 3, 104)}
    # means 11.5, 255, 0.5, 1.5, 1.5, 102: halves go to the even number
    assert combine(maps, {"one": 0.5, "two": 0.5}).ravel().tolist() == [12, 255, 0, 2, 2, 102]
    # 12.25, 255, 0.75, 1.75, 2.25, 103
    assert combine(maps, {"one": 0.25, "two": 0.75}).ravel().tolist() == [12, 255, 1, 2, 2, 103]
    assert combine(maps, {"one": 0.25, "two": 0.75}).dtype == np.uint8


def test_combine_scales_weights_to_one() -> None:
    maps = {"one": volume(0, 255, 10), "two": volume(255, 255, 20)}
    assert combine(maps, {"one": 3, "two": 1}).ravel().tolist() == [64, 255, 12]  # 63.75, 255, 12.5
    assert combine({"one": volume(7, 255)}, {"one": 0.1}).ravel().tolist() == [7, 255]


def test_combine_does_not_depend_on_the_order_of_listing() -> None:
    random = np.random.default_rng(0)
    maps = {name: random.integers(0, 256, (2, 3, 4, 5)).astype(np.uint8) for name in "abcd"}
    weights = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.7}
    first = combine(maps, weights)
    for names in itertools.permutations("abcd"):
        turned = combine({name: maps[name] for name in names}, {name: weights[name] for name in reversed(names)})
        np.testing.assert_array_equal(turned, first)


def test_a_weight_of_nothing_needs_no_member() -> None:
    assert combine({"one": volume(3, 9)}, {"one": 0.5, "gone": 0.0}).ravel().tolist() == [3, 9]
    recipe = replace(RECIPE, weights={"one": 1.0, "gone": 0.0})
    assert recipe.members == ["one"]
    masks, maps = to_masks({"one": says("one", [[[127, 128, 129]], [[199, 200, 255]]])}, recipe)
    assert masks[:, 0, 0].tolist() == [[False, True, True], [False, True, True]]
    assert maps[:, 0, 0].tolist() == [[127, 128, 129], [199, 200, 255]]


def test_combine_refuses() -> None:
    with pytest.raises(DataError, match=r"the recipe weighs two, but there are maps of \['one'\] only"):
        combine({"one": volume(1)}, {"one": 0.5, "two": 0.5})
    with pytest.raises(DataError, match="no member has a weight above 0"):
        combine({"one": volume(1)}, {"one": 0.0})


def test_gate_slices_by_hand() -> None:
    presence = np.array([[0, 127, 128, 255], [0, 127, 128, 255]], np.uint8)
    assert gate_slices(presence, np.array([128, 0])).tolist() == [[False, False, True, True], [True] * 4]


def test_the_gate_comes_before_levels_and_levels_before_components() -> None:
    """A component of 2 + 1 voxels over two slices: without its second slice it is smaller than 3 voxels."""
    maps = [[[200, 200, 100], [200, 0, 0]], [[255, 255, 255], [0, 0, 0]]]
    found = {"one": says("one", maps), "slices": says("slices", presence=[[255, 100], [255, 255]])}
    gated = replace(RECIPE, gate="slices", gate_levels={"a": 128, "b": 0})
    assert gated.members == ["one", "slices"]
    whole = [[[True, True, False], [True, False, False]], [[True, True, True], [False, False, False]]]
    assert to_masks(found, RECIPE)[0][:, :, 0].tolist() == whole
    assert to_masks(found, replace(RECIPE, min_voxels=3))[0][:, :, 0].tolist() == whole
    without = [[[True, True, False], [False, False, False]], whole[1]]
    assert to_masks(found, gated)[0][:, :, 0].tolist() == without
    small = [[[False] * 3] * 2, whole[1]]
    assert to_masks(found, replace(gated, min_voxels=3))[0][:, :, 0].tolist() == small
    assert to_masks(found, replace(gated, min_voxels=2))[0][:, :, 0].tolist() == without


def test_a_segmenter_with_a_presence_head_may_be_the_gate() -> None:
    found = {"one": says("one", [[[255] * 3, [255] * 3]] * 2, [[0, 9], [9, 0]])}
    masks = to_masks(found, replace(RECIPE, gate="one", gate_levels={"a": 9, "b": 9}))[0]
    assert masks.any(axis=(2, 3)).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("found", "recipe", "message"),
    [
        ({}, RECIPE, "recipe mix wants one, but there are predictions of []"),
        (
            {"one": replace(says("one", [[[1]], [[1]]]), classes=("b", "a"))},
            RECIPE,
            "one predicts ('b', 'a'), the recipe is for ('a', 'b')",
        ),
        (
            {"one": says("one", [[[1]], [[1]]])},
            replace(RECIPE, gate="one", gate_levels={"a": 1, "b": 1}),
            "the gate one predicts no presence; take a `cls` member or one with a presence head",
        ),
        ({"one": says("one", presence=[[1], [1]])}, RECIPE, "the recipe weighs one, but there are maps of [] only"),
    ],
    ids=["missing", "other classes", "gate without presence", "no maps"],
)
def test_predictions_that_do_not_fit_are_named(found: dict[str, Prediction], recipe: Recipe, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        to_masks(found, recipe)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {}}, "recipe mix: weights should be 0 or more, and not all 0, but are {}"),
        ({"weights": {"one": -0.1, "two": 1.1}}, "weights should be 0 or more"),
        ({"weights": {"one": 0.0}}, "and not all 0, but are {'one': 0.0}"),
        ({"levels": {"a": 128}}, "levels should be 1..255 for each of ('a', 'b'): {'a': 128}"),
        ({"levels": {"a": 0, "b": 9}}, "levels should be 1..255 for each of ('a', 'b'): {'a': 0, 'b': 9}"),
        ({"levels": {"a": 256, "b": 9}}, "levels should be 1..255"),
        ({"gate": "g", "gate_levels": {"a": -1, "b": 0}}, "gate_levels should be 0..255"),
        ({"gate": "g"}, "recipe mix: gate and gate_levels go together"),
        ({"gate_levels": {"a": 1, "b": 1}}, "recipe mix: gate and gate_levels go together"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        replace(RECIPE, **changes)


def test_a_recipe_comes_back(tmp_path: Path) -> None:
    whole = Recipe(
        "mix",
        "toy",
        ("a", "NA"),
        {"x": 0.2, "y": 0.8},
        {"a": 121, "NA": 133},
        "g",
        {"a": 0, "NA": 51},
        9,
        "full",
        (0, 2),
    )
    for recipe in (RECIPE, whole):
        save_recipe(recipe, {"objective": "dice_case", "cross-fitted": {"dice_case": 0.5}}, tmp_path / "recipe.yaml")
        assert load_recipe(tmp_path / "recipe.yaml") == recipe
    text = (tmp_path / "recipe.yaml").read_text()
    assert text.startswith("schema: 1\nname: mix\n") and "  cross-fitted:\n    dice_case: 0.5\n" in text


def test_a_recipe_that_is_missing_or_of_another_schema_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no recipe .*recipe\.yaml; run `tune` first"):
        load_recipe(tmp_path / "recipe.yaml")
    save_recipe(RECIPE, {}, tmp_path / "recipe.yaml")
    (tmp_path / "recipe.yaml").write_text((tmp_path / "recipe.yaml").read_text().replace("schema: 1", "schema: 2"))
    with pytest.raises(DataError, match=r"recipe\.yaml is of another schema; run `tune` again"):
        load_recipe(tmp_path / "recipe.yaml")
