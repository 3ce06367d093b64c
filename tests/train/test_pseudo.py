"""Runs that train on an ensemble's labels too: these are never scored, and what their teachers have seen is seen."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toy
from casefold.config.datasets import UwmgiDataset
from casefold.config.paths import Paths
from casefold.core import ConfigError, LeakError, StaleError, pack_masks
from casefold.files import hash_file, write_json
from casefold.folds import FoldTable
from casefold.models.weights import read_info
from casefold.prepare import prepare, write_index, write_scan
from casefold.store import Store
from casefold.train import run as training
from casefold.train.pseudo import RECORD
from casefold.train.run import Job, datasets, is_done, train
from casefold.views import Box, write_boxes
from toy_members import cls, seg3d, seg25d, write_weights

NEW = {"case2_day9": 0.8, "case40_day1": 0.9}  # of 8 and 6 slices
TAKEN = {"train": {"pseudo": {"ensemble": "teachers", "share": 0.5}}}


def write_pseudo(root: Path, images: Store, **changes: Any) -> Path:
    """Labels for fold 0: class `left` everywhere on slice 0; the last slice is to be ignored. Gives the record."""
    folder = root / "ensembles" / "teachers" / "pseudo" / "fold0"
    for name in NEW:
        scan = images.scan(name)
        masks = np.zeros((2, *scan.grid.shape), np.bool_)
        masks[0, 0] = True
        ignore = np.zeros(scan.grid.shape, np.bool_)
        ignore[-1] = True
        image = images.root / "scans" / name / "image.npy"
        labelled = replace(scan, masks=pack_masks(masks), ignore=ignore)
        write_scan(labelled, {"confidence": NEW[name]}, folder / "scans" / name, image)
    write_index(images.classes, list(NEW), {}, folder)
    record = {
        "fold": "0",
        "confidence": {**NEW, "case41_day1": 0.95},
        "left_out": {"case41_day1": "held back"},
        "seen_cases": ["case40", "case99"],
        "seen_scans": [*NEW],
        "data_hash": Store(folder).data_hash,
    }
    write_json(folder / RECORD, record | changes)
    return folder / RECORD


def job(config: Any, table: FoldTable, store: Store, root: Path) -> Job:
    return Job(config, table, "0", store.root, root / "members" / config.name / "fold0", "cpu")


@pytest.fixture(scope="module")
def images(toy_config: UwmgiDataset, toy_paths: Paths, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The scans without labels, prepared by themselves."""
    root = tmp_path_factory.mktemp("new")
    for scan in toy.UNLABELLED:
        toy.write_scan(root / "raw", scan)
    return prepare(toy_config, toy_paths.raw("toy"), root / "store", folder=root / "raw")


def test_they_train_and_their_unsure_voxels_do_not(
    toy_table: FoldTable, toy_store: Store, images: Store, tmp_path: Path
) -> None:
    write_pseudo(tmp_path, images)
    names = toy_table.split(toy_store, 0)[0]
    items, _ = datasets(job(seg25d(**TAKEN), toy_table, toy_store, tmp_path), toy_store, names, 0, 1)
    places = {f"{name}/{z}": place for place, (name, z) in enumerate(items.items)}
    assert {name for name, _ in items.items} == {*names, *NEW}
    first, last = (items[0, places[f"case40_day1/{z}"]] for z in (0, 5))
    assert first["maps"][0].min() == 1 and first["maps"][1].max() == 0 and first["keep"].min() == 1
    assert last["maps"].max() == 0 and last["keep"].max() == 0
    patches, _ = datasets(job(seg3d(**TAKEN), toy_table, toy_store, tmp_path), toy_store, names, 0, 1)
    assert {name for group in patches.groups for name in group} == {*names, *NEW}


def test_the_most_confident_ones_come_first(
    toy_table: FoldTable, toy_store: Store, images: Store, tmp_path: Path
) -> None:
    """Beside three scans a share of 0.25 is one, of 0.4 two; there are but two."""
    write_pseudo(tmp_path, images)
    names = toy_table.split(toy_store, 0)[0][:3]
    for share, added in ((0.25, ("case40_day1",)), (0.4, ("case40_day1", "case2_day9")), (0.9, (*reversed(NEW),))):
        config = cls(train={"pseudo": {"ensemble": "teachers", "share": share}})
        items, _ = datasets(job(config, toy_table, toy_store, tmp_path), toy_store, names, 0, 1)
        assert items.store.added == added
    config = cls(train={"pseudo": {"ensemble": "teachers", "share": 0.2}})
    with pytest.raises(ConfigError, match=r"train\.pseudo\.share 0\.2 beside 3 scans leaves none; raise it"):
        datasets(job(config, toy_table, toy_store, tmp_path), toy_store, names, 0, 1)


