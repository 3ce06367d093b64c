"""Train, validation and test by shares, end to end: what reads the test part, what does not, and how often it was."""

import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import toy
from casefold.cli import app
from casefold.config.base import GivenFolds
from casefold.config.experiments import Experiment, as_plain
from casefold.config.paths import Paths
from casefold.core import ConfigError, DataError, Grid, LeakError, Masks, Scan, StaleError
from casefold.infer import Loaded, infer, load_ensemble_models
from casefold.metrics import bootstrap_interval, dice, uwmgi_score
from casefold.models.weights import read_info
from casefold.pipeline import held_out, submitting
from casefold.pipeline.evaluation import Tally, case_interval, oof_step
from casefold.pipeline.held_out import earlier_looks, score_test_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.steps import prepare_step
from casefold.pipeline.training import train_step
from casefold.pipeline.tuning import recipe_path, tune_step
from toy import ToyScan
from toy_members import seg3d, seg25d

SCANS = (*toy.SCANS, *(ToyScan(f"case{n}_day0", slices=5) for n in (50, 51, 52, 53)))  # 12 scans of 10 cases
MEMBERS = {
    "seg25d/toy_2d": seg25d(train={"batch_size": 8, "lr": 0.01}),
    "seg3d/toy_3d": seg3d(train={"lr": 0.01}, data={"patch": (4, 8, 8)}),
}
METRICS = ["dice_slice", "dice_scan", "dice_case", "uw_score", "uw_distance", "dice left", "dice right"]


def write_member(paths: Paths, member: str, config: Experiment) -> None:
    path = paths.configs / f"{member}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(as_plain(config)))


def open_ensemble(paths: Paths, name: str, **changes: Any) -> Project:
    content = {"name": name, "dataset": "toy", "members": list(MEMBERS), "tune": {"weight_steps": 2}, **changes}
    path = paths.configs / "ensembles" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return open_project(paths, name, jobs=1, device="cpu")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Ten cases by 50/20/30, both members trained, OOF scored and the recipe tuned. The test part was not looked at."""
    root = tmp_path_factory.mktemp("shares")
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"), SCANS)
    toy.write_config(paths.configs, folds={"kind": "shares", "train": 0.5, "validation": 0.2, "test": 0.3, "seed": 1})
    for member, config in MEMBERS.items():
        write_member(paths, member, config)
    project = open_ensemble(paths, "pair")
    train_step(project, ["0"])
    oof_step(project)
    tune_step(project)
    return project


@pytest.fixture
def copy(tuned: Project, tmp_path: Path) -> Project:
    """The same with runs of its own, so that no test sees another's looks."""
    shutil.copytree(tuned.paths.runs, tmp_path / "runs", ignore=lambda *_: ["last.pt"])
    return replace(tuned, paths=replace(tuned.paths, runs=tmp_path / "runs"))


def cases_of(project: Project, fold: int) -> list[str]:
    table = project.table(project.store())
    return [case for case, number in table.fold_of.items() if number == fold]


def spoil(project: Project, root: Path, cases: list[str]) -> Project:
    """A copy of the store in which images and masks of these cases can't be read, and their slices count nothing."""
    shutil.copytree(project.paths.store, root / "store")
    spoilt = replace(project, paths=replace(project.paths, store=root / "store", runs=root / "spoilt"))
    store = spoilt.store()
    names = [name for name, case in store.case_of.items() if case in cases]
    for name in names:
        for what in ("image", "masks"):
            (store.root / "scans" / name / f"{what}.npy").write_bytes(b"")
    slices = store.slices.copy()
    slices.loc[slices["scan"].isin(names), list(store.classes)] = 0
    slices.to_csv(store.root / "slices.csv", index=False)
    return spoilt


def without_seconds(project: Project) -> list[str]:
    """The recipe's lines but for those of measured time."""
    return [line for line in recipe_path(project).read_text().splitlines() if "seconds_a_scan" not in line]


def test_fold_0_trains_on_the_train_part_and_predicts_the_validation_part(tuned: Project) -> None:
    store, parts = tuned.store(), {fold: cases_of(tuned, fold) for fold in (-1, 0, -2)}
    assert {fold: len(cases) for fold, cases in parts.items()} == {-1: 5, 0: 2, -2: 3}
    for member in tuned.members:
        run = tuned.run(member, "0")
        assert sorted(read_info(run / "weights.safetensors").seen_cases) == sorted(parts[-1])
        predicted = {store.case_of[path.stem] for path in (run / "oof").glob("*.npz")}
        assert sorted(predicted) == sorted(parts[0])
    assert not list(tuned.out.glob("test*"))


