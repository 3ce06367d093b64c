"""OOF joined in the store's order; what is missing, doubled or foreign is named."""

from dataclasses import replace
from pathlib import Path

import pytest

import toy
from casefold.config.base import TimeFolds
from casefold.core import DataError, StaleError
from casefold.folds import FoldTable, make
from casefold.models.weights import WeightsInfo
from casefold.oof import join, read_prediction, refuse_seen, write_prediction
from casefold.store import Store
from toy_members import oof_prediction, write_oof


def test_join_gives_every_labelled_scan_once_in_order(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    files = join(write_oof(tmp_path, toy_store, toy_table), toy_table, toy_store)
    assert list(files) == [scan.name for scan in toy.SCANS]
    for name, path in files.items():
        fold = toy_table.fold(toy_store, name)
        assert path == tmp_path / f"fold{fold}" / "oof" / f"{name}.npz"
        maps = read_prediction(path).maps
        assert maps is not None and (maps == fold + 1).all()


def test_join_of_some_folds_wants_only_theirs(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    write_oof(tmp_path, toy_store, toy_table)
    (tmp_path / "fold0").rename(tmp_path / "gone")
    held = [name for fold in (1, 2) for name in toy_table.split(toy_store, fold)[1]]
    assert sorted(join(tmp_path, toy_table, toy_store, [1, 2])) == sorted(held)
    with pytest.raises(DataError, match=r"weights .*fold0.*weights\.safetensors can't be read"):
        join(tmp_path, toy_table, toy_store)


def test_join_under_a_time_table_holds_back_scans(toy_store: Store, tmp_path: Path) -> None:
    table = make(TimeFolds(kind="time"), toy_store)
    assert list(join(write_oof(tmp_path, toy_store, table), table, toy_store)) == ["case7_day13", "case20_day5"]


def test_a_missing_scan_is_named(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    files = join(write_oof(tmp_path, toy_store, toy_table), toy_table, toy_store)
    files["case7_day13"].unlink()
    with pytest.raises(DataError, match=r"has no OOF for 1 scans, the first are \['case7_day13'\]; train their folds"):
        join(tmp_path, toy_table, toy_store)


def test_a_scan_the_store_does_not_hold_is_named(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    run = write_oof(tmp_path, toy_store, toy_table) / "fold0"
    name = toy_table.split(toy_store, 0)[1][0]
    stranger = replace(oof_prediction(run, toy_store, name, 0), scan="case99_day0")
    write_prediction(stranger, run / "oof" / "case99_day0.npz")
    with pytest.raises(DataError, match=r"is of scan case99_day0, which the store .* does not hold with labels"):
        join(tmp_path, toy_table, toy_store)


def test_a_doubled_scan_is_named(toy_store: Store, toy_table: FoldTable, tmp_path: Path) -> None:
    run = write_oof(tmp_path, toy_store, toy_table) / "fold1"
    name = toy_table.split(toy_store, 1)[1][0]
    (run / "oof" / "copy.npz").write_bytes((run / "oof" / f"{name}.npz").read_bytes())
    with pytest.raises(DataError, match=rf"scan {name} has two OOF files: .*npz and .*npz"):
        join(tmp_path, toy_table, toy_store)


@pytest.mark.parametrize("changes", [{"weights_hash": "0" * 16}, {"member": "other"}], ids=str)
def test_a_prediction_not_made_by_the_weights_beside_it_is_named(
    changes: dict[str, str], toy_store: Store, toy_table: FoldTable, tmp_path: Path
) -> None:
    run = write_oof(tmp_path, toy_store, toy_table) / "fold1"
    name = toy_table.split(toy_store, 1)[1][0]
    write_prediction(oof_prediction(run, toy_store, name, 1, **changes), run / "oof" / f"{name}.npz")
    with pytest.raises(StaleError, match=rf"{name}\.npz was not made by the weights beside it; train .* with --redo"):
        join(tmp_path, toy_table, toy_store)


def test_refuse_seen_lets_unseen_cases_pass(toy_store: Store) -> None:
    info = WeightsInfo("m", "0", "", 1, toy_store.classes, ("case2", "case20"), ("case20_day0",))
    refuse_seen(info, toy_store, "case7_day1", "case")
    refuse_seen(info, toy_store, "case20_day5", "time")
