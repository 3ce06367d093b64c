"""Scans labelled fold by fold, what is left out of them, and an ensemble that trains on them."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import toy
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.core import CasefoldError, ConfigError, DataError, LeakError
from casefold.files import read_record
from casefold.infer import infer, load_ensemble_models
from casefold.models.weights import read_info
from casefold.pipeline.evaluation import evaluation_inputs, oof_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.teaching import Rule, pseudo_step, sure_labels
from casefold.pipeline.tuning import tune_step
from casefold.recipe import load_recipe
from casefold.store import Store
from toy_members import seg25d

TRAIN = {"epochs": 12, "batch_size": 8, "lr": 0.01}
CONFIGS: dict[str, Any] = {
    "seg25d/toy_2d": as_plain(seg25d(train=TRAIN)),
    "seg25d/student": as_plain(
        seg25d(name="student", train={"epochs": 1, "batch_size": 8, "pseudo": {"ensemble": "teachers"}})
    ),
    "ensembles/teachers": {
        "name": "teachers",
        "dataset": "toy",
        "members": ["seg25d/toy_2d"],
        "tune": {"levels": [100, 128], "peaks": [], "post": [], "weight_steps": 1},
    },
    "ensembles/students": {"name": "students", "dataset": "toy", "members": ["seg25d/student"]},
}
ANY = Rule(26, 0.0)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("teaching")
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_config(paths.configs, folds={"kind": "case", "count": 2})
    for name, content in CONFIGS.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    project = open_project(paths, "teachers", jobs=1, device="cpu")
    tune_step(project)
    return project


@pytest.fixture
def project(tuned: Project, tmp_path: Path) -> Project:
    """The tuned project with runs of its own, which a test may spoil."""
    runs = tmp_path / "runs"
    shutil.copytree(tuned.paths.runs, runs)
    return replace(tuned, paths=replace(tuned.paths, runs=runs))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A new case, a later day of case7, and a scan that is in the data set with labels."""
    for scan in (toy.ToyScan("case50_day1", slices=6), toy.ToyScan("case7_day20"), toy.SCANS[0]):
        toy.write_scan(tmp_path / "more", scan)
    return tmp_path / "more"


def labelled(project: Project, fold: str) -> Store:
    return Store(project.out / "pseudo" / fold)


def test_every_fold_is_labelled_by_its_own_models(project: Project, folder: Path) -> None:
    table = pseudo_step(project, folder, ANY).set_index("fold")
    home = str(project.table(project.store()).fold_of["case7"])
    other = {"0": "1", "1": "0"}[home]
    assert table.loc[home, ["scans", "labelled", "held back", "unsure"]].tolist() == [1, 1, 1, 0]
    assert table.loc[other, ["scans", "labelled", "held back", "unsure"]].tolist() == [2, 1, 0, 0]
    recipe = load_recipe(project.out / "recipe.yaml")
    for fold in ("0", "1"):
        store, run = labelled(project, f"fold{fold}"), project.run("toy_2d", fold)
        assert list(store.case_of) == (["case50_day1"] if fold == home else ["case7_day20", "case50_day1"])
        scan = store.scan("case50_day1")
        loaded = load_ensemble_models(recipe, {"toy_2d": [run]}, "cpu")
        np.testing.assert_array_equal(scan.class_masks(), infer(loaded, replace(scan, masks=None)).masks)
        assert scan.ignore is not None and scan.ignore.any() and not scan.ignore.all()
        record = read_record(project.out / "pseudo" / f"fold{fold}" / "pseudo.json")
        own = [store.case_of[name] for name in store.case_of]
        assert record["seen_cases"] == list(dict.fromkeys([*own, *read_info(run / "weights.safetensors").seen_cases]))


