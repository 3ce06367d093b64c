"""Where a project's fold table comes from: a file of groups, the cases' names, a split that came with the data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import toy
from casefold.config.experiments import as_plain
from casefold.config.paths import Paths
from casefold.core import ConfigError, DataError, LeakError
from casefold.pipeline.project import Project, open_project
from casefold.pipeline.steps import folds_step, prepare_step
from casefold.pipeline.training import train_step
from casefold.train.loop import Habits
from toy_members import seg25d

SPLIT = (
    "case,split,fold\ncase2,train,-1\ncase7,train,-1\ncase10,val,0\ncase11,test,-2\ncase20,train,-1\ncase31,test,-2\n"
)


def project(root: Path, **folds: Any) -> Project:
    paths = Paths(*(root / name for name in ("data", "store", "runs", "configs", "folds")))
    toy.write_raw(paths.raw("toy"))
    toy.write_config(paths.configs, folds=folds, cache_gib=0.5)
    for name, content in {
        "seg25d/toy_2d": as_plain(seg25d()),
        "ensembles/one": {"name": "one", "dataset": "toy", "members": ["seg25d/toy_2d"]},
    }.items():
        path = paths.configs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    return open_project(paths, "one", jobs=1, device="cpu")


def test_a_split_that_came_with_the_data_becomes_the_table(tmp_path: Path) -> None:
    made = project(tmp_path, kind="given", file="parts/split.csv")
    (made.raw / "parts").mkdir()
    lines = [line.rsplit(",", 1)[0] for line in SPLIT.splitlines()]
    (made.raw / "parts" / "split.csv").write_text("\n".join(lines).replace("val", "validation") + "\n")
    store = prepare_step(made)
    table = folds_step(made, store)
    assert made.table_path.read_text() == SPLIT
    assert table.split(store, 0)[1] == ["case10_day3"]
    (made.raw / "parts" / "split.csv").write_text("case,split\n")  # the table is read from now on
    assert folds_step(made, store) == table


def test_a_file_of_groups_is_verified_at_every_read(tmp_path: Path) -> None:
    made = project(tmp_path, kind="group", file="sites.csv", column="site", count=2)
    sites = {"case2": "a", "case7": "b", "case10": "a", "case11": "b", "case20": "a", "case31": "b"}
    (made.raw / "sites.csv").write_text("\n".join(["case,site", *(f"{case},{site}" for case, site in sites.items())]))
    store = prepare_step(made)
    table = folds_step(made, store)
    assert len({table.fold_of[case] for case in ("case2", "case10", "case20")}) == 1
    (made.raw / "sites.csv").write_text((made.raw / "sites.csv").read_text().replace("case2,a", "case2,b"))
    with pytest.raises(LeakError, match=r"toy\.csv: group b: .*are in folds \[0, 1\]; keep them in one"):
        folds_step(made, store)


def test_groups_by_name_are_verified_too(tmp_path: Path) -> None:
    made = project(tmp_path, kind="group", pattern=r"case(\d)", count=2)
    store = prepare_step(made)
    table = folds_step(made, store)
    assert table.fold_of["case2"] == table.fold_of["case20"]
    moved = made.table_path.read_text().replace(
        f"case20,{table.fold_of['case20']}", f"case20,{1 - table.fold_of['case20']}"
    )
    made.table_path.write_text(moved)
    with pytest.raises(
        LeakError, match=r"toy\.csv: group 2: \['case2', 'case20'\] are in folds \[0, 1\]; keep them in one"
    ):
        made.table(store)


def test_a_partial_store_takes_a_given_table_and_makes_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = project(tmp_path, kind="case", count=2)
    store = prepare_step(made, limit=3)
    assert "the store is partial: 5 scans are left out; `prepare` adds them" in caplog.text
    with pytest.raises(
        ConfigError, match=r"store .*toy is partial, 5 scans were left out: no fold table is made from it"
    ):
        folds_step(made, store)
    assert not made.table_path.exists()
    with pytest.raises(ConfigError, match="is partial"):
        train_step(made, ["0"])  # a step that needs a store asks for no more scans
    assert len(made.store().case_of) == 3
    cases = tmp_path / "mine.csv"
    cases.write_text("case,fold\ncase2,0\ncase7,1\ncase10,0\ncase11,1\ncase20,0\ncase31,1\n")
    table = folds_step(made, store, cases)
    assert table.split(store, 0) == (["case7_day1", "case7_day13"], ["case2_day0"])
    assert prepare_step(made).left_out == {}
    assert folds_step(made, made.store()) == table


def test_a_table_without_the_columns_is_named(tmp_path: Path) -> None:
    made = project(tmp_path, kind="group", file="sites.csv", column="site", count=2)
    store = prepare_step(made)
    with pytest.raises(DataError, match=r"folds\.file: there is no .*toy/sites\.csv"):
        folds_step(made, store)


def test_training_is_given_the_data_sets_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """cache_gib is a training process's; its loading workers share it."""
    budgets: list[int] = []

    def no_training(*words: Any) -> None:
        budgets.append(words[3].cache.left_bytes)
        raise ConfigError("enough")

    monkeypatch.setattr("casefold.train.run.fit", no_training)
    made = project(tmp_path, kind="case", count=2)
    for workers in (0, 1, 4):
        with pytest.raises(Exception, match="enough"):
            train_step(made, ["0"], habits=Habits(workers=workers))
    assert budgets == [1 << 29, 1 << 29, 1 << 27]
