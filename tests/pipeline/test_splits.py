"""Members with fold tables of their own: each predicts what its own holds back, and an ensemble reads them all."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from yaml import safe_dump

from casefold.config.base import CaseFolds, TimeFolds
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.config.studies import Budget, Study
from casefold.core import ConfigError, DataError, LeakError
from casefold.folds import FoldTable, make, read, write
from casefold.models.weights import read_info
from casefold.oof import join
from casefold.pipeline.evaluation import evaluation_inputs, held_files, oof_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.report_compared import compare_step
from casefold.pipeline.reporting import report_step
from casefold.pipeline.shifting import shift
from casefold.pipeline.steps import folds_step
from casefold.pipeline.study_plan import plan_study
from casefold.pipeline.teaching import Rule, pseudo_step
from casefold.pipeline.training import train_step
from casefold.pipeline.tuning import recipe_path, tune_step
from casefold.predict import Member, load_member
from casefold.recipe import load_recipe
from casefold.store import Store
from toy_members import seg3d, write_oof

SMALL = {"data": {"patch": (2, 8, 8), "overlap": 0.0}}
HALVES = {"case2": 0, "case7": 0, "case10": 0, "case11": 1, "case20": 1, "case31": 1}
CROSSED = {"case2": 0, "case7": 1, "case10": 1, "case11": 0, "case20": 0, "case31": 1}
OF_BOTH = {("case2", 0), ("case31", 1)}  # the cases that one fold holds back in both tables


@pytest.fixture(scope="module")
def project(toy_paths: Paths, toy_config: Any, toy_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two 3D members in two folds, `plain` by the data set's table and `own` by split 7, both given and trained."""
    root = tmp_path_factory.mktemp("splits")
    paths = Paths(toy_paths.data, toy_paths.store, root / "runs", root / "configs", root / "folds")
    ensemble = {"name": "both", "dataset": "toy", "members": ["seg3d/plain", "seg3d/own"]}
    configs = {
        "seg3d/plain": as_plain(seg3d(name="plain", **SMALL)),
        "seg3d/own": as_plain(seg3d(name="own", split=7, **SMALL)),
        "ensembles/both": ensemble | {"tune": {"levels": [100, 128], "post": [], "peaks": [], "partition_folds": 2}},
        "datasets/toy": as_plain(toy_config.model_copy(update={"folds": CaseFolds(count=2)})),
    }
    for name, content in configs.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(safe_dump(content))
    write(FoldTable("case", HALVES), toy_store, paths.folds / "toy.csv")
    write(FoldTable("case", CROSSED), toy_store, paths.folds / "toy.7.csv")
    project = open_project(paths, "both", jobs=1, device="cpu")
    train_step(project, None)
    return project


def cases_of(store: Store, scans: Any) -> set[str]:
    return {store.case_of[scan] for scan in scans}


@pytest.mark.parametrize(("member", "fold_of"), [("plain", HALVES), ("own", CROSSED)])
def test_each_member_holds_back_what_its_own_table_says(
    member: str, fold_of: dict[str, int], project: Project, toy_store: Store
) -> None:
    for fold in (0, 1):
        held = {case for case, number in fold_of.items() if number == fold}
        run = project.run(member, str(fold))
        assert set(read_info(run / "weights.safetensors").seen_cases) == set(fold_of) - held
        assert cases_of(toy_store, [path.stem for path in (run / "oof").glob("*.npz")]) == held


def test_all_folds_have_every_scan_and_one_fold_what_both_tables_hold_back(project: Project, toy_store: Store) -> None:
    names = ["plain", "own"]
    assert list(held_files(project, names, toy_store, [0, 1])["own"]) == toy_store.labelled()
    for case, fold in OF_BOTH:
        files = held_files(project, names, toy_store, [fold])
        assert cases_of(toy_store, files["plain"]) == cases_of(toy_store, files["own"]) == {case}
        assert files["own"].keys() == files["plain"].keys()
        assert all(path.parent.parent.name == f"fold{fold}" for own in files.values() for path in own.values())
    frame = oof_step(project).set_index(["member", "fold"])
    assert set(frame.index) == {(name, fold) for name in names for fold in ("0", "1", "all")}


def test_a_member_read_by_another_table_is_a_leak(project: Project, toy_store: Store) -> None:
    with pytest.raises(LeakError, match=r"scan case11_day2 is held back in fold 1, but was predicted by fold 0"):
        join(project.paths.member("toy", "own"), project.table(toy_store), toy_store)


def test_folds_without_a_scan_in_common_are_refused(project: Project, toy_store: Store, tmp_path: Path) -> None:
    paths = replace(project.paths, runs=tmp_path / "runs", folds=tmp_path / "folds")
    apart = replace(project, paths=paths)
    for name, split, table in (("plain", None, HALVES), ("own", 7, {case: 1 - fold for case, fold in HALVES.items()})):
        write(FoldTable("case", table), toy_store, paths.fold_table("toy", split))
        write_oof(paths.member("toy", name), toy_store, FoldTable("case", table))
    with pytest.raises(DataError, match=r"no scan is held back by all members in the folds \[0\].*\(`split`\)"):
        held_files(apart, ["plain", "own"], toy_store, [0])
    assert len(held_files(apart, ["plain", "own"], toy_store, [0, 1])["own"]) == 8


