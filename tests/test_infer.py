"""Scan, recipe and members to masks: the order of the recipe, statistics on the way, one label a voxel."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from casefold.core import DataError, Scan
from casefold.ensemble import Recipe
from casefold.files import hash_file
from casefold.folds import FoldTable
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.predict import Member
from casefold.store import Store
from casefold.train.run import Job, train
from toy_members import Brightness, Given, cls, padded, ramp_scan, seg25d

CPU = torch.device("cpu")
CLASSES = ("a", "b")
# q of class a: 51, 153, 204; of class b: 204, 204, 51
RECIPE = Recipe("mix", "toy", CLASSES, {"one": 1.0}, {"a": 150, "b": 100})


def says(config: Any, maps: Any = None, presence: Any = None) -> Member:
    """A member of one fold that gives these probabilities whatever it sees."""
    net = Given(
        *(None if p is None else np.log(np.array(p) / (1 - np.array(p))).astype(np.float32) for p in (maps, presence))
    )
    return Member(config, (padded(net, 2),), CLASSES, "0", "abc")


def two_slices() -> Scan:
    return replace(ramp_scan((2, 1, 3)), classes=CLASSES)


def ensemble(recipe: Recipe = RECIPE, **members: Member) -> Loaded:
    one = says(seg25d(data={"size": (1, 3)}), [[[0.2, 0.6, 0.8]], [[0.8, 0.8, 0.2]]])
    return Loaded(recipe, {"one": one, **members}, CPU)


def test_masks_by_hand() -> None:
    masks = infer(ensemble(), two_slices())
    assert masks.masks[:, 0, 0].tolist() == [[False, True, True], [True, True, False]]
    np.testing.assert_array_equal(masks.masks[:, 1], masks.masks[:, 0])
    assert (masks.case, masks.scan, masks.classes, masks.slice_names, masks.labels) == (
        "case1",
        "case1_day0",
        CLASSES,
        ("case1_day0_slice_0001", "case1_day0_slice_0002"),
        None,
    )


def test_an_exclusive_label_is_of_the_class_farthest_above_its_level() -> None:
    # q - level: class a -99, 3, 54; class b 104, 104, -49
    masks = infer(ensemble(), two_slices(), exclusive=True)
    assert masks.labels is not None and masks.labels[:, 0].tolist() == [[2, 2, 1], [2, 2, 1]]


def test_a_gate_closes_slices_for_masks_and_labels_alike() -> None:
    recipe = replace(RECIPE, gate="slices", gate_levels={"a": 100, "b": 200})
    gate = says(cls(), presence=[0.6, 0.6])  # 153: enough for a, too little for b
    masks = infer(ensemble(recipe, slices=gate), two_slices(), exclusive=True)
    assert masks.masks[:, 0, 0].tolist() == [[False, True, True], [False, False, False]]
    assert masks.labels is not None and masks.labels[0].tolist() == [[0, 1, 1]]


def test_a_scan_just_read_gets_its_statistics_on_the_way() -> None:
    member = Member(seg25d(data={"size": (4, 5)}), (padded(Brightness(2.0), 2),), ("blob",), "0", "")
    loaded = Loaded(Recipe("mix", "toy", ("blob",), {"one": 1.0}, {"blob": 128}), {"one": member}, CPU)
    stored = ramp_scan()
    fresh, known = infer(loaded, replace(stored, statistics=())), infer(loaded, stored)
    np.testing.assert_array_equal(fresh.masks, known.masks)
    assert fresh.masks.sum() == 30  # the upper half of a ramp of 60


def test_only_what_the_recipe_reads_is_loaded(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    from toy_members import seg3d

    config = seg3d(data={"patch": (2, 8, 8), "overlap": 0.0})
    for fold in ("0", "1"):
        train(Job(config, toy_table, fold, toy_store.root, tmp_path / f"fold{fold}", "cpu"))
    recipe = Recipe("mix", "toy", toy_store.classes, {"toy_3d": 1.0, "gone": 0.0}, {"left": 9, "right": 9})
    runs = [tmp_path / "fold0", tmp_path / "fold1"]
    loaded = load_ensemble_models(recipe, {"toy_3d": runs}, "cpu")
    assert list(loaded.members) == ["toy_3d"] and loaded.device == CPU
    assert (loaded.members["toy_3d"].fold, len(loaded.members["toy_3d"].nets)) == ("mean", 2)
    one = load_ensemble_models(recipe, {"toy_3d": runs[:1]}, "cpu").members["toy_3d"]
    assert one.weights_hash == hash_file(runs[0] / "weights.safetensors")
    with pytest.raises(DataError, match=r"recipe mix: no trained folds are given for \['toy_3d'\]"):
        load_ensemble_models(recipe, {"toy_3d": []}, "cpu")