def test_what_can_not_be_read_of_the_test_changes_nothing_but_its_score(tuned: Project, tmp_path: Path) -> None:
    """Train, OOF, tune and the full fit go through, to the same recipe but for the seconds that its members took."""
    spoilt = spoil(tuned, tmp_path, cases_of(tuned, -2))
    train_step(spoilt, ["full"], ["toy_3d"])
    pd.testing.assert_frame_equal(oof_step(spoilt), pd.read_csv(tuned.out / "oof.csv"), check_dtype=False)
    tune_step(spoilt)
    assert without_seconds(spoilt) == without_seconds(tuned)
    with pytest.raises(DataError, match=r"(image|masks)\.npy can't be read"):
        score_test_step(spoilt)
    assert not list(spoilt.out.glob("test_*"))
    assert sorted(read_info(spoilt.run("toy_3d", "full") / "weights.safetensors").seen_cases) == sorted(
        [*cases_of(tuned, -1), *cases_of(tuned, 0)]
    )


@pytest.mark.parametrize("fold", [-1, 0])
def test_what_can_not_be_read_elsewhere_is_noticed(tuned: Project, tmp_path: Path, fold: int) -> None:
    """So the test above would fail if anything read the test part."""
    spoilt = spoil(tuned, tmp_path, cases_of(tuned, fold)[:1])
    with pytest.raises(Exception, match=r"(image|masks)\.npy can't be read"):
        tune_step(spoilt)


