"""Data sets of two roots: joined, a case of both is one; or the first alone trains, and the other is the test."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import toy
from casefold import folds
from casefold.config.base import FoldsConfig
from casefold.config.datasets import DatasetConfig, UwmgiDataset
from casefold.core import ConfigError
from casefold.prepare import prepare
from casefold.readers.table import cases_of_first_root, find
from toy import ToyScan

OLD = [ToyScan(f"case{n}_day0", slices=2) for n in range(1, 6)]
SAME, OTHER_DAY = ToyScan("case5_day0", slices=3), ToyScan("case4_day7", slices=2)
NEW = [OTHER_DAY, SAME, ToyScan("case8_day0", slices=2), ToyScan("case9_day0", slices=2)]


def of_kind_roots(**fields: Any) -> FoldsConfig:
    return TypeAdapter(FoldsConfig).validate_python({"kind": "roots", "validation": 0.4, "seed": 3, **fields})


def two_roots(data: Path, **changes: Any) -> UwmgiDataset:
    for root, scans in (("sets/old", OLD), ("new", NEW)):
        toy.write_raw(data / root, scans)
    config = toy.content(root="sets/old", joined=["new"], **changes)
    dataset: UwmgiDataset = TypeAdapter(DatasetConfig).validate_python(config)
    return dataset


def test_two_roots_join_to_one_set_and_a_scan_of_both_is_the_first_roots(tmp_path: Path) -> None:
    config = two_roots(tmp_path)
    found = find(config, tmp_path / "sets/old", "train")
    assert [raw.name for raw in found] == [scan.name for scan in (*OLD, OTHER_DAY, *NEW[2:])]
    store = prepare(config, tmp_path / "sets/old", tmp_path / "store")
    assert store.scan("case5_day0").grid.shape[0] == 2  # the first root's has two slices, the second's three
    table = folds.make(TypeAdapter(FoldsConfig).validate_python({"kind": "case", "count": 2}), store)
    assert sorted(table.fold_of) == ["case1", "case2", "case3", "case4", "case5", "case8", "case9"]
    assert table.fold(store, "case4_day0") == table.fold(store, "case4_day7")
    assert cases_of_first_root(config, tmp_path / "sets/old") == {f"case{n}" for n in range(1, 6)}


def test_what_only_the_second_root_has_is_the_test_part(tmp_path: Path) -> None:
    config = two_roots(tmp_path, folds={"kind": "roots"})
    store = prepare(config, tmp_path / "sets/old", tmp_path / "store")
    table = folds.make(of_kind_roots(), store, first_root={f"case{n}" for n in range(1, 6)})
    train, held = table.split(store, 0)
    assert table.kept_for_test(store) == ["case8_day0", "case9_day0"]
    assert len({store.case_of[name] for name in held}) == 2
    assert {*train, *held} == {*(scan.name for scan in OLD), "case4_day7"}  # a case of both never is in the test
    path = tmp_path / "table.csv"
    folds.write(table, store, path)
    assert folds.read(path, store) == table
    assert (
        len(
            {folds.make(of_kind_roots(seed=n), store, first_root=set(table.fold_of) - {"case8"}).hash for n in range(4)}
        )
        > 1
    )


def test_test_scans_come_from_the_first_root_alone(tmp_path: Path) -> None:
    config = two_roots(tmp_path)
    for root in ("sets/old", "new"):
        toy.write_scan(tmp_path / root / "test", ToyScan("case40_day0", slices=2))
    (only,) = find(config, tmp_path / "sets/old", "test")
    assert {path.is_relative_to(tmp_path / "sets/old") for path in only.sources} == {True}


def test_a_part_without_a_case_is_refused(tmp_path: Path) -> None:
    store = prepare(two_roots(tmp_path), tmp_path / "sets/old", tmp_path / "store")
    with pytest.raises(ConfigError, match=r"of 7 labelled cases the first root has 7, .* and 0 are in the joined"):
        folds.make(of_kind_roots(), store, first_root=set(store.case_of.values()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"joined": ["a"]}, "name a folder twice"),
        ({"joined": ["b", "b"]}, "name a folder twice"),
        ({"joined": ["b"], "drop_scans": ["case1_day0"]}, "drop_scans is for one root"),
        ({"folds": {"kind": "roots"}}, "name one there"),
    ],
)
def test_roots_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(DatasetConfig).validate_python(toy.content(**{"root": "a", "drop_scans": [], **fields}))
