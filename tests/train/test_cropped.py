"""Runs of members that see scans through views: OOF on the whole grid, and what a detector has seen counts as seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from casefold.core import ConfigError, LeakError, StaleError
from casefold.folds import FoldTable
from casefold.models.weights import read_info
from casefold.oof import read_prediction
from casefold.predict import load_member, predict
from casefold.store import Store
from casefold.train.run import Job, datasets, is_done, train
from casefold.views import Box, write_boxes
from toy_members import cls, seg3d, seg25d, write_weights

YOLO = {"name": "detector", "member": "yolo", "margin_px": 1}


def job(config: Any, table: FoldTable, store: Store, root: Path) -> Job:
    return Job(config, table, "0", store.root, root / config.name / "fold0", "cpu")


def write_detector(root: Path, store: Store, table: FoldTable, **changes: Any) -> dict[str, Box]:
    """A detector's run on fold 0: weights that say what they have seen, and a box of every scan, each another."""
    boxes = {name: Box((0, 1), (2, 20), (3 + place, 28)) for place, name in enumerate(store.case_of)}
    write_weights(root / "yolo" / "fold0", store, table, 0, member="yolo", **changes)
    write_boxes(root / "yolo" / "fold0", boxes)
    return boxes


@pytest.mark.parametrize(
    "config",
    [
        seg25d(data={"plane": "coronal", "crop": {"name": "body", "margin_px": 3}}, train={"batch_size": 32}),
        seg3d(data={"crop": {"name": "body", "margin_px": 3}}),
    ],
    ids=["coronal", "volume"],
)
def test_oof_of_a_view_lies_on_the_whole_grid(
    config: Any, toy_table: FoldTable, toy_store: Store, tmp_path: Path
) -> None:
    made = job(config, toy_table, toy_store, tmp_path)
    assert train(made)["state"] == "done" and is_done(made, toy_store)
    one = load_member([made.run], torch.device("cpu"))
    for name in toy_table.split(toy_store, 0)[1]:
        scan = toy_store.scan(name)
        found = read_prediction(made.run / "oof" / f"{name}.npz")
        assert found.maps is not None and found.maps.shape == (2, *scan.grid.shape)
        np.testing.assert_array_equal(found.maps, predict(one, scan, torch.device("cpu")).maps)
        masks = scan.class_masks().any((0, 1))
        assert found.maps[:, :, masks].all() and not found.maps[:, :, :, -1].any()  # both discs, and not the far border


def test_a_detectors_boxes_crop_what_trains(toy_table: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    boxes = write_detector(tmp_path, toy_store, toy_table)
    config = seg25d(data={"crop": YOLO})
    names = toy_table.split(toy_store, 0)[0]
    items, _ = datasets(job(config, toy_table, toy_store, tmp_path), toy_store, names, 0, 1)
    assert set(items.boxes) == set(names)
    for name in names:
        depth, _, width = toy_store.scan(name).grid.shape
        assert items.boxes[name] == Box((0, depth), (1, 21), (boxes[name].x[0] - 1, min(29, width)))


def test_what_the_detector_has_seen_is_seen(toy_table: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    write_detector(tmp_path, toy_store, toy_table, seen_cases=("case98", "case99"))
    made = job(cls(data={"crop": YOLO}), toy_table, toy_store, tmp_path)
    manifest = train(made)
    own = dict.fromkeys(toy_store.case_of[name] for name in toy_table.split(toy_store, 0)[0])
    assert manifest["seen_cases"] == [*own, "case98", "case99"]
    assert read_info(made.run / "weights.safetensors").seen_cases == (*own, "case98", "case99")
    assert is_done(made, toy_store)
    moved = {name: Box((0, 1), (0, 9), (0, 9)) for name in toy_store.case_of}
    write_boxes(tmp_path / "yolo" / "fold0", moved)
    with pytest.raises(StaleError, match="was trained from other inputs: detector: "):
        is_done(made, toy_store)


def test_a_detector_that_saw_the_fold_is_a_leak(toy_table: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    case = toy_store.case_of[toy_table.split(toy_store, 0)[1][0]]
    write_detector(tmp_path, toy_store, toy_table, seen_cases=(case,))
    with pytest.raises(LeakError, match=f"have seen case {case}; a score on it would flatter"):
        train(job(seg25d(data={"crop": YOLO}), toy_table, toy_store, tmp_path))


def test_a_detector_that_is_not_trained_is_asked_for(toy_table: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    made = job(seg25d(data={"crop": YOLO}), toy_table, toy_store, tmp_path)
    message = (
        r"data\.crop: there is no .*yolo/fold0/weights\.safetensors with boxes\.json; train yolo on that fold first"
    )
    with pytest.raises(ConfigError, match=message):
        made.inputs(toy_store)
    with pytest.raises(ConfigError, match=message):
        datasets(made, toy_store, ["case10_day3"], 0, 1)
