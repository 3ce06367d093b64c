"""Every labelled scan's out-of-fold prediction of a member, or the reason why it must not be used."""

from collections.abc import Sequence
from pathlib import Path

from casefold.core import DataError, LeakError, StaleError
from casefold.files import hash_file
from casefold.folds import FoldTable
from casefold.models.weights import WeightsInfo, read_info
from casefold.oof.files import read_header
from casefold.store import Store


def refuse_seen(info: WeightsInfo, store: Store, scan: str, kind: str) -> None:
    """Raise LeakError, naming case and weights, where weights have learnt from what they are to predict for OOF."""
    by_scan = kind == "time" and bool(info.seen_scans)  # weights from another kind of table know only their cases
    what, seen = (scan, info.seen_scans) if by_scan else (store.case_of[scan], info.seen_cases)
    if info.fold == "full" or what in seen:
        raise LeakError(
            f"OOF for scan {scan}: the weights of {info.member} fold {info.fold} have seen "
            f"{'scan' if by_scan else 'case'} {what}; a score on it would flatter"
        )


def join(member: Path, table: FoldTable, store: Store, folds: Sequence[int] | None = None) -> dict[str, Path]:
    """Every labelled scan's OOF file of a member (its folder of folds), in the store's order; folds: only of these.

    Raises LeakError for a prediction by weights of another fold, by a full fit, or by weights that saw its case;
    StaleError where file and weights do not belong together; DataError for a missing or doubled scan.
    """
    found: dict[str, Path] = {}
    labelled = store.labelled()
    folds = range(table.count) if folds is None else folds
    for fold in folds:
        run = member / f"fold{fold}"
        info, weights_hash = read_info(run / "weights.safetensors"), hash_file(run / "weights.safetensors")
        if info.fold != str(fold):
            raise LeakError(f"{run} holds the weights of fold {info.fold}, not of fold {fold}")
        for path in sorted((run / "oof").glob("*.npz")):
            header = read_header(path)
            scan = header["scan"]
            if scan not in labelled:
                raise DataError(f"{path} is of scan {scan}, which the store {store.root} does not hold with labels")
            if header["fold"] != str(fold) or table.fold(store, scan) != fold:
                raise LeakError(
                    f"{path}: scan {scan} is held back in fold {table.fold(store, scan)}, "
                    f"but was predicted by fold {header['fold']} and lies under fold {fold}"
                )
            refuse_seen(info, store, scan, table.kind)
            if header["weights_hash"] != weights_hash or header["member"] != info.member:
                raise StaleError(f"{path} was not made by the weights beside it; train that fold again with --redo")
            if scan in found:
                raise DataError(f"scan {scan} has two OOF files: {found[scan]} and {path}")
            found[scan] = path
    wanted = [name for name in labelled if table.fold(store, name) in folds]
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(f"{member} has no OOF for {len(missing)} scans, the first are {missing[:5]}; train their folds")
    return {name: found[name] for name in wanted}