def test_tune_reads_all_members_and_another_table_is_another_input(
    project: Project, toy_store: Store, tmp_path: Path
) -> None:
    recipe, scores = tune_step(project)
    assert set(recipe.rung(0).weights) <= {"plain", "own"} and scores["dice_case"].notna().any()
    before = evaluation_inputs(project, project.table(toy_store), toy_store, [0, 1])
    shutil.copytree(project.paths.folds, tmp_path / "folds")
    other = replace(project, paths=replace(project.paths, folds=tmp_path / "folds"))
    assert evaluation_inputs(other, project.table(toy_store), toy_store, [0, 1]) == before
    write(FoldTable("case", HALVES), toy_store, tmp_path / "folds" / "toy.7.csv")
    assert evaluation_inputs(other, project.table(toy_store), toy_store, [0, 1]) != before


def test_held_out_scans_are_predicted_again_by_the_models_that_did_not_see_them(project: Project) -> None:
    def load(name: str, fold: int) -> Member:
        return load_member([project.run(name, str(fold))], torch.device("cpu"))

    found = shift(project, load_recipe(recipe_path(project)), load, None)
    assert (found.scans, found.move, found.maps) == (8, 0.0, 0)
    wrong = shift(project, load_recipe(recipe_path(project)), lambda name, fold: load(name, 1 - fold), None)
    assert wrong.maps > 0


def test_members_of_two_tables_are_compared_on_every_scan(project: Project) -> None:
    _, found = compare_step(project.paths, "plain", "own", 1, "cpu")
    assert len(found.moved) == 8 and found.left_out == ()


def test_the_report_says_by_which_table_its_folds_go(project: Project) -> None:
    _, content = report_step(project)
    assert "own have fold tables of their own: scores by fold go by the data set's table." in content.warnings


def test_a_split_is_drawn_like_the_data_sets_table_with_its_own_seed(
    project: Project, toy_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    members = project.members | {"own": seg3d(name="own", split=5, **SMALL)}
    drawn = replace(project, members=members, paths=replace(project.paths, folds=tmp_path))
    table = folds_step(drawn, toy_store)
    assert table == read(tmp_path / "toy.csv", toy_store) == make(CaseFolds(count=2), toy_store)
    own = read(tmp_path / "toy.5.csv", toy_store)
    assert own == drawn.table(toy_store, "own") == make(CaseFolds(count=2, seed=5), toy_store) != table
    assert drawn.table(toy_store, "plain") == table
    assert "is the data set's own table" not in caplog.text
    same = project.members | {"own": seg3d(name="own", split=7, **SMALL)}
    folds_step(replace(drawn, members=same), toy_store)  # so few cases are drawn alike by this seed
    assert "toy.7.csv is the data set's own table over again; take another split" in caplog.text


def test_a_split_of_another_number_of_folds_is_refused(project: Project, toy_store: Store, tmp_path: Path) -> None:
    torn = replace(project, paths=replace(project.paths, folds=tmp_path))
    write(make(CaseFolds(count=3), toy_store), toy_store, tmp_path / "toy.7.csv")
    with pytest.raises(ConfigError, match=r"toy.7.csv has 3 folds, .*toy.csv has 2"):
        folds_step(torn, toy_store)


def test_a_split_of_folds_that_are_not_drawn_by_case_is_refused(
    project: Project, toy_store: Store, tmp_path: Path
) -> None:
    dataset = project.dataset.model_copy(update={"folds": TimeFolds(kind="time")})
    by_time = replace(project, dataset=dataset, paths=replace(project.paths, folds=tmp_path))
    with pytest.raises(ConfigError, match="split: 7 draws the folds anew, but the data set's are of kind time"):
        folds_step(by_time, toy_store)


def test_what_rests_on_one_fold_table_refuses_members_with_their_own(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"\['own'\] have fold tables of their own.* take teachers of the data set's"):
        pseudo_step(project, project.raw / "train", Rule())
    with pytest.raises(ConfigError, match="seg3d/own is no member for a study: split names a fold table"):
        plan_study(project.paths, Study(name="s", dataset="toy", members=("seg3d/own",), budget=Budget(steps=1)), "cpu")
    cropped = seg3d(name="own", split=7, data={**SMALL["data"], "crop": {"name": "detector", "member": "yolo"}})
    path = project.paths.configs / "seg3d" / "torn.yaml"
    path.write_text(safe_dump(as_plain(cropped) | {"name": "torn"}))
    ensemble = {"name": "torn", "dataset": "toy", "members": ["seg3d/torn"]}
    (project.paths.configs / "ensembles" / "torn.yaml").write_text(safe_dump(ensemble))
    with pytest.raises(ConfigError, match=r"\['torn'\] have fold tables of their own .* but a detector crops"):
        open_project(project.paths, "torn")
