"""Scan, recipe and members to masks: the recipe's order, statistics on the way, one label a voxel, cheaper rungs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from casefold.config.postprocess import FillGaps, SmallComponents
from casefold.core import DataError, Grid, Scan
from casefold.files import hash_file
from casefold.folds import FoldTable
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.predict import Member
from casefold.recipe import GateRule, Recipe, Rung
from casefold.store import Store
from casefold.train.run import Job, train
from toy_members import Brightness, Given, cls, padded, ramp_scan, seg25d
from toy_recipe import CLASSES, recipe, rung

CPU = torch.device("cpu")
# q of class a: 51, 153, 204; of class b: 204, 204, 51
RUNG = rung(levels={"a": 150, "b": 100})


def says(config: Any, maps: Any = None, presence: Any = None) -> Member:
    """A member of one fold that gives these probabilities whatever it sees."""
    net = Given(
        *(None if p is None else np.log(np.array(p) / (1 - np.array(p))).astype(np.float32) for p in (maps, presence))
    )
    return Member(config, (padded(net, 2),), CLASSES, "0", "abc")


def two_slices(depth: int = 2) -> Scan:
    return replace(ramp_scan((depth, 1, 3)), classes=CLASSES)


def ensemble(*rungs: Rung, **members: Member) -> Loaded:
    one = says(seg25d(data={"size": (1, 3)}), [[[0.2, 0.6, 0.8]], [[0.8, 0.8, 0.2]]])
    return Loaded(recipe(*(rungs or (RUNG,))), {"one": one, **members}, CPU)


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
    gated = replace(RUNG, gate=GateRule(("slices",), "presence", {"a": 100, "b": 200}))
    gate = says(cls(), presence=[0.6, 0.6])  # 153: enough for a, too little for b
    masks = infer(ensemble(gated, slices=gate), two_slices(), exclusive=True)
    assert masks.masks[:, 0, 0].tolist() == [[False, True, True], [False, False, False]]
    assert masks.labels is not None and masks.labels[0].tolist() == [[0, 1, 1]]


def test_what_post_processing_fills_in_is_labelled() -> None:
    """The middle one of three slices, bright only above and below, is filled; there q lies far below the level."""
    bright = Member(seg25d(data={"size": (1, 3)}), (padded(Brightness(9.0), 2),), ("blob",), "0", "")
    image = np.array([[[[9, 9, 0]], [[0, 0, 0]], [[9, 9, 0]]]], np.uint16)
    scan = replace(ramp_scan((3, 1, 3)), image=image, statistics=())
    plain = Rung({"one": {"blob": 1}}, {"blob": 200}, {"blob": 0}, "probabilities", 0.0, 0.0, 1.0)
    loaded = Loaded(
        Recipe("mix", "toy", ("blob",), (plain, replace(plain, post=(FillGaps(max_slices=1),)))), {"one": bright}, CPU
    )
    without, filled = (infer(loaded, scan, exclusive=True, rung=number).labels for number in (0, 1))
    assert without is not None and without[:, 0].tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 0]]
    assert filled is not None and filled[:, 0].tolist() == [[1, 1, 0]] * 3


def test_steps_in_mm_get_the_scans_spacing() -> None:
    sized = replace(RUNG, post=(SmallComponents(min_mm3=8.0),))  # components of 4 voxels
    scan = two_slices()
    for z_mm, kept in ((1.9, False), (2.0, True)):
        found = infer(ensemble(sized), replace(scan, grid=Grid(scan.grid.shape, (z_mm, 1.0, 1.0))))
        assert found.masks.any() == kept
    with pytest.raises(DataError, match="needs spacing_mm"):
        infer(ensemble(sized), scan)


def test_a_scan_just_read_gets_its_statistics_on_the_way() -> None:
    member = Member(seg25d(data={"size": (4, 5)}), (padded(Brightness(2.0), 2),), ("blob",), "0", "")
    plain = Rung({"one": {"blob": 1}}, {"blob": 128}, {"blob": 0}, "probabilities", 0.0, 0.0, 1.0)
    loaded = Loaded(Recipe("mix", "toy", ("blob",), (plain,)), {"one": member}, CPU)
    stored = ramp_scan()
    fresh, known = infer(loaded, replace(stored, statistics=())), infer(loaded, stored)
    np.testing.assert_array_equal(fresh.masks, known.masks)
    assert fresh.masks.sum() == 30  # the upper half of a ramp of 60


def test_a_cheaper_rung_reads_its_own_members_alone() -> None:
    small = says(seg25d(name="small", data={"size": (1, 3)}), [[[0.8, 0.8, 0.8]], [[0.2, 0.2, 0.2]]])
    cheap = replace(RUNG, weights={"small": {"a": 1, "b": 1}}, seconds_a_scan=1.0)
    both = ensemble(RUNG, cheap, small=small)
    assert infer(both, two_slices()).masks[:, 0, 0].tolist() == [[False, True, True], [True, True, False]]
    assert infer(both, two_slices(), rung=1).masks[:, 0, 0].tolist() == [[True] * 3, [False] * 3]
    alone = replace(both, members={"small": small})
    assert infer(alone, two_slices(), rung=1).masks[:, 0, 0].tolist() == [[True] * 3, [False] * 3]
    with pytest.raises(DataError, match=re.escape("rung 0 of recipe mix reads ['one'], but only ['small'] are loaded")):
        infer(alone, two_slices())
    with pytest.raises(DataError, match=r"recipe mix has the rungs 0\.\.1, not 2"):
        infer(both, two_slices(), rung=2)


def test_only_what_the_recipe_reads_is_loaded(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    from toy_members import seg3d

    config = seg3d(data={"patch": (2, 8, 8), "overlap": 0.0})
    for fold in ("0", "1"):
        train(Job(config, toy_table, fold, toy_store.root, tmp_path / f"fold{fold}", "cpu"))
    names = toy_store.classes
    whole = Rung(
        {"toy_3d": dict.fromkeys(names, 1), "gone": dict.fromkeys(names, 0)},
        {"left": 9, "right": 9}, dict.fromkeys(names, 0), "probabilities", 0.0, 0.0, 2.0,
    )  # fmt: skip
    plain = Recipe("mix", "toy", names, (whole,))
    runs = [tmp_path / "fold0", tmp_path / "fold1"]
    loaded = load_ensemble_models(plain, {"toy_3d": runs}, "cpu")
    assert list(loaded.members) == ["toy_3d"] and loaded.device == CPU
    assert (loaded.members["toy_3d"].fold, len(loaded.members["toy_3d"].nets)) == ("mean", 2)
    one = load_ensemble_models(plain, {"toy_3d": runs[:1]}, "cpu").members["toy_3d"]
    assert one.weights_hash == hash_file(runs[0] / "weights.safetensors")
    with pytest.raises(DataError, match=r"recipe mix: no trained folds are given for \['toy_3d'\]"):
        load_ensemble_models(plain, {"toy_3d": []}, "cpu")

    cheap = replace(whole, weights={"other": dict.fromkeys(names, 1)}, seconds_a_scan=1.0)
    ladder = replace(plain, rungs=(whole, cheap))
    given = {"toy_3d": runs[:1], "other": runs[:1]}
    assert list(load_ensemble_models(ladder, given, "cpu").members) == ["other", "toy_3d"]
    assert list(load_ensemble_models(ladder, given, "cpu", rung=1).members) == ["other"]
    with pytest.raises(DataError, match=r"no trained folds are given for \['other'\]"):
        load_ensemble_models(ladder, {"toy_3d": runs[:1]}, "cpu")
