"""Out-of-fold predictions on disk, a file a scan; read back only where none is missing, doubled or tainted."""

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from casefold.core import DataError, LeakError, Prediction, StaleError
from casefold.files import atomic, hash_file
from casefold.folds import FoldTable
from casefold.models.weights import WeightsInfo, read_info
from casefold.store import Store


def write_prediction(prediction: Prediction, path: Path) -> None:
    """One compressed file: the arrays, and the rest as JSON."""
    arrays = {name: getattr(prediction, name) for name in ("maps", "presence")}
    plain = {name: value for name, value in vars(prediction).items() if name not in arrays}
    present = {name: array for name, array in arrays.items() if array is not None}
    with atomic(path) as stream:
        np.savez_compressed(stream, header=np.frombuffer(json.dumps(plain).encode(), np.uint8), **present)


def read_header(path: Path) -> dict[str, Any]:
    """All but the arrays of a prediction file."""
    with _open(path) as content:
        header: dict[str, Any] = json.loads(content["header"].tobytes())
    return header


def read_prediction(path: Path) -> Prediction:
    """One prediction file; raises DataError where it can't be read."""
    with _open(path) as content:
        header = json.loads(content["header"].tobytes())
        arrays = {name: content[name] for name in ("maps", "presence") if name in content}
    return Prediction(**(header | {"classes": tuple(header["classes"]), "shape": tuple(header["shape"])}), **arrays)


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


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        with np.load(path) as content:
            yield content
    except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile, zlib.error) as e:
        raise DataError(f"prediction {path} can't be read ({type(e).__name__}: {e}); make it again") from e