def test_the_test_part_is_scored_by_the_recipe(copy: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    frame = score_test_step(copy)
    assert list(frame.columns) == ["what", *METRICS]
    assert frame["what"].tolist() == ["test", "low", "high"]
    store, recipe = copy.store(), tune_step(copy)[0]
    loaded = load_ensemble_models(recipe, {name: [copy.run(name, "0")] for name in recipe.members}, "cpu")
    both: dict[str, list[Any]] = {case: [] for case in cases_of(copy, -2)}
    parts = []
    for name in store.labelled():
        scan = store.scan(name)
        if scan.case in both:
            masks = infer(loaded, scan).masks
            both[scan.case].append((scan.class_masks(), masks))
            parts.append(uwmgi_score(scan.class_masks(), masks))
    by_case = [
        [dice(*(np.concatenate([pair[side][c].ravel() for pair in pairs]) for side in (0, 1))) for c in (0, 1)]
        for pairs in both.values()
    ]
    row, low, high = (frame.set_index("what").loc[what] for what in ("test", "low", "high"))
    assert row["dice_case"] == pytest.approx(np.mean(by_case), abs=1e-12)
    assert [row["dice left"], row["dice right"]] == pytest.approx(np.mean(by_case, axis=0), abs=1e-12)
    assert row["dice_slice"] == pytest.approx(np.nanmean(np.concatenate([p.dice_values for p in parts])), abs=1e-12)
    distance = np.nanmean(np.concatenate([part.distances for part in parts]))
    assert row["uw_score"] == pytest.approx(0.4 * row["dice_slice"] + 0.6 * (1 - distance), abs=1e-12)
    assert (low["dice_case"], high["dice_case"]) == pytest.approx(
        bootstrap_interval(np.mean(by_case, axis=1)), abs=1e-12
    )
    assert (low[METRICS] <= row[METRICS]).all() and (row[METRICS] <= high[METRICS]).all()
    assert "test part: 3 cases, " in caplog.text
    assert "the test part was not scored with another recipe before" in caplog.text
    assert not list((copy.paths.runs / "toy" / "members").rglob("*full*"))


def test_masks_equal_to_the_truth_score_1(copy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def know(loaded: Loaded, scan: Scan) -> Masks:
        asked.append(scan.case)
        return Masks(scan.case, scan.name, scan.classes, scan.slice_names, scan.class_masks())

    monkeypatch.setattr(held_out, "infer", know)
    frame = score_test_step(copy).set_index("what")
    perfect = {name: 0.0 if name == "uw_distance" else 1.0 for name in METRICS}
    assert [frame.loc[what].to_dict() for what in ("test", "low", "high")] == [perfect] * 3
    assert set(asked) == set(cases_of(copy, -2))
    (line,) = (copy.out / "test_looks.csv").read_text().splitlines()[1:]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00,pair,[0-9a-f]{16},[0-9a-f]{16},1.000000,1.000000", line)


def test_a_second_call_reads_the_score_and_a_stopped_one_goes_on(
    copy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[[Loaded, Scan], Masks] = held_out.infer
    asked: list[str] = []

    def stop(loaded: Loaded, scan: Scan) -> Masks:
        if len(asked) == 2:
            raise DataError("enough")
        asked.append(scan.name)
        return real(loaded, scan)

    monkeypatch.setattr(held_out, "infer", stop)
    with pytest.raises(DataError, match="enough"):
        score_test_step(copy)
    assert not list(copy.out.glob("test_*"))
    first = list(asked)
    monkeypatch.setattr(held_out, "infer", lambda loaded, scan: asked.append(scan.name) or real(loaded, scan))
    frame = score_test_step(copy)
    assert sorted(asked) == sorted({*asked}) and asked[:2] == first and len(asked) > 2
    monkeypatch.setattr(held_out, "infer", stop)
    before = (copy.out / "test_looks.csv").read_bytes()
    pd.testing.assert_frame_equal(score_test_step(copy), frame)
    assert (copy.out / "test_looks.csv").read_bytes() == before


def test_every_look_with_another_recipe_counts(copy: Project, caplog: pytest.LogCaptureFixture) -> None:
    score_test_step(copy)
    solo = open_ensemble(copy.paths, "solo", members=["seg3d/toy_3d"])
    other = open_ensemble(copy.paths, "other", members=["seg3d/toy_3d"], models="full")
    for number, project in enumerate((solo, other), start=1):
        caplog.clear()
        score_test_step(project)
        said = rf"scored with other recipes before \({number}, the last on 2\d{{3}}-\S+ by the ensemble (pair|solo)\)"
        assert re.search(said, caplog.text)
    looks = pd.read_csv(solo.out / "test_looks.csv", dtype=str)
    part, recipe = looks.loc[0, ["part", "recipe"]]
    assert sorted(earlier_looks(solo, part, recipe)["ensemble"]) == ["other", "pair"]
    assert earlier_looks(solo, "another part", recipe).empty
    (solo.out / "test_scores.csv").unlink()
    score_test_step(solo)  # again, with the same recipe
    assert len(pd.read_csv(solo.out / "test_looks.csv")) == 2
    assert len(earlier_looks(solo, part, "another recipe")) == 3
    (solo.out / "test_looks.csv").write_text("date,recipe\n")
    with pytest.raises(DataError, match=r"test_looks\.csv should have the columns date,ensemble,recipe,part,dice_case"):
        score_test_step(copy)


def test_a_split_that_came_with_the_data_is_scored_alike(copy: Project, tmp_path: Path) -> None:
    """The same parts from a file make the same table, so the runs and the recipe stand."""
    words = pd.read_csv(copy.table_path)[["case", "split"]]
    words.to_csv(copy.raw / "split.csv", index=False)
    dataset = copy.dataset.model_copy(update={"folds": GivenFolds(kind="given", file="split.csv")})
    given = replace(copy, dataset=dataset, paths=replace(copy.paths, folds=tmp_path / "folds"))
    frame = score_test_step(given)
    assert given.table_path.read_bytes() == copy.table_path.read_bytes()
    pd.testing.assert_frame_equal(score_test_step(copy), frame)


def test_a_table_without_a_test_part_is_refused_before_anything_is_trained(tuned: Project, tmp_path: Path) -> None:
    paths = replace(tuned.paths, runs=tmp_path / "runs", folds=tmp_path / "folds")
    cases = sorted({scan.case for scan in SCANS})
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "toy.csv").write_text("case,fold\n" + "".join(f"{c},{n % 2}\n" for n, c in enumerate(cases)))
    with pytest.raises(ConfigError, match=r"toy\.csv keeps no labelled case for the test, so there is no test part"):
        score_test_step(replace(tuned, paths=paths))
    assert not (tmp_path / "runs").exists()


def test_a_test_case_that_is_not_prepared_is_named(tuned: Project, tmp_path: Path) -> None:
    project = replace(tuned, paths=replace(tuned.paths, store=tmp_path / "store", runs=tmp_path / "runs"))
    kept = cases_of(tuned, -2)
    prepare_step(project, cases=[case for case in cases_of(tuned, -1) + cases_of(tuned, 0) + kept if case != kept[1]])
    with pytest.raises(DataError, match=rf"1 of the 3 cases of the test part .* \['{kept[1]}'\]; `prepare` adds them"):
        score_test_step(project)


def test_first_weights_that_have_seen_a_test_case_are_refused_by_name(copy: Project) -> None:
    kept = cases_of(copy, -2)[0]
    shutil.copy(copy.run("toy_3d", "0") / "weights.safetensors", copy.paths.data / "first.safetensors")
    first = {"file": "first.safetensors", "seen": [kept]}
    write_member(copy.paths, "seg3d/begun", seg3d(name="begun", data={"patch": (4, 8, 8)}, train={"init_from": first}))
    project = open_ensemble(copy.paths, "begun", members=["seg3d/begun"])
    with pytest.raises(LeakError, match=rf"the weights of begun fold 0 have seen \['{kept}'\] of the test part"):
        score_test_step(project)
    assert not list(project.out.glob("test*"))


def test_a_recipe_of_other_inputs_is_not_scored(copy: Project) -> None:
    (copy.out / "scores.inputs").write_text("others")
    with pytest.raises(StaleError, match="run `tune` again"):
        score_test_step(copy)


def tally(case: str, truth: list[int], predicted: list[int]) -> Tally:
    """A scan of one class, a slice of one voxel for each number."""
    masks = [np.array(side, np.uint8).reshape(-1, 1, 1) for side in (truth, predicted)]
    names = tuple(f"{case}_{z}" for z in range(len(truth)))
    counted = Tally(("blob",))
    image = np.zeros((1, len(truth), 1, 1), np.uint8)
    scan = Scan(case, case, image, Grid((len(truth), 1, 1)), ("blob",), names, masks[0])
    counted.add(scan, masks[1][None] > 0)
    return counted


def test_the_interval_draws_whole_cases() -> None:
    """Case a: one slice, Dice 1. Case b: three slices, Dice 0. Of the draws a quarter is aa, half ab, a quarter bb."""
    cases = [tally("a", [1], [1]), tally("b", [1, 1, 1], [0, 0, 0])]
    low, high = case_interval(cases)
    assert (low["dice_slice"], high["dice_slice"]) == (low["dice_case"], high["dice_case"]) == (0.0, 1.0)
    assert (low["uw_distance"], high["uw_distance"]) == (0.0, 1.0)
    assert (low["uw_score"], high["uw_score"]) == (0.0, 1.0)
    low, high = case_interval(cases, level=0.4)  # between the quantiles 0.3 and 0.7 lies ab alone
    assert low["dice_slice"] == high["dice_slice"] == 0.25  # one slice of four
    assert low["dice_case"] == high["dice_case"] == 0.5
    assert low["uw_score"] == high["uw_score"] == pytest.approx(0.4 * 0.25 + 0.6 * 0.5, abs=1e-12)


def test_a_class_that_no_case_has_gives_no_interval() -> None:
    low, high = case_interval([tally("a", [0, 0], [0, 0])])
    assert np.isnan([low["dice blob"], high["dice blob"], low["uw_score"]]).all()


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["score", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_the_verb_scores_the_test_part(copy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "store", "runs", "configs", "folds"):
        monkeypatch.setenv(f"CASEFOLD_{name.upper()}", str(getattr(copy.paths, name)))
    monkeypatch.setattr(submitting, "pool", lambda processes: ThreadPoolExecutor(1))  # processes would take seconds
    table = run("pair", "--part", "test", "--jobs", "2", "--device", "cpu").splitlines()
    rows = [
        line.split()[0] for line in table if line.split()[:1] and line.split()[0] in ("what", "test", "low", "high")
    ]
    assert rows == ["what", "test", "low", "high"]
    assert "ConfigError: --part takes test, not 'val'" in run("pair", "--part", "val", code=1)
    assert "score takes a submission and its truth, or --part test" in run("pair", "out.csv", code=1)
    assert "takes neither a submission, a truth nor --input" in run("pair", "out.csv", "--part", "test", code=1)
