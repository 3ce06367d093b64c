"""From raw files to a submission with one member of each kind; then what must hold of the files it leaves."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from numpy.typing import NDArray

import toy
from casefold import infer as inferring
from casefold.config.experiments import Experiment, as_plain
from casefold.config.paths import Paths
from casefold.config.postprocess import DropEnds
from casefold.core import CasefoldError, ConfigError, DataError, LeakError, Prediction, StaleError
from casefold.ensemble import to_masks
from casefold.infer import infer, load_ensemble_models
from casefold.metrics import dice
from casefold.oof import join, read_prediction, write_prediction
from casefold.pipeline.evaluation import oof_step
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.pipeline.submitting import score_step, submit_step
from casefold.pipeline.training import train_step
from casefold.pipeline.tuning import recipe_path, tune_step
from casefold.predict import load_member, predict
from casefold.readers.table import find, load
from casefold.recipe import GateRule, Recipe, load_recipe
from casefold.submission import read_csv, rows
from toy_members import cls, seg3d, seg25d

MEMBERS = {
    "cls/toy_cls": cls(
        model={"encoder": "tf_efficientnet_lite0"}, data={"window": (-1, 0, 1)}, train={"batch_size": 16}
    ),
    "seg25d/toy_2d": seg25d(train={"batch_size": 8, "lr": 0.01, "precision": "bf16"}, predict={"flips": ("x",)}),
    "seg3d/toy_3d": seg3d(train={"lr": 0.01}, data={"zoom": (1.0, 0.5, 0.5), "patch": (4, 8, 8)}),
}
ENSEMBLE = {
    "name": "mix",
    "dataset": "toy",
    "members": list(MEMBERS),
    "gate": {"members": ["toy_cls"], "levels": [0, 64, 128]},
    "tune": {"weight_steps": 2, "levels": [20, 60, 100, 128, 140, 180]},
}
TEST_SCANS = (toy.ToyScan("case7_day20", slices=4), toy.ToyScan("case41_day0", slices=5, width=24, height=30))


@dataclass(frozen=True)
class Line:
    """What one run of every step left behind."""

    project: Project
    oof: pd.DataFrame
    recipe: Recipe
    scores: pd.DataFrame
    submission: Path


def write_config(paths: Paths, member: str, config: Experiment) -> None:
    path = paths.configs / f"{member}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(as_plain(config)))


def write_ensemble(paths: Paths, **changes: Any) -> str:
    content = {**ENSEMBLE, **changes}
    path = paths.configs / "ensembles" / f"{content['name']}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return str(content["name"])


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    root = tmp_path_factory.mktemp("line")
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    for scan in TEST_SCANS:
        toy.write_scan(paths.raw("toy") / "test", scan)
    toy.write_config(paths.configs, folds={"kind": "case", "count": 2})
    for member, config in MEMBERS.items():
        write_config(paths, member, config)
    project = open_project(paths, write_ensemble(paths), jobs=1, device="cpu")
    oof = oof_step(project)
    recipe, scores = tune_step(project)
    return Line(project, oof, recipe, scores, submit_step(project, None, root / "submission.csv", None))


@pytest.fixture
def new_scans(tmp_path: Path) -> Path:
    """A folder of unlabelled scans in the layout, outside the data set's root."""
    for scan in TEST_SCANS:
        toy.write_scan(tmp_path / "new_scans", scan)
    return tmp_path / "new_scans"


def times(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(root.rglob("*")) if path.is_file()}


def ids(scan: toy.ToyScan) -> list[tuple[str, str]]:
    return [(f"{scan.name}_slice_{z:04d}", label) for z in range(1, scan.slices + 1) for label in toy.CLASSES]


def test_every_run_leaves_the_same_files(line: Line) -> None:
    table = line.project.table(line.project.store())
    assert table.count == 2
    for member in line.project.members:
        for fold in (0, 1):
            run = line.project.run(member, str(fold))
            held = sorted(f"oof/{name}.npz" for name in table.split(line.project.store(), fold)[1])
            files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
            plain = ["config.yaml", "last.pt", "log.csv", "manifest.json", "timing.csv", "weights.safetensors"]
            assert files == sorted([*plain, *held])
            assert (run / "config.yaml").read_text().startswith("schema: 1\n")