def test_a_detector_crops_them_afresh(
    toy_table: FoldTable, toy_store: Store, images: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run has noted the boxes of the data set's scans alone."""
    write_pseudo(tmp_path, images)
    yolo = tmp_path / "members" / "yolo" / "fold0"
    write_weights(yolo, toy_store, toy_table, 0, member="yolo")
    write_boxes(yolo, {name: Box((0, 1), (2, 20), (3, 28)) for name in toy_store.labelled()})
    monkeypatch.setattr(training, "detect_box", lambda run, scan, device: Box((0, 1), (5, 9), (6, 11)))
    made = job(seg25d(data={"crop": {"name": "detector", "member": "yolo"}}, **TAKEN), toy_table, toy_store, tmp_path)
    names = toy_table.split(toy_store, 0)[0]
    items, _ = datasets(made, toy_store, names, 0, 1)
    assert {(box.y, box.x) for name, box in items.boxes.items() if name in NEW} == {((5, 9), (6, 11))}
    assert {(box.y, box.x) for name, box in items.boxes.items() if name in names} == {((2, 20), (3, 28))}


def test_they_are_seen_and_never_scored(toy_table: FoldTable, toy_store: Store, images: Store, tmp_path: Path) -> None:
    record = write_pseudo(tmp_path, images)
    made = job(cls(**TAKEN), toy_table, toy_store, tmp_path)
    manifest = train(made)
    names, held = toy_table.split(toy_store, 0)
    seen = [*dict.fromkeys(toy_store.case_of[name] for name in names), "case40", "case99"]
    assert manifest["seen_cases"] == seen == list(read_info(made.run / "weights.safetensors").seen_cases)
    assert manifest["inputs"]["pseudo"] == hash_file(record)
    assert sorted(path.stem for path in (made.run / "oof").iterdir()) == sorted(held)
    assert is_done(made, toy_store)
    write_json(record, json.loads(record.read_text()) | {"seen_cases": ["case40"]})
    with pytest.raises(StaleError, match="was trained from other inputs: pseudo: "):
        is_done(made, toy_store)


def test_what_another_folds_models_labelled_is_a_leak(
    toy_table: FoldTable, toy_store: Store, images: Store, tmp_path: Path
) -> None:
    write_pseudo(tmp_path, images, fold="1")
    with pytest.raises(LeakError, match=r"pseudo\.json was labelled by models of fold 1, which have seen what fold 0"):
        train(job(cls(**TAKEN), toy_table, toy_store, tmp_path))


def test_teachers_that_saw_a_case_held_back_are_a_leak(
    toy_table: FoldTable, toy_store: Store, images: Store, tmp_path: Path
) -> None:
    case = toy_store.case_of[toy_table.split(toy_store, 0)[1][0]]
    write_pseudo(tmp_path, images, seen_cases=[case])
    with pytest.raises(LeakError, match=f"have seen case {case}; a score on it would flatter"):
        train(job(cls(**TAKEN), toy_table, toy_store, tmp_path))


def test_what_is_missing_or_was_exchanged_is_told(
    toy_table: FoldTable, toy_store: Store, images: Store, tmp_path: Path
) -> None:
    made = job(cls(**TAKEN), toy_table, toy_store, tmp_path)
    message = r"there is no .*pseudo/fold0/pseudo\.json; call `casefold pseudo teachers --data FOLDER` first"
    with pytest.raises(ConfigError, match=message):
        train(made)
    write_pseudo(tmp_path, images, data_hash="another")
    with pytest.raises(StaleError, match="are not those that it tells of; call `pseudo` again"):
        train(made)


def test_truncation_is_not_learnt_from_them() -> None:
    with pytest.raises(ValueError, match=r"train\.pseudo: where people cut labels off is not to be learnt"):
        cls(target={"name": "cut_off"}, **TAKEN)
