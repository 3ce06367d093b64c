"""Runs of a detector: what it reads, what it leaves behind, stopped and continued."""

import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from casefold.config.detectors import Detect
from casefold.core import CasefoldError, ConfigError, LeakError, StaleError
from casefold.detect import detect_box
from casefold.files import read_json
from casefold.folds import FoldTable
from casefold.models.weights import read_info
from casefold.store import Store
from casefold.train import detector
from casefold.train.detector import DetectJob, evenly, train_detector, write_pictures
from casefold.train.run import Job, is_done, train
from casefold.train.stop import StoppedError
from casefold.views import read_boxes
from toy_detector import detect, stand_in
from toy_members import seg25d

CPU = torch.device("cpu")


def job(config: Detect, table: FoldTable, store: Store, root: Path, fold: str = "0", **changes: Any) -> DetectJob:
    run = root / config.name / (fold if fold == "full" else f"fold{fold}")
    return DetectJob(config, table, fold, store.root, run, "cpu", **changes)


def test_a_run_leaves_weights_boxes_and_scores(
    toy_table: FoldTable, toy_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = stand_in(monkeypatch)
    made = job(detect(), toy_table, toy_store, tmp_path)
    manifest = train_detector(made)
    names, held = toy_table.split(toy_store, 0)
    assert manifest["state"] == "done" and manifest == read_json(made.run / "manifest.json")
    assert manifest["seen_cases"] == list(dict.fromkeys(toy_store.case_of[name] for name in names))
    assert read_info(made.run / "weights.safetensors").seen_cases == tuple(manifest["seen_cases"])
    boxes = read_boxes(made.run)
    assert list(boxes) == list(toy_store.case_of)
    assert boxes == {name: detect_box(made.run, toy_store.scan(name), CPU) for name in boxes}
    for name in held:  # the stand-in finds both discs exactly
        there = toy_store.scan(name).class_masks().any(0)
        z, y, x = (np.flatnonzero(there.any(axes)) for axes in ((1, 2), (0, 2), (0, 1)))
        assert [boxes[name].z, boxes[name].y, boxes[name].x] == [(side[0], side[-1] + 1) for side in (z, y, x)]
    assert manifest["score"]["valid_box_recall"] == 1 and manifest["score"]["valid_cut_off"] == 0
    assert manifest["score"]["valid_kept_area"] < 0.6
    assert (made.run / "log.csv").read_text().splitlines()[0] == (
        "epoch,box_loss,valid_map50,valid_box_recall,valid_cut_off,valid_kept_area"
    )
    assert sorted(path.name for path in made.run.iterdir()) == [
        "boxes.json", "config.yaml", "log.csv", "manifest.json", "timing.csv", "weights.safetensors"
    ]  # fmt: skip
    (made.run / "boxes.json").unlink()
    assert train_detector(made) == manifest and len(trained) == 1  # only the boxes are found again
    assert read_boxes(made.run) == boxes
    with pytest.raises(StaleError, match=r"config\.find\.margin: 0\.0 -> 0\.3"):
        is_done(job(detect(find={"margin": 0.3}), toy_table, toy_store, tmp_path), toy_store)


def test_a_member_is_cropped_by_what_was_found_and_saw_what_it_saw(
    toy_table: FoldTable, toy_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    (tmp_path / "coco.pt").touch()
    first = detect(model={"pretrained": "coco.pt", "seen": ("case98",)})
    train_detector(job(first, toy_table, toy_store, tmp_path, data=tmp_path))
    config = seg25d(data={"crop": {"name": "detector", "member": "yolo", "margin_px": 2}})
    made = Job(config, toy_table, "0", toy_store.root, tmp_path / "toy_2d" / "fold0", "cpu")
    assert train(made)["seen_cases"][-1] == "case98"
    assert is_done(made, toy_store)


def test_a_fit_on_all_has_boxes_and_no_score(
    toy_table: FoldTable, toy_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    made = job(detect(), toy_table, toy_store, tmp_path, "full")
    manifest = train_detector(made)
    assert manifest["score"] == {} and set(manifest["seen_cases"]) == set(toy_store.case_of.values())
    assert set(read_boxes(made.run)) == set(toy_store.case_of)


def test_a_file_that_saw_the_fold_is_a_leak(toy_table: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    case = toy_store.case_of[toy_table.split(toy_store, 0)[1][0]]
    (tmp_path / "coco.pt").touch()
    leaking = detect(model={"pretrained": "coco.pt", "seen": (case,)})
    with pytest.raises(LeakError, match=f"have seen case {case}"):
        train_detector(job(leaking, toy_table, toy_store, tmp_path, data=tmp_path))
    with pytest.raises(ConfigError, match=r"model\.pretrained: there is no .*none\.pt; nothing is downloaded"):
        train_detector(job(detect(model={"pretrained": "none.pt"}), toy_table, toy_store, tmp_path, data=tmp_path))


def test_ranks_are_refused(
    toy_table: FoldTable, toy_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"detect/yolo 0: a detector trains in one process; .* --member yolo"):
        train_detector(job(detect(), toy_table, toy_store, tmp_path))


def test_pictures_and_labels_by_hand(toy_store: Store, tmp_path: Path) -> None:
    listing = write_pictures(detect(data={"empty_share": 0.5}), toy_store, ["case10_day3"], tmp_path)
    shown = sorted(path.stem for path in (tmp_path / "images").iterdir())
    # discs on the slices 1 to 4 of six; of 0 and 5 one is shown
    assert shown == [f"case10_day3_{z:05d}" for z in (1, 2, 3, 4, 5)]
    scan = toy_store.scan("case10_day3")
    there = scan.class_masks()[:, 2].any(0)
    (y0, y1), (x0, x1) = ((side.min(), side.max() + 1) for side in np.nonzero(there))
    numbers = (tmp_path / "labels" / "case10_day3_00002.txt").read_text().split()
    wanted = [0, (x0 + x1) / 2 / 36, (y0 + y1) / 2 / 28, (x1 - x0) / 36, (y1 - y0) / 28]
    np.testing.assert_allclose([float(number) for number in numbers], wanted, atol=1e-6)
    assert (tmp_path / "labels" / "case10_day3_00005.txt").read_text() == ""
    picture = cv2.imread(str(tmp_path / "images" / "case10_day3_00002.png"), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint8 and picture.shape == (28, 36, 3)
    assert listing.read_text() == f"path: {tmp_path}\ntrain: images\nval: images\nnames:\n  0: any\n"


def test_scans_without_a_box_can_t_train(toy_store: Store, tmp_path: Path) -> None:
    with pytest.raises(CasefoldError, match="yolo: no box is to be found on any of the 1 scans"):
        write_pictures(detect(data={"every": 6}), toy_store, ["case10_day3"], tmp_path)


@pytest.mark.parametrize(("share", "wanted"), [(0.0, []), (0.2, [2, 7]), (0.5, [1, 3, 5, 7, 9]), (1.0, [*range(10)])])
def test_a_share_is_spread_evenly(share: float, wanted: list[int]) -> None:
    assert evenly(range(10), share) == wanted


def test_stopped_after_an_epoch_it_goes_on_from_there(
    toy_table: FoldTable, toy_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ultralytics itself, at its smallest: SIGTERM in the second of two epochs, then the same call again."""
    config = detect(model={"family": "yolo26"}, train={"epochs": 2, "batch_size": 16}, data={"every": 2})
    made = job(config, toy_table, toy_store, tmp_path)
    real = detector._end_if_told

    def in_second_epoch(stop: Any, title: str) -> None:
        if (made.run / "log.csv").is_file():
            os.kill(os.getpid(), signal.SIGTERM)
        real(stop, title)

    monkeypatch.setattr(detector, "_end_if_told", in_second_epoch)
    with pytest.raises(StoppedError) as stopped:
        train_detector(made)
    assert stopped.value.code == 143
    assert read_json(made.run / "manifest.json")["state"] == "running"
    assert not (made.run / "weights.safetensors").exists()
    before = (made.run / "log.csv").read_text().splitlines()
    monkeypatch.setattr(detector, "_end_if_told", real)
    manifest = train_detector(made)
    rows = (made.run / "log.csv").read_text().splitlines()
    assert len(before) == 2 and rows[1].startswith(before[1]) and len(rows) == 3
    assert manifest["state"] == "done" and not (made.run / "yolo").exists()
    assert set(manifest["score"]) == {"valid_map50", "valid_box_recall", "valid_cut_off", "valid_kept_area"}
    assert read_boxes(made.run) == {name: detect_box(made.run, toy_store.scan(name), CPU) for name in toy_store.case_of}