def test_oof_is_scored_by_member_and_fold(line: Line) -> None:
    keys = list(zip(line.oof["member"], line.oof["fold"], strict=True))
    assert keys == [(member, fold) for member in ("toy_2d", "toy_3d", "toy_cls") for fold in ("0", "1", "all")]
    frame = line.oof.set_index(["member", "fold"])
    assert frame["presence_f1"].notna().tolist() == [False] * 6 + [True] * 3
    store = line.project.store()
    files = join(line.project.paths.member("toy", "toy_2d"), line.project.table(store), store)
    by_scan = []
    for name, path in files.items():
        maps = read_prediction(path).maps
        assert maps is not None
        by_scan.append([dice(t, q >= 128) for t, q in zip(store.scan(name).class_masks(), maps, strict=True)])
    assert frame.loc[("toy_2d", "all"), "dice_scan"] == pytest.approx(np.nanmean(by_scan), abs=1e-12)


def test_the_oof_of_a_member_is_what_submission_would_predict(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submission's own path, with one fold's weights, on a scan just read from its raw files: equal byte for byte."""
    project, store = line.project, line.project.store()
    table = project.table(store)
    made: dict[str, Prediction] = {}

    def keep(predictions: dict[str, Prediction], *others: Any) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        made.update(predictions)
        return to_masks(predictions, *others)

    monkeypatch.setattr(inferring, "to_masks", keep)
    weights = {name: dict.fromkeys(toy.CLASSES, 1) for name in project.segmenters}
    gate = GateRule(("toy_cls",), "presence", dict.fromkeys(toy.CLASSES, 9))
    recipe = replace(line.recipe, rungs=(replace(line.recipe.rungs[0], weights=weights, gate=gate),))
    compared = 0
    for fold in (0, 1):
        runs = {member: [project.run(member, str(fold))] for member in project.members}
        loaded = load_ensemble_models(recipe, runs, "cpu")
        for raw in find(project.dataset, project.raw, "train"):
            if table.fold(store, raw.name) != fold:
                continue
            scan = load(project.dataset, raw)
            assert scan.statistics == ()
            infer(loaded, scan)
            for member in project.members:
                path = project.run(member, str(fold)) / "oof" / f"{raw.name}.npz"
                write_prediction(made[member], tmp_path / path.name)
                assert (tmp_path / path.name).read_bytes() == path.read_bytes()
                compared += 1
    assert compared == len(project.members) * len(toy.SCANS)


def test_tuned_and_cross_fitted_stand_side_by_side(line: Line) -> None:
    added = ["+ weights", "+ average", "+ levels", "+ gate", "+ peaks", "+ post"]
    ways = ["toy_2d", "toy_3d", "equal weights, one level", *added, "searched", "recipe"]
    metrics = ["recipe, tuned (on itself)", "recipe, cross-fitted", "equal weights, one level, cross-fitted"]
    assert line.scores["what"].tolist() == [*ways, *metrics]
    frame = line.scores.set_index("what")
    assert frame.loc[ways, "tuned"].notna().all() and frame.loc[ways, "cross_fitted"].notna().all()
    assert frame.loc["searched", "tuned"] >= frame.loc[["toy_2d", "toy_3d", "equal weights, one level"], "tuned"].max()
    assert frame.loc[metrics, "dice_case"].tolist() == pytest.approx(
        [frame.loc["recipe", "tuned"], frame.loc["recipe", "cross_fitted"],
         frame.loc["equal weights, one level", "cross_fitted"]], abs=1e-12
    )  # fmt: skip
    assert frame.loc["recipe", ["recipe_minus", "low", "high"]].tolist() == [0, 0, 0]
    assert line.recipe == load_recipe(recipe_path(line.project))
    assert (line.recipe.folds, line.recipe.classes) == ((0, 1), toy.CLASSES)


def test_the_submission_has_every_slice_and_class_of_the_test_scans(line: Line) -> None:
    found = read_csv(line.submission)
    assert list(found) == [key for scan in TEST_SCANS for key in ids(scan)]
    project = line.project
    runs = {member: [project.run(member, fold) for fold in ("0", "1")] for member in line.recipe.members}
    loaded = load_ensemble_models(line.recipe, runs, "cpu")
    by_hand = [row for raw in find(project.dataset, project.raw, "test")
               for row in rows(infer(loaded, load(project.dataset, raw)))]  # fmt: skip
    assert [(name, label, text) for (name, label), text in found.items()] == by_hand


def test_done_again_nothing_is_done_twice(line: Line) -> None:
    root = line.submission.parent
    before, submitted = times(root), line.submission.read_bytes()
    again = open_project(line.project.paths, "mix", jobs=1, device="cpu")
    manifests = train_step(again, None)
    assert len(manifests) == 6 and {manifest["state"] for manifest in manifests.values()} == {"done"}
    pd.testing.assert_frame_equal(oof_step(again), line.oof)
    recipe, scores = tune_step(again)
    assert recipe == line.recipe and scores["what"].tolist() == line.scores["what"].tolist()
    submit_step(again, None, line.submission, None)
    assert line.submission.read_bytes() == submitted
    after = times(root)
    assert [path for path in after if after[path] != before.get(path)] == [line.submission]  # one CSV, written again
    assert set(before) == set(after)


def test_a_folder_of_new_scans_with_a_sample(line: Line, new_scans: Path, tmp_path: Path) -> None:
    wanted = [*reversed(ids(TEST_SCANS[1])), *ids(TEST_SCANS[0])]
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("id,class,predicted\n" + "".join(f"{name},{label},\n" for name, label in wanted))
    path = submit_step(line.project, new_scans, tmp_path / "out.csv", sample)
    assert list(read_csv(path)) == wanted
    assert read_csv(path) == read_csv(line.submission)


def test_a_sample_in_the_data_sets_folder_is_found(line: Line, tmp_path: Path) -> None:
    raw = tmp_path / "data" / "toy"
    toy.write_raw(raw)
    toy.write_scan(raw / "test", TEST_SCANS[0])
    wanted = ids(TEST_SCANS[0])[::-1]
    (raw / "sample_submission.csv").write_text("id,class,predicted\n" + "".join(f"{n},{c},\n" for n, c in wanted))
    project = replace(line.project, paths=replace(line.project.paths, data=tmp_path / "data"))
    assert list(read_csv(submit_step(project, None, tmp_path / "out.csv", None))) == wanted


def test_an_empty_test_folder_predicts_training_scans_with_a_warning(
    line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = tmp_path / "data" / "toy"
    toy.write_raw(raw)
    (raw / "test").mkdir()
    (raw / "sample_submission.csv").write_text("id,class,predicted\n")
    project = replace(line.project, paths=replace(line.project.paths, data=tmp_path / "data"))
    path = submit_step(project, None, tmp_path / "out.csv", None)
    assert list(read_csv(path)) == [key for scan in toy.SCANS[:3] for key in ids(scan)]
    assert "the test part is absent or empty: predicting 3 training scans instead" in caplog.text


def test_a_deadline_that_is_far_changes_nothing(line: Line, tmp_path: Path) -> None:
    """By a process that is watched; the first scan, which the cheapest rung takes, is predicted again at last."""
    project, scans = line.project, (toy.ToyScan("case60_day1", slices=3), toy.ToyScan("case61_day1", slices=4))
    for scan in scans:
        toy.write_scan(tmp_path / "new", scan)
    path = submit_step(project, tmp_path / "new", tmp_path, None, deadline_s=36000.0)
    assert path == tmp_path / "submission.csv"
    runs = {member: [project.run(member, fold) for fold in ("0", "1")] for member in line.recipe.members}
    loaded = load_ensemble_models(line.recipe, runs, "cpu")
    raws = find(project.dataset, project.raw, "test", tmp_path / "new")
    by_hand = [row for raw in raws for row in rows(infer(loaded, load(project.dataset, raw)))]
    assert [(*key, text) for key, text in read_csv(path).items()] == by_hand


def test_a_deadline_that_has_passed_leaves_the_scans_empty(
    line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scan = toy.ToyScan("case62_day1", slices=3)
    toy.write_scan(tmp_path / "new", scan)
    path = submit_step(line.project, tmp_path / "new", tmp_path / "out.csv", None, deadline_s=0.0)
    assert read_csv(path) == dict.fromkeys(ids(scan), "")
    assert "1 scans are left without a prediction: case62_day1" in caplog.text


def test_an_empty_folder_that_was_asked_for_is_refused(line: Line, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no scans in .*; wanted caseN/caseN_dayM/scans"):
        submit_step(line.project, tmp_path, tmp_path / "out.csv", None)
    assert not (tmp_path / "out.csv").exists()


def test_a_submission_is_scored_against_a_truth(line: Line, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "\n".join(["id,class,segmentation", *(row for s in TEST_SCANS for row in toy.label_rows(s))]) + "\n"
    )
    perfect = score_step(line.project, truth, truth)
    assert perfect["scan"].tolist() == ["case7_day20", "case41_day0", "all"]
    assert perfect["uw_score"].tolist() == [1.0] * 3 and perfect["uw_distance"].tolist() == [0.0] * 3
    assert perfect["dice left"].tolist() == perfect["dice right"].tolist() == [1.0] * 3
    found = score_step(line.project, line.submission, truth)
    assert (found["uw_score"] < 1).all()


def test_a_recipe_tuned_on_other_inputs_does_not_submit(line: Line, tmp_path: Path) -> None:
    name = write_ensemble(line.project.paths, name="later", gate=None)
    project = open_project(line.project.paths, name, jobs=1, device="cpu")
    tune_step(project)
    write_ensemble(line.project.paths, name="later", gate=None, post=[{"name": "drop_ends", "first_slices": 1}])
    changed = open_project(line.project.paths, name, jobs=1, device="cpu")
    with pytest.raises(
        StaleError, match=r"later/recipe\.yaml was tuned before the ensemble's config, .* run `tune` again"
    ):
        submit_step(changed, None, tmp_path / "out.csv", None)
    assert tune_step(changed)[0].rungs[0].post[-1] == DropEnds(first_slices=1)
    assert read_csv(submit_step(changed, None, tmp_path / "out.csv", None)).keys() == read_csv(line.submission).keys()


def test_some_folds_alone_make_a_recipe_of_their_models(line: Line, tmp_path: Path) -> None:
    project = open_project(
        line.project.paths, write_ensemble(line.project.paths, name="one_fold"), jobs=1, device="cpu"
    )
    oof = oof_step(project, [1])
    assert set(oof["fold"].astype(str)) == {"1", "all"}
    assert tune_step(project, [1])[0].folds == (1,)
    assert read_csv(submit_step(project, None, tmp_path / "out.csv", None)).keys() == read_csv(line.submission).keys()


def test_the_full_twin_submits_where_the_ensemble_says_so(line: Line, tmp_path: Path) -> None:
    name = write_ensemble(line.project.paths, name="whole", members=["seg3d/toy_3d"], gate=None, models="full")
    project = open_project(line.project.paths, name, jobs=1, device="cpu")
    recipe, scores = tune_step(project)
    assert (recipe.models, scores["what"].tolist()[:2]) == ("full", ["equal weights, one level", "+ levels"])
    path = submit_step(project, None, tmp_path / "out.csv", None)
    full = project.run("toy_3d", "full")
    loaded = load_ensemble_models(recipe, {"toy_3d": [full]}, "cpu")
    assert loaded.members["toy_3d"].fold == "full"
    scans = [load(project.dataset, raw) for raw in find(project.dataset, project.raw, "test")]
    assert [(*key, text) for key, text in read_csv(path).items()] == [r for s in scans for r in rows(infer(loaded, s))]


def test_a_fold_table_changed_after_training_is_refused(line: Line, tmp_path: Path) -> None:
    paths = replace(line.project.paths, folds=tmp_path)
    table = pd.read_csv(line.project.table_path)
    project = open_project(paths, "mix", jobs=1, device="cpu")
    table.assign(fold=1 - table["fold"]).to_csv(project.table_path, index=False)
    with pytest.raises(StaleError, match=r"fold0 was trained from other inputs: folds: \w+ -> \w+\. .* --redo"):
        train_step(project, None)
    pd.concat([table, table.iloc[:1].assign(fold=1 - table["fold"][0])]).to_csv(project.table_path, index=False)
    with pytest.raises(LeakError, match=r"toy\.csv: case case\d+ is in more than one fold"):
        oof_step(project)


def test_a_leaked_prediction_stops_oof_and_tune(line: Line, tmp_path: Path) -> None:
    """In a copy of the runs, a scan of fold 0 predicted by fold 1's weights."""
    runs = tmp_path / "runs"
    shutil.copytree(
        line.project.paths.runs / "toy" / "members", runs / "toy" / "members", ignore=lambda *_: ["last.pt"]
    )
    project = replace(line.project, paths=replace(line.project.paths, runs=runs))
    folder = project.run("toy_2d", "0") / "oof"
    path = next(iter(sorted(folder.iterdir())))
    member = load_member([project.run("toy_2d", "1")], torch.device("cpu"))
    write_prediction(predict(member, project.store().scan(path.stem), torch.device("cpu")), path)
    for step in (oof_step, tune_step):
        with pytest.raises(LeakError, match=f"scan {path.stem} is held back in fold 0, but was predicted by fold 1"):
            step(project)
    assert not (project.out / "recipe.yaml").exists()


def test_a_lost_prediction_is_made_again_from_its_weights(line: Line, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(
        line.project.paths.runs / "toy" / "members", runs / "toy" / "members", ignore=lambda *_: ["last.pt"]
    )
    project = replace(line.project, paths=replace(line.project.paths, runs=runs))
    path = next(iter(sorted((project.run("toy_3d", "0") / "oof").iterdir())))
    content = path.read_bytes()
    path.unlink()
    pd.testing.assert_frame_equal(oof_step(project), line.oof)
    assert path.read_bytes() == content


def test_a_table_of_ones_own_is_taken_as_it_is(line: Line, tmp_path: Path) -> None:
    project = replace(line.project, paths=replace(line.project.paths, folds=tmp_path / "folds"))
    cases = sorted({scan.case for scan in toy.SCANS})
    given = tmp_path / "given.csv"
    given.write_text("case,fold\n" + "".join(f"{case},{n % 3}\n" for n, case in enumerate(cases)))
    assert folds_step(project, project.store(), given).count == 3
    assert project.table_path.read_bytes() == given.read_bytes()
    given.write_text(given.read_text().replace("case7,2", "case7,1"))
    with pytest.raises(ConfigError, match=r"toy\.csv is there and is not .*given\.csv; remove it first"):
        folds_step(project, project.store(), given)


def test_members_are_picked_and_changed_by_name(line: Line) -> None:
    paths = line.project.paths
    project = open_project(paths, "mix", ["train.seed=5", "toy_2d.train.lr=0.5"], jobs=1)
    assert [config.train.seed for config in project.members.values()] == [5, 5, 5]
    assert {name: config.train.lr for name, config in project.members.items()} == {
        "toy_cls": 3e-4,
        "toy_2d": 0.5,
        "toy_3d": 0.01,
    }
    with pytest.raises(ConfigError, match=r"ensemble mix has no member toy_2b \(did you mean 'toy_2d'\?\)"):
        train_step(line.project, ["0"], ["toy_2b"])
    with pytest.raises(ConfigError, match="there is no fold 2: the table has folds 0 to 1"):
        train_step(line.project, ["2"])
    write_ensemble(paths, name="gate_alone", members=["cls/toy_cls"])
    with pytest.raises(ConfigError, match="ensemble gate_alone: no member has maps; add a seg25d or a seg3d"):
        open_project(paths, "gate_alone")


def test_a_run_that_fails_does_not_stop_the_others(line: Line, tmp_path: Path) -> None:
    paths = replace(line.project.paths, runs=tmp_path)
    write_config(
        paths, "seg3d/broken", seg3d(name="broken", model={"channels": (4, 8)}, train={"lr": 1e30, "epochs": 9})
    )
    name = write_ensemble(paths, name="half", members=["seg3d/broken", "seg3d/toy_3d"], gate=None)
    project = open_project(paths, name, jobs=1, device="cpu")
    with pytest.raises(
        CasefoldError, match=r"1 of 2 runs failed; .*\n  seg3d/broken 0: DivergedError: the (loss|gradient) became"
    ):
        train_step(project, ["0"])
    assert (project.run("toy_3d", "0") / "weights.safetensors").is_file()
    assert not (project.run("broken", "0") / "weights.safetensors").exists()


def test_prepare_reads_only_what_changed(line: Line, tmp_path: Path) -> None:
    project = replace(line.project, paths=replace(line.project.paths, store=tmp_path))
    prepare_step(project)
    before = times(tmp_path)
    prepare_step(project)
    assert times(tmp_path) == before
