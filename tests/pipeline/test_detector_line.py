"""Detectors in the straight line: read with the members they crop, trained before them, brought along in a bundle."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import toy
from casefold.config.detectors import Detect
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.core import ConfigError, StaleError
from casefold.detect import detect_box
from casefold.files import read_json
from casefold.infer import infer, load_ensemble_models
from casefold.models.weights import read_info, save_weights
from casefold.pipeline.bundling import Options, bundle_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.submitting import current_recipe, models_of
from casefold.pipeline.training import train_step
from casefold.pipeline.tuning import recipe_path, tune_step
from casefold.readers.table import find, load
from casefold.recipe import load_recipe
from casefold.rerun.opened import open_bundle
from casefold.views import read_boxes
from toy_detector import detect, stand_in
from toy_members import cls, merged, seg25d

CPU = torch.device("cpu")
CROP = {"name": "detector", "member": "yolo", "margin_px": 2}
TUNE = {"weight_steps": 1, "levels": [100, 128], "averages": ["probabilities"], "rungs": 1, "post": [], "peaks": []}


def write_project(root: Path, overrides: tuple[str, ...] = (), name: str = "cropped", **changes: object) -> Project:
    """Two members on two folds, of which toy_2d is cropped by the detector `yolo`; nothing is trained."""
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"), [*toy.SCANS, *toy.UNLABELLED])
    toy.write_config(paths.configs, folds={"kind": "case", "count": 2})
    configs = {
        "detect/yolo": as_plain(detect()),
        "seg25d/toy_2d": merged(as_plain(seg25d(train={"epochs": 2, "lr": 0.01})), {"data": {"crop": CROP}}),
        "cls/toy_cls": as_plain(cls()),
        "ensembles/cropped": {
            "name": "cropped", "dataset": "toy", "members": ["seg25d/toy_2d", "cls/toy_cls"], "tune": TUNE,
        },
        **changes,
    }  # fmt: skip
    for place, content in configs.items():
        path = paths.configs / f"{place}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return open_project(paths, name, overrides, jobs=1, device="cpu")


def test_the_detector_of_a_member_is_read_and_takes_what_names_it(tmp_path: Path) -> None:
    project = write_project(tmp_path, ("train.seed=5", "yolo.train.epochs=7", "toy_2d.train.epochs=3"))
    assert list(project.members) == ["toy_2d", "toy_cls"] and list(project.detectors) == ["yolo"]
    yolo, member = project.detectors["yolo"], project.trained["toy_2d"]
    assert isinstance(yolo, Detect) and (yolo.train.epochs, yolo.train.seed) == (7, 0)
    assert (member.train.epochs, member.train.seed) == (3, 5)
    assert project.detectors_of(["toy_2d"]) == ["yolo"] and project.detectors_of(["toy_cls"]) == []


def test_a_detector_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    member = merged(as_plain(seg25d()), {"data": {"crop": CROP | {"member": "yola"}}})
    with pytest.raises(ConfigError, match=r"no config .*detect/yola\.yaml \(did you mean 'yolo'\?\)"):
        write_project(tmp_path, **{"seg25d/toy_2d": member})


def test_a_detector_and_a_member_of_one_name_are_refused(tmp_path: Path) -> None:
    member = merged(as_plain(seg25d()), {"data": {"crop": CROP | {"member": "toy_cls"}}})
    with pytest.raises(ConfigError, match=r"\['toy_cls'\] are names of members and of what crops them"):
        write_project(tmp_path, **{"seg25d/toy_2d": member})


def test_the_detector_is_trained_before_whom_it_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = stand_in(monkeypatch)
    project = write_project(tmp_path)
    assert list(train_step(project, ["0"], ["toy_cls"])) == ["cls/toy_cls 0"] and not trained
    assert list(train_step(project, ["1"], ["yolo"])) == ["detect/yolo 1"] and len(trained) == 1
    done = train_step(project, None, ["toy_2d"])
    assert list(done) == ["detect/yolo 0", "detect/yolo 1", "seg25d/toy_2d 0", "seg25d/toy_2d 1"]
    assert len(trained) == 2  # fold 1 was done
    for fold in ("0", "1"):
        member, yolo = (project.run(name, fold) for name in ("toy_2d", "yolo"))
        assert (
            read_json(member / "manifest.json")["inputs"]["detector"][0] == done[f"detect/yolo {fold}"]["weights_hash"]
        )
        assert (
            read_info(member / "weights.safetensors").seen_cases == read_info(yolo / "weights.safetensors").seen_cases
        )
    assert list(train_step(project, ["0"], ["yolo"], redo=True)) == ["detect/yolo 0"] and len(trained) == 3
    assert len(list(project.run("yolo", "0").parent.glob("fold0.*"))) == 1


def test_a_bundle_brings_the_detector_and_new_scans_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    only = {"name": "alone", "dataset": "toy", "members": ["seg25d/toy_2d"], "tune": TUNE}
    project = write_project(tmp_path, name="alone", **{"ensembles/alone": only})
    tune_step(project)
    recipe = load_recipe(recipe_path(project))
    runs, _, hashes = models_of(project, recipe)
    assert sorted(hashes) == ["toy_2d", "yolo"] and [len(set(own)) for own in hashes.values()] == [2, 2]
    raw = next(raw for raw in find(project.dataset, project.raw, "train") if raw.name == "case40_day1")
    scan = load(project.dataset, raw)
    wanted = infer(load_ensemble_models(recipe, runs, "cpu"), scan).masks
    folder, lines = bundle_step(project, tmp_path / "dist", Options(python=None, half=False))
    assert "cropped by the detectors yolo, which want ultralytics (AGPL-3.0)" in lines
    brought = sorted(path.relative_to(folder).as_posix() for path in (folder / "models" / "yolo").rglob("*.*"))
    assert brought == [
        f"models/yolo/fold{fold}/{name}" for fold in (0, 1) for name in ("config.yaml", "weights.safetensors")
    ]
    project.paths.runs.rename(tmp_path / "gone")
    bundle = open_bundle(folder)
    found = infer(load_ensemble_models(bundle.recipe, bundle.runs, "cpu"), scan)
    np.testing.assert_array_equal(found.masks, wanted)
    (tmp_path / "gone").rename(project.paths.runs)
    noted = read_boxes(project.run("yolo", "0"))
    assert noted[scan.name] == detect_box(folder / "models" / "yolo" / "fold0", project.store().scan(scan.name), CPU)
    path = project.run("yolo", "0") / "weights.safetensors"
    save_weights({"level": torch.tensor([77.0])}, read_info(path), path)
    with pytest.raises(StaleError, match="was tuned before the ensemble's config, a member's weights"):
        current_recipe(project)
