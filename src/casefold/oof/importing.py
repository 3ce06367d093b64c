"""A team mate's out-of-fold maps become a member's prediction files, once, if scans and cases are as they should be."""

import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from casefold.config.external import OofEntry
from casefold.config.load import differing_fields
from casefold.core import DataError, LeakError, Prediction, StaleError
from casefold.files import hash_file, hash_value, read_record, write_json, writing
from casefold.folds import FoldTable
from casefold.models.weights import WeightsInfo, save_weights
from casefold.oof.external import Outside, read_outside
from casefold.oof.files import write_prediction
from casefold.store import Store

logger = logging.getLogger(__name__)
RECORD, WEIGHTS = "import.json", "weights.safetensors"


def import_oof(outside: Outside, store: Store, table: FoldTable, target: Path) -> None:
    """Write a member's OOF below `target`, its folder of folds, as if it had been trained here.

    A scan's file lies under the fold of the fold table that holds it back, whatever the mate's own folds are, beside a
    weights file without weights, which says what the models have seen. Done with the same files, nothing is done.
    Raises DataError for missing, doubled or foreign scans, LeakError for a model that saw its scan's case, StaleError
    where other files were imported before.
    """
    entries = _checked(outside, store, table)
    inputs = _inputs(outside, store, table, entries)
    is_done = _is_done(target, inputs)
    place = target if is_done else target.with_name(f".{target.name}.part")
    waiting = {
        name: entry for name, entry in entries.items() if not is_done or not _file(place, store, table, name).is_file()
    }
    if not waiting:
        return
    if not is_done:
        shutil.rmtree(place, ignore_errors=True)
    for fold in range(table.count):
        _certify(outside, store, table, entries, fold, hash_value(inputs), place)
    highest = _write(outside, store, table, waiting, place)
    if not is_done:
        if highest <= 1:
            raise DataError(
                f"{outside.folder}: no map reaches more than {highest} of 255; uint8 counts 0..255, so of a mask of 0 "
                "and 1 give 255 times it, and probabilities as floats or times 255"
            )
        write_json(place / RECORD, inputs)
        with writing(target):
            place.rename(target)
    logger.info("imported %d scans of %s from %s", len(waiting), outside.config.name, outside.folder)


def _checked(outside: Outside, store: Store, table: FoldTable) -> dict[str, OofEntry]:
    """The entries by scan, in the store's order."""
    path, seen = outside.manifest_path, outside.manifest.seen_cases
    given = {entry.scan: entry for entry in outside.manifest.oof}
    held = [name for name in store.labelled() if table.fold(store, name) >= 0]
    foreign, missing = sorted(set(given) - set(held)), [name for name in held if name not in given]
    if foreign:
        raise DataError(f"{path}: {len(foreign)} scans of oof are held back in no fold, the first are {foreign[:5]}")
    if missing:
        raise DataError(f"{path}: oof lacks {len(missing)} scans, the first are {missing[:5]}")
    if seen is not None and table.kind == "time":
        raise DataError(f"{path}: under a fold table by time, seen_cases says nothing of scans; use the table's folds")
    for fold, cases in (seen or {}).items():
        if cases and not set(cases) & set(store.case_of.values()):
            raise DataError(
                f"{path}: seen_cases of fold {fold} names no case of the store, whose cases are called as "
                f"{next(iter(store.case_of.values()))}, but {list(cases[:5])}"
            )
    for name in held:
        fold, own = given[name].fold, table.fold(store, name)
        if seen is None and fold != own:
            raise LeakError(
                f"{path}: scan {name} was predicted by fold {fold}, but the fold table holds it back in {own}; give "
                "seen_cases if the folds are others"
            )
        if seen is not None and fold not in seen:
            raise DataError(f"{path}: scan {name} was predicted by fold {fold}, but seen_cases has {sorted(seen)}")
        if seen is not None and store.case_of[name] in seen[fold]:
            raise LeakError(
                f"{path}: scan {name} was predicted by fold {fold}, whose model has seen its case {store.case_of[name]}"
            )
    return {name: given[name] for name in held}


def _inputs(outside: Outside, store: Store, table: FoldTable, entries: Mapping[str, OofEntry]) -> dict[str, Any]:
    """All that the import depends on, as JSON holds it; the test's files are read where they lie."""
    manifest = outside.manifest.model_dump(mode="json", include={"classes", "seen_cases"})
    if manifest["seen_cases"] is not None:
        manifest["seen_cases"] = {str(fold): cases for fold, cases in manifest["seen_cases"].items()}
    files = {name: [entry.fold, outside.digest(entry)] for name, entry in entries.items()}
    source = {"kind": outside.config.kind, "name": outside.config.name, "format": outside.config.format}
    return {"config": source, **manifest, "oof": files, "folds": table.hash, "data": store.data_hash}


def _is_done(target: Path, inputs: Mapping[str, Any]) -> bool:
    if not target.exists():
        return False
    if not (target / RECORD).is_file():
        raise DataError(f"{target} is there but was not imported; give the external member another name")
    changed = differing_fields(read_record(target / RECORD), dict(inputs))
    if changed:
        raise StaleError(
            f"{target} was imported from other files: {'; '.join(changed[:5])}. Give the member a new name, put the "
            "old files back, or call again with --redo, which moves the old import aside"
        )
    return True


def _file(place: Path, store: Store, table: FoldTable, scan: str) -> Path:
    return place / f"fold{table.fold(store, scan)}" / "oof" / f"{scan}.npz"


def _certify(
    outside: Outside,
    store: Store,
    table: FoldTable,
    entries: Mapping[str, OofEntry],
    fold: int,
    inputs: str,
    place: Path,
) -> None:
    """A weights file without weights: whose predictions these are, and what the models behind them have seen.

    Where the mate's folds are his own, several models stand behind one of ours. Each scan has been held against its own
    model's cases, so of this fold's cases none is listed, though another of these models may have seen it.
    """
    train, held = table.split(store, fold)
    cases: Iterable[str] = (store.case_of[name] for name in train)
    if outside.manifest.seen_cases is not None:
        seen = outside.manifest.seen_cases
        cases = (case for name in held for case in seen[entries[name].fold])
    unseen = {store.case_of[name] for name in held}
    info = WeightsInfo(
        member=outside.config.name,
        fold=str(fold),
        config_hash=inputs,
        modalities=0,
        classes=store.classes,
        seen_cases=tuple(case for case in dict.fromkeys(cases) if case not in unseen),
        seen_scans=tuple(train) if table.kind == "time" else (),
    )
    save_weights({}, info, place / f"fold{fold}" / WEIGHTS)


def _write(outside: Outside, store: Store, table: FoldTable, entries: Mapping[str, OofEntry], place: Path) -> int:
    """Write prediction files; gives the highest q of them all."""
    highest, has_presence = 0, None
    for name, entry in entries.items():
        shape = store.scan(name).grid.shape
        arrays = read_outside(outside, entry, shape)
        if has_presence not in (None, "presence" in arrays):
            raise DataError(f"{outside.path(entry)}: some scans have presence, some have none; give it for all or none")
        highest, has_presence = max(highest, int(arrays["maps"].max())), "presence" in arrays
        path = _file(place, store, table, name)
        made = Prediction(
            case=store.case_of[name],
            scan=name,
            classes=store.classes,
            shape=shape,
            member=outside.config.name,
            fold=str(table.fold(store, name)),
            maps=arrays["maps"],
            presence=arrays.get("presence"),
            weights_hash=hash_file(path.parents[1] / WEIGHTS),
        )
        write_prediction(made, path)
    return highest
