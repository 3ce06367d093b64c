"""A team mate's OOF becomes a member's like any other, once; every scan, fold and case that is not right is named."""

import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toy
from casefold.config import external as schema
from casefold.config.base import TimeFolds
from casefold.core import DataError, LeakError, StaleError
from casefold.files import hash_file
from casefold.folds import FoldTable, make
from casefold.models.weights import read_info
from casefold.oof import join, read_prediction
from casefold.oof.external import open_outside
from casefold.oof.importing import import_oof
from casefold.store import Store
from toy_external import HIS, Content, change, external, his, write_mate
from toy_faults import times

Import = Callable[[], Path]


@pytest.fixture
def mate(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> Path:
    """The mate's folder, with the folds of the table; a test may spoil it."""
    return write_mate(tmp_path / "mate", toy_store, toy_table)


@pytest.fixture
def imported(mate: Path, toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> Import:
    """Imports the folder, and gives the member's."""

    def run() -> Path:
        outside = open_outside(external(), mate, toy_store.classes)
        import_oof(outside, toy_store, toy_table, tmp_path / "runs" / "mate")
        return tmp_path / "runs" / "mate"

    return run


def test_it_joins_like_a_member_trained_here(imported: Import, toy_store: Store, toy_table: FoldTable) -> None:
    member = imported()
    files = join(member, toy_table, toy_store)
    assert list(files) == [scan.name for scan in toy.SCANS]
    for name, path in files.items():
        fold, made = toy_table.fold(toy_store, name), read_prediction(path)
        assert path == member / f"fold{fold}" / "oof" / f"{name}.npz"
        truth = toy_store.scan(name).class_masks()
        # of `left`, which he has last, 1 inside and 0.25 outside; of `right` 0.5 inside
        np.testing.assert_array_equal(made.maps, np.where(truth, np.array([255, 128])[:, None, None, None], 64))
        assert (made.member, made.fold, made.classes, made.presence) == ("mate", str(fold), toy.CLASSES, None)
        info = read_info(path.parents[1] / "weights.safetensors")
        assert set(info.seen_cases) == {case for case, own in toy_table.fold_of.items() if own != fold}
    assert sorted(path.name for path in member.iterdir()) == ["fold0", "fold1", "fold2", "import.json"]


def test_the_same_files_are_imported_once(imported: Import) -> None:
    before = times(imported())
    assert times(imported()) == before


def test_a_lost_file_is_imported_again(imported: Import) -> None:
    member = imported()
    lost = member / "fold0" / "oof" / f"{next((member / 'fold0' / 'oof').iterdir()).stem}.npz"
    digest, before = hash_file(lost), times(member)
    lost.unlink()
    assert set(times(imported())) == set(before) and hash_file(lost) == digest


def test_other_files_are_refused_naming_what_changed(imported: Import, mate: Path, toy_store: Store) -> None:
    member = imported()
    before = times(member)
    np.savez(mate / "case7_day1.npz", maps=1 - his(toy_store.scan("case7_day1")))
    with pytest.raises(
        StaleError, match=r"mate was imported from other files: oof\.case7_day1: .* call again with --re"
    ):
        imported()
    assert times(member) == before


def test_what_a_killed_import_left_does_no_harm(imported: Import, mate: Path, tmp_path: Path) -> None:
    part = tmp_path / "runs" / ".mate.part" / "fold0" / "oof"
    part.mkdir(parents=True)
    (part / "case99_day0.npz").touch()
    member = imported()
    assert not any("case99" in name for name in times(member)) and not part.exists()


def test_a_trained_member_of_that_name_stays(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mate" / "fold0").mkdir(parents=True)
    with pytest.raises(DataError, match="mate is there but was not imported; give the external member another name"):
        imported()


def first(manifest: Content) -> Any:
    """The entry of case2_day0."""
    return manifest["oof"][0]


def shift_fold(manifest: Content) -> None:
    first(manifest)["fold"] = (first(manifest)["fold"] + 1) % 3


def cases_of_no_use(manifest: Content) -> None:
    manifest["seen_cases"] = {5: ["case2"]}


def all_seen(manifest: Content) -> None:
    manifest["seen_cases"] = {fold: ["case2", "case7"] for fold in range(3)}


def cases_by_other_names(manifest: Content) -> None:
    manifest["seen_cases"] = {fold: ["case_002", "case_007"] for fold in range(3)}


@pytest.mark.parametrize(
    ("by", "kind", "message"),
    [
        (lambda m: m["oof"].pop(0), DataError, r"oof lacks 1 scans, the first are \['case2_day0'\]"),
        (
            lambda m: first(m).update(scan="case99_day0"),
            DataError,
            r"1 scans of oof are held back in no fold, the first are \['case99_day0'\]",
        ),
        (
            lambda m: m["oof"].append(first(m)),
            DataError,
            r"oof names the scan case2_day0 more than once",
        ),
        (
            lambda m: m.update(classes=["right", "middle"]),
            DataError,
            r"classes should be \['left', 'right'\] in any order",
        ),
        (
            shift_fold,
            LeakError,
            r"scan case2_day0 was predicted by fold \d, but the fold table holds it back in \d; give",
        ),
        (cases_of_no_use, DataError, r"scan case2_day0 was predicted by fold \d, but seen_cases has \[5\]"),
        (
            cases_by_other_names,
            DataError,
            r"seen_cases of fold 0 names no case of the store, whose cases are called as case2, but \['case_002',",
        ),
        (all_seen, LeakError, r"scan case2_day0 was predicted by fold \d, whose model has seen its case case2"),
        (
            lambda m: first(m).update(file=m["oof"][-1]["file"]),
            DataError,
            "oof names the file case31_day4.npz more than",
        ),
    ],
)
def test_scans_folds_and_cases_that_are_not_right(
    by: Callable[[Content], Any], kind: type[Exception], message: str, imported: Import, mate: Path, tmp_path: Path
) -> None:
    change(mate, by)
    with pytest.raises(kind, match=message):
        imported()
    assert not (tmp_path / "runs" / "mate").exists()


def test_another_scans_maps_are_named(imported: Import, mate: Path) -> None:
    """case31_day4 alone has slices of 32 x 30."""
    shutil.copy(mate / "case31_day4.npz", mate / "case2_day0.npz")
    message = (
        "case2_day0.npz: maps should be (class, z, y, x) = (2, 8, 28, 36) for scan case2_day0, but are (2, 8, 32, 30)"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        imported()


def test_masks_in_the_place_of_maps_are_named(imported: Import, mate: Path, toy_store: Store) -> None:
    for name in toy_store.labelled():
        np.savez(mate / f"{name}.npz", maps=toy_store.scan(name).class_masks()[::-1].astype(np.uint8))
    with pytest.raises(DataError, match=r"mate: no map reaches more than 1 of 255; uint8 counts 0\.\.255"):
        imported()


def test_presence_is_of_all_scans_or_of_none(imported: Import, mate: Path, toy_store: Store) -> None:
    scan = toy_store.scan("case7_day1")
    np.savez(mate / "case7_day1.npz", maps=his(scan), presence=np.zeros((2, scan.grid.shape[0])))
    with pytest.raises(DataError, match=r"case7_day1\.npz: some scans have presence, some have none"):
        imported()


def test_his_own_folds_join_under_ours(imported: Import, mate: Path, toy_store: Store, toy_table: FoldTable) -> None:
    """Two folds of his: one model saw the first three cases and predicted the others, one the other way round."""
    cases = list(dict.fromkeys(toy_store.case_of.values()))

    def two_folds(manifest: Content) -> None:
        manifest["seen_cases"] = {0: cases[:3], 1: [*cases[3:], "case900"]}
        for entry in manifest["oof"]:
            entry["fold"] = int(toy_store.case_of[entry["scan"]] in cases[:3])

    change(mate, two_folds)
    member = imported()
    assert list(join(member, toy_table, toy_store)) == toy_store.labelled()
    for fold in range(toy_table.count):
        held = {toy_store.case_of[name] for name in toy_table.split(toy_store, fold)[1]}
        seen = set(read_info(member / f"fold{fold}" / "weights.safetensors").seen_cases)
        assert not seen & held
        assert ("case900" in seen) == bool(held & set(cases[:3]))


def test_under_a_table_by_time_the_folds_are_the_tables(toy_store: Store, tmp_path: Path) -> None:
    table = make(TimeFolds(kind="time"), toy_store)
    folder = write_mate(tmp_path / "mate", toy_store, table)
    held = ["case7_day13", "case20_day5"]
    change(folder, lambda m: m.update(oof=[entry for entry in m["oof"] if entry["scan"] in held]))
    import_oof(open_outside(external(), folder, toy_store.classes), toy_store, table, tmp_path / "runs")
    assert list(join(tmp_path / "runs", table, toy_store)) == held
    change(folder, lambda m: m.update(seen_cases={0: []}))
    with pytest.raises(
        DataError, match="under a fold table by time, seen_cases says nothing of scans; use the table's"
    ):
        import_oof(open_outside(external(), folder, toy_store.classes), toy_store, table, tmp_path / "other")


def test_his_classes_may_stand_in_any_order() -> None:
    """The toy's maps would not show a swap if the mate kept our order."""
    assert HIS == ("right", "left") and toy.CLASSES == ("left", "right")


def test_the_ten_lines_of_the_docstring_are_accepted(
    toy_store: Store, toy_table: FoldTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = str(schema.__doc__)
    lines = textwrap.dedent(text[text.index("    import json") : text.index("\n\nWith the folder")])
    code = lines.replace('["stomach", "large_bowel", "small_bowel"]', '["right", "left"]')
    assert code != lines and len(code.splitlines()) == 9
    oof = [(name, toy_table.fold(toy_store, name), his(toy_store.scan(name))) for name in toy_store.labelled()]
    seen = {fold: [case for case, own in toy_table.fold_of.items() if own != fold] for fold in range(3)}
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    exec(code, {"oof": oof, "test": [("case41_day0", np.ones((2, 1, 1, 1)))], "seen": seen})
    outside = open_outside(external(), tmp_path / "mine", toy_store.classes)
    import_oof(outside, toy_store, toy_table, tmp_path / "mate")
    assert list(join(tmp_path / "mate", toy_table, toy_store)) == toy_store.labelled()
    assert [entry.scan for entry in outside.manifest.test] == ["case41_day0"]
