"""A leak planted in every place where one could enter; each is refused, and the message names the case or scan."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

import toy
from casefold.config.base import GivenFolds, SharesFolds, TimeFolds
from casefold.config.datasets import UwmgiDataset
from casefold.core import DataError, LeakError, StaleError
from casefold.folds import FoldTable, make, read, write
from casefold.models.weights import read_info
from casefold.oof import join, write_prediction
from casefold.pipeline.held_out import refuse_seen_test
from casefold.prepare import prepare
from casefold.store import Store
from casefold.train.run import Job, train
from toy_members import oof_prediction, seg25d, write_oof, write_weights


@pytest.fixture
def store(toy_store: Store, tmp_path: Path) -> Store:
    """A copy of the toy store that a test may spoil."""
    shutil.copytree(toy_store.root, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def path(toy_table: FoldTable, toy_store: Store, tmp_path: Path) -> Path:
    """A copy of the fold table that a test may spoil."""
    write(toy_table, toy_store, tmp_path / "toy.csv")
    return tmp_path / "toy.csv"


@pytest.fixture
def given(toy_store: Store) -> FoldTable:
    """A split that came with the data: case20 and case31 are kept for the test."""
    words = dict.fromkeys(toy_store.case_of.values(), "train") | {"case11": "val", "case20": "test", "case31": "test"}
    return make(GivenFolds(kind="given", file="split.csv"), toy_store, words)


@pytest.fixture
def member(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> Path:
    """A member with clean OOF that a test may spoil."""
    member = write_oof(tmp_path / "toy_2d", toy_store, toy_table)
    assert len(join(member, toy_table, toy_store)) == len(toy.SCANS)
    return member


def test_a_case_in_two_folds_of_the_table(path: Path, toy_store: Store, toy_table: FoldTable) -> None:
    other = (toy_table.fold_of["case7"] + 1) % toy_table.count
    path.write_text(path.read_text() + f"case7,{other}\n")
    with pytest.raises(LeakError, match=r"toy\.csv: case case7 is in more than one fold"):
        read(path, toy_store)


def test_a_scan_in_two_folds_of_a_time_table(toy_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "time.csv"
    write(make(TimeFolds(kind="time"), toy_store), toy_store, path)
    path.write_text(path.read_text() + "case7,case7_day13,-1\n")
    with pytest.raises(LeakError, match=r"time\.csv: scan case7_day13 is in more than one fold"):
        read(path, toy_store)


def test_a_group_in_two_folds(path: Path, toy_store: Store, toy_table: FoldTable) -> None:
    hospitals = {case: f"hospital of {case}" for case in toy_table.fold_of}
    one, other = (min(case for case, fold in toy_table.fold_of.items() if fold == wanted) for wanted in (0, 1))
    hospitals |= {one: "Norte", other: "Norte"}
    with pytest.raises(LeakError, match=r"group Norte: \['case\d+', 'case\d+'\] are in folds \[0, 1\]; keep"):
        read(path, toy_store, hospitals)


def test_a_scan_whose_folder_belongs_to_another_case(path: Path, store: Store) -> None:
    record = store.root / "scans" / "case7_day1" / "scan.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"case": "case2"}))
    with pytest.raises(DataError, match=r"scan case7_day1 belongs to case case7 by the index, but .* of case case2"):
        read(path, store)


def test_a_scan_put_in_the_place_of_another_cases(path: Path, store: Store) -> None:
    scans = store.root / "scans"
    shutil.rmtree(scans / "case7_day1")
    shutil.copytree(scans / "case2_day0", scans / "case7_day1")
    with pytest.raises(
        DataError, match=r"scan case7_day1 belongs .* says scan case2_day0 of case case2; run `prepare`"
    ):
        read(path, store)


def test_the_same_image_under_two_cases(
    tmp_path: Path, path: Path, toy_config: UwmgiDataset, toy_table: FoldTable
) -> None:
    twin = next(case for case in ("case11", "case20") if toy_table.fold_of[case] != toy_table.fold_of["case2"])
    scan = next(scan for scan in toy.SCANS if scan.case == twin)
    raw = toy.write_raw(tmp_path / "raw")
    for source in sorted((raw / "train" / "case2" / "case2_day0" / "scans").iterdir()):
        target = raw / "train" / twin / scan.name / "scans" / source.name
        cv2.imwrite(str(target), cv2.imread(str(source), cv2.IMREAD_UNCHANGED))
    store = prepare(toy_config, raw, tmp_path / "store")
    pair = sorted(["case2", twin])
    with pytest.raises(
        LeakError, match=rf"the same image stands in two folds, as \w+: \['{pair[0]}', '{pair[1]}'\] are"
    ):
        read(path, store)


def test_a_full_fit_in_the_place_of_a_fold(member: Path, toy_store: Store, toy_table: FoldTable) -> None:
    write_weights(member / "fold1", toy_store, toy_table, 1, fold="full", seen_cases=tuple(toy_table.fold_of))
    with pytest.raises(LeakError, match=r"fold1 holds the weights of fold full, not of fold 1"):
        join(member, toy_table, toy_store)


def test_a_prediction_by_a_full_fit(member: Path, toy_store: Store, toy_table: FoldTable) -> None:
    name = toy_table.split(toy_store, 1)[1][0]
    made = oof_prediction(member / "fold1", toy_store, name, 1, fold="full")
    write_prediction(made, member / "fold1" / "oof" / f"{name}.npz")
    with pytest.raises(LeakError, match=rf"scan {name} is held back in fold 1, but was predicted by fold full"):
        join(member, toy_table, toy_store)


def test_a_prediction_of_another_fold(member: Path, toy_store: Store, toy_table: FoldTable) -> None:
    name = toy_table.split(toy_store, 0)[1][0]
    made = oof_prediction(member / "fold1", toy_store, name, 1)
    (member / "fold0" / "oof" / f"{name}.npz").unlink()
    write_prediction(made, member / "fold1" / "oof" / f"{name}.npz")
    with pytest.raises(
        LeakError, match=f"scan {name} is held back in fold 0, but was predicted by fold 1 and lies unde"
    ):
        join(member, toy_table, toy_store)


def test_a_prediction_of_another_fold_put_where_its_own_should_be(
    member: Path, toy_store: Store, toy_table: FoldTable
) -> None:
    name = toy_table.split(toy_store, 0)[1][0]
    made = oof_prediction(member / "fold1", toy_store, name, 1)
    write_prediction(made, member / "fold0" / "oof" / f"{name}.npz")
    with pytest.raises(
        LeakError, match=f"scan {name} is held back in fold 0, but was predicted by fold 1 and lies unde"
    ):
        join(member, toy_table, toy_store)


def test_weights_of_another_fold(member: Path, toy_store: Store, toy_table: FoldTable) -> None:
    shutil.copy(member / "fold1" / "weights.safetensors", member / "fold0" / "weights.safetensors")
    with pytest.raises(LeakError, match=r"fold0 holds the weights of fold 1, not of fold 0"):
        join(member, toy_table, toy_store)


def test_weights_that_have_seen_the_case(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    """As weights built on a pretraining, a teacher or a detector that had the case."""
    member = write_oof(tmp_path / "toy_2d", toy_store, toy_table, seen_cases=("case900", "case31"))
    fold = toy_table.fold_of["case31"]
    with pytest.raises(
        LeakError, match=f"OOF for scan case31_day4: the weights of toy_2d fold {fold} have seen case case"
    ):
        join(member, toy_table, toy_store)


def test_weights_that_have_seen_the_scan(toy_store: Store, tmp_path: Path) -> None:
    table = make(TimeFolds(kind="time"), toy_store)
    member = write_oof(tmp_path / "toy_2d", toy_store, table, seen_scans=("case20_day5",))
    with pytest.raises(
        LeakError, match=r"OOF for scan case20_day5: .* have seen scan case20_day5; a score on it would f"
    ):
        join(member, table, toy_store)


def test_weights_from_a_table_of_cases_under_a_table_of_scans(toy_store: Store, tmp_path: Path) -> None:
    table = make(TimeFolds(kind="time"), toy_store)
    member = write_oof(tmp_path / "toy_2d", toy_store, table, seen_scans=(), seen_cases=("case7",))
    with pytest.raises(
        LeakError, match=r"OOF for scan case7_day13: .* have seen case case7; a score on it would flatter"
    ):
        join(member, table, toy_store)


def test_a_table_changed_after_training(member: Path, toy_store: Store, toy_table: FoldTable) -> None:
    moved = {case: (fold + 1) % toy_table.count for case, fold in toy_table.fold_of.items()}
    with pytest.raises(LeakError, match=r"scan case\d+_day\d+ is held back in fold \d, but was predicted by fold \d"):
        join(member, FoldTable("case", moved), toy_store)


def missing(oof: Path, name: str) -> None:
    (oof / f"{name}.npz").unlink()


def doubled(oof: Path, name: str) -> None:
    shutil.copy(oof / f"{name}.npz", oof / "again.npz")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, r"has no OOF for 1 scans, the first are \['{}'\]"),
        (doubled, r"scan {} has two OOF files: .*again\.npz and"),
    ],
)
def test_a_scan_that_is_missing_or_doubled(
    spoil: Callable[[Path, str], None], message: str, member: Path, toy_store: Store, toy_table: FoldTable
) -> None:
    name = toy_table.split(toy_store, 2)[1][-1]
    spoil(member / "fold2" / "oof", name)
    with pytest.raises(DataError, match=message.format(name)):
        join(member, toy_table, toy_store)


def test_predictions_of_earlier_weights(member: Path, toy_store: Store, toy_table: FoldTable) -> None:
    write_weights(member / "fold2", toy_store, toy_table, 2, selected_on_fold=True)  # trained again, OOF left behind
    with pytest.raises(StaleError, match=r"case\d+_day\d+\.npz was not made by the weights beside it"):
        join(member, toy_table, toy_store)


def test_a_test_case_that_trains_as_well(given: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    write(given, toy_store, tmp_path / "toy.csv")
    (tmp_path / "toy.csv").write_text((tmp_path / "toy.csv").read_text() + "case20,train,-1\n")
    with pytest.raises(LeakError, match=r"toy\.csv: case case20 is in more than one fold"):
        read(tmp_path / "toy.csv", toy_store)


def test_a_test_case_by_shares_that_trains_as_well(toy_store: Store, tmp_path: Path) -> None:
    """Of six cases the shares 50/20/30 keep two for the test."""
    table = make(SharesFolds(kind="shares"), toy_store)
    kept, _ = (case for case, fold in table.fold_of.items() if fold == -2)
    write(table, toy_store, tmp_path / "toy.csv")
    (tmp_path / "toy.csv").write_text((tmp_path / "toy.csv").read_text() + f"{kept},train,-1\n")
    with pytest.raises(LeakError, match=rf"toy\.csv: case {kept} is in more than one fold"):
        read(tmp_path / "toy.csv", toy_store)


@pytest.mark.parametrize("fold", ["0", "full"])
def test_weights_that_have_seen_a_test_case_get_no_test_score(
    given: FoldTable, toy_store: Store, tmp_path: Path, fold: str
) -> None:
    runs = {name: [tmp_path / name] for name in ("clean", "tainted")}
    write_weights(tmp_path / "clean", toy_store, given, 0)
    write_weights(tmp_path / "tainted", toy_store, given, 0)
    refuse_seen_test(runs, ["case20", "case31"])
    write_weights(tmp_path / "tainted", toy_store, given, 0, fold=fold, seen_cases=("case2", "case31"))
    with pytest.raises(LeakError, match=rf"the weights of toy_2d fold {fold} have seen \['case31'\] of the test part"):
        refuse_seen_test(runs, ["case20", "case31"])


def test_an_image_of_the_test_that_trains_under_another_case(given: FoldTable, store: Store, tmp_path: Path) -> None:
    records = [store.root / "scans" / name / "scan.json" for name in ("case31_day4", "case2_day0")]
    test, train = (json.loads(record.read_text()) for record in records)
    records[1].write_text(json.dumps(train | {"hashes": test["hashes"]}))
    write(given, store, tmp_path / "toy.csv")
    message = (
        r"the same image stands in two folds, as \w+: \['case2', 'case31'\] are in folds \[-2, -1\]; keep them in on"
    )
    with pytest.raises(LeakError, match=message):
        read(tmp_path / "toy.csv", store)


def test_a_prediction_of_a_test_scan_among_the_oof(given: FoldTable, toy_store: Store, tmp_path: Path) -> None:
    """Nothing of the test may reach a score that something is chosen by."""
    member = write_oof(tmp_path / "toy_2d", toy_store, given)
    assert list(join(member, given, toy_store)) == ["case11_day2"]
    planted = oof_prediction(member / "fold0", toy_store, "case31_day4", 0)
    write_prediction(planted, member / "fold0" / "oof" / "case31_day4.npz")
    with pytest.raises(LeakError, match="scan case31_day4 is held back in fold -2, but was predicted by fold 0"):
        join(member, given, toy_store)


@pytest.mark.parametrize(
    ("fold", "seen", "predicted"),
    [("0", ("case2", "case7", "case10"), ["case11_day2"]), ("full", ("case2", "case7", "case10", "case11"), [])],
)
def test_no_run_sees_the_test(
    given: FoldTable, toy_store: Store, tmp_path: Path, fold: str, seen: tuple[str, ...], predicted: list[str]
) -> None:
    """A fit on all cases neither."""
    train(Job(seg25d(), given, fold, toy_store.root, tmp_path / "run", "cpu"))
    info = read_info(tmp_path / "run" / "weights.safetensors")
    assert info.seen_cases == seen
    assert [path.stem for path in (tmp_path / "run").glob("oof/*.npz")] == predicted
