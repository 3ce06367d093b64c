"""Fold tables: every case once, groups and scans where they belong, and a leak is refused by name."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import toy
from casefold import folds
from casefold.config.base import FoldsConfig
from casefold.config.datasets import UwmgiDataset
from casefold.core import ConfigError, DataError, LeakError
from casefold.folds import FoldTable
from casefold.prepare import prepare
from casefold.store import Store
from toy import ToyScan

CASES = ["case2", "case7", "case10", "case11", "case20", "case31"]
HOSPITAL = {"case2": "a", "case7": "b", "case10": "a", "case11": "b", "case20": "c", "case31": "c"}
EVEN = "case2,0\ncase7,1\ncase10,2\ncase11,0\ncase20,1\ncase31,2\n"
BY_SCAN = (
    "case2,case2_day0,-1\ncase7,case7_day1,-1\ncase7,case7_day13,0\ncase10,case10_day3,-1\ncase11,case11_day2,-1\n"
    "case20,case20_day0,-1\ncase20,case20_day5,0\ncase31,case31_day4,-1\n"
)
SPLIT = "case2,train,-1\ncase7,train,-1\ncase10,train,-1\ncase11,val,0\ncase20,test,-2\ncase31,test,-2\n"
WORDS = {
    "case2": "train",
    "case7": "Training",
    "case10": "train",
    "case11": "valid",
    "case20": "test",
    "case31": "TEST ",
}


def config(**fields: Any) -> FoldsConfig:
    return TypeAdapter(FoldsConfig).validate_python(fields)


def read(tmp_path: Path, store: Store, rows: str, head: str = "case,fold", groups: Any = None) -> FoldTable:
    path = tmp_path / "toy.csv"
    path.write_text(f"{head}\n{rows}")
    return folds.read(path, store, groups)


def test_every_case_is_held_back_once(toy_store: Store) -> None:
    table = folds.make(config(kind="case", count=3, seed=2022), toy_store)
    assert (table.kind, table.count, list(table.fold_of)) == ("case", 3, CASES)
    held = []
    for fold in range(3):
        train, validation = table.split(toy_store, fold)
        assert sorted(train + validation) == sorted(toy_store.labelled())
        assert not {toy_store.case_of[name] for name in train} & {toy_store.case_of[name] for name in validation}
        assert {table.fold(toy_store, name) for name in validation} == {fold}
        held += validation
    assert sorted(held) == sorted(toy_store.labelled())


def test_classes_are_spread_over_the_folds(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    """Of six cases of equal length three hold nothing: each of three folds gets one of each sort."""
    scans = [ToyScan(f"case{n}_day0") for n in range(1, 7)]
    raw = toy.write_raw(tmp_path / "raw", scans)
    rows = (raw / "train.csv").read_text().splitlines()
    emptied = [row.rsplit(",", 1)[0] + "," if row.split("_")[0] in ("case2", "case3", "case6") else row for row in rows]
    (raw / "train.csv").write_text("\n".join(emptied) + "\n")
    store = prepare(toy_config, raw, tmp_path / "store")
    for seed in range(5):
        table = folds.make(config(kind="case", count=3, seed=seed), store)
        assert sorted(table.fold_of[case] for case in ("case2", "case3", "case6")) == [0, 1, 2]
        assert sorted(table.fold_of[case] for case in ("case1", "case4", "case5")) == [0, 1, 2]


def test_the_seed_alone_makes_the_table(toy_store: Store) -> None:
    tables = [folds.make(config(kind="case", count=3, seed=seed), toy_store) for seed in (0, 0, 1)]
    assert tables[0] == tables[1] and tables[0].hash == tables[1].hash
    assert tables[0].fold_of != tables[2].fold_of and tables[0].hash != tables[2].hash


def test_the_hash_is_of_the_split_not_of_the_order() -> None:
    table = FoldTable("case", {"case2": 0, "case7": 1})
    assert table.hash == FoldTable("case", {"case7": 1, "case2": 0}).hash
    assert table.hash != FoldTable("case", {"case2": 1, "case7": 0}).hash
    assert table.hash != FoldTable("time", {"case2": 0, "case7": 1}).hash


def test_too_few_cases_are_refused(toy_store: Store) -> None:
    with pytest.raises(ConfigError, match="7 folds want at least as many groups; there are 6"):
        folds.make(config(kind="case", count=7), toy_store)
    group = config(kind="group", file="g.csv", column="hospital", count=4)
    with pytest.raises(ConfigError, match="4 folds want at least as many groups; there are 3"):
        folds.make(group, toy_store, HOSPITAL)


def test_groups_stay_together(toy_store: Store) -> None:
    group = config(kind="group", file="g.csv", column="hospital", count=3)
    table = folds.make(group, toy_store, HOSPITAL)
    folds_of_group = {name: {table.fold_of[case] for case in CASES if HOSPITAL[case] == name} for name in "abc"}
    assert sorted(fold for (fold,) in folds_of_group.values()) == [0, 1, 2]
    with pytest.raises(DataError, match=r"2 cases have no group, the first are \['case2', 'case10'\]"):
        folds.make(group, toy_store, {case: name for case, name in HOSPITAL.items() if name != "a"})


def test_time_holds_back_the_last_scan_of_each_case(toy_store: Store, tmp_path: Path) -> None:
    table = folds.make(config(kind="time"), toy_store)
    assert table.kind == "time" and table.count == 1
    assert table.split(toy_store, 0) == (
        ["case2_day0", "case7_day1", "case10_day3", "case11_day2", "case20_day0", "case31_day4"],
        ["case7_day13", "case20_day5"],
    )
    folds.write(table, toy_store, tmp_path / "toy.csv")
    assert (tmp_path / "toy.csv").read_text() == "case,scan,fold\n" + BY_SCAN
    assert folds.read(tmp_path / "toy.csv", toy_store) == table


def test_time_wants_a_case_with_two_scans(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    raw = toy.write_raw(tmp_path / "raw", [ToyScan("case1_day0"), ToyScan("case2_day0")])
    store = prepare(toy_config, raw, tmp_path / "store")
    with pytest.raises(ConfigError, match="hold back the last scan of each case, but no case here has two scans"):
        folds.make(config(kind="time"), store)


def test_unlabelled_scans_are_in_no_table(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    raw = toy.write_raw(tmp_path / "raw", [*toy.SCANS, *toy.UNLABELLED])
    store = prepare(toy_config, raw, tmp_path / "store")
    table = folds.make(config(kind="case", count=3), store)
    assert list(table.fold_of) == CASES
    train, held = table.split(store, 0)
    assert sorted(train + held) == sorted(scan.name for scan in toy.SCANS)


def test_a_written_table_reads_back_equal(toy_store: Store, tmp_path: Path) -> None:
    table = folds.make(config(kind="case", count=3), toy_store)
    folds.write(table, toy_store, tmp_path / "toy.csv")
    assert (tmp_path / "toy.csv").read_text().splitlines()[0] == "case,fold"
    assert folds.read(tmp_path / "toy.csv", toy_store) == table


def test_a_given_table_is_taken_as_it_is(toy_store: Store, tmp_path: Path) -> None:
    table = read(tmp_path, toy_store, EVEN)
    assert table.fold_of == {"case2": 0, "case7": 1, "case10": 2, "case11": 0, "case20": 1, "case31": 2}
    assert table.split(toy_store, 1)[1] == ["case7_day1", "case7_day13", "case20_day0", "case20_day5"]


@pytest.mark.parametrize("fold", [-1, 3])
def test_a_fold_beyond_the_table_is_refused(toy_store: Store, tmp_path: Path, fold: int) -> None:
    with pytest.raises(ConfigError, match=rf"there is no fold {fold}: the table has folds 0 to 2"):
        read(tmp_path, toy_store, EVEN).split(toy_store, fold)


def test_a_case_in_two_folds_is_a_leak(toy_store: Store, tmp_path: Path) -> None:
    with pytest.raises(LeakError, match=r"toy\.csv: case case7 is in more than one fold"):
        read(tmp_path, toy_store, EVEN + "case7,2\n")
    with pytest.raises(DataError, match=r"toy\.csv: case case7 stands more than once"):
        read(tmp_path, toy_store, EVEN + "case7,1\n")


def test_a_scan_twice_under_time_is_refused(toy_store: Store, tmp_path: Path) -> None:
    head = "case,scan,fold"
    with pytest.raises(LeakError, match=r"toy\.csv: scan case7_day1 is in more than one fold"):
        read(tmp_path, toy_store, BY_SCAN + "case7,case7_day1,0\n", head)
    with pytest.raises(DataError, match=r"toy\.csv: scan case7_day1 stands more than once"):
        read(tmp_path, toy_store, BY_SCAN + "case7,case7_day1,-1\n", head)
    with pytest.raises(DataError, match=r"toy\.csv: scan case7_day1 is of case case7, not of case case2"):
        read(tmp_path, toy_store, BY_SCAN.replace("case7,case7_day1", "case2,case7_day1"), head)


def test_a_group_in_two_folds_is_a_leak(toy_store: Store, tmp_path: Path) -> None:
    apart = {"case2": "a", "case11": "a", "case7": "b", "case20": "b", "case10": "c", "case31": "c"}
    assert read(tmp_path, toy_store, EVEN, groups=apart).count == 3
    with pytest.raises(LeakError, match=r"group a: \['case10', 'case2'\] are in folds \[0, 2\]; keep them in one"):
        read(tmp_path, toy_store, EVEN, groups=HOSPITAL)
    with pytest.raises(DataError, match=r"1 cases have no group, the first are \['case31'\]"):
        read(tmp_path, toy_store, EVEN, groups={case: case for case in CASES[:-1]})


def test_the_same_image_under_two_cases_is_a_leak(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    """case99 is case2 under another name: each alone looks clean."""
    raw = toy.write_raw(tmp_path / "raw", [*toy.SCANS, ToyScan("case99_day0")])
    source, copy = (raw / "train" / case / f"{case}_day0" / "scans" for case in ("case2", "case99"))
    shutil.rmtree(copy)
    shutil.copytree(source, copy)
    store = prepare(toy_config, raw, tmp_path / "store")
    message = r"the same image stands in two folds, as \w+: \['case2', 'case99'\] are in folds \[0, 1\]"
    with pytest.raises(LeakError, match=message):
        read(tmp_path, store, EVEN + "case99,1\n")
    assert read(tmp_path, store, EVEN + "case99,0\n").fold_of["case99"] == 0


def test_a_planted_case_in_the_store_is_refused(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    store = prepare(toy_config, toy.write_raw(tmp_path / "raw"), tmp_path / "store")
    record = tmp_path / "store" / "scans" / "case7_day1" / "scan.json"
    record.write_text(record.read_text().replace('"case": "case7"', '"case": "case2"'))
    with pytest.raises(DataError, match="scan case7_day1 belongs to case case7 by the index, but its folder says"):
        read(tmp_path, store, EVEN)


@pytest.mark.parametrize(
    ("rows", "head", "message"),
    [
        (EVEN.replace("case7,1\n", ""), "case,fold", r"missing \['case7'\], unknown \[\]"),
        (EVEN + "case8,0\n", "case,fold", r"missing \[\], unknown \['case8'\]"),
        (EVEN.replace("case7,", "case07,"), "case,fold", r"missing \['case7'\], unknown \['case07'\]"),
        (EVEN.replace(",1", ",3"), "case,fold", r"numbered 0, 1, 2 \.\.\. without a gap, but are \[0, 2, 3\]"),
        (EVEN.replace(",1", ",-1"), "case,fold", r"without a gap, but are \[-1, 0, 2\]"),
        (EVEN.replace(",1", ",-2"), "case,fold", r"without a gap, but are \[-2, 0, 2\]"),
        (BY_SCAN.replace("day3,-1", "day3,-2"), "case,scan,fold", r"without a gap, but are \[-2, -1, 0\]"),
        (SPLIT.replace("test,-2", "test,-3"), "case,split,fold", r"without a gap, but are \[-3, -1, 0\]"),
        (SPLIT.replace("val,0", "val,1"), "case,split,fold", r"without a gap, but are \[-2, -1, 1\]"),
        (SPLIT.replace("val,0", "test,0"), "case,split,fold", r"case case11 is 'test' but has the fold 0, 'val'"),
        (SPLIT.replace("case31,", "case32,"), "case,split,fold", r"missing \['case31'\], unknown \['case32'\]"),
        (BY_SCAN.replace(",0\n", ",-1\n"), "case,scan,fold", r"without a gap, but are \[-1\]"),
        (EVEN.replace(",1", ",0.5"), "case,fold", r"a whole number, the column holds \['0', '0.5', '2'\]$"),
        (EVEN.replace(",1", ","), "case,fold", "every fold should be a whole number"),
        ("", "case,fold", "every fold should be a whole number"),
        (EVEN, "fold,case", r"columns case,fold or case,scan,fold or case,split,fold, but has \['fold', 'case'\]"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    toy_store: Store, tmp_path: Path, rows: str, head: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, toy_store, rows, head)


def test_no_table_no_folds(toy_store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no fold table .*toy\.csv; `folds` makes it"):
        folds.read(tmp_path / "toy.csv", toy_store)


def test_names_are_sorted_as_people_count() -> None:
    names = ["case10", "case2", "case2_day13", "case2_day7", "a"]
    assert sorted(names, key=folds.natural_key) == ["a", "case2", "case2_day7", "case2_day13", "case10"]


def split_file(tmp_path: Path, rows: list[str], head: str = "case,split") -> Path:
    (tmp_path / "split.csv").write_text("\n".join([head, *rows]) + "\n")
    return tmp_path


def test_a_given_split_is_one_fold(toy_store: Store, tmp_path: Path) -> None:
    given = config(kind="given", file="split.csv")
    rows = [f"{case},{word}" for case, word in WORDS.items()]
    words = folds.words_of(given, split_file(tmp_path, [*rows, rows[0]]), toy_store)  # a line a slice does no harm
    table = folds.make(given, toy_store, words)
    assert (table.kind, table.count) == ("given", 1)
    assert table.fold_of == {"case2": -1, "case7": -1, "case10": -1, "case11": 0, "case20": -2, "case31": -2}
    train = ["case2_day0", "case7_day1", "case7_day13", "case10_day3"]
    assert table.split(toy_store, 0) == (train, ["case11_day2"])
    assert table.learnable(toy_store) == [*train, "case11_day2"]
    folds.write(table, toy_store, tmp_path / "toy.csv")
    assert (tmp_path / "toy.csv").read_text() == "case,split,fold\n" + SPLIT
    assert folds.read(tmp_path / "toy.csv", toy_store) == table
    with pytest.raises(ConfigError, match="there is no fold -2: the table has folds 0 to 0"):
        table.split(toy_store, -2)


def test_columns_of_a_given_split_are_named_by_the_config(toy_store: Store, tmp_path: Path) -> None:
    given = config(kind="given", file="split.csv", case="patient", column="part")
    rows = [f"x,{word},{case}" for case, word in WORDS.items()]
    assert folds.words_of(given, split_file(tmp_path, rows, "site,part,patient"), toy_store) == WORDS
    with pytest.raises(
        DataError, match=r"split\.csv should have the columns patient and part, but has \['a', 'part'\]"
    ):
        folds.words_of(given, split_file(tmp_path, [], "a,part"), toy_store)
    with pytest.raises(DataError, match=r"folds\.file: there is no .*elsewhere/split\.csv"):
        folds.words_of(given, tmp_path / "elsewhere", toy_store)


@pytest.mark.parametrize("word", ["val", "valid", "validation", " Val"])
def test_validation_has_many_spellings(toy_store: Store, word: str) -> None:
    given = config(kind="given", file="split.csv")
    assert folds.make(given, toy_store, WORDS | {"case11": word}).fold_of["case11"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"case11": "vall"}, r"split\.csv: case case11 is 'vall'; wanted one of train, training, val, valid, valid"),
        (
            {"case8": "train"},
            r"does not fit the store .*: it lacks \[\] and has the unknown \['case8'\]; each case wan",
        ),
        ({"case11": None, "case7": None}, r"it lacks \['case7', 'case11'\] and has the unknown \[\]"),
        ({"case11": "test"}, r"split\.csv: no labelled case is 'val'; one fold wants cases to train and to hold back"),
        (dict.fromkeys(("case2", "case7", "case10"), "test"), r"split\.csv: no labelled case is 'train'; one fold"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(toy_store: Store, changes: dict[str, str | None], message: str) -> None:
    words = {case: word for case, word in {**WORDS, **changes}.items() if word is not None}
    with pytest.raises(DataError, match=message):
        folds.make(config(kind="given", file="split.csv"), toy_store, words)


def test_a_case_of_two_words_is_refused(toy_store: Store, tmp_path: Path) -> None:
    root = split_file(tmp_path, ["case2,train", "case7,train", "case7,val"])
    message = r"split\.csv: case case7 has several words in the column split: \['train', 'val'\]"
    with pytest.raises(DataError, match=message):
        folds.words_of(config(kind="given", file="split.csv"), root, toy_store)
    with pytest.raises(DataError, match=message):
        folds.words_of(config(kind="group", file="split.csv", column="split"), root, toy_store)


def test_unlabelled_cases_may_stand_in_a_given_split(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    raw = toy.write_raw(tmp_path / "raw", [*toy.SCANS, *toy.UNLABELLED])
    store = prepare(toy_config, raw, tmp_path / "store")
    table = folds.make(config(kind="given", file="split.csv"), store, WORDS | {"case40": "test"})
    assert sorted(table.fold_of) == sorted(CASES)


def test_groups_by_the_cases_name(toy_store: Store) -> None:
    """The first digit: cases 2 and 20 together, 10 and 11 too."""
    group = config(kind="group", pattern=r"case(\d)", count=3)
    words = folds.words_of(group, Path("nowhere"), toy_store)
    assert words == {"case2": "2", "case7": "7", "case10": "1", "case11": "1", "case20": "2", "case31": "3"}
    table = folds.make(group, toy_store, words)
    assert table.fold_of["case2"] == table.fold_of["case20"] and table.fold_of["case10"] == table.fold_of["case11"]
    some = folds.words_of(config(kind="group", pattern=r"case(\d\d)"), Path("nowhere"), toy_store)
    with pytest.raises(DataError, match=r"2 cases have no group, the first are \['case2', 'case7'\]"):
        folds.make(group, toy_store, some)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"case\d", r"folds\.pattern: 'case\\\\d' has no group; its first group is what cases share"),
        (r"case(\d", r"folds\.pattern: 'case\(\\\\d' is no regular expression: missing \)"),
    ],
)
def test_a_pattern_that_can_not_group_is_refused(toy_store: Store, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        folds.words_of(config(kind="group", pattern=pattern), Path("nowhere"), toy_store)


@pytest.mark.parametrize(
    ("shares", "total", "counts"),
    [
        ((0.5, 0.2, 0.3), 10, [5, 2, 3]),
        ((0.5, 0.2, 0.3), 7, [4, 1, 2]),  # 3.5, 1.4, 2.1: the one left over goes to the half
        ((0.5, 0.2, 0.3), 13, [6, 3, 4]),  # 6.5, 2.6, 3.9: two left over, to .9 and .6
        ((0.5, 0.2, 0.3), 5, [3, 1, 1]),  # 2.5, 1, 1.5: of equal remainders the first
        ((0.29, 0.41, 0.3), 100, [29, 41, 30]),  # 0.29 * 100 is 28.999999999999996
        ((0.8, 0.2, 0.0), 6, [5, 1, 0]),  # 4.8, 1.2, 0
        ((0.9, 0.05, 0.05), 6, [6, 0, 0]),  # 5.4, 0.3, 0.3
    ],
)
def test_shares_are_rounded_by_the_largest_remainder(shares: tuple[float, ...], total: int, counts: list[int]) -> None:
    assert folds.apportion(shares, total) == counts


def test_shares_divide_the_cases_by_seed(tmp_path: Path, toy_config: UwmgiDataset) -> None:
    """Of ten cases, one with two scans, five train, two validate and three are kept for the test."""
    scans = [*(ToyScan(f"case{n}_day0", slices=2) for n in range(1, 11)), ToyScan("case3_day1", slices=2)]
    store = prepare(toy_config, toy.write_raw(tmp_path / "raw", scans), tmp_path / "store")
    shares = config(kind="shares", train=0.5, validation=0.2, test=0.3, seed=7)
    table = folds.make(shares, store)
    assert (table.kind, table.count) == ("given", 1)
    assert list(table.fold_of) == [f"case{n}" for n in range(1, 11)]
    assert [list(table.fold_of.values()).count(fold) for fold in (-1, 0, -2)] == [5, 2, 3]
    train, held = table.split(store, 0)
    test = table.kept_for_test(store)
    assert sorted([*train, *held, *test]) == sorted(store.labelled())
    assert table.learnable(store) == [name for name in store.labelled() if name in train or name in held]
    assert table.fold(store, "case3_day0") == table.fold(store, "case3_day1")
    assert folds.make(shares, store) == table
    assert len({folds.make(config(kind="shares", seed=seed), store).hash for seed in range(4)}) == 4


def test_a_table_by_shares_is_written_and_verified_as_a_given_one(toy_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "toy.csv"
    table = folds.make(config(kind="shares"), toy_store)  # 3.0, 1.2, 1.8 of six cases
    folds.write(table, toy_store, path)
    rows = path.read_text().splitlines()
    assert rows[0] == "case,split,fold" and [row.split(",")[0] for row in rows[1:]] == CASES
    endings = [row.split(",", 1)[1] for row in rows[1:]]
    assert sorted(endings) == ["test,-2", "test,-2", "train,-1", "train,-1", "train,-1", "val,0"]
    assert folds.read(path, toy_store) == table
    path.write_text("\n".join(row for row in rows if not row.startswith("case7,")))
    with pytest.raises(DataError, match=r"missing \['case7'\], unknown \[\]"):
        folds.read(path, toy_store)


def test_groups_stay_together_under_shares(toy_store: Store, tmp_path: Path) -> None:
    """Three hospitals by thirds: 1.02, 0.99, 0.99, so one each."""
    shares = config(kind="shares", file="g.csv", column="hospital", train=0.34, validation=0.33, test=0.33)
    table = folds.make(shares, toy_store, HOSPITAL)
    folds_of_group = {name: {table.fold_of[case] for case in CASES if HOSPITAL[case] == name} for name in "abc"}
    assert sorted(fold for (fold,) in folds_of_group.values()) == [-2, -1, 0]
    folds.write(table, toy_store, tmp_path / "toy.csv")
    assert folds.read(tmp_path / "toy.csv", toy_store, HOSPITAL) == table
    with pytest.raises(LeakError, match=r"group a: \['case10', 'case2', 'case7'\] are in folds \[-?\d, -?\d\]; keep"):
        folds.read(tmp_path / "toy.csv", toy_store, HOSPITAL | {"case7": "a"})
    by_name = config(kind="shares", pattern=r"case(\d)", train=0.4, validation=0.3, test=0.3)
    words = folds.words_of(by_name, Path("nowhere"), toy_store)
    assert words == {"case2": "2", "case7": "7", "case10": "1", "case11": "1", "case20": "2", "case31": "3"}
    assert folds.words_of(config(kind="shares"), Path("nowhere"), toy_store) is None


def test_a_part_that_would_get_no_case_is_refused(toy_store: Store) -> None:
    bare = config(kind="shares", train=0.9, validation=0.05, test=0.05)
    with pytest.raises(
        ConfigError, match=r"6 cases divided by .* leave none for \['validation', 'test'\]; give larger"
    ):
        folds.make(bare, toy_store)
    few = config(kind="shares", file="g.csv", column="hospital", train=0.5, validation=0.1, test=0.4)
    with pytest.raises(ConfigError, match=r"3 groups divided by .* leave none for \['validation'\]"):
        folds.make(few, toy_store, HOSPITAL)  # 1.5, 0.3, 1.2


def test_shares_without_a_test_part(toy_store: Store) -> None:
    table = folds.make(config(kind="shares", train=0.8, validation=0.2, test=0), toy_store)
    assert sorted(table.fold_of.values()) == [-1, -1, -1, -1, -1, 0]
    assert table.kept_for_test(toy_store) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"test": 0.2}, r"train 0\.5, validation 0\.2 and test 0\.2 should sum to 1, but sum to 0\.9"),
        ({"train": 0, "validation": 0.7}, "train\n.*greater than 0"),
        ({"validation": 0, "train": 0.7}, "validation\n.*greater than 0"),
        ({"file": "g.csv"}, "groups come from `file` and `column`, or from `pattern`; give one of the two"),
        ({"file": "g.csv", "column": "site", "pattern": "(.)"}, "groups come from `file` and `column`, or from `pa"),
    ],
)
def test_shares_that_are_none_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(kind="shares", **fields)


@pytest.fixture
def partial(tmp_path: Path, toy_config: UwmgiDataset) -> Store:
    """Cases 2 and 7 prepared, the others left out."""
    return prepare(toy_config, toy.write_raw(tmp_path / "raw"), tmp_path / "store", cases=["case2", "case7"])


@pytest.mark.parametrize(
    "fields",
    [{"kind": "case", "count": 2}, {"kind": "time"}, {"kind": "given", "file": "a.csv"}, {"kind": "shares"}],
)
def test_no_table_is_made_from_a_partial_store(partial: Store, fields: dict[str, Any]) -> None:
    message = (
        r"the store .* is partial, 5 scans were left out: no fold table is made from it\. Prepare the whole set first"
    )
    with pytest.raises(ConfigError, match=message):
        folds.make(config(**fields), partial, {"case2": "train", "case7": "val"})


def test_what_a_partial_store_left_out_is_neither_missing_nor_unknown(partial: Store, tmp_path: Path) -> None:
    table = read(tmp_path, partial, EVEN)
    assert table.split(partial, 1) == (["case2_day0"], ["case7_day1", "case7_day13"])
    assert read(tmp_path, partial, BY_SCAN, "case,scan,fold").split(partial, 0)[1] == ["case7_day13"]
    assert read(tmp_path, partial, SPLIT, "case,split,fold").split(partial, 0)[1] == []
    with pytest.raises(DataError, match=r"missing \[\], unknown \['case8'\]"):
        read(tmp_path, partial, EVEN + "case8,0\n")
    with pytest.raises(DataError, match=r"missing \['case7'\], unknown \[\]"):
        read(tmp_path, partial, EVEN.replace("case7,1\n", ""))