def test_what_is_done_is_left_alone(project: Project, folder: Path) -> None:
    first = pseudo_step(project, folder, ANY)
    files = {path: path.stat().st_mtime_ns for path in (project.out / "pseudo").rglob("*") if path.is_file()}
    assert pseudo_step(project, folder, ANY).equals(first)
    assert files == {path: path.stat().st_mtime_ns for path in (project.out / "pseudo").rglob("*") if path.is_file()}
    (project.out / "pseudo" / "fold0" / "pseudo.json").unlink()  # as where the last call was killed before its end
    scans = {path: time for path, time in files.items() if "scans" in path.parts}
    assert pseudo_step(project, folder, ANY).equals(first)
    assert scans == {path: path.stat().st_mtime_ns for path in scans}


def test_for_fits_on_all_cases_all_folds_label(project: Project, folder: Path) -> None:
    table = pseudo_step(project, folder, ANY, full=True).set_index("fold")
    assert table.loc["full", ["scans", "labelled", "held back"]].tolist() == [2, 1, 0]
    record = read_record(project.out / "pseudo" / "full" / "pseudo.json")
    assert set(record["seen_cases"]) == {"case50", *(scan.case for scan in toy.SCANS)}


def test_unsure_scans_are_left_out(project: Project, folder: Path) -> None:
    with pytest.raises(DataError, match=r"fold 0: none of 3 scans is left .*'unsure'.*best confidence is 0\.\d\d"):
        pseudo_step(project, folder, Rule(26, 1.0))


def test_a_teacher_of_another_fold_is_a_leak(project: Project, folder: Path) -> None:
    away = project.run("toy_2d", "0")
    shutil.rmtree(away)
    shutil.copytree(project.run("toy_2d", "1"), away)
    store = project.store()
    inputs = evaluation_inputs(project, project.table(store), store, [0, 1])
    (project.out / "scores.inputs").write_text(inputs)  # as if it was tuned so
    with pytest.raises(LeakError, match="a teacher of fold 0 has the weights of toy_2d fold 1"):
        pseudo_step(project, folder, ANY)


def test_students_train_on_them(project: Project, folder: Path) -> None:
    students = open_project(project.paths, "students", jobs=1, device="cpu")
    with pytest.raises(CasefoldError, match=r"2 of 2 runs failed;(.|\n)*call `casefold pseudo teachers --data FOLDER`"):
        oof_step(students)
    pseudo_step(project, folder, ANY)
    scores = oof_step(students)
    assert scores["fold"].tolist() == ["0", "1", "all"] and scores["dice_case"].notna().all()
    for fold in ("0", "1"):
        run = students.run("student", fold)
        assert "case50" in read_info(run / "weights.safetensors").seen_cases
        held = students.table(students.store()).split(students.store(), int(fold))[1]
        assert sorted(path.stem for path in (run / "oof").iterdir()) == sorted(held)


def test_voxels_near_a_level_are_to_be_ignored() -> None:
    """Level 100, margin 10: of six voxels two lie above 110, three from 90 to 110: Dice 2 * 2 / (2 + 5)."""
    q = np.array([[[[0, 89, 90, 100, 110, 111, 255]]]], np.uint8)
    bits, ignore, confidence = sure_labels(q >= 100, q, [100], Rule(10))
    assert bits[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert ignore[0, 0].tolist() == [False, False, True, True, True, False, False]
    assert confidence == pytest.approx(4 / 7)


def test_confidence_is_the_mean_over_classes_that_are_found() -> None:
    q = np.array([[[[0, 200]]], [[[0, 100]]], [[[0, 0]]]], np.uint8)
    _, ignore, confidence = sure_labels(q >= 100, q, [100, 100, 5], Rule(10))
    assert ignore[0, 0].tolist() == [False, True]
    assert confidence == 0.5  # 1 and 0; the third has nothing, and its level's margin does not reach 0
    assert sure_labels(q[2:] >= 5, q[2:], [5], Rule(10))[2] == 0.0


def test_a_rule_has_its_bounds() -> None:
    with pytest.raises(ConfigError, match="--margin takes 0 to 127, --confidence 0 to 1, not 26 and 2"):
        Rule(26, 2)
