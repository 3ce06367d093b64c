"""A study's plan: nested shares of the training cases, members that it refuses, steps by budget."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import toy
from casefold.config.experiments import Experiment, as_plain
from casefold.config.paths import Paths
from casefold.config.studies import Budget, Study
from casefold.core import ConfigError
from casefold.files import read_json
from casefold.folds import TEST_ONLY, TRAIN_ONLY, FoldTable
from casefold.pipeline import study_plan
from casefold.pipeline.study_plan import fitted, plan_study, tables
from casefold.train.preflight import Preflight
from toy_members import cls, seg3d, seg25d


def study(**changes: Any) -> Study:
    content = {"name": "s", "dataset": "toy", "members": ["seg25d/toy_2d"], "budget": {"steps": 6}, **changes}
    return Study.model_validate(content)


def paths_with(root: Path, *members: Experiment) -> Paths:
    """Roots with the toy data set's raw files and configs of these members."""
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_config(paths.configs)
    for member in members:
        path = paths.configs / as_plain(member)["kind"] / f"{member.name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(as_plain(member)))
    return paths


TEN = FoldTable("case", {f"case{number}": number % 5 for number in range(10)})  # fold 0 holds case0 and case5


def part(table: FoldTable, number: int) -> set[str]:
    return {case for case, fold in table.fold_of.items() if fold == number}


def test_shares_are_nested_and_hold_the_same_cases_back() -> None:
    found = tables(TEN, study(shares=[0.25, 1.0, 0.5]))
    assert list(found) == [1.0, 0.5, 0.25]
    assert [len(part(table, TRAIN_ONLY)) for table in found.values()] == [8, 4, 2]
    assert [len(part(table, TEST_ONLY)) for table in found.values()] == [0, 4, 6]
    assert part(found[0.25], TRAIN_ONLY) < part(found[0.5], TRAIN_ONLY) < part(found[1.0], TRAIN_ONLY)
    assert {frozenset(part(table, 0)) for table in found.values()} == {frozenset({"case0", "case5"})}
    assert {table.kind for table in found.values()} == {"given"}


def test_the_least_share_is_a_case_and_the_seed_says_which() -> None:
    drawn = {seed: part(tables(TEN, study(shares=[0.01], seed=seed))[0.01], TRAIN_ONLY) for seed in range(20)}
    assert {len(cases) for cases in drawn.values()} == {1}
    assert len(set.union(*drawn.values())) > 3
    assert drawn[3] == part(tables(TEN, study(shares=[0.01], seed=3))[0.01], TRAIN_ONLY)


def test_another_fold_may_be_held_back_and_the_test_part_stays_out() -> None:
    given = FoldTable("given", {"a": TRAIN_ONLY, "b": 0, "c": TEST_ONLY, "d": TRAIN_ONLY})
    assert tables(given, study(shares=[1.0]))[1.0].fold_of == given.fold_of
    assert part(tables(TEN, study(fold=3, shares=[1.0]))[1.0], 0) == {"case3", "case8"}


def test_groups_are_taken_whole() -> None:
    groups = {case: "odd" if int(case[4:]) % 2 else "even" for case in TEN.fold_of}
    trained = part(tables(TEN, study(shares=[0.5]), groups)[0.5], TRAIN_ONLY)
    assert trained in ({"case1", "case3", "case7", "case9"}, {"case2", "case4", "case6", "case8"})


def test_a_table_that_a_study_has_no_use_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="one by time"):
        tables(FoldTable("time", {"scan1": TRAIN_ONLY, "scan2": 0}), study())
    with pytest.raises(ConfigError, match="there is no fold 5; the table has folds 0 to 4"):
        tables(TEN, study(fold=5))


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (cls(name="m"), "a classifier has no maps"),
        (seg25d(name="m", train={"patience": 2}), "train.patience looks at the scans"),
        (seg25d(name="m", train={"pseudo": {"ensemble": "e"}}), "train.pseudo brings scans"),
        (seg25d(name="m", train={"init_from": {"member": "n"}}), "train.init_from begins with"),
        (seg25d(name="m", data={"crop": {"name": "detector", "member": "d"}}), "data.crop by a detector"),
    ],
)
def test_a_member_that_does_not_stand_alone_is_refused(tmp_path: Path, member: Experiment, reason: str) -> None:
    path = f"{as_plain(member)['kind']}/m"
    with pytest.raises(ConfigError, match=f"^{path} is no member for a study: {reason}"):
        plan_study(paths_with(tmp_path, member), study(members=[path]), "cpu")


def test_each_member_has_a_run_on_each_share_with_a_table_of_its_own(tmp_path: Path) -> None:
    paths = paths_with(tmp_path, seg25d(), seg3d())
    runs = plan_study(paths, study(members=["seg25d/toy_2d", "seg3d/toy_3d"], shares=[0.5, 1.0]), "cpu")
    assert [(run.job.config.name, run.share, run.cases) for run in runs] == [
        ("toy_2d", 1.0, 4), ("toy_3d", 1.0, 4), ("toy_2d", 0.5, 2), ("toy_3d", 0.5, 2),
    ]  # fmt: skip
    assert len({run.held for run in runs}) == 1 and len(runs[0].held) in (2, 3)
    base = paths.runs / "toy" / "studies" / "s"
    assert runs[2].job.run == base / "share0.5" / "runs" / "toy" / "members" / "toy_2d" / "fold0"
    assert (base / "share0.5" / "folds" / "toy.csv").read_text().splitlines()[0] == "case,split,fold"
    assert (paths.folds / "toy.csv").is_file()


def test_steps_end_in_the_last_epoch(tmp_path: Path) -> None:
    """Two patches a scan in batches of 2, two of which make a step: as many batches an epoch as scans, or one less."""
    member = seg3d(sampler={"per_scan": 2}, train={"batch_size": 2, "accumulate": 2, "epochs": 9, "steps": 5})
    (run,) = plan_study(paths_with(tmp_path, member), study(members=["seg3d/toy_3d"], shares=[1.0]), "cpu")
    each = (8 - len(run.held)) // 2
    for steps, epochs in ((1, 1), (each, 1), (each + 1, 2), (10 * each - 1, 10)):
        train = fitted(run.job, Budget(steps=steps), 1).config.train
        assert (train.steps, train.epochs, train.validate_every) == (steps, epochs, epochs)


@pytest.mark.parametrize(("device", "steps"), [("cpu", 300), ("cuda", 200)])
def test_minutes_become_steps_as_measured_once(
    device: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def alone(threads: int, task: Any, job: Any) -> Preflight:
        measured.append((threads, job.config.train.epochs))
        # a step: 0.5 s by the clock and 0.6 s of the CPU over two threads; and 0.1 s to load
        return Preflight("", {}, 1, 1.0, 0.5, 4, 0.5, 0.6, 0.1, 99.0, 0.0, 1, 1)

    monkeypatch.setattr(study_plan, "alone", alone)
    monkeypatch.setattr(study_plan, "pick_device", lambda name: torch.device(device))
    (run,) = plan_study(paths_with(tmp_path, seg3d()), study(members=["seg3d/toy_3d"], shares=[1.0]), "cpu")
    assert [fitted(run.job, Budget(minutes=2.0), 2).config.train.steps for _ in range(2)] == [steps, steps]
    assert measured == [(2, 1)]
    assert fitted(run.job, Budget(minutes=0.001), 2).config.train.steps == 1
    assert measured == [(2, 1), (2, 1)]  # another budget is measured anew
    assert read_json(run.job.run.parent / "steps.json")["steps"] == 1
